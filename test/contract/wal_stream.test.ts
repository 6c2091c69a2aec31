import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { openDatabase } from "../../src/postgres/client.ts";
import { heldTransactions } from "../../src/postgres/wal/held.ts";
import { captureWal } from "../../src/postgres/wal/stream.ts";
import type { ReplicatedTable, WalSettings } from "../../src/postgres/ways.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { runStream, type StreamRun } from "../support/stream_run.ts";
import { allowWal } from "../support/wal.ts";

const NEVER = new AbortController().signal;

async function follow(db: TestDatabase): Promise<StreamRun> {
  await allowWal(db);
  const [row] = await db.sql`SELECT 'item'::regclass::oid::text AS oid`;
  const item: ReplicatedTable = {
    table: { schema: "public", name: "item" },
    id: "public.item",
    oid: String(row?.["oid"]),
    key: ["id"],
    joinColumns: [],
    columns: null,
    seesBefore: true,
  };
  const settings: WalSettings = { slot: db.name, publication: "driftless", maxSlotLag: 0 };
  return await runStream((context) => captureWal({ settings, tables: [item] }, context), {
    url: db.readerUrl,
    intervalMs: 50,
  });
}

for (const major of [18, 15] as const) {
  describe(`the WAL's stream on Postgres ${major}`, () => {
    test("says of every lone commit that nothing is right behind it, however its pieces come", async () => {
      await using db = await createDatabase("CREATE TABLE item (id int PRIMARY KEY)", major);
      await using run = await follow(db);
      for (let id = 1; id <= 100; id++) {
        await db.sql`INSERT INTO item VALUES (${id})`;
        await run.delivers(`upsert item:${id}`);
      }
      equal(run.drained.length, 100);
      deepEqual(run.drained.filter((drained) => !drained), []);
    });

    test("looks again at once for what is not visible yet, however long nothing was held", async () => {
      await using db = await createDatabase("", major);
      await using database = openDatabase({
        url: db.readerUrl,
        pooler: "none",
        rowSecurity: "refuse",
        maxConnections: 1,
        applicationName: "driftless/test",
        statementTimeoutMs: 60_000,
      });
      const writer = await db.sql.reserve();
      await writer`BEGIN`;
      const [row] = await writer`SELECT pg_current_xact_id()::text AS xid`;
      const held = heldTransactions(database);
      for (let look = 0; look < 20; look++) deepEqual(await held.visible(NEVER), []);
      const delivery = {
        value: { table: { schema: "public", name: "item" }, op: "upsert", key: ["1"] },
        ack: () => {},
      } as const;
      const transaction = held.begin(Number(BigInt(String(row?.["xid"])) & 0xffffffffn), 1n);
      transaction.add(delivery);
      transaction.end();
      deepEqual(await held.visible(NEVER), []);
      const first = held.recheckMs() ?? Infinity;
      equal(first <= 2, true, `${first} ms`);
      await writer`COMMIT`;
      writer.release();
      deepEqual(await held.visible(NEVER), [delivery]);
      equal(held.recheckMs(), undefined);
    });
  });
}
