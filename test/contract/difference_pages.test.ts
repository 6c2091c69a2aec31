import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { captureChangelog } from "../../src/postgres/changelog/stream.ts";
import type { Database, Statement } from "../../src/postgres/client.ts";
import { codeOf } from "../../src/postgres/errors.ts";
import { captureOutbox } from "../../src/postgres/outbox/capture_outbox.ts";
import type { ChangeStream, StreamContext } from "../../src/postgres/stream.ts";
import { CHANGELOG_DDL, changelogOver } from "../support/changelog_tables.ts";
import { eventually } from "../support/eventually.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { runStream } from "../support/stream_run.ts";
import { hinted, outboxDatabase } from "./outbox_fixture.ts";

const ROWS = 20_000;

/** A stream of a relation without statistics. */
interface Subject extends AsyncDisposable {
  readonly db: TestDatabase;
  make(context: StreamContext): ChangeStream;
  write(from: number, to: number): Promise<unknown>;
}

async function overChangelog(): Promise<Subject> {
  const db = await createDatabase(CHANGELOG_DDL);
  await changelogOver(db);
  const [row] = await db.sql`SELECT 'item'::regclass::oid::text AS oid`;
  const table = { schema: "public", name: "item" };
  const tables = [{ table, id: "public.item", oid: String(row?.["oid"]), key: ["id"] }];
  const settings = { schema: "driftless", consumer: "me", retentionMs: 3_600_000 };
  return {
    db,
    make: (context) => captureChangelog({ settings, tables }, context),
    write: (from, to) => db.sql`INSERT INTO item SELECT generate_series(${from}::int, ${to}::int)`,
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}

async function overOutbox(): Promise<Subject> {
  const { db, settings, ...box } = await outboxDatabase("xid");
  const tables = [hinted("item", ["id"], "item")];
  return {
    db,
    make: (context) => captureOutbox({ settings, tables, marginMs: 50 }, context),
    write: (from, to) =>
      db.sql`INSERT INTO outbox (tbl, key)
        SELECT 'item', x FROM generate_series(${from}::int, ${to}::int) x`,
    [Symbol.asyncDispose]: () => box[Symbol.asyncDispose](),
  };
}

/** Notes the plan of each page, as the stream's own connection runs it. */
function explained(database: Database, plans: string[]): Database {
  return {
    ...database,
    async sequence(statements, signal) {
      for (const { text, params = [] } of statements.filter(isPage)) {
        const rows = await database.query({ text: `EXPLAIN ${text}`, params }, signal);
        plans.push(rows.map(([line]) => line).join("\n"));
      }
      return await database.sequence(statements, signal);
    },
  };
}

function isPage({ text }: Statement): boolean {
  return /ORDER BY t\."(xid|tx)"/.test(text);
}

const SUBJECTS = [
  ["the changelog", "driftless.log", overChangelog],
  ["an outbox by xid", "outbox", overOutbox],
] as const;
for (const [name, relation, open] of SUBJECTS) {
  for (const pooled of [false, true]) {
    const how = pooled ? "through PgBouncer" : "on a direct connection";
    test(`${name}'s new rows are read in the index's order ${how}`, async () => {
      await using subject = await open();
      const { db } = subject;
      await using pooler = pooled ? await startPgBouncer(db.url) : undefined;
      const url = new URL(db.readerUrl);
      if (pooler !== undefined) url.port = String(pooler.port);
      await db.sql.unsafe(`ALTER TABLE ${relation} SET (autovacuum_enabled = off)`);
      const plans: string[] = [];
      await using run = await runStream(
        (context) =>
          subject.make({
            ...context,
            open: (connections, wish) => explained(context.open(connections, wish), plans),
          }),
        { url: url.href, pooler: pooled ? "transaction" : "none", seeded: ["public.item"] },
      );
      await subject.write(1, ROWS);
      await run.caughtUp();
      equal(run.delivered.length, ROWS);
      ok(plans.length > ROWS / 1000, String(plans.length));
      for (const plan of plans) {
        match(plan, /Index Cond/);
        deepEqual(plan.match(/Sort|Bitmap|Seq Scan/g) ?? [], [], plan);
      }
    });
  }
}

describe("a backend that is another one than the first snapshot's: the server may have crashed", () => {
  for (const from of ["a fresh", "a stored"]) {
    test(`ends a run that began at ${from} position, by the first poll`, async () => {
      await using subject = await overChangelog();
      const { db } = subject;
      const begun = async () => {
        await using run = await runStream(subject.make, { url: db.readerUrl });
        await run.caughtUp();
        return run.cursor();
      };
      const stored = from === "a stored" ? { stored: await begun() } : {};
      let polls: number | undefined;
      await using run = await runStream((context) => {
        const stream = subject.make(context);
        return {
          ...stream,
          async prepare(start, signal) {
            const prepared = await stream.prepare(start, signal);
            polls = 0;
            return prepared;
          },
        };
      }, {
        url: db.readerUrl,
        ...stored,
        before: async ({ text }) => {
          if (polls === undefined || !text.includes("clock_timestamp()")) return;
          if (++polls === 1) await cutOff(db);
        },
      });
      await eventually("the end", async () => run.failure() !== undefined || Number(polls) > 10);
      equal(codeOf(run.failure()), "SOURCE_RESTARTED");
    });
  }

  test("ends the preparation of a fresh position, by the checkpoint", async () => {
    await using subject = await overChangelog();
    const { db } = subject;
    await rejects(
      async () => {
        await using _ = await runStream(subject.make, {
          url: db.readerUrl,
          before: async ({ text }) => {
            if (text.includes("pg_current_wal_insert_lsn")) await cutOff(db);
          },
        });
      },
      { name: "RetryableError", code: "SOURCE_RESTARTED" },
    );
  });
});

/** Ends the reader's backends, as a crash that spares the postmaster does. */
async function cutOff({ sql, readerRole }: TestDatabase): Promise<void> {
  const rows = await sql`SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = ${readerRole} AND datname = current_database()`;
  // Their sockets are closed with them.
  await eventually("their ends", async () => rows.every(({ pid }) => !existsSync(`/proc/${pid}`)));
  await sql`SELECT 1`;
}
