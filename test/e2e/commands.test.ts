import { deepEqual, equal, match, ok } from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { parse } from "jsonc-parser";
import { runBinary, type RunningBinary, startBinary } from "../support/binary.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import { schemaViolations } from "../support/json_schema.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import {
  addPeople,
  equalsTables,
  PEOPLE_DDL,
  PEOPLE_INDEX,
  sqliteDocuments,
} from "../support/people.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";
import { root } from "../support/toolchain.ts";

const NOTHING = { config: "nowhere.jsonc" };
const COMMANDS = ["run", "sync", "wait", "check", "search", "schema", "changelog"];

let db: TestDatabase;
let url: string;
before(async () => {
  db = await createDatabase(PEOPLE_DDL);
  await addPeople(db.sql, 1, 30);
  url = (await openSearchServer()).url;
});
after(() => db[Symbol.asyncDispose]());

const SQLITE = { local: { type: "sqlite", path: "local.db" } };
const configOf = (sinks: object, more: object = {}) => ({
  source: { url: db.readerUrl, poll: { minInterval: "20ms", maxInterval: "200ms" } },
  sinks,
  indexes: { users: PEOPLE_INDEX },
  ...more,
});

describe("the command line", () => {
  for (const command of COMMANDS) {
    test(`${command} --help shows what it does, its flags and an example`, async () => {
      for (const flag of ["--help", "-h"]) {
        const { code, stdout, stderr } = await runBinary([command, flag], NOTHING);
        equal(code, 0);
        equal(stderr, "");
        match(stdout, new RegExp(`USAGE driftless ${command}`));
        match(stdout, new RegExp(`EXAMPLES\\n\\n.*driftless ${command}`));
      }
    });
  }

  test("the overview names every command; without one it is bad usage", async () => {
    const help = await runBinary(["--help"], NOTHING);
    equal(help.code, 0);
    for (const command of COMMANDS) match(help.stdout, new RegExp(`^  ${command} `, "m"));
    const none = await runBinary([], NOTHING);
    deepEqual([none.code, none.stdout], [2, help.stdout]);
  });

  test("--version prints the manifest's", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
    const { code, stdout } = await runBinary(["--version"], NOTHING);
    deepEqual([code, stdout], [0, `driftless ${version}\n`]);
  });

  const bad: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["a command to come", ["verify"], /"verify": it is not supported yet/],
    ["an unknown command", ["rum"], /"rum": it is not a command\. Did you mean "run"\?/],
    [
      "an unknown flag",
      ["run", "--strickt"],
      /--strickt is not a flag.*\n\s+Did you mean --strict/,
    ],
    ["a flag without its value", ["sync", "--wait"], /--wait needs a value/],
    [
      "a value that a flag can't have",
      ["run", "--log-level", "loud"],
      /--log-level can't be "loud"/,
    ],
    ["a duration that is none", ["sync", "--wait", "soon"], /--wait.*soon/],
    ["a stray word", ["run", "now"], /now has no place here/],
    ["a missing word", ["search", "users"], /<query> is missing/],
    ["a flag given twice", ["run", "--strict", "--strict"], /--strict is given twice/],
  ];
  for (const [name, args, says] of bad) {
    test(
      `${name} is bad usage, with a hint`,
      inFolder(async (cwd) => {
        const result = await runBinary(args, { cwd, config: configOf(SQLITE) });
        equal(result.code, 2, result.stderr);
        match(result.stderr, says);
        equal(result.stdout, "");
        ok(!existsSync(join(cwd, "local.db")));
      }),
    );
  }

  test(
    "a variable stands for a flag, and the flag wins",
    inFolder(async (cwd) => {
      const options = { cwd, config: configOf(SQLITE) };
      const quiet = await runBinary(["sync"], {
        ...options,
        env: { DRIFTLESS_LOG_LEVEL: "error" },
      });
      deepEqual([quiet.code, quiet.stderr], [0, ""]);
      const loud = await runBinary(["sync", "--log-level", "info"], {
        ...options,
        env: { DRIFTLESS_LOG_LEVEL: "error" },
      });
      ok(loud.events.length > 0);
      const wrong = await runBinary(["sync"], { ...options, env: { DRIFTLESS_LOG_LEVEL: "loud" } });
      equal(wrong.code, 2);
      match(wrong.stderr, /DRIFTLESS_LOG_LEVEL can't be "loud"/);
      const strict = await runBinary(["sync"], {
        cwd,
        config: configOf(SQLITE, {
          indexes: { users: PEOPLE_INDEX, x: { table: "nowhere", fields: { id: "long" } } },
        }),
        env: { DRIFTLESS_STRICT: "true" },
      });
      equal(strict.code, 2);
    }),
  );

  test(
    "the folder it runs in gives it no code and no variables",
    inFolder(async (cwd) => {
      writeFileSync(join(cwd, ".env"), `DATABASE_URL=${db.readerUrl}\n`);
      writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
      writeFileSync(join(cwd, "evil.ts"), 'await Bun.write("evil.txt", "was here");\n');
      writeFileSync(join(cwd, "package.json"), '{ "name": "x", "type": "commonjs" }\n');
      writeFileSync(
        join(cwd, "tsconfig.json"),
        '{ "compilerOptions": { "paths": { "*": ["./evil"] } } }',
      );
      const config = { indexes: { users: PEOPLE_INDEX } };
      const result = await runBinary(["sync"], { cwd, config });
      equal(result.code, 2, result.stderr);
      match(result.stderr, /DATABASE_URL/);
      ok(!existsSync(join(cwd, "evil.txt")));
      const given = await runBinary(["sync"], { cwd, config, env: { DATABASE_URL: db.readerUrl } });
      equal(given.code, 0, given.stderr);
      ok(existsSync(join(cwd, "driftless.db")), "sqlite is the default");
      ok(!existsSync(join(cwd, "evil.txt")));
    }),
  );
});

