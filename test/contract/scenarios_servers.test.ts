/** Scenarios of design 3.9 that need servers of their own; scenarios.test.ts lists all of them. */
import { equal, match, ok, rejects } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import postgres from "postgres";
import type { Config } from "../../src/config/config.ts";
import { FatalError } from "../../src/core/errors.ts";
import { appConfig, type AppRun, runApp, syncApp } from "../support/app_run.ts";
import { runCapture } from "../support/capture_run.ts";
import { installChangelog } from "../support/changelog.ts";
import { within } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import {
  at,
  createDatabase,
  launchPostgres,
  type PrivatePostgres,
  serverPlace,
  startPostgres,
  type TestDatabase,
  type TestPostgres,
} from "../support/postgres.ts";
import { startStandby } from "../support/standby.ts";
import { epochOf } from "../support/stored_epoch.ts";
import { assertSameDocuments, sqlDocuments, sqliteDocuments } from "../support/truth.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at, id);
INSERT INTO item SELECT g, 'seed' FROM generate_series(1, 300) g;
`;
const INDEXES = { items: { table: "item", fields: { note: "text" } } };
const CAPTURES = ["updated_at", "changelog"] as const;

for (const major of [18, 15] as const) {
  describe(`scenarios on servers of their own, Postgres ${major}`, () => {
    for (const capture of CAPTURES) {
      /** The config over that server's copy of the database. */
      const configOf = (folder: string, server: TestPostgres, db: TestDatabase): Promise<Config> =>
        appConfig(folder, {
          url: at(server.url, { database: db.name, user: db.readerRole }),
          source: { capture: capture === "changelog" ? capture : "auto", sweeps: false },
          indexes: INDEXES,
        });
      const prepared = async (server: PrivatePostgres): Promise<TestDatabase> => {
        const db = await createDatabase(DDL, server);
        if (capture === "changelog") await installChangelog(db, [{ table: "item" }]);
        return db;
      };
      /** A primary with the database, whose connection is closed, and a standby that has it too. */
      const withStandby = async (stack: AsyncDisposableStack) => {
        const primary = await owned(stack, startPostgres({ major }));
        const db = await prepared(primary);
        await db.sql.end({ timeout: 1 });
        const standby = await owned(stack, startStandby(primary));
        await standby.caughtUp();
        return { primary, db, standby };
      };

      test(
        `a server that went back in time is refused, nothing is written, and --rebase starts over: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const server = await owned(stack, startPostgres({ major }));
          const db = await prepared(server);
          const config = await configOf(folder, server, db);
          await syncApp(config);
          await db.sql.end({ timeout: 1 });
          await server.stop();
          const past = await copyOf(server);
          await server.restart();
          await change(
            server,
            db,
            "DELETE FROM item WHERE id <= 50",
            "UPDATE item SET note = 'newer', updated_at = now()",
          );
          await syncApp(config);
          const before = await readFile(join(folder, "driftless.db"));

          const back = await owned(stack, launchPostgres(past));
          const there = await configOf(folder, back, db);
          await rejects(syncApp(there), changed(/went back in time/));
          ok(before.equals(await readFile(join(folder, "driftless.db"))), "nothing was written");

          await syncApp(there, { rebase: true });
          await same(folder, back, db);
          equal(sqliteDocuments(join(folder, "driftless.db"), "items").size, 300);
          await change(back, db, "INSERT INTO item VALUES (1000, 'after')");
          await syncApp(there);
          await same(folder, back, db);
        }),
      );

      test(
        `a server that is put back in time under a run ends it with a clear stop: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const server = await owned(stack, startPostgres({ major }));
          const db = await prepared(server);
          await db.sql.end({ timeout: 1 });
          await server.stop();
          const past = await copyOf(server);
          await server.restart();
          const config = await configOf(folder, server, db);
          const run = following(stack, config);
          await run.caughtUp;
          await change(server, db, "INSERT INTO item VALUES (1000, 'newer')");
          await same(folder, server, db);
          await server.stop("SIGQUIT");
          await rm(server.dataDir, { recursive: true });
          spawnSync("cp", ["-a", past.dataDir, server.dataDir]);
          await server.restart();
          await rejects(within("the end of the run", run.ended), changed(/went back in time/));
          ok(sqliteDocuments(join(folder, "driftless.db"), "items").has("1000"), "left as it was");
          await syncApp(config, { rebase: true });
          await same(folder, server, db);
        }),
      );

      test(
        `a dump that was restored on another server or under another name is refused: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const server = await owned(stack, startPostgres({ major }));
          const db = await prepared(server);
          await syncApp(await configOf(folder, server, db));
          const before = await readFile(join(folder, "driftless.db"));

          const sibling = await prepared(server);
          await sibling.sql`DELETE FROM item WHERE id > 10`;
          const beside = await configOf(folder, server, sibling);
          await rejects(syncApp(beside), changed(/it is database/));
          const other = await owned(stack, startPostgres({ major }));
          const restored = await prepared(other);
          await restored.sql`DELETE FROM item WHERE id > 20`;
          const there = await configOf(folder, other, restored);
          await rejects(syncApp(there), changed(/its system identifier is/));
          ok(before.equals(await readFile(join(folder, "driftless.db"))), "nothing was written");

          await syncApp(there, { rebase: true });
          await same(folder, other, restored);
          await rejects(syncApp(beside), changed(/its system identifier is/));
          for (const each of [db, sibling, restored]) await each.sql.end({ timeout: 1 });
        }),
      );

      test(
        `a run on a standby that is promoted goes on by itself, an epoch later: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const { primary, db, standby } = await withStandby(stack);
          const run = following(stack, await configOf(folder, standby, db));
          await run.caughtUp;
          await change(
            primary,
            db,
            "UPDATE item SET note = 'replicated', updated_at = now() WHERE id < 10",
          );
          await same(folder, primary, db);
          const first = epochOf(folder);
          equal(first.kind, "replay");
          // Written and never replicated: the promoted server doesn't have it.
          await standby.stop();
          await primary.stop("SIGKILL");
          await standby.restart();
          await standby.promote();
          await change(
            standby,
            db,
            "DELETE FROM item WHERE id = 20",
            "INSERT INTO item VALUES (1000, 'promoted')",
            "UPDATE item SET note = 'again', updated_at = now() WHERE id = 1",
          );
          await same(folder, standby, db);
          const next = epochOf(folder);
          equal(next.number > first.number, true);
          equal(next.timeline, first.timeline + 1);
          equal(next.kind, "flush");
          await run[Symbol.asyncDispose]();
        }),
      );

      test(
        `a run on a standby that is promoted under it goes on by itself: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const { primary, db, standby } = await withStandby(stack);
          const run = following(stack, await configOf(folder, standby, db));
          await run.caughtUp;
          await same(folder, primary, db);
          const first = epochOf(folder);
          await standby.promote();
          await change(
            standby,
            db,
            "DELETE FROM item WHERE id = 20",
            "INSERT INTO item VALUES (1000, 'promoted')",
          );
          await same(folder, standby, db);
          const next = epochOf(folder);
          equal(next.number, first.number + 1);
          equal(next.timeline, first.timeline + 1);
          const retries = run.events.flatMap((event) => event.type === "retry" ? [event.code] : []);
          equal(retries.length, 1);
          // A stream that looks first says what it saw.
          match(retries[0] ?? "", /^(EPOCH_CHANGED|SOURCE_RESTARTED)$/);
          await run[Symbol.asyncDispose]();
        }),
      );

      test(
        `a config that is pointed from a killed primary to its promoted standby has what that one has: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const { primary, db, standby } = await withStandby(stack);
          await standby.stop();
          {
            await using run = runApp(await configOf(folder, primary, db));
            await run.caughtUp;
            // Delivered, and lost with the primary; a delete is no claim of a stamp's.
            await change(
              primary,
              db,
              ...(capture === "changelog" ? ["DELETE FROM item WHERE id <= 10"] : []),
              "INSERT INTO item VALUES (999, 'lost')",
              "UPDATE item SET note = 'lost', updated_at = now() WHERE id > 290",
            );
            await same(folder, primary, db);
          }
          const first = epochOf(folder);
          await primary.stop("SIGKILL");
          await standby.restart();
          await standby.promote();
          const config = await configOf(folder, standby, db);
          await using run = runApp(config);
          await run.caughtUp;
          await same(folder, standby, db);
          equal(sqliteDocuments(join(folder, "driftless.db"), "items").size, 300);
          await change(
            standby,
            db,
            "UPDATE item SET note = 'promoted', updated_at = now() WHERE id > 290",
          );
          await same(folder, standby, db);
          const next = epochOf(folder);
          equal(next.number, first.number + 1);
          equal(next.timeline, first.timeline + 1);
        }),
      );

      test(
        `a config that is pointed from the primary to a standby that lags waits for it: ${capture}`,
        inFolder(async (folder) => {
          await using stack = new AsyncDisposableStack();
          const { primary, db, standby } = await withStandby(stack);
          await asked(standby.url, "SELECT pg_wal_replay_pause()::text");
          const here = await configOf(folder, primary, db);
          await syncApp(here);
          await change(
            primary,
            db,
            "UPDATE item SET note = 'ahead', updated_at = now() WHERE id < 10",
          );
          await syncApp(here);
          const before = await readFile(join(folder, "driftless.db"));

          const run = following(stack, await configOf(folder, standby, db));
          await eventually(
            "it to wait",
            async () =>
              run.events.filter((event) =>
                event.type === "retry" && event.code === "STANDBY_BEHIND"
              )
                .length >= 2,
          );
          ok(before.equals(await readFile(join(folder, "driftless.db"))), "nothing was written");
          await asked(standby.url, "SELECT pg_wal_replay_resume()::text");
          await run.caughtUp;
          await change(
            primary,
            db,
            "UPDATE item SET note = 'followed', updated_at = now() WHERE id > 290",
          );
          await same(folder, primary, db);
          equal(epochOf(folder).kind, "replay");
          await run[Symbol.asyncDispose]();
        }),
      );
    }

    test("100 idle tables are probed by one statement a stream, and by no other", async (context) => {
      await using stack = new AsyncDisposableStack();
      const server = await owned(stack, startPostgres({ major, settings: { autovacuum: "off" } }));
      const names = Array.from({ length: 100 }, (_, i) => `idle_${i}`);
      const tables = names.map((name) =>
        `CREATE TABLE ${name} (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL
           DEFAULT now()); CREATE INDEX ON ${name} (updated_at, id);`
      ).join("\n");
      for (const logged of [0, 100, 50]) {
        const db = await createDatabase(`CREATE EXTENSION pg_stat_statements; ${tables}`, server);
        try {
          if (logged > 0) {
            await installChangelog(db, names.slice(0, logged).map((table) => ({ table })));
          }
          const indexes = Object.fromEntries(
            names.map((table) => [table, { table, fields: { note: "text" } }]),
          );
          await using run = await runCapture({
            url: db.readerUrl,
            source: { sweeps: false },
            indexes,
          });
          await run.caughtUp();
          // What the start has written, and the consumer's first acknowledgement, is polled past.
          await eventually("rest", async () => {
            const from = await callsOf(db);
            const calls = async () => {
              const all = [...await callsOf(db)];
              return all.map(([text, each]) => ({ text, calls: each - (from.get(text) ?? 0) }))
                .filter((each) => each.calls > 0);
            };
            const active = await eventually("200 probes", async () => {
              const now = await calls();
              return now.reduce((sum, each) => sum + each.calls, 0) >= 200 && now;
            });
            const [probe] = active;
            if (probe === undefined || active.length > 1) return false;
            match(probe.text, /pg_current_snapshot\(\)/);
            context.diagnostic(
              `${logged} of 100 tables logged: ${probe.calls} probes, no other statement`,
            );
            return true;
          });
        } finally {
          await db[Symbol.asyncDispose]();
        }
      }
    });
  });
}

/** Stopped at once when the test has ended, whatever became of it. */
async function owned<T extends PrivatePostgres>(
  stack: AsyncDisposableStack,
  starting: Promise<T>,
): Promise<T> {
  const server = await starting;
  stack.defer(() => server.stop("SIGQUIT"));
  return server;
}

/** Ended before the servers when the test has ended, whatever became of it. */
function following(stack: AsyncDisposableStack, config: Config): AppRun {
  const run = runApp(config);
  stack.defer(async () => {
    // What it ended with is the test's to look at.
    await Promise.allSettled([run[Symbol.asyncDispose]()]);
  });
  return run;
}

/** A stopped server's data, in a place of its own. */
async function copyOf(server: PrivatePostgres): ReturnType<typeof serverPlace> {
  const place = await serverPlace(server.major as 18 | 15);
  const { status, stderr } = spawnSync("cp", ["-a", server.dataDir, place.dataDir], {
    encoding: "utf8",
  });
  equal(status, 0, stderr);
  return place;
}

async function asked(url: string, ...statements: readonly string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    for (const statement of statements) await sql.unsafe(statement);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function change(
  server: TestPostgres,
  db: TestDatabase,
  ...statements: readonly string[]
): Promise<void> {
  return asked(at(server.url, { database: db.name }), ...statements);
}

/** Waits until the documents are that server's rows. */
async function same(folder: string, server: TestPostgres, db: TestDatabase): Promise<void> {
  const sql = postgres(at(server.url, { database: db.name }), { max: 1 });
  try {
    await eventually("the documents to be the rows", async () => {
      const query = "SELECT id::text, jsonb_build_object('note', note)::text AS document FROM item";
      const expected = await sqlDocuments(sql, query);
      assertSameDocuments(
        sqliteDocuments(join(folder, "driftless.db"), "items"),
        expected,
        "items",
      );
      return true;
    });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function changed(how: RegExp): (error: unknown) => true {
  return (error) => {
    ok(error instanceof FatalError, String(error));
    equal(error.code, "SOURCE_CHANGED");
    match(error.message, how);
    match(error.hint, /--rebase/);
    return true;
  };
}

/** By text: how often the reader has run each statement. */
async function callsOf(db: TestDatabase): Promise<ReadonlyMap<string, number>> {
  const rows = await db.sql`SELECT s.query, sum(s.calls)::int AS calls FROM pg_stat_statements s
    JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid
    WHERE r.rolname = ${db.readerRole} AND d.datname = ${db.name} GROUP BY s.query`;
  return new Map(rows.map(({ query, calls }) => [String(query), Number(calls)]));
}
