import { deepEqual, equal, match, ok } from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type BinaryResult, runBinary } from "../support/binary.ts";
import { inFolder } from "../support/in_folder.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import {
  addPeople,
  equalsTables,
  openSearchDocuments,
  PEOPLE_DDL,
  PEOPLE_INDEX,
  sqliteDocuments,
} from "../support/people.ts";
import { at, createDatabase, type TestDatabase } from "../support/postgres.ts";

const DDL = `${PEOPLE_DDL}
CREATE TABLE keyless (name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON keyless (updated_at);
CREATE TABLE unindexed (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE unstamped (id bigint PRIMARY KEY, name text);
CREATE TABLE hidden (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON hidden (updated_at, id);
`;
/** Row content that no output may show. */
const SECRET = "s3cr3t-row-content";

interface Case {
  readonly name: string;
  /** The config's keys that differ from one that works. */
  readonly config: () => Record<string, unknown>;
  readonly args?: readonly string[];
  readonly code: number;
  /** What happened, to what; and what to do. */
  readonly says: readonly RegExp[];
}

let db: TestDatabase;
let url: string;
before(async () => {
  db = await createDatabase(DDL);
  await db.sql.unsafe(`
    REVOKE SELECT ON hidden FROM ${db.readerRole};
    CREATE ROLE ${db.name}_guarded LOGIN PASSWORD 'right' IN ROLE with_password;
  `).simple();
  await addPeople(db.sql, 1, 30);
  url = (await openSearchServer()).url;
});
after(async () => {
  await db.sql.unsafe(`DROP ROLE ${db.name}_guarded`);
  await db[Symbol.asyncDispose]();
});

const index = (table: string, fields: object) => ({ indexes: { things: { table, fields } } });
const source = (change: (url: URL) => void) => {
  const changed = new URL(db.readerUrl);
  change(changed);
  return { source: { url: changed.href } };
};

const byStamp = () => ({ url: db.readerUrl, capture: "updated_at" });

const CASES: readonly Case[] = [
  {
    name: "a misspelt key",
    config: () => ({ pipelin: {} }),
    code: 2,
    says: [/driftless\.jsonc:\d+: error: pipelin: Unknown key/, /Did you mean "pipeline"/],
  },
  {
    name: "a value of the wrong type",
    config: () => ({ pipeline: { batch: { maxChanges: "many" } } }),
    code: 2,
    says: [/driftless\.jsonc:\d+: error: pipeline\.batch\.maxChanges: Expected a whole number/],
  },
  {
    name: "several mistakes at once",
    config: () => ({ onRejected: "explode", log: { level: "loud" }, indexs: {} }),
    code: 2,
    says: [/onRejected/, /log\.level/, /Did you mean "indexes"/],
  },
  {
    name: "a table that isn't there",
    config: () => index("user", { id: "long" }),
    code: 2,
    says: [/indexes\.things\.table: Cannot find table public\.user/, /Did you mean \\"users\\"/],
  },
  {
    name: "a column that isn't there",
    config: () => index("users", { emial: "keyword" }),
    code: 2,
    says: [/Cannot find column \\"emial\\": public\.users/, /Did you mean \\"email\\"/],
  },
  {
    name: "a table without primary key and no key",
    config: () => index("keyless", { name: "text" }),
    code: 2,
    says: [/public\.keyless: it has no primary key/, /Name the columns .* in \\"key\\"/],
  },
  {
    name: "a table without stamp that a stamp is asked for",
    config: () => ({ ...index("unstamped", { name: "text" }), source: byStamp() }),
    code: 2,
    says: [
      /Cannot follow public\.unstamped by a stamp: it has no stamp column/,
      /ADD COLUMN updated_at/,
    ],
  },
  {
    name: "the WAL that is asked for, of a role that may not replicate",
    config: () => ({
      ...index("unstamped", { name: "text" }),
      source: { url: db.readerUrl, capture: "wal" },
    }),
    code: 2,
    says: [
      /Cannot follow public\.unstamped by the WAL: role \w+ lacks REPLICATION/,
      /ALTER ROLE \S+ REPLICATION;/,
    ],
  },
  {
    name: "no index on the stamp that is asked for",
    config: () => ({ ...index("unindexed", { id: "long" }), source: byStamp() }),
    code: 2,
    says: [/no index begins with its stamp/, /CREATE INDEX CONCURRENTLY ON public\.unindexed/],
  },
  {
    name: "no SELECT on a table",
    config: () => index("hidden", { id: "long" }),
    code: 2,
    says: [/Cannot read public\.hidden: \w+ lacks SELECT/, /GRANT SELECT ON .*hidden/],
  },
  {
    name: "an expression that Postgres refuses",
    config: () => index("users", { id: { type: "long", sql: "nowhere + 1" } }),
    code: 2,
    says: [/indexes\.things\.fields\.id/, /nowhere/],
  },
  {
    name: "Postgres that can't be reached",
    config: () => source((url) => url.port = "1"),
    args: ["--wait", "1s"],
    code: 1,
    says: [/Cannot query Postgres: .*ECONNREFUSED/, /away for 1 s/, /Nothing was lost/],
  },
  {
    name: "a database that isn't there",
    config: () => source((url) => url.pathname = "/nowhere_at_all"),
    code: 1,
    says: [/database "nowhere_at_all" does not exist/, /Check the database name in source\.url/],
  },
  {
    name: "a wrong password",
    config: () =>
      source((url) => {
        url.username = `${db.name}_guarded`;
        url.password = "wr0ng-passw0rd";
      }),
    code: 1,
    says: [/password authentication failed/, /Check the user and the password/],
  },
  {
    name: "OpenSearch that can't be reached",
    config: () => ({ sinks: { search: { type: "opensearch", nodes: ["http://127.0.0.1:1"] } } }),
    args: ["--wait", "1s"],
    code: 1,
    says: [/Cannot connect to OpenSearch at http:\/\/127\.0\.0\.1:1/, /away for 1 s/],
  },
  {
    name: "a sqlite file in a folder that isn't there",
    config: () => ({ sinks: { local: { type: "sqlite", path: "nowhere/x.db" } } }),
    code: 1,
    says: [/folder .*nowhere is missing/, /Create the folder/],
  },
  {
    name: "a name that OpenSearch doesn't take",
    config: () => ({ indexes: { Things: PEOPLE_INDEX } }),
    code: 2,
    says: [/indexes\.Things: An index name is lower-case/],
  },
];