test("a reader that leaves early is told of without a stack", async () => {
  for (const args of [["schema"], ["--help"], ["run", "--help"]]) {
    await using binary = startBinary(args, NOTHING);
    // Before it has written anything: it has not even started.
    binary.process.stdout?.destroy();
    equal(await binary.exited, 1, args.join(" "));
    match(binary.stderr(), /^Cannot write to stdout: its reader has left\n {2}.+\n$/);
  }
  await using sync = startBinary(["sync"], { config: configOf({ out: { type: "stdout" } }) });
  sync.process.stdout?.destroy();
  equal(await sync.exited, 1);
  match(sync.stderr(), /^Cannot write to stdout: its reader has left\n {2}.+\n$/m);
});

describe("schema", () => {
  test("prints a JSON Schema that takes the example config and refuses a broken one", async () => {
    const { code, stdout, stderr } = await runBinary(["schema"], NOTHING);
    deepEqual([code, stderr], [0, ""]);
    const schema = JSON.parse(stdout);
    equal(schema.$schema, "http://json-schema.org/draft-07/schema#");
    const example = parse(readFileSync(join(root, "config.example.jsonc"), "utf8"));
    deepEqual(schemaViolations(schema, example), []);
    ok(schemaViolations(schema, { ...example, pipelin: {} }).length > 0);
    ok(schemaViolations(schema, { ...example, indexes: { x: { fields: {} } } }).length > 0);
    ok(schemaViolations(schema, { ...example, onRejected: 1 }).length > 0);
  });
});

