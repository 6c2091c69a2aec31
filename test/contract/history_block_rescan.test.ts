import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { pollPart } from "../support/poll_cursor.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

const TABLES = [{ name: "item", key: ["id"] }];
const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, pad text, updated_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE item ALTER pad SET STORAGE PLAIN;
CREATE INDEX ON item (updated_at, id);`;

/** One row a block. */
async function fill(db: TestDatabase, table: string, from: number, to: number): Promise<void> {
  await db.sql.unsafe(`INSERT INTO ${table} SELECT g, repeat('x', 7000), now() - interval '1 h'
    FROM generate_series(${from}, ${to}) g`);
}

async function follow(db: TestDatabase, between: () => Promise<void>, row: () => Promise<number>) {
  const late = await db.sql.reserve();
  await late`BEGIN`;
  await late`SELECT pg_current_xact_id()`;
  await pause(200);
  let pages = 0;
  await using poller = await openPoller({
    url: db.readerUrl,
    tables: TABLES,
    async before({ text }) {
      if (text.includes("ctid") && ++pages === 2) await between();
    },
  });
  // A seed has begun: what is still open is looked for in the whole table.
  const plan = { root: { schema: "public", name: "item" }, key: ["id"] } as never;
  const signal = new AbortController().signal;
  for await (const _ of poller.capture.snapshot(plan, { chunk: 10000 }, signal));
  await poller.polls();
  const id = await row();
  await late.unsafe(`UPDATE item SET updated_at = now() WHERE id = ${id}`);
  await late`COMMIT`;
  late.release();
  await db.sql`INSERT INTO item VALUES (100000, '', now())`;
  await poller.polls(3);
  // A poll gives rescans 100 ms of its time: on a slow machine there is more to do.
  const left = () => Object.values(pollPart(poller.capture.confirmed().cursor).rescans).flat();
  for (let more = 0; more < 1000 && left().length > 0; more++) await poller.polls();
  const rows = poller.delivered.filter((d) => d === `item:${id}`).length;
  deepEqual(rows > 0, true, `row ${id} of a transaction that was open at the start never arrived`);
}

test("a table that is compacted in the middle of a scan of its blocks loses no row", async () => {
  await using db = await createDatabase(DDL);
  await fill(db, "item", 1, 4000);
  await db.sql`DELETE FROM item WHERE id < 2000`;
  await follow(db, async () => {
    await db.sql`VACUUM FULL item`;
  }, () => Promise.resolve(3900));
});

test("children of an inheriting table that are longer than it are scanned to their end", async () => {
  await using db = await createDatabase(`${DDL}
    CREATE TABLE item_2026 () INHERITS (item);
    ALTER TABLE item_2026 ALTER pad SET STORAGE PLAIN;
    CREATE INDEX ON item_2026 (updated_at, id);`);
  await fill(db, "item_2026", 1, 2500);
  await follow(db, () => Promise.resolve(), () => Promise.resolve(2400));
});
