/** Histories that lost a change, or never came to an end, before what prevents them was there. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import postgres from "postgres";
import type { Json } from "../../src/core/json.ts";
import type { Statement } from "../../src/postgres/client.ts";
import { captureWal } from "../../src/postgres/wal/stream.ts";
import type { ReplicatedTable } from "../../src/postgres/ways.ts";
import { openScene, withTruth } from "../fault/capture_scene.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase, startPostgres, type TestDatabase } from "../support/postgres.ts";
import { runStream, type StreamRun } from "../support/stream_run.ts";
import { allowWal, slotIsFree } from "../support/wal.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, note text, other text, rest text);
CREATE TABLE parted (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);
INSERT INTO item SELECT g, 'seed', 'seed' FROM generate_series(1, 10) g;`;

interface How {
  readonly stored?: Json;
  readonly before?: (statement: Statement) => Promise<void>;
  /** Of item. */
  readonly columns?: readonly string[];
  readonly seesBefore?: boolean;
}

async function follow(db: TestDatabase, how: How = {}): Promise<StreamRun> {
  const { stored, before, columns = null, seesBefore = false } = how;
  const tables: ReplicatedTable[] = [];
  for (const name of ["item", "parted"]) {
    const [row] = await db.sql`SELECT ${name}::regclass::oid::text AS oid`;
    tables.push({
      table: { schema: "public", name },
      id: `public.${name}`,
      oid: String(row?.["oid"]),
      key: ["id"],
      joinColumns: name === "item" ? ["other"] : [],
      columns: name === "item" ? columns : null,
      seesBefore: name === "item" && seesBefore,
    });
  }
  const settings = { slot: `s_${db.name}`, publication: "driftless", maxSlotLag: 0 };
  return runStream((context) => captureWal({ settings, tables }, context), {
    url: db.readerUrl,
    ...(stored === undefined ? {} : { stored }),
    ...(before === undefined ? {} : { before }),
  });
}

/** Where a run that was followed and ended left off. */
async function followed(db: TestDatabase, how: How = {}): Promise<Json> {
  let stored: Json;
  {
    await using run = await follow(db, how);
    await run.caughtUp();
    stored = run.cursor();
  }
  await slotIsFree(db);
  return stored;
}

/** Does something once, before the first statement with that in its text. */
function once(text: string, happens: () => Promise<unknown>): (s: Statement) => Promise<void> {
  let done = false;
  return async (statement) => {
    if (done || !statement.text.includes(text)) return;
    done = true;
    await happens();
  };
}

test("a slot that is made anew between the look at it and its session isn't read as if it went on", async () => {
  await using db = await createDatabase(DDL);
  await allowWal(db);
  const stored = await followed(db);
  const slot = `s_${db.name}`;
  const before = once("pg_current_wal_flush_lsn", async () => {
    await db.sql`SELECT pg_drop_replication_slot(${slot})`;
    await db.sql`DELETE FROM item WHERE id = 3`;
    await db.sql`SELECT pg_create_logical_replication_slot(${slot}, 'pgoutput')`;
  });
  const failure = await follow(db, { stored, before }).then(
    (run) => run[Symbol.asyncDispose](),
    (error: unknown) => error,
  );
  match(String(failure), /another process used slot/);
});

test("a table that leaves the publication and is back before anybody looked at it again ends the run", async () => {
  await using db = await createDatabase(DDL);
  await allowWal(db);
  // The last thing before rows are read.
  const before = once(
    "pg_current_snapshot()::text",
    () =>
      db.sql.unsafe(`ALTER PUBLICATION driftless DROP TABLE item; DELETE FROM item WHERE id = 5;
      ALTER PUBLICATION driftless ADD TABLE item`).simple(),
  );
  await using run = await follow(db, { before });
  const failure = await eventually("its end", () => Promise.resolve(run.failure()));
  match(String(failure), /public\.item .*publication "driftless" was altered/);
});

test("a backlog under an identity that was raised since is one gap, not one for each transaction", async () => {
  await using db = await createDatabase(DDL);
  await allowWal(db);
  let stored = await followed(db);
  for (let id = 1; id <= 5; id++) {
    await db.sql`UPDATE item SET other = 'moved' WHERE id = ${id}`;
  }
  await db.sql`ALTER TABLE item REPLICA IDENTITY FULL`;
  {
    await using run = await follow(db, { stored, seesBefore: true });
    await eventually("the gap said", () => {
      stored = run.cursor();
      return Promise.resolve(run.failure());
    });
    match(String(run.failure()), /its replica identity told more/);
  }
  await slotIsFree(db);
  await using run = await follow(db, { stored, seesBefore: true });
  deepEqual([...run.prepared.gaps.keys()], ["public.item"]);
  await db.sql`DELETE FROM item WHERE id = 9`;
  await run.delivers("delete item:9");
  equal(run.failure(), undefined);
});

