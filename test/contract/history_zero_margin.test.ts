import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { chooseStamp } from "../../src/postgres/poll/stamps.ts";
import { catalogTable, STAMP } from "../support/catalog_table.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

const WISH = { table: { schema: "public", name: "t" }, key: ["id"], joinColumns: [] };

function marginOf(secondDigits: number, marginMs: number): number | undefined {
  const stamp = { type: { ...STAMP.type, secondDigits } };
  const table = catalogTable({ id: {}, updated_at: stamp });
  const choice = chooseStamp(WISH, table, {}, { marginMs, marginGiven: true });
  return "polled" in choice ? choice.polled.marginMs : undefined;
}

test("a margin is whole milliseconds, however fine the stamp", () => {
  const margins = [0, 1, 2, 3, 4, 5, 6].map((precision) => marginOf(precision, 0));
  deepEqual(margins, [1000, 100, 10, 1, 1, 1, 1]);
  deepEqual([0, 3, 6].map((precision) => marginOf(precision, 50)), [1000, 50, 50]);
});

test("a margin of 0 s is followed", async () => {
  await using db = await createDatabase(
    `CREATE TABLE item (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
     CREATE INDEX ON item (updated_at, id);`,
  );
  await using poller = await openPoller({
    url: db.readerUrl,
    tables: [{ name: "item", key: ["id"] }],
    marginMs: 0,
  });
  await poller.polls();
  await db.sql`INSERT INTO item VALUES (1)`;
  await poller.polls(2);
  deepEqual(poller.delivered, ["item:1"]);
});