describe("what can't work is refused in plain words, and nothing is changed", () => {
  for (const { name, config, args = [], code, says } of CASES) {
    test(
      name,
      inFolder(async (cwd) => {
        const prefix = uniquePrefix();
        const result = await runBinary(["sync", ...args], {
          cwd,
          config: {
            source: { url: db.readerUrl },
            sinks: {
              search: { type: "opensearch", nodes: [url], indexPrefix: prefix },
              local: { type: "sqlite", path: "local.db" },
            },
            indexes: { users: PEOPLE_INDEX },
            ...config(),
          },
        });
        equal(result.code, code, result.stderr);
        equal(result.stdout, "");
        for (const pattern of says) match(result.stderr, pattern);
        ok(!/wr0ng-passw0rd|defect of driftless|\n\s+at /.test(result.stderr), result.stderr);
        ok(!existsSync(join(cwd, "local.db")), "no file is made");
        deepEqual(await indexesOf(prefix), []);
      }),
    );
  }

  test(
    "a config that isn't JSONC, and one that isn't there",
    inFolder(async (cwd) => {
      const broken = join(cwd, "broken.jsonc");
      writeFileSync(broken, '{\n  // fine\n  "indexes": { "users": }\n}\n');
      const result = await runBinary(["sync"], { cwd, config: broken });
      equal(result.code, 2);
      match(result.stderr, /broken\.jsonc:3: error: /);
      const missing = await runBinary(["sync"], { cwd, config: join(cwd, "missing.jsonc") });
      equal(missing.code, 2);
      match(missing.stderr, /Cannot read .*missing\.jsonc/);
      match(missing.stderr, /--config/);
      ok(!existsSync(join(cwd, "driftless.db")));
    }),
  );

  test(
    "one index that can't be served is named and left out; with --strict nothing runs",
    inFolder(async (cwd) => {
      const config = {
        source: { url: db.readerUrl, tables: { unstamped: { capture: "updated_at" } } },
        sinks: { local: { type: "sqlite", path: "local.db" } },
        indexes: {
          users: PEOPLE_INDEX,
          things: { table: "unstamped", fields: { name: "text" } },
        },
      };
      const strict = await runBinary(["sync", "--strict"], { cwd, config });
      equal(strict.code, 2);
      match(strict.stderr, /Cannot serve "things"/);
      ok(!existsSync(join(cwd, "local.db")));
      const lenient = await runBinary(["sync"], { cwd, config });
      // What calls sync mustn't take it for complete.
      equal(lenient.code, 1, lenient.stderr);
      match(lenient.stderr, /an index was left out/);
      match(lenient.stderr, /Cannot follow public\.unstamped/);
      await equalsTables(db.sql, sqliteDocuments(join(cwd, "local.db"), "users"));
    }),
  );

  test(
    "a mapping that was changed by hand, and an index under the alias's name",
    inFolder(async (cwd) => {
      const prefix = uniquePrefix();
      const options = { cwd, config: searchConfig(db.readerUrl, prefix) };
      const concrete = await send("PUT", `/${prefix}users`, {});
      equal(concrete, 200);
      const refused = await runBinary(["sync"], options);
      equal(refused.code, 1, refused.stderr);
      match(refused.stderr, new RegExp(`Cannot .*"${prefix}users"`));
      ok(!refused.events.some(({ event }) => event === "seedStarted"));
      await send("DELETE", `/${prefix}users`);

      equal((await runBinary(["sync"], options)).code, 0);
      equal(await send("PUT", `/${prefix}users/_mapping`, { dynamic: true }), 200);
      const before = await mappingOf(`${prefix}users`);
      await db.sql`UPDATE users SET name = 'After' WHERE id = 1`;
      const conflict = await runBinary(["sync"], options);
      equal(conflict.code, 1, conflict.stderr);
      match(conflict.stderr, /its mapping isn't the plan's/);
      match(conflict.stderr, /Undo what was changed/);
      equal(await mappingOf(`${prefix}users`), before);
      equal(await send("PUT", `/${prefix}users/_mapping`, { dynamic: "strict" }), 200);
      equal((await runBinary(["sync"], options)).code, 0);
      await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
    }),
  );
});

