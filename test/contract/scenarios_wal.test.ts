/**
 * Scenarios of the WAL that need servers of their own: commits that wait for a standby, a server that
 * gives up a slot, one that is promoted, traffic elsewhere. What happens to rows and slots otherwise:
 * test/fault/wal_rows and wal_slot; what all captures share: capture_wal.
 */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { appConfig, type AppRun, runApp } from "../support/app_run.ts";
import { type CaptureRun, type CaptureRunOptions, runCapture } from "../support/capture_run.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import {
  at,
  createDatabase,
  type PrivatePostgres,
  startPostgres,
  type TestDatabase,
  type TestPostgres,
} from "../support/postgres.ts";
import { startStandby } from "../support/standby.ts";
import { epochOf } from "../support/stored_epoch.ts";
import { assertSameDocuments, sqlDocuments, sqliteDocuments } from "../support/truth.ts";
import { allowWal, slotAdvances, slotOf } from "../support/wal.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, note text);
CREATE TABLE other (id bigint PRIMARY KEY, note text);
INSERT INTO item SELECT g, 'seed' FROM generate_series(1, 300) g;
`;
const OTHERS = { others: { table: "other", fields: { note: "text" } } };
const INDEXES = { items: { table: "item", fields: { note: "text" } } };
const SOURCE = { capture: "wal", sweeps: false };

for (const major of [18, 15] as const) {
  describe(`the WAL on servers of their own, Postgres ${major}`, () => {
    let server: PrivatePostgres;
    let admin: postgres.Sql;
    let idle = Promise.resolve();
    before(async () => {
      // Nobody waits for a standby there but who asks for it; and it never comes.
      const settings = { synchronous_commit: "local", synchronous_standby_names: "nobody" };
      server = await startPostgres({ major, settings });
      admin = postgres(server.url, { max: 1, onnotice: () => {} });
      if (major === 18) idle = trafficElsewhere(server);
      // It has a test to fail.
      idle.catch(() => {});
    });
    after(async () => {
      await idle.catch(() => {});
      await admin.end({ timeout: 1 });
      await server.stop("SIGQUIT");
    });

    async function database(): Promise<TestDatabase> {
      const db = await createDatabase(DDL, server);
      await allowWal(db);
      return db;
    }

    /** A transaction whose commit is written and waits for its standby, until it is let go. */
    async function waiting(db: TestDatabase, write: string): Promise<Waiting> {
      const sql = postgres(db.url, { max: 1, onnotice: () => {} });
      const [row] = await sql`SELECT pg_backend_pid()::text AS pid`;
      const pid = String(row?.["pid"]);
      await sql`SET synchronous_commit = on`;
      const committed = sql.unsafe(write).simple();
      // Whoever lets it go is told.
      committed.catch(() => {});
      await eventually("a commit that waits", async () => {
        const [{ wait_event } = {}] = await admin`
          SELECT wait_event FROM pg_stat_activity WHERE pid = ${pid}::int`;
        return wait_event === "SyncRep";
      }, { everyMs: 5 });
      return {
        async letGo() {
          // It is committed; only the waiting is cancelled.
          await admin`SELECT pg_cancel_backend(${pid}::int)`;
          await committed;
        },
        [Symbol.asyncDispose]: () => sql.end({ timeout: 0 }),
      };
    }

    const open = (
      db: TestDatabase,
      cursor?: string,
      indexes: CaptureRunOptions["indexes"] = INDEXES,
    ): Promise<CaptureRun> =>
      runCapture({
        url: db.readerUrl,
        indexes,
        source: SOURCE,
        ...(cursor === undefined ? {} : { cursor }),
      });

    test("a commit that is decoded while it waits for its standby is delivered when it is visible, and delays nobody", async (t) => {
      await using db = await database();
      let cursor: string;
      {
        await using run = await open(db);
        await run.caughtUp();
        await using late = await waiting(db, "INSERT INTO item VALUES (1000, 'late')");
        const latencies: number[] = [];
        for (let id = 2001; id <= 2010; id++) {
          const began = performance.now();
          await db.sql`INSERT INTO item VALUES (${id}, 'overtakes')`;
          // Behind it in the WAL, so it was decoded.
          await run.sees([`upsert item:${id}`]);
          latencies.push(performance.now() - began);
        }
        ok(!run.delivered.includes("upsert item:1000"), "it isn't visible");
        const median = latencies.sort((a, b) => a - b)[5] ?? Infinity;
        t.diagnostic(`others beside a commit that waits: median ${median.toFixed(1)} ms`);
        ok(median < 1000, String(latencies));
        run.cursor();
        await late.letGo();
        await run.sees(["upsert item:1000"]);
        await run.caughtUp();

        // Again, with a crash while it waits.
        await using again = await waiting(db, "UPDATE item SET note = 'late' WHERE id = 1");
        await db.sql`DELETE FROM item WHERE id = 300`;
        await run.sees(["delete item:300"]);
        ok(!run.delivered.includes("upsert item:1"));
        cursor = run.cursor();
        await run[Symbol.asyncDispose]();
        await again.letGo();
      }
      await using run = await open(db, cursor);
      deepEqual([...run.anchor.gaps], []);
      await run.sees(["upsert item:1"]);
    });

    for (const before of ["nothing", "another table"]) {
      test(`what wrote before its table was published, or has its commit record before the slot, is in the seed: ${before} was followed before`, async () => {
        await using db = await database();
        let cursor: string | undefined;
        if (before !== "nothing") {
          await using run = await open(db, undefined, OTHERS);
          await run.caughtUp();
          cursor = run.cursor();
        }
        const early = await db.sql.reserve();
        await early.unsafe("BEGIN; INSERT INTO item VALUES (5000, 'early')").simple();
        await using late = await waiting(db, "INSERT INTO item VALUES (1000, 'late')");
        let ready = false;
        const seeded = (async () => {
          const run = await open(db, cursor, { ...INDEXES, ...OTHERS });
          ready = true;
          // As a seed's first statement would.
          const seen = await db.sql`SELECT id::text FROM item WHERE id >= 1000`;
          return { run, seen: seen.map(({ id }) => `upsert item:${id}`) };
        })();
        seeded.catch(() => {});
        await eventually("the table published", async () => {
          const rows = await db.sql`SELECT FROM pg_publication_tables WHERE tablename = 'item'`;
          return rows.length > 0;
        });
        // Whoever doesn't wait is ready by then.
        await eventually("readiness", () => Promise.resolve(ready), { timeoutMs: 700 })
          .catch(() => {});
        await late.letGo();
        await early.unsafe("COMMIT");
        early.release();
        const { run, seen } = await seeded;
        await using _ = run;
        const written = ["upsert item:1000", "upsert item:5000"];
        await run.sees(written.filter((each) => !seen.includes(each)));
      });
    }

    test(
      "a slot that the server gave up is made anew and what it lost is filled",
      inFolder(async (folder) => {
        await using stack = new AsyncDisposableStack();
        const settings = { max_slot_wal_keep_size: "1MB" };
        const mean = await owned(stack, startPostgres({ major, settings }));
        await using db = await createDatabase(DDL, mean);
        await allowWal(db);
        const config = await configOf(folder, db.readerUrl);
        const same = () => equals(folder, db.sql);
        {
          await using run = runApp(config);
          await run.caughtUp;
          await same();
        }
        await db.sql`DELETE FROM item WHERE id <= 10`;
        await db.sql`CREATE TABLE filler (t text)`;
        await eventually("the slot lost", async () => {
          await db.sql`SELECT pg_switch_wal()`;
          await db.sql`INSERT INTO filler VALUES ('x')`;
          await db.sql`CHECKPOINT`;
          return (await slotOf(db))?.status === "lost";
        });
        await using run = runApp(config);
        await run.caughtUp;
        await same();
        match(warnings(run), /CAPTURE_GAP/);
        await db.sql`DELETE FROM item WHERE id = 20`;
        await same();
        notEqual((await slotOf(db))?.status, "lost");
      }),
    );

    test(
      "a config that is pointed from a killed primary to its promoted standby goes on by itself, with a failover slot and without",
      inFolder(async (folder) => {
        await using stack = new AsyncDisposableStack();
        const primary = await owned(stack, startPostgres({ major }));
        const db = await createDatabase(DDL, primary);
        await allowWal(db);
        const standby = await owned(stack, startStandby(primary, { hot_standby_feedback: "on" }));
        await standby.caughtUp();
        const there = (server: TestPostgres) =>
          configOf(folder, at(server.url, { database: db.name, user: db.readerRole }));
        {
          await using run = runApp(await there(primary));
          await run.caughtUp;
          await db.sql`DELETE FROM item WHERE id = 1`;
          await equals(folder, db.sql);
          await slotAdvances(db);
          await standby.caughtUp();
          if (major === 18) {
            await eventually("a slot on the standby", async () => {
              // What the server writes by itself every 15 s: where the slot's copy can begin.
              await db.sql`SELECT pg_log_standby_snapshot()`;
              const sql = postgres(standby.url, { max: 1 });
              try {
                await sql`SELECT pg_sync_replication_slots()`;
                const rows =
                  await sql`SELECT FROM pg_replication_slots WHERE synced AND NOT temporary`;
                return rows.length > 0;
              } finally {
                await sql.end({ timeout: 1 });
              }
            });
          }
          // Followed, and lost with the primary.
          await standby.stop();
          await db.sql`DELETE FROM item WHERE id BETWEEN 2 AND 9`;
          await equals(folder, db.sql);
        }
        const first = epochOf(folder);
        await db.sql.end({ timeout: 1 });
        await primary.stop("SIGKILL");
        await standby.restart();
        await standby.promote();
        const sql = postgres(at(standby.url, { database: db.name }), {
          max: 2,
          onnotice: () => {},
        });
        stack.defer(() => sql.end({ timeout: 1 }));
        await using run = runApp(await there(standby));
        await run.caughtUp;
        await equals(folder, sql);
        equal(sqliteDocuments(join(folder, "driftless.db"), "items").size, 299);
        await sql`DELETE FROM item WHERE id > 290`;
        await sql`SET session_replication_role = replica`;
        await sql`INSERT INTO item VALUES (1000, 'promoted')`;
        await equals(folder, sql);
        const next = epochOf(folder);
        deepEqual([next.number, next.timeline], [first.number + 1, first.timeline + 1]);
        await slotAdvances({ ...db, sql });
      }),
    );

    if (major === 18) {
      // Begun with the first of these tests: a server takes its time.
      test("100 MB of WAL of another database are not kept for a slot whose own tables are idle", () =>
        idle);
    }
  });
}

const MB = 2 ** 20;

interface Waiting extends AsyncDisposable {
  letGo(): Promise<void>;
}

/** Resolves when little of 100 MB of another database's WAL is kept for a slot that is followed. */
const trafficElsewhere = (server: TestPostgres) =>
  inFolder(async (folder) => {
    await using db = await createDatabase(DDL, server);
    await allowWal(db);
    await using other = await createDatabase("CREATE TABLE t (v text)", server);
    await using run = runApp(await configOf(folder, db.readerUrl));
    await run.caughtUp;
    const position = async () => {
      const [row] = await other.sql`SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 AS at`;
      return Number(row?.["at"]);
    };
    const from = await position();
    while (await position() - from < 100 * MB) {
      await other
        .sql`INSERT INTO t SELECT repeat(md5(g::text), 60) FROM generate_series(1, 2000) g`;
      await other.sql`TRUNCATE t`;
    }
    // The server itself says every 15 s at the earliest what a slot no longer needs.
    await eventually("less than 16 MB kept", async () => {
      const { retained = Infinity } = await slotOf(db) ?? {};
      return retained < 16 * MB;
    }, { everyMs: 250 });
    await db.sql`INSERT INTO item VALUES (1000, 'after it')`;
    await equals(folder, db.sql);
  })();

async function owned<T extends PrivatePostgres>(
  stack: AsyncDisposableStack,
  starting: Promise<T>,
): Promise<T> {
  const server = await starting;
  stack.defer(() => server.stop("SIGQUIT"));
  return server;
}

const configOf = (folder: string, url: string) =>
  appConfig(folder, { url, source: SOURCE, indexes: INDEXES });

async function equals(folder: string, sql: postgres.Sql): Promise<void> {
  await eventually("the documents to be the rows", async () => {
    const query = "SELECT id::text, jsonb_build_object('note', note)::text AS document FROM item";
    const expected = await sqlDocuments(sql, query);
    assertSameDocuments(sqliteDocuments(join(folder, "driftless.db"), "items"), expected, "items");
    return true;
  });
}

function warnings({ events }: AppRun): string {
  return events.flatMap((event) => event.type === "warning" ? [event.code] : []).join();
}
