import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { openDatabase, type Statement } from "../../src/postgres/client.ts";
import { parseMicros } from "../../src/postgres/poll/micros.ts";
import { scanStatement } from "../../src/postgres/poll/statements.ts";
import type { PolledTable } from "../../src/postgres/poll/polled_table.ts";
import { pollPart, withPollPart } from "../support/poll_cursor.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase, startPostgres, type TestDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at, id);
CREATE TABLE pair (a int, "B" text, at timestamp NOT NULL, PRIMARY KEY (a, "B"));
CREATE INDEX ON pair (at, a, "B");
CREATE TABLE coarse (id int PRIMARY KEY, updated_at timestamptz(0) NOT NULL DEFAULT now());
CREATE INDEX ON coarse (updated_at, id);
`;
const PADDED = `
CREATE TABLE padded (code char(6), flag boolean, updated_at timestamptz NOT NULL DEFAULT now(),
 PRIMARY KEY (code, flag));
CREATE INDEX ON padded (updated_at, code, flag);
`;
const ITEM = { name: "item", key: ["id"] };
const PAIR = {
  name: "pair",
  key: ["a", "B"],
  settings: { stamp: "at", stampTimezone: "America/Chicago" },
};

describe("polling", () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase(DDL);
  });
  after(() => db[Symbol.asyncDispose]());

  test("an idle poll is one statement, however many tables are followed", async () => {
    const names = Array.from({ length: 100 }, (_, i) => `idle_${i}`);
    for (const name of names) {
      await db.sql.unsafe(`CREATE TABLE ${name} (id int PRIMARY KEY, updated_at timestamptz NOT NULL
        DEFAULT now()); CREATE INDEX ON ${name} (updated_at, id)`);
    }
    const sent: Statement[] = [];
    await using p = await openPoller({
      url: db.readerUrl,
      tables: names.map((name) => ({ name, key: ["id"] })),
      before: (statement) => Promise.resolve(void sent.push(statement)),
    });
    await p.polls(1);
    // The server is shared: others may commit in between, which is a reason to look.
    for (let attempt = 0; attempt < 50; attempt++) {
      sent.length = 0;
      await p.polls(1);
      if (sent.length === 1) return;
    }
    equal(sent.length, 1);
  });

  test("composite keys, mixed case and stamps without a zone are followed by their zone", async () => {
    await using p = await openPoller({ url: db.readerUrl, tables: [PAIR] });
    await p.polls(1);
    await db.sql.unsafe(`INSERT INTO pair VALUES
      (1, 'x,y', now() AT TIME ZONE 'America/Chicago'),
      (2, 'in utc by mistake', now() AT TIME ZONE 'UTC' - interval '1 day')`);
    await p.polls(2);
    deepEqual(p.delivered, ["pair:1,x,y"]);
  });

  test("keys arrive as the builder reads them back: padded, and t for true", async () => {
    await db.sql.unsafe(PADDED);
    const tables = [{ name: "padded", key: ["code", "flag"] }];
    await using p = await openPoller({ url: db.readerUrl, tables, pageSize: 2 });
    await p.polls(1);
    await db.sql`INSERT INTO padded VALUES
      ('xa', true), ('xb', false), ('xc', true), ('xa', false)`;
    await p.polls(2);
    deepEqual(
      new Set(p.delivered),
      new Set(["xa    ,t", "xb    ,f", "xc    ,t", "xa    ,f"].map(
        (key) => `padded:${key}`,
      )),
    );
    const rows: string[] = [];
    const plan = { root: { schema: "public", name: "padded" }, key: ["code", "flag"] } as never;
    const { signal } = new AbortController();
    for await (const { value } of p.capture.snapshot(plan, { chunk: 3 }, signal)) {
      rows.push(value.key.join(","));
    }
    deepEqual(rows, ["xa    ,f", "xa    ,t", "xb    ,f", "xc    ,t"]);
  });

  test("a stamp rounded to seconds is followed", async () => {
    await using p = await openPoller({
      url: db.readerUrl,
      tables: [{ name: "coarse", key: ["id"] }],
    });
    for (let i = 0; i < 30; i++) {
      await db.sql`INSERT INTO coarse VALUES (${i})`;
      await p.polls(1);
    }
    await p.polls(1);
    equal(new Set(p.delivered).size, 30);
  });

  test("fifty rows in one millisecond arrive in pages of ten, once each", async () => {
    await using p = await openPoller({ url: db.readerUrl, tables: [ITEM], pageSize: 10 });
    await p.polls(1);
    await db.sql.unsafe(`INSERT INTO item SELECT 100 + g, NULL, date_trunc('milliseconds', now())
      + g * interval '1 microsecond' FROM generate_series(1, 50) g`);
    await p.polls(3);
    equal(p.delivered.length, 50);
    equal(new Set(p.delivered).size, 50);
  });

  /** A poller whose database's clock can be set back. */
  async function withClock() {
    const clock = { backMs: 0 };
    const poller = await openPoller({
      url: db.readerUrl,
      tables: [ITEM],
      after: (statement, rows) =>
        !statement.text.includes("pg_postmaster_start_time")
          ? rows
          : rows.map((row) =>
            row.map((value, i) => i > 1 || value === null ? value : shifted(value, -clock.backMs))
          ),
    });
    return { clock, poller };
  }

  test("a clock that steps back loses no row stamped since", async () => {
    const { clock, poller } = await withClock();
    await using p = poller;
    await p.polls(2);
    clock.backMs = 10_000;
    // As a transaction after the step would stamp it.
    await db.sql`INSERT INTO item (id, updated_at) VALUES (200, now() - interval '10 s')`;
    await p.polls(3);
    ok(p.delivered.includes("item:200"));
    ok(p.events.some((e) => e.type === "warning" && e.code === "CLOCK_STEPPED_BACK"));
  });

  test("a clock that stepped back while nothing was polled is noticed at the next poll", async () => {
    const { clock, poller } = await withClock();
    await using p = poller;
    await p.polls(2);
    clock.backMs = 10_000;
    // Nothing has committed: this poll ends early, and must not forget the step.
    await p.polls(3);
    await db.sql`INSERT INTO item (id, updated_at) VALUES (201, now() - interval '10 s')`;
    await p.polls(3);
    ok(p.delivered.includes("item:201"));
  });

  test("a clock that was set back while the tool was away loses no row stamped since", async () => {
    const first = await openPoller({ url: db.readerUrl, tables: [ITEM] });
    await first.polls(2);
    const { cursor } = first.capture.confirmed();
    await first[Symbol.asyncDispose]();
    // The stored moment lies an hour ahead of the clock: it was set back by more than that.
    const ahead = withPollPart(cursor, { t: shifted(pollPart(cursor).t, 3_600_000) });
    await db.sql`INSERT INTO item (id, updated_at) VALUES (202, now() - interval '2 h')`;
    await using p = await openPoller({ url: db.readerUrl, tables: [ITEM], cursor: ahead });
    await p.polls(3);
    ok(p.delivered.includes("item:202"));
  });

  /** Whether that row's stamp will be past in so long, by the database's clock. */
  async function isPast(name: string, id: number, inMs = 0): Promise<boolean> {
    const [row] = await db.sql.unsafe(
      `SELECT updated_at <= clock_timestamp() + interval '${inMs} ms' AS past
       FROM ${name} WHERE id = ${id}`,
    );
    return row?.["past"] === true;
  }

  test("a row stamped in the future is followed when its time has come, and drags nothing", async () => {
    await using p = await openPoller({ url: db.readerUrl, tables: [ITEM] });
    await p.polls(1);
    await db.sql`INSERT INTO item (id, updated_at) VALUES (300, now() + interval '3 s')`;
    await db.sql`INSERT INTO item (id) VALUES (301)`;
    await p.polls(2);
    const early = [...p.delivered];
    // The margin (50 ms) before its time it may be read; a slow machine may be late.
    if (!await isPast("item", 300, 100)) deepEqual(early, ["item:301"]);
    while (!p.delivered.includes("item:300")) {
      await db.sql`INSERT INTO item (id) VALUES (302) ON CONFLICT (id) DO UPDATE SET name = 'x'`;
      await p.polls(1);
    }
  });

  test("a row stamped in the future is followed in its time though nothing else is written", async () => {
    const names = Array.from({ length: 30 }, (_, i) => `later${i}`);
    await db.sql.unsafe(
      names.map((name) => `
      CREATE TABLE ${name} (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
      CREATE INDEX ON ${name} (updated_at, id);`).join(""),
    ).simple();
    const tables = names.map((name) => ({ name, key: ["id"] }));
    await using p = await openPoller({ url: db.readerUrl, tables });
    await p.polls(1);
    await db.sql`INSERT INTO later3 VALUES (1, now() + interval '2 s')`;
    await db.sql`INSERT INTO later27 VALUES (2, now() + interval '3 s')`;
    await p.polls(2);
    const early = [...p.delivered];
    if (!await isPast("later3", 1, 100)) deepEqual(early, []);
    // Nothing but time passes: polls that go on after both are due would have found them.
    while (p.delivered.length < 2 && !await isPast("later27", 2)) await p.polls(1);
    await p.polls(50);
    deepEqual(p.delivered.toSorted(), ["later27:2", "later3:1"]);
  });

  test("a row stamped beyond the year 9999 is passed over, and ends nothing", async () => {
    await using p = await openPoller({ url: db.readerUrl, tables: [ITEM] });
    await p.polls(1);
    await db.sql`INSERT INTO item (id, updated_at) VALUES (310, '20261-11-21')`;
    // An idle poll looks for the next row stamped in the future.
    await p.polls(4);
    await db.sql`INSERT INTO item (id) VALUES (311)`;
    await p.polls(2);
    ok(p.delivered.includes("item:311") && !p.delivered.includes("item:310"));
    await db.sql`DELETE FROM item WHERE id = 310`;
  });

  test("a role's DateStyle and TimeZone change nothing", async () => {
    await db.sql.unsafe(`ALTER ROLE ${db.readerRole} SET DateStyle = 'German'`);
    await db.sql.unsafe(`ALTER ROLE ${db.readerRole} SET TimeZone = 'America/Chicago'`);
    await using p = await openPoller({ url: db.readerUrl, tables: [ITEM], pageSize: 2 });
    await p.polls(1);
    await db.sql`INSERT INTO item (id) SELECT 400 + g FROM generate_series(1, 5) g`;
    await p.polls(2);
    const mine = p.delivered.filter((key) => /^item:40\d$/.test(key));
    equal(new Set(mine).size, 5);
  });

  test("a cursor of a server that is further on, or of another, is refused", async () => {
    const first = await openPoller({ url: db.readerUrl, tables: [ITEM] });
    const { cursor } = first.capture.confirmed();
    await first[Symbol.asyncDispose]();
    const stored = JSON.parse(cursor) as { source: { systemId: string } };
    const later = { ...stored, wal: String(1n << 60n) };
    await rejects(
      openPoller({ url: db.readerUrl, tables: [ITEM], cursor: JSON.stringify(later) }),
      (error: unknown) => error instanceof FatalError && error.code === "SOURCE_CHANGED",
    );
    const other = { ...stored, source: { ...stored.source, systemId: "1" } };
    await rejects(
      openPoller({ url: db.readerUrl, tables: [ITEM], cursor: JSON.stringify(other) }),
      (error: unknown) =>
        error instanceof FatalError && error.code === "SOURCE_CHANGED" &&
        error.hint.includes("--rebase"),
    );
  });

  test("pages are read by an index condition and without a sort", async () => {
    // Ten rows say the same as two million: what the planner would rather do on a small table is off.
    for (const way of ["seqscan", "bitmapscan", "sort"]) {
      await db.sql.unsafe(`ALTER DATABASE ${db.name} SET enable_${way} = off`);
    }
    const database = openDatabase({
      url: db.url,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/test",
      statementTimeoutMs: 0,
    });
    const { signal } = new AbortController();
    await db.sql.unsafe(
      "INSERT INTO item SELECT g FROM generate_series(10000, 20000) g; ANALYZE item",
    );
    const tables: PolledTable[] = [
      table("item", [["id", "bigint"]], "updated_at", "timestamptz"),
      table("pair", [["a", "integer"], ["B", "text"]], "at", "timestamp"),
    ];
    for (const each of tables) {
      const key = each.key.map(() => "1");
      for (const after of [null, ["2026-01-01 00:00:00", ...key]]) {
        for (const xb of [undefined, 700]) {
          const { text, params = [] } = scanStatement(each, {
            from: 0n,
            to: 2_000_000_000_000_000n,
            after,
            limit: 100,
            ...(xb === undefined ? {} : { xb }),
          });
          const rows = await database.query({ text: `EXPLAIN ${text}`, params }, signal);
          const plan = rows.map((row) => row[0]).join("\n");
          match(plan, /Index Cond/, plan);
          // D puts its one page in order again, by a number it gave the rows itself.
          ok(!/Sort Key: (?!q\.n|n\b|p?\(?row_number)/.test(plan), plan);
        }
      }
    }
    await database[Symbol.asyncDispose]();
  });
});

test("a restarted server ends every open transaction that was listed, and loses no row", async () => {
  const server = await startPostgres({ major: 18, settings: { fsync: "on" } });
  try {
    const database = openDatabase({
      url: server.url,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/setup",
      statementTimeoutMs: 0,
    });
    await database[Symbol.asyncDispose]();
    const { default: postgres } = await import("postgres");
    const sql = postgres(server.url, { max: 3, onnotice: () => {} });
    await sql.unsafe(DDL);
    const p = await openPoller({ url: server.url, tables: [ITEM] });
    const idle = await sql.reserve();
    await idle`BEGIN`;
    await idle`INSERT INTO item (id) VALUES (1)`;
    await sql`INSERT INTO item (id) VALUES (2)`;
    await p.polls(2);
    match(p.capture.confirmed().cursor, /"open":\[\{/);
    await sql.end({ timeout: 0 });
    await server.restart();
    await rejects(p.polls(1), (error: unknown) => error instanceof RetryableError);
    const { cursor } = p.capture.confirmed();
    await p[Symbol.asyncDispose]();

    const again = postgres(server.url, { max: 1, onnotice: () => {} });
    await again`INSERT INTO item (id) VALUES (3)`;
    await using second = await openPoller({ url: server.url, tables: [ITEM], cursor });
    await second.polls(2);
    ok(second.delivered.includes("item:3"));
    ok(!second.delivered.includes("item:1"));
    equal(pollPart(second.capture.confirmed().cursor).open.length, 0);
    await again.end({ timeout: 1 });
  } finally {
    await server.stop();
  }
});

test("a crash that forgets the xids of aborted transactions is the same server still", async () => {
  const settings = {
    fsync: "on",
    // At a higher level the background writer logs the next xid now and then: none is forgotten.
    wal_level: "minimal",
    max_wal_senders: "0",
    // What nobody waited for stays in the buffers, as it does for up to 0.6 s by default.
    wal_writer_delay: "10s",
    wal_buffers: "64MB",
    autovacuum: "off",
  };
  const server = await startPostgres({ major: 18, settings });
  try {
    const { default: postgres } = await import("postgres");
    const connect = () => postgres(server.url, { max: 1, onnotice: () => {} });
    const setup = connect();
    await setup.unsafe(DDL);
    await setup.end({ timeout: 1 });
    const forgetsOf = async (id: number): Promise<boolean> => {
      const sql = connect();
      await sql`CHECKPOINT`;
      await sql`INSERT INTO item (id) VALUES (${id})`;
      for (let i = 0; i < 50; i++) {
        await sql.begin(async (tx) => {
          await tx`SELECT pg_current_xact_id()`;
          throw new Error("roll back");
        }).catch(() => {});
      }
      const first = await openPoller({ url: server.url, tables: [ITEM] });
      await first.polls(1);
      const { cursor } = first.capture.confirmed();
      await first[Symbol.asyncDispose]();
      await sql.end({ timeout: 0 });
      await server.stop("SIGKILL");
      await server.restart();
      const again = connect();
      const [row] = await again`SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS sx`;
      const { sx } = pollPart(cursor);
      await using second = await openPoller({ url: server.url, tables: [ITEM], cursor });
      await again`INSERT INTO item (id) VALUES (${id + 1})`;
      await second.polls(2);
      ok(second.delivered.includes(`item:${id + 1}`));
      await again.end({ timeout: 1 });
      return BigInt(String(row?.["sx"])) < BigInt(sx);
    };
    // The WAL writer may just have woken up, on a slow machine more than once.
    let forgets = false;
    for (let id = 1; !forgets && id < 20; id += 2) forgets = await forgetsOf(id);
    ok(forgets, "a crash must have forgotten some");
  } finally {
    await server.stop();
  }
});

function shifted(text: string, ms: number): string {
  const at = parseMicros(text) + BigInt(ms) * 1000n;
  return `${new Date(Number(at / 1000n)).toISOString().slice(0, 19)}.${
    (at % 1_000_000n).toString().padStart(6, "0")
  }Z`;
}

function table(
  name: string,
  key: readonly (readonly [string, string])[],
  stamp: string,
  type: "timestamptz" | "timestamp",
): PolledTable {
  return {
    table: { schema: "public", name },
    id: `public.${name}`,
    key: key.map(([column, columnType]) => ({
      name: column,
      type: columnType,
      nullable: false,
    })),
    joinColumns: [],
    stamp: { name: stamp, type, zone: "UTC" },
    marginMs: 2000,
    heap: true,
  };
}