describe("a document that can't be indexed", () => {
  interface Refusal {
    readonly name: string;
    readonly fields: object;
    readonly mappings?: object;
    readonly value: string;
    readonly reason: RegExp;
  }
  const refusals: readonly Refusal[] = [
    {
      name: "a value that OpenSearch refuses",
      fields: { born: { type: "keyword", column: "tier" } },
      mappings: { properties: { born: { type: "date", fields: {} } } },
      value: SECRET,
      reason: /^mapper_parsing_exception in field "born"$/,
    },
    {
      name: "a keyword beyond OpenSearch's limit",
      fields: { tier: "keyword" },
      value: SECRET.padEnd(40_000, "ä"),
      reason: /^illegal_argument_exception in field "tier"$/,
    },
    {
      name: "a value that Postgres can't cast",
      fields: { age: { type: "integer", sql: "tier::date - '2000-01-01'::date" } },
      value: SECRET,
      reason: /^22007/,
    },
  ];
  for (const { name, fields, mappings = {}, value, reason } of refusals) {
    test(
      `${name}: "stop" ends with 1 before it is acknowledged, "skip" counts it and goes on`,
      inFolder(async (cwd) => {
        await using own = await createDatabase(PEOPLE_DDL);
        await addPeople(own.sql, 1, 5);
        await own.sql`UPDATE users SET tier = '2001-02-03'`;
        const prefix = uniquePrefix();
        const all = { id: "long", name: "text", ...fields };
        const config = (onRejected: string) => ({
          ...searchConfig(own.readerUrl, prefix),
          indexes: { people: { table: "users", fields: all, mappings, onRejected } },
        });
        const quiet = ({ stdout, stderr }: BinaryResult) =>
          ok(!`${stdout}${stderr}`.includes(SECRET), "a row's content was printed");
        const first = await runBinary(["sync"], { cwd, config: config("stop") });
        equal(first.code, 0, first.stderr);

        await own.sql`UPDATE users SET tier = ${value}, name = ${SECRET} WHERE id = 3`;
        // Twice: it comes again, because it wasn't acknowledged.
        for (let i = 0; i < 2; i++) {
          const stopped = await runBinary(["sync", "--log-level", "debug"], {
            cwd,
            config: config("stop"),
          });
          equal(stopped.code, 1, stopped.stderr);
          match(stopped.stderr, /Cannot index document "3" of "people": /);
          match(stopped.stderr, /nothing is lost/);
          const rejected = stopped.events.find(({ event }) => event === "rejected");
          deepEqual([rejected?.["index"], rejected?.["id"]], ["people", "3"]);
          match(String(rejected?.["reason"]), reason);
          quiet(stopped);
        }
        await own.sql`UPDATE users SET name = 'Beside' WHERE id = 4`;
        const skipped = await runBinary(["sync"], { cwd, config: config("skip") });
        equal(skipped.code, 0, skipped.stderr);
        equal(skipped.events.filter(({ event }) => event === "rejected").length, 1);
        quiet(skipped);
        const names = new Map<string, string>();
        for await (const { id, body } of openSearchDocuments(url, `${prefix}people`)) {
          names.set(id, (JSON.parse(body) as { name: string }).name);
        }
        equal(names.get("4"), "Beside");
        equal(names.get("3"), "User 3", "what was there before stays");
      }),
    );
  }
});

