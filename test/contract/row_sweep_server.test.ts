import { deepEqual, equal, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import postgres from "postgres";
import { openDatabase } from "../../src/postgres/client.ts";
import { captureUpdatedAt } from "../../src/postgres/poll/updated_at.ts";
import { sweepRows } from "../../src/postgres/sweep/row_sweep.ts";
import type { ChangeStream } from "../../src/postgres/stream.ts";
import { merged } from "../../src/flow/merged.ts";
import { createDatabase, startPostgres } from "../support/postgres.ts";
import { eventually } from "../support/eventually.ts";
import { runStream } from "../support/stream_run.ts";
import { DDL, ids, ITEM, runSweeps, stateOf, swept } from "./row_sweep_support.ts";

const never = new AbortController().signal;
const HOUR = 3_600_000;

test("a crash that forgets xids doesn't make new rows look old", async () => {
  // WAL that nobody waited for stays in the buffers, as it does for up to 0.6 s by default.
  const settings = { wal_writer_delay: "10s", wal_buffers: "64MB", fsync: "on", autovacuum: "off" };
  const server = await startPostgres({ major: 18, settings });
  const connect = () => postgres(server.url, { max: 2, onnotice: () => {} });
  let sql = connect();
  try {
    await sql.unsafe(`${DDL} CHECKPOINT;`).simple();
    const forgets = async (first: number): Promise<boolean> => {
      for (let i = first; i < first + 40; i++) {
        await sql.unsafe(`SET synchronous_commit = off; INSERT INTO item VALUES (${i})`).simple();
      }
      let stored;
      let next = 0n;
      {
        await using run = await runSweeps({ url: server.url, tables: [swept({ everyMs: HOUR })] });
        await run.stream.settled?.(never);
        ok(ids(run).length >= 40);
        stored = run.cursor();
        const [row] = await sql`SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS x`;
        next = BigInt(String(row?.["x"]));
        // The WAL writer has just woken up: all of it is durable.
        if ((stateOf(run)?.bound ?? 0n) >= next) return false;
      }
      const [backend] = await sql`SELECT pg_backend_pid() AS pid`;
      process.kill(Number(backend?.["pid"]), "SIGKILL");
      await sql.end({ timeout: 0 });
      sql = connect();
      await eventually("the server", async () => (await sql`SELECT 1`).length === 1);
      await sql`INSERT INTO item VALUES (${first + 1000})`;
      const [row] = await sql`SELECT xmin::text AS x FROM item WHERE id = ${first + 1000}`;
      await using run = await runSweeps({
        url: server.url,
        tables: [swept({ everyMs: 0 })],
        stored,
      });
      await run.delivers(`upsert item:${first + 1000}`);
      // Its xid is one that was given out before.
      return BigInt(String(row?.["x"])) < next;
    };
    let forgot = false;
    for (let first = 1; !forgot && first < 1000; first += 100) forgot = await forgets(first);
    ok(forgot, "a crash must have forgotten some");
  } finally {
    await sql.end({ timeout: 0 });
    await server.stop("SIGQUIT");
  }
});

test("what the sweep found and the poll never did is counted as rescued, what both found isn't", async () => {
  await using db = await createDatabase(DDL + "CREATE INDEX ON item (updated_at, id);");
  await db.sql`INSERT INTO item SELECT g FROM generate_series(1, 10) g`;
  const polled = {
    ...swept(),
    stamp: { name: "updated_at", type: "timestamptz", zone: "UTC" },
    marginMs: 50,
    heap: true,
  } as const;
  let atStart: string | undefined;
  await using run = await runStream((context) => {
    const poll = captureUpdatedAt({ tables: [polled], tracking: true, marginMs: 50 }, context);
    const sweep = sweepRows({
      tables: [swept({ recorded: true })],
      settings: { dutyCycle: 1 },
      once: false,
    }, context);
    const both: ChangeStream = {
      async prepare(start, signal) {
        await poll.prepare(start, signal);
        return await sweep.prepare(start, signal);
      },
      live: (signal) => merged([(s) => poll.live(s), (s) => sweep.live(s)], signal) as never,
      confirmed: () => poll.confirmed(),
    };
    return both;
  }, {
    url: db.readerUrl,
    seeded: [ITEM],
    // What commits while a sweep runs isn't counted: it may be the poll's to find.
    async before({ text }) {
      if (atStart === undefined || !text.includes("pg_control_checkpoint")) return;
      const sql = atStart;
      atStart = undefined;
      await db.sql.unsafe(sql);
    },
  });
  const count = () =>
    run.events.reduce((sum, e) => e.type === "rescued" && e.by === "sweep" ? sum + e.rows : sum, 0);
  for (let i = 0; i < 20; i++) {
    atStart = `UPDATE item SET updated_at = now(), pad = '${i}' WHERE id = 1`;
    await eventually("a sweep's start", () => Promise.resolve(atStart === undefined), {
      everyMs: 1,
    });
  }
  atStart = "UPDATE item SET updated_at = NULL WHERE id IN (2, 3)";
  await eventually("the count", () => Promise.resolve(count() >= 2));
  atStart = "UPDATE item SET updated_at = NULL WHERE id = 4";
  await eventually("the next count", () => Promise.resolve(count() >= 3));
  equal(count(), 3);
});

for (const major of [18, 15] as const) {
  test(`ages of xids beyond 2^32 are taken without going by way of text (${major})`, async () => {
    await using db = await createDatabase("", major);
    await using database = openDatabase({
      url: db.readerUrl,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/test",
      statementTimeoutMs: 60_000,
    });
    const past = String(2n ** 32n + 700n);
    const text = "SELECT (age($1::xid8::xid) = age('700'::xid))::text";
    deepEqual(await database.query({ text, params: [past] }, never), [["true"]]);
  });
}