describe("check", () => {
  test(
    "prints connections, levels with their claim, and mappings, and makes nothing",
    inFolder(async (cwd) => {
      const prefix = uniquePrefix();
      const search = { type: "opensearch", nodes: [url], indexPrefix: prefix };
      const options = { cwd, config: configOf({ search, ...SQLITE }) };
      const text = await runBinary(["check"], options);
      equal(text.code, 0, text.stdout);
      match(text.stdout, /source: Postgres 1\d/);
      match(text.stdout, /search: opensearch 2\./);
      match(
        text.stdout,
        /^ {2}public\.users +L3 +updated_at +at once; unstamped within 1 h +within 15 min$/m,
      );
      match(text.stdout, /^ {2}public\.orders +L3 +updated_at .* +not seen$/m);
      match(text.stdout, /L3 by updated_at: no committed insert or update is missed/);
      match(text.stdout, /"paidTotal"/);
      match(text.stdout, /^ok: no problems$/m);

      const json = await runBinary(["check", "--format", "json"], options);
      equal(json.code, 0);
      const report = JSON.parse(json.stdout);
      equal(report.ok, true);
      deepEqual(report.problems, []);
      deepEqual(
        report.tables.map(({ table, level }: { table: string; level: string }) => [
          table,
          level,
        ]),
        [["public.users", "L3"], ["public.orders", "L3"]],
      );
      equal(report.indexes[0].index, "users");
      equal(report.indexes[0].mapping.properties.id.type, "long");

      ok(!existsSync(join(cwd, "local.db")));
      const indices = await fetch(`${url}/_cat/indices/${prefix}*?format=json`);
      deepEqual(await indices.json(), []);
    }),
  );

  test(
    "--offline looks at the file alone",
    inFolder(async (cwd) => {
      const source = { url: "postgres://nobody@127.0.0.1:1/nowhere" };
      const good = await runBinary(["check", "--offline"], {
        cwd,
        config: configOf(SQLITE, { source }),
      });
      equal(good.code, 0, good.stdout);
      const bad = await runBinary(["check", "--offline", "--format", "json"], {
        cwd,
        config: configOf(SQLITE, { source, onRejected: "explode" }),
      });
      equal(bad.code, 2);
      const report = JSON.parse(bad.stdout);
      equal(report.ok, false);
      equal(report.problems[0].path, "onRejected");
      ok(report.problems[0].line > 0);
    }),
  );

  test(
    "a missing index is a warning with the statement, and with --strict an error",
    inFolder(async (cwd) => {
      await using own = await createDatabase(PEOPLE_DDL);
      await own.sql`DROP INDEX orders_user_id_idx`;
      const config = { ...configOf(SQLITE), source: { url: own.readerUrl } };
      const lenient = await runBinary(["check"], { cwd, config });
      equal(lenient.code, 0, lenient.stdout);
      match(lenient.stdout, /warning: .*public\.orders/);
      match(lenient.stdout, /CREATE INDEX .*orders.*user_id/);
      equal((await runBinary(["check", "--strict"], { cwd, config })).code, 2);
    }),
  );
});