test(
  "another server under the same address ends the run with nothing written; --rebase follows it",
  inFolder(async (cwd) => {
    const prefix = uniquePrefix();
    equal((await runBinary(["sync"], { cwd, config: searchConfig(db.readerUrl, prefix) })).code, 0);
    for (const major of [18, 15] as const) {
      await using other = await createDatabase(PEOPLE_DDL, major);
      await addPeople(other.sql, 10, 20);
      const before = await stateOf(prefix);
      for (const command of ["sync", "run"]) {
        const options = { cwd, config: searchConfig(other.readerUrl, prefix) };
        const moved = await runBinary([command], options);
        equal(moved.code, 1, moved.stderr);
        match(moved.stderr, /Cannot follow this database: it is not the one that was followed/);
        match(moved.stderr, /--rebase/);
        deepEqual(await stateOf(prefix), before);
      }
      const options = { cwd, config: searchConfig(other.readerUrl, prefix) };
      const rebased = await runBinary(["sync", "--rebase"], options);
      equal(rebased.code, 0, rebased.stderr);
      await equalsTables(other.sql, openSearchDocuments(url, `${prefix}users`));
      await other.sql`UPDATE users SET name = 'Followed' WHERE id = 11`;
      equal((await runBinary(["sync"], options)).code, 0);
      await equalsTables(other.sql, openSearchDocuments(url, `${prefix}users`));
    }
    // And back: its positions may be anywhere, its rows must win all the same.
    const back = await runBinary(["sync", "--rebase"], {
      cwd,
      config: searchConfig(db.readerUrl, prefix),
    });
    equal(back.code, 0, back.stderr);
    await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
  }),
);

test("a standby's or another user's URL in an error shows no password", async () => {
  const secret = new URL(at(db.url, { user: `${db.name}_guarded` }));
  secret.password = "wr0ng-passw0rd";
  secret.port = "1";
  const result = await runBinary(["check"], { config: { ...searchConfig(secret.href, "x_") } });
  equal(result.code, 1, "a server that is away says nothing about the config");
  ok(!`${result.stdout}${result.stderr}`.includes("wr0ng-passw0rd"));
});

function searchConfig(source: string, indexPrefix: string) {
  return {
    source: { url: source, poll: { minInterval: "20ms", maxInterval: "200ms" } },
    sinks: { search: { type: "opensearch", nodes: [url], indexPrefix } },
    indexes: { users: PEOPLE_INDEX },
  };
}

async function indexesOf(prefix: string): Promise<readonly string[]> {
  const reply = await fetch(`${url}/_cat/indices/${prefix}*?h=index&format=json`);
  return (await reply.json() as { index: string }[]).map(({ index }) => index).sort();
}

/** What would show that anything was written: every index with its uuid and the number of writes. */
async function stateOf(prefix: string): Promise<unknown> {
  const reply = await fetch(`${url}/${prefix}*/_stats/indexing`);
  const { indices } = await reply.json() as {
    indices: Record<
      string,
      { uuid: string; primaries: { indexing: { index_total: number; delete_total: number } } }
    >;
  };
  return Object.entries(indices).map(([name, { uuid, primaries }]) => [
    name,
    uuid,
    primaries.indexing.index_total,
    primaries.indexing.delete_total,
  ]).sort();
}

async function mappingOf(index: string): Promise<string> {
  return await (await fetch(`${url}/${index}/_mapping`)).text();
}

async function send(method: string, path: string, body?: object): Promise<number> {
  const reply = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  await reply.body?.cancel();
  return reply.status;
}
