/**
 * What every capture must do, whatever it is made of (design 3.9). A subject says what its level
 * claims; a case outside of that asserts that the level says so, and that it isn't delivered.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type postgres from "postgres";
import type { RetryableError } from "../../src/core/errors.ts";
import type { TableLevel } from "../../src/core/source.ts";
import { type CaptureRun, type CaptureRunOptions, runCapture } from "../support/capture_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

export interface CaptureSubject {
  /** For test names: "the changelog". */
  readonly name: string;
  /** Default: a database of its own on the run's servers. */
  database?(ddl: string, major: 15 | 18): Promise<TestDatabase>;
  readonly level: TableLevel["level"];
  readonly claims: CaptureClaims;
  /** Tables of one's own, triggers: run once, as superuser, on a database that has `item`. */
  install(db: TestDatabase): Promise<void>;
  /** How it is opened. */
  readonly options: (db: TestDatabase) => Partial<CaptureRunOptions>;
  /** What an application writes beside a change of these rows of `item`, in its transaction. */
  hint?(tx: Sql, ids: readonly number[]): Promise<void>;
}

/** What is delivered as it happens, or within one sweep. */
export interface CaptureClaims {
  /** A transaction that commits long after it wrote. False: only within the lag. */
  readonly lateCommits: boolean;
  /** A stamp that is NULL, in the past, or left as it was. */
  readonly oddStamps: boolean;
  readonly deletes: boolean;
  readonly truncates: boolean;
  /** Writes under session_replication_role = replica, or with the triggers disabled. */
  readonly bypass: boolean;
  /** What commits is delivered only when all older transactions have ended. */
  readonly waits: boolean;
  /** A delivery of one row for each change of it: nothing is seen twice without a crash. */
  readonly exact: boolean;
}

