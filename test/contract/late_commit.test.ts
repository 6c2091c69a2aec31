import { deepEqual, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Statement } from "../../src/postgres/client.ts";
import { openNaive } from "../support/naive.ts";
import { openPoller, type Poller } from "../support/polling.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at, id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
 $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
`;
const TABLES = [{ name: "item", key: ["id"] }];

for (const major of [18, 15] as const) {
  describe(`late commits on Postgres ${major}`, () => {
    let db: TestDatabase;
    before(async () => {
      db = await createDatabase(DDL, major);
    });
    after(() => db[Symbol.asyncDispose]());

    const poller = (options: Partial<Parameters<typeof openPoller>[0]> = {}) =>
      openPoller({ url: db.readerUrl, tables: TABLES, ...options });

    /** Another transaction stamps a later row, commits, and is polled. */
    async function overtake(id: number, p: Poller): Promise<void> {
      await db.sql`INSERT INTO item (id) VALUES (${id})`;
      await p.polls(2);
      ok(p.delivered.includes(`item:${id}`), "the overtaking row arrives at once");
    }

    test("a row stamped before others that were polled arrives within two polls of its commit", async () => {
      await using p = await poller();
      await using naive = await openNaive(db.readerUrl);
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`INSERT INTO item (id) VALUES (1)`;
      await pastMargin();
      await overtake(2, p);
      await naive.poll();
      await late`COMMIT`;
      late.release();
      await p.polls(2);
      ok(p.delivered.includes("item:1"));
      await naive.poll();
      ok(naive.found.has("2") && !naive.found.has("1"), "the control must lose it");
      ok(p.events.some((e) => e.type === "rescued"), "it counts as rescued");
    });

    test("a row of a transaction that opened with a read arrives within two polls", async () => {
      await using p = await poller();
      await using naive = await openNaive(db.readerUrl);
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`SELECT 1`;
      await pastMargin();
      await overtake(11, p);
      await naive.poll();
      await late`INSERT INTO item (id) VALUES (10)`;
      await late`COMMIT`;
      late.release();
      await p.polls(2);
      ok(p.delivered.includes("item:10"));
      await naive.poll();
      ok(!naive.found.has("10"), "the control must lose it");
    });

    test("a row written in a savepoint arrives, though its xmin is a sub-transaction's", async () => {
      await using p = await poller();
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`SELECT 1`;
      await pastMargin();
      await overtake(21, p);
      await late`SAVEPOINT a`;
      await late`INSERT INTO item (id) VALUES (20)`;
      await late`SAVEPOINT b`;
      await late`INSERT INTO item (id) VALUES (22)`;
      await late`ROLLBACK TO b`;
      await p.polls(2);
      await late`RELEASE a`;
      await late`COMMIT`;
      late.release();
      await p.polls(2);
      ok(p.delivered.includes("item:20"));
      ok(!p.delivered.includes("item:22"));
    });

    test("a prepared transaction's row arrives, though the tool was restarted meanwhile", async () => {
      const first = await poller();
      await using naive = await openNaive(db.readerUrl);
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`INSERT INTO item (id) VALUES (30)`;
      await pastMargin();
      await overtake(31, first);
      await late.unsafe(`PREPARE TRANSACTION '${db.name}_1'`);
      late.release();
      await first.polls(2);
      const { cursor } = first.capture.confirmed();
      await first[Symbol.asyncDispose]();
      ok(cursor.includes("prep:"), "the cursor knows of it");

      await using second = await poller({ cursor });
      await overtake(32, second);
      await naive.poll();
      await db.sql.unsafe(`COMMIT PREPARED '${db.name}_1'`);
      await second.polls(2);
      ok(second.delivered.includes("item:30"));
      await naive.poll();
      ok(!naive.found.has("30"), "the control must lose it");
    });

    test("a row read and not acknowledged when the process is killed is read again", async () => {
      const first = await poller();
      await using naive = await openNaive(db.readerUrl);
      await first.polls(2);
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`INSERT INTO item (id) VALUES (40)`;
      await pastMargin();
      await overtake(41, first);
      await naive.poll();
      await late`COMMIT`;
      late.release();
      await first.delivering();
      ok(first.delivered.includes("item:40"));
      const { cursor } = first.capture.confirmed();
      await first[Symbol.asyncDispose]();

      await using second = await poller({ cursor });
      await second.polls(2);
      ok(second.delivered.includes("item:40"));
      await naive.poll();
      ok(!naive.found.has("40"), "the control must lose it");
    });

    test("a transaction prepared between the two statements of the listing is not lost", async () => {
      let prepare: (() => Promise<void>) | undefined;
      await using p = await poller({
        before: async (statement) => {
          if (!isPreparedListing(statement)) return;
          const now = prepare;
          prepare = undefined;
          await now?.();
        },
      });
      await using naive = await openNaive(db.readerUrl);
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`INSERT INTO item (id) VALUES (50)`;
      await pastMargin();
      await overtake(51, p);
      await p.polls(1);
      prepare = async () => {
        await late.unsafe(`PREPARE TRANSACTION '${db.name}_2'`);
        late.release();
      };
      // Something must change, or the poll has no reason to list anybody.
      await db.sql`INSERT INTO item (id) VALUES (52)`;
      await p.polls(3);
      deepEqual(prepare, undefined, "it was prepared in the middle of a listing");
      await naive.poll();
      await db.sql.unsafe(`COMMIT PREPARED '${db.name}_2'`);
      await p.polls(2);
      ok(p.delivered.includes("item:50"));
      await naive.poll();
      ok(!naive.found.has("50"), "the control must lose it");
    });

    test("a transaction whose xid the listing didn't show is not lost", async () => {
      let hidden = 0;
      await using p = await poller({
        after: (statement, rows) => {
          if (!isRunningListing(statement)) return rows;
          // pg_locks was read in two pieces: the virtualxid is there, the xid is not.
          return rows.map((row) => {
            if (row[1] !== null) hidden++;
            return row.map((value, i) => i === 1 ? null : value);
          });
        },
      });
      await using naive = await openNaive(db.readerUrl);
      const late = await db.sql.reserve();
      await late`BEGIN`;
      await late`INSERT INTO item (id) VALUES (60)`;
      await pastMargin();
      await overtake(61, p);
      await naive.poll();
      await p.polls(1);
      await late`COMMIT`;
      late.release();
      await p.polls(2);
      ok(hidden > 0, "the listing would have shown it");
      ok(p.delivered.includes("item:60"));
      await naive.poll();
      ok(!naive.found.has("60"), "the control must lose it");
    });

    test("rows that share one stamp arrive once each, across pages and a crash", async () => {
      const first = await poller({ pageSize: 100 });
      await first.polls(1);
      await db.sql`INSERT INTO item (id) SELECT g FROM generate_series(1001, 2050) g`;
      await first.delivering();
      const { cursor } = first.capture.confirmed();
      await first[Symbol.asyncDispose]();
      await using second = await poller({ cursor, pageSize: 100 });
      await second.polls(2);
      const keys = second.delivered.filter((key) => Number(key.slice(5)) > 1000);
      deepEqual(new Set(keys).size, 1050);
      deepEqual(keys.length, 1050);
    });

    test("an idle transaction delays nobody, and its row arrives when it ends", async () => {
      await using p = await poller();
      const idle = await db.sql.reserve();
      await idle`BEGIN`;
      await idle`SELECT 1`;
      for (let i = 0; i < 20; i++) {
        await db.sql`INSERT INTO item (id) VALUES (${3000 + i})`;
        await p.polls(2);
        ok(p.delivered.includes(`item:${3000 + i}`));
      }
      await idle`INSERT INTO item (id) VALUES (2999)`;
      await idle`COMMIT`;
      idle.release();
      await p.polls(2);
      ok(p.delivered.includes("item:2999"));
    });

    test("a transaction open at the very first listing is read for when it ends", async () => {
      const early = await db.sql.reserve();
      await early`BEGIN`;
      await early`INSERT INTO item (id, updated_at) VALUES (4000, now() - interval '1 day')`;
      await using p = await poller();
      // A seed begins: what it didn't see must come by capture.
      const snapshot = p.capture.snapshot(
        { root: { schema: "public", name: "item" }, key: ["id"] } as never,
        { chunk: 10 },
        new AbortController().signal,
      )[Symbol.asyncIterator]();
      await snapshot.next();
      await p.polls(2);
      await early`COMMIT`;
      early.release();
      await p.polls(2);
      ok(p.delivered.includes("item:4000"));
    });
  });
}

/** Longer than the pollers' margin (50 ms): a stamp this old is behind the cursor. */
function pastMargin(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 120));
}

function isRunningListing(statement: Statement): boolean {
  return statement.text.includes("pg_locks");
}

function isPreparedListing(statement: Statement): boolean {
  return statement.text.includes("pg_prepared_xacts");
}