test(
  "an index's name brings no control character to the terminal",
  inFolder(async (cwd) => {
    const indexes = { "us\u001b[31mers": PEOPLE_INDEX };
    const options = { cwd, config: configOf(SQLITE, { indexes }) };
    const waited = await runBinary(["wait", "--timeout", "1ms"], options);
    const checked = await runBinary(["check"], options);
    for (const { stdout, stderr } of [waited, checked]) {
      ok(!`${stdout}${stderr}`.includes("\u001b"), JSON.stringify(stdout + stderr));
      match(stdout + stderr, /us \[31mers/);
    }
  }),
);

describe("search and wait", () => {
  for (const kind of ["sqlite", "opensearch"] as const) {
    test(
      `what was committed before wait was called is found by search (${kind})`,
      inFolder(async (cwd) => {
        const sinks = kind === "sqlite"
          ? SQLITE
          : { search: { type: "opensearch", nodes: [url], indexPrefix: uniquePrefix() } };
        const options = { cwd, config: configOf(sinks) };
        const early = await runBinary(["search", "users", "anything"], options);
        equal(early.code, 1, early.stderr);
        const alone = await runBinary(["wait", "--timeout", "1s"], options);
        equal(alone.code, 1);
        match(alone.stderr, /Check that `driftless run` is running/);

        await using run = startBinary(["run"], options);
        await run.waitFor("caughtUp");
        const word = `Zebediah${kind}`;
        await db.sql`UPDATE users SET name = ${word} WHERE id = 12`;
        const waited = await runBinary(["wait"], options);
        equal(waited.code, 0, waited.stderr);
        match(waited.stdout, /^\{"through":"\d{4}-\d\d-\d\dT[\d:.]+Z"\}\n$/);
        const found = await runBinary(["search", "users", word.toLowerCase()], options);
        equal(found.code, 0, found.stderr);
        const hits = found.stdout.trim().split("\n").map((line) => JSON.parse(line));
        deepEqual(hits.map(({ id, document }) => [id, document.name]), [["12", word]]);
        const none = await runBinary(["search", "users", "nonesuchword"], options);
        deepEqual([none.code, none.stdout], [0, ""]);
        match(none.stderr, /no hits/);
        const three = await runBinary(["search", "users", "User", "--limit", "3"], options);
        equal(three.stdout.trim().split("\n").length, 3);
        const unknown = await runBinary(["search", "user", "x"], options);
        equal(unknown.code, 2);
        match(unknown.stderr, /It has: users/);
        equal(await run.stop(), 0);
      }),
    );
  }
});

test(
  "the stdout sink prints one line of JSON a document, and nothing else is on stdout",
  inFolder(async (cwd) => {
    const options = { cwd, config: configOf({ out: { type: "stdout" } }) };
    const first = await runBinary(["sync"], options);
    equal(first.code, 0, first.stderr);
    const lines = first.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    ok(
      lines.every(({ op, index, version }) =>
        op === "index" && index === "users" && /^\d+$/.test(version)
      ),
    );
    await equalsTables(
      db.sql,
      lines.map(({ id, document }) => ({ id, body: JSON.stringify(document) })),
    );
    await db.sql`UPDATE users SET name = 'Once more' WHERE id = 5`;
    const second = await runBinary(["sync"], options);
    const again = second.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    ok(again.some(({ id, document }) => id === "5" && document.name === "Once more"));
    ok(again.length < 30, "it goes on, it doesn't start over");
  }),
);

test(
  "the stdout sink remembers beside the config file, wherever it is run",
  inFolder(async (cwd) => {
    const config = join(cwd, "here", "driftless.jsonc");
    mkdirSync(join(cwd, "here"));
    writeFileSync(config, JSON.stringify(configOf({ out: { type: "stdout" } })));
    equal((await runBinary(["sync"], { cwd, config })).code, 0);
    deepEqual(readdirSync(join(cwd, "here")).toSorted(), [
      "driftless.jsonc",
      "driftless.out.state.json",
    ]);
    deepEqual(readdirSync(cwd), ["here"]);
  }),
);

describe("signals", () => {
  for (const [command, marker] of [["check", "GET / HTTP"], ["search", "_mapping"]] as const) {
    test(
      `the first SIGINT ends ${command}, and says nothing of the server`,
      inFolder(async (cwd) => {
        await using proxy = await startProxy(url);
        const search = { type: "opensearch", nodes: [proxy.url], indexPrefix: uniquePrefix() };
        const args = command === "search" ? ["search", "users", "x"] : ["check"];
        const { reached } = proxy.hold(marker, "answer");
        await using held = startBinary(args, { cwd, config: configOf({ search }) });
        await reached;
        send(held, "SIGINT");
        await eventually("it ends", () => Promise.resolve(held.process.exitCode !== null));
        equal(await held.exited, 1);
        equal(held.stderr(), "SIGINT received\n");
        equal(held.stdout(), "");
      }),
    );
  }

  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    test(
      `the first ${signal} drains and ends with 0, the second ends at once with ${code}`,
      inFolder(async (cwd) => {
        await using run = startBinary(["run"], { cwd, config: configOf(SQLITE) });
        await run.waitFor("caughtUp");
        await db.sql`UPDATE users SET name = ${signal} WHERE id = 3`;
        send(run, signal);
        equal(await run.exited, 0, run.stderr());
        await run.waitFor("stopped");
        equal((await runBinary(["sync"], { cwd, config: configOf(SQLITE) })).code, 0);
        await equalsTables(db.sql, sqliteDocuments(join(cwd, "local.db"), "users"));

        await using proxy = await startProxy(url);
        const search = { type: "opensearch", nodes: [proxy.url], indexPrefix: uniquePrefix() };
        await using held = startBinary(["run"], { cwd, config: configOf({ search }) });
        await held.waitFor("caughtUp");
        const { reached } = proxy.hold("/_bulk", "answer");
        await db.sql`UPDATE users SET name = ${`${signal} twice`} WHERE id = 3`;
        await reached;
        send(held, signal);
        await held.waitFor("draining");
        send(held, signal);
        equal(await held.exited, code);
      }),
    );
  }

  test(
    "a signal while it starts ends it with 0",
    inFolder(async (cwd) => {
      const source = { url: "postgres://nobody@127.0.0.1:1/nowhere" };
      await using run = startBinary(["run"], { cwd, config: configOf(SQLITE, { source }) });
      await run.waitFor("retry");
      send(run, "SIGTERM");
      equal(await run.exited, 0, run.stderr());
    }),
  );
});

function send(binary: RunningBinary, signal: NodeJS.Signals): void {
  const { pid } = binary.process;
  ok(pid !== undefined);
  process.kill(pid, signal);
}