type Sql = postgres.Sql | postgres.ReservedSql;

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, note text, updated_at timestamptz DEFAULT now());
CREATE INDEX ON item (updated_at, id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
 $$ BEGIN
  IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at AND NEW.note IS DISTINCT FROM 'untouched'
  THEN NEW.updated_at := now(); END IF;
  RETURN NEW;
 END $$;
CREATE TRIGGER touch BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
`;

export function exerciseCapture(subject: CaptureSubject): void {
  for (const major of [18, 15] as const) {
    describe(`${subject.name} on Postgres ${major}`, () => {
      let db: TestDatabase;
      let next = 1;
      before(async () => {
        db = await (subject.database ?? createDatabase)(DDL, major);
        await subject.install(db);
      });
      after(() => db[Symbol.asyncDispose]());

      const open = (more: Partial<CaptureRunOptions> = {}): Promise<CaptureRun> =>
        runCapture({
          url: db.readerUrl,
          indexes: { items: { table: "item", fields: { note: "text" } } },
          ...subject.options(db),
          ...more,
        });
      const fresh = (count = 1): number[] => Array.from({ length: count }, () => next++);
      const upserts = (ids: readonly number[]) => ids.map((id) => `upsert item:${id}`);
      const levelOf = ({ levels }: CaptureRun): TableLevel => {
        const level = levels.find(({ table }) => table === "public.item");
        ok(level, "the table has a level");
        return level;
      };

      async function insert(tx: Sql, ids: readonly number[]): Promise<void> {
        await tx`INSERT INTO item (id, note) SELECT unnest(${[...ids]}::bigint[]), 'new'`;
        await subject.hint?.(tx, ids);
      }

      /** A transaction of its own connection. */
      async function begin(): Promise<postgres.ReservedSql> {
        const tx = await db.sql.reserve();
        await tx`BEGIN`;
        return tx;
      }

      async function end(tx: postgres.ReservedSql, how: "COMMIT" | "ROLLBACK"): Promise<void> {
        await tx.unsafe(how);
        tx.release();
      }

      /** Another transaction, which began later, commits and is delivered. */
      async function overtake(run: CaptureRun): Promise<void> {
        const [row] = await db.sql`SELECT clock_timestamp() + interval '60 ms' AS t`;
        await db.sql`SELECT pg_sleep_until(${
          String((row?.["t"] as Date).toISOString())
        }::timestamptz)`;
        const ids = fresh();
        await insert(db.sql, ids);
        if (subject.claims.waits) return;
        await run.sees(upserts(ids));
        await run.caughtUp();
      }

      test("it says its level", async () => {
        await using run = await open();
        const level = levelOf(run);
        deepEqual([level.level, level.deletes], [subject.level, subject.claims.deletes]);
        ok(level.claim.length > 0 && level.why.length > 0);
      });

      test("what is inserted and updated is delivered", async () => {
        await using run = await open();
        const ids = fresh(3);
        await insert(db.sql, ids);
        await run.sees(upserts(ids));
        await run.caughtUp();
        const from = run.delivered.length;
        await db.sql`UPDATE item SET note = 'changed' WHERE id = ${ids[1] ?? 0}`;
        await subject.hint?.(db.sql, [ids[1] ?? 0]);
        await run.sees(upserts([ids[1] ?? 0]), from);
      });

      test("late commit: a row written before others that were delivered arrives when it is committed", async () => {
        await using run = await open();
        const ids = fresh();
        const tx = await begin();
        await insert(tx, ids);
        await overtake(run);
        await end(tx, "COMMIT");
        await run.sees(upserts(ids));
      });

      test("lazy xid: a transaction that only read while others committed and were delivered", async () => {
        await using run = await open();
        const ids = fresh();
        const tx = await begin();
        await tx`SELECT count(*) FROM item`;
        await overtake(run);
        await insert(tx, ids);
        await end(tx, "COMMIT");
        await run.sees(upserts(ids));
      });

      test("savepoints: what was released is delivered, what was rolled back is not", async () => {
        await using run = await open();
        const [kept, released, undone] = [fresh(), fresh(), fresh()];
        const tx = await begin();
        await insert(tx, kept);
        await tx`SAVEPOINT a`;
        await insert(tx, released);
        await tx`RELEASE SAVEPOINT a`;
        await tx`SAVEPOINT b`;
        await insert(tx, undone);
        await tx`ROLLBACK TO SAVEPOINT b`;
        await overtake(run);
        await end(tx, "COMMIT");
        await run.sees(upserts([...kept, ...released]));
        await run.caughtUp();
        ok(!run.delivered.includes(upserts(undone)[0] ?? ""));
      });

      test("two-phase commit: prepared between polls, and across a restart of the capture", async () => {
        const ids = fresh();
        let cursor: string;
        {
          await using run = await open();
          const tx = await begin();
          await insert(tx, ids);
          await tx.unsafe(`PREPARE TRANSACTION 'p${ids[0]}'`);
          tx.release();
          await overtake(run);
          cursor = run.cursor();
        }
        await using run = await open({ cursor });
        await overtake(run);
        await db.sql.unsafe(`COMMIT PREPARED 'p${ids[0]}'`);
        await run.sees(upserts(ids));
      });

      test("a transaction that is idle for 200 polls delays nobody, and its row arrives when it ends", async () => {
        await using run = await open();
        const late = fresh();
        const tx = await begin();
        await insert(tx, late);
        for (let i = 0; i < 200; i++) {
          const ids = fresh();
          await insert(db.sql, ids);
          if (!subject.claims.waits) await run.sees(upserts(ids));
        }
        if (subject.claims.waits) ok(/wait/.test(levelOf(run).claim), levelOf(run).claim);
        await end(tx, "COMMIT");
        await run.sees(upserts(late));
      });

      test("a transaction that commits between any two statements of the capture loses nothing", async () => {
        for (let step = 0; step < 8; step++) {
          const ids = fresh(2);
          const late: { tx?: postgres.ReservedSql } = {};
          let seen = 0;
          let armed = false;
          await using run = await open({
            async before() {
              if (!armed) return;
              if (seen++ !== step) return;
              armed = false;
              await insert(db.sql, ids.slice(1));
              if (late.tx !== undefined) await end(late.tx, "COMMIT");
            },
          });
          late.tx = await begin();
          await insert(late.tx, ids.slice(0, 1));
          await overtake(run);
          armed = true;
          await overtake(run);
          await run.sees(upserts(ids));
        }
      });

      test("a crash before any statement, with and without acknowledgements, loses nothing", async () => {
        let cursor = await anchored();
        const all: number[] = [];
        const durable = new Set<string>();
        for (let step = 0; step < 10; step++) {
          const ids = fresh(3);
          all.push(...ids);
          const crash = Promise.withResolvers<void>();
          const ended = Promise.withResolvers<void>();
          let sent = 0;
          let armed = false;
          const run = await open({
            cursor,
            pageSize: 2,
            before: () => {
              if (!armed || sent++ < step) return Promise.resolve();
              crash.resolve();
              // The process is gone before it is sent.
              return new Promise((_, reject) => ended.promise.then(() => reject(GONE)));
            },
          });
          run.acknowledge = step % 2 === 0;
          await insert(db.sql, ids);
          armed = true;
          // Without acknowledgements it may come to rest before that statement.
          const rest = run.acknowledge ? [] : [run.delivers().catch(() => {})];
          await Promise.race([crash.promise, ...rest]);
          cursor = run.cursor();
          if (run.acknowledge) { for (const each of run.delivered) durable.add(each); }
          ended.resolve();
          await run[Symbol.asyncDispose]();
        }
        await using last = await open({ cursor });
        await last.sees(upserts(all).filter((each) => !durable.has(each)));
      });

      test("what was delivered and not acknowledged is delivered again after a crash", async () => {
        const ids = fresh(3);
        let cursor: string;
        {
          await using run = await open();
          await run.caughtUp();
          run.acknowledge = false;
          await insert(db.sql, ids);
          await run.sees(upserts(ids.slice(0, 1)));
          // Time and reason to move on for whoever takes that for done; the margin is over, too.
          for (const id of fresh(3)) {
            await db.sql`SELECT pg_sleep(0.08)`;
            await insert(db.sql, [id]);
          }
          cursor = run.cursor();
        }
        await using run = await open({ cursor });
        await run.sees(upserts(ids));
      });

      test("10,000 rows of one transaction in pages of 1,000, and a crash in their midst", async () => {
        const cursor = await anchored();
        const ids = fresh(10_000);
        await db.sql.begin((tx) => insert(tx as unknown as Sql, ids));
        let again: string;
        const durable = new Set<string>();
        {
          await using run = await open({ cursor, pageSize: 1000 });
          await run.sees(upserts(ids.slice(0, 1)));
          run.acknowledge = false;
          for (const each of run.delivered) durable.add(each);
          again = run.cursor();
        }
        await using run = await open({ cursor: again, pageSize: 1000 });
        await run.sees(upserts(ids).filter((each) => !durable.has(each)));
      });

      test("a lower key with the same stamp, committed after the cursor has passed", async () => {
        await using run = await open();
        const [low, high] = [fresh(), fresh()];
        const early = await begin();
        const late = await begin();
        // Both stamps are the transactions' beginning: made equal, below and above.
        const [row] = await late`SELECT now()::text AS t`;
        const at = String(row?.["t"]);
        await late`INSERT INTO item VALUES (${high[0] ?? 0}, 'high', ${at}::timestamptz)`;
        await subject.hint?.(late, high);
        await early`INSERT INTO item VALUES (${low[0] ?? 0}, 'low', ${at}::timestamptz)`;
        await subject.hint?.(early, low);
        await end(late, "COMMIT");
        if (!subject.claims.waits) await run.sees(upserts(high));
        await overtake(run);
        await end(early, "COMMIT");
        await run.sees(upserts(low));
      });

      test("50 rows in one millisecond in pages of 10", async () => {
        await using run = await open({ pageSize: 10 });
        const ids = fresh(50);
        await db.sql.begin(async (tx) => {
          await tx`INSERT INTO item SELECT i, 'ms', date_trunc('milliseconds', now())
            + (i % 50) * interval '1 microsecond' FROM unnest(${ids}::bigint[]) i`;
          await subject.hint?.(tx as unknown as Sql, ids);
        });
        await run.sees(upserts(ids));
        if (!subject.claims.exact) return;
        await run.caughtUp();
        const own = run.delivered.filter((each) => upserts(ids).includes(each));
        deepEqual(own.length, ids.length, "each is delivered once");
      });

      test("a stamp that is NULL, in the past or left as it was", async () => {
        await using run = await open();
        const [none, past, left] = [fresh(), fresh(), fresh()];
        await insert(db.sql, left);
        await run.sees(upserts(left));
        await overtake(run);
        const from = run.delivered.length;
        await db.sql.begin(async (tx) => {
          await tx`INSERT INTO item VALUES (${none[0] ?? 0}, 'none', NULL),
            (${past[0] ?? 0}, 'past', '2020-02-02')`;
          await tx`UPDATE item SET note = 'untouched' WHERE id = ${left[0] ?? 0}`;
          await subject.hint?.(tx as unknown as Sql, [...none, ...past, ...left]);
        });
        const odd = upserts([...none, ...past, ...left]);
        if (subject.claims.oddStamps) return await run.sees(odd, from);
        await overtake(run);
        await overtake(run);
        // A lag reads its last seconds again, and sees more in them than it claims.
        const unseen = subject.claims.lateCommits ? odd : upserts([...none, ...past]);
        deepEqual(run.delivered.slice(from).filter((each) => unseen.includes(each)), []);
        ok(/stamp/.test(levelOf(run).claim), levelOf(run).claim);
      });

      test("a delete, a cascade, and a delete with the same key inserted again", async () => {
        await using run = await open();
        const [gone, again] = [fresh(2), fresh()];
        await insert(db.sql, [...gone, ...again]);
        await run.sees(upserts([...gone, ...again]));
        await run.caughtUp();
        const from = run.delivered.length;
        await db.sql.begin(async (tx) => {
          await tx`DELETE FROM item WHERE id = ANY(${gone}::bigint[])`;
          await tx`DELETE FROM item WHERE id = ${again[0] ?? 0}`;
          await insert(tx as unknown as Sql, again);
          await subject.hint?.(tx as unknown as Sql, gone);
        });
        await run.sees(upserts(again), from);
        if (subject.claims.deletes) {
          await run.sees(
            gone.map((id) => `${subject.hint ? "upsert" : "delete"} item:${id}`),
            from,
          );
          return;
        }
        await overtake(run);
        ok(run.delivered.slice(from).every((each) => !each.startsWith("delete ")));
        ok(/delete/.test(levelOf(run).claim), levelOf(run).claim);
      });

      test("a key that changes is a delete of the old one and an insert of the new one", async () => {
        await using run = await open();
        const [old, renamed] = [fresh(), fresh()];
        await insert(db.sql, old);
        await run.sees(upserts(old));
        await run.caughtUp();
        const from = run.delivered.length;
        await db.sql.begin(async (tx) => {
          await tx`UPDATE item SET id = ${renamed[0] ?? 0} WHERE id = ${old[0] ?? 0}`;
          await subject.hint?.(tx as unknown as Sql, [...old, ...renamed]);
        });
        await run.sees(upserts(renamed), from);
        if (!subject.claims.deletes) {
          return ok(/key|delete/.test(levelOf(run).claim), levelOf(run).claim);
        }
        await run.sees([`${subject.hint ? "upsert" : "delete"} item:${old[0]}`], from);
      });

      test("a truncate is a gap of the next start, which goes on behind it", async () => {
        if (!subject.claims.truncates) return;
        let cursor = "";
        {
          await using run = await open();
          await insert(db.sql, fresh(2));
          await run.caughtUp();
          await db.sql`TRUNCATE item`;
          await eventually("its end", () => {
            cursor = run.cursor();
            return Promise.resolve(run.failure() !== undefined);
          });
          equal((run.failure() as RetryableError).code, "TABLE_TRUNCATED");
        }
        await using run = await open({ cursor });
        deepEqual([...run.anchor.gaps.keys()], ["public.item"]);
        const ids = fresh();
        await insert(db.sql, ids);
        await run.sees(upserts(ids));
        await run.caughtUp();
        deepEqual(run.failure(), undefined);
        // Stored, so that nobody begins before it again.
        run.cursor();
      });

      test("writes that bypass triggers", async () => {
        await using run = await open();
        const ids = fresh();
        await db.sql.begin(async (tx) => {
          await tx`SET LOCAL session_replication_role = replica`;
          await tx`INSERT INTO item VALUES (${ids[0] ?? 0}, 'replica', now())`;
        });
        if (subject.claims.bypass) return await run.sees(upserts(ids));
        await overtake(run);
        ok(!run.delivered.includes(upserts(ids)[0] ?? ""));
        ok(/trigger|application/.test(levelOf(run).claim), levelOf(run).claim);
      });

      test("an xid held for long, here and in another database, delays nobody", async () => {
        await using run = await open();
        await using other = await createDatabase("CREATE TABLE t (i int)", major);
        const here = await begin();
        await here`SELECT pg_current_xact_id()`;
        const there = await other.sql.reserve();
        await there`BEGIN`;
        await there`INSERT INTO t VALUES (1)`;
        for (let i = 0; i < 5; i++) {
          const ids = fresh();
          await insert(db.sql, ids);
          if (subject.claims.waits) continue;
          await run.sees(upserts(ids));
          await run.caughtUp();
        }
        await end(here, "ROLLBACK");
        await there`ROLLBACK`;
        there.release();
      });

      async function anchored(): Promise<string> {
        await using run = await open();
        await run.caughtUp();
        return run.cursor();
      }
    });
  }
}

const GONE = new Error("crashed");