test("the root's replica identity says nothing of what a partition's rows show under its name", async () => {
  const indexes = {
    shelves: withTruth(
      {
        table: "shelf",
        fields: {
          books: {
            hasMany: "book",
            foreignKey: "shelf_id",
            orderBy: [{ column: "id" }],
            fields: { name: "keyword" },
          },
        },
      },
      `SELECT id::text, jsonb_build_object('books', coalesce(
        (SELECT jsonb_agg(jsonb_build_object('name', b.name) ORDER BY b.id)
         FROM book b WHERE b.shelf_id = s.id), '[]'))::text AS document FROM shelf s`,
    ),
  };
  await using scene = await openScene(`
CREATE TABLE shelf (id bigint PRIMARY KEY);
CREATE TABLE book (id bigint PRIMARY KEY, shelf_id bigint, name text) PARTITION BY RANGE (id);
CREATE TABLE book_low PARTITION OF book FOR VALUES FROM (0) TO (1000);
ALTER TABLE book REPLICA IDENTITY FULL;
CREATE INDEX ON book (shelf_id);
INSERT INTO shelf SELECT g FROM generate_series(1, 9) g;
INSERT INTO book SELECT g, 1 + g % 9, 'book ' || g FROM generate_series(1, 20) g;
CREATE PUBLICATION driftless FOR TABLE shelf, book WITH (publish_via_partition_root);`);
  await allowWal(scene.db);
  await using run = scene.start({ indexes, source: { capture: "wal" } });
  await run.waitFor("caughtUp");
  // The leaf's is its key: nothing says where it was.
  await scene.sql("UPDATE book SET shelf_id = 1 + id % 4 WHERE id < 10");
  await scene.equalsTables(indexes);
  await run.stop();
});

test("commits that wait for their standby: what they pass over is waited for, the partitions they make are known", async () => {
  const server = await startPostgres({
    major: 18,
    settings: { synchronous_commit: "local", synchronous_standby_names: "nobody" },
  });
  try {
    await using db = await createDatabase(
      `${DDL} ALTER TABLE item REPLICA IDENTITY FULL`,
      server,
    );
    await allowWal(db);
    let stored: Json;
    await using unseen = new AsyncDisposableStack();
    {
      /** Since the partition was made. */
      let looks = -Infinity;
      const before = ({ text }: Statement) => {
        if (text.includes("WITH RECURSIVE above")) looks = Infinity;
        else if (text.includes("pg_current_snapshot()::text")) looks++;
        return Promise.resolve();
      };
      await using run = await follow(db, { columns: ["note"], seesBefore: true, before });
      await run.caughtUp();
      looks = 0;
      const partition = await waiting(
        db,
        `BEGIN; CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
          INSERT INTO parted VALUES (1, 'with it'); COMMIT`,
      );
      await eventually("it decoded", () => Promise.resolve(looks > 3), { everyMs: 5 });
      await partition();
      await db.sql`DELETE FROM item WHERE id = 9`;
      await run.delivers("delete item:9");
      ok(run.delivered.includes("upsert parted:1"), run.delivered.join());

      // Of no concern as long as no document shows it.
      unseen.defer(await waiting(db, "UPDATE item SET rest = 'new' WHERE id = 1"));
      await db.sql`DELETE FROM item WHERE id = 8`;
      await run.delivers("delete item:8");
      stored = run.cursor();
    }
    await slotIsFree(db);
    await using run = await follow(db, { stored, seesBefore: true });
    await unseen.disposeAsync();
    await run.delivers("upsert item:1");
  } finally {
    await server.stop("SIGQUIT");
  }
});

/** Its commit is written and waits, until what this resolves with is called. */
async function waiting(db: TestDatabase, write: string): Promise<() => Promise<void>> {
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  const [row] = await sql`SELECT pg_backend_pid()::text AS pid`;
  const pid = String(row?.["pid"]);
  await sql`SET synchronous_commit = on`;
  const committed = sql.unsafe(write).simple();
  committed.catch(() => {});
  await eventually("a commit that waits", async () => {
    const [found] = await db
      .sql`SELECT wait_event FROM pg_stat_activity WHERE pid = ${pid}::int`;
    return found?.["wait_event"] === "SyncRep";
  }, { everyMs: 5 });
  return async () => {
    // It is committed; only the waiting is cancelled.
    await db.sql`SELECT pg_cancel_backend(${pid}::int)`;
    await committed;
    await sql.end({ timeout: 1 });
  };
}
