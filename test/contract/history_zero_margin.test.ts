import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { chooseStamp } from "../../src/postgres/poll/stamps.ts";
import type { ColumnFacts } from "../../src/postgres/poll/table_facts.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

const WISH = { table: { schema: "public", name: "t" }, key: ["id"], joinColumns: [] };

function marginOf(precision: number, marginMs: number): number | undefined {
  const column: ColumnFacts = { exactType: "bigint", notNull: true, precision: 6 };
  const choice = chooseStamp(
    WISH,
    {
      id: "public.t",
      kind: "table",
      columns: new Map([
        ["id", column],
        ["updated_at", { ...column, stampType: "timestamptz", precision }],
      ]),
      indexes: [["updated_at", "id"]],
      subscribed: false,
      hasChildren: false,
    },
    {},
    { marginMs, marginGiven: true },
  );
  return choice.polled?.marginMs;
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
