import { ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

/** A zone whose clocks go back by an hour at `at` (local time before: UTC+1, after: UTC). */
function zoneThatFallsBack(at: Date): string {
  const day = Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / 86_400_000);
  const local = new Date(at.getTime() + 3_600_000);
  const sameDay = local.getUTCDate() === at.getUTCDate();
  const hour = local.getUTCHours() + (sameDay ? 0 : 24);
  return `WIN0SUM-1,0/0,${day}/${hour}:${local.getUTCMinutes()}:${local.getUTCSeconds()}`;
}

test("a straggler's row, stamped in local time, arrives although the clocks went back meanwhile", async () => {
  await using db = await createDatabase();
  const at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3000);
  const zone = zoneThatFallsBack(at);
  await db.sql.unsafe(`
    CREATE TABLE item (id bigint PRIMARY KEY,
      updated_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE '${zone}'));
    CREATE INDEX ON item (updated_at, id);`).simple();
  await using poller = await openPoller({
    url: db.readerUrl,
    tables: [{ name: "item", key: ["id"], settings: { stampTimezone: zone } }],
    marginMs: 50,
  });
  await poller.polls(2);
  const late = await db.sql.reserve();
  await late`BEGIN`;
  await late`INSERT INTO item (id) VALUES (1)`;
  await poller.polls(2);
  await db.sql`INSERT INTO item (id) VALUES (2)`;
  await poller.polls(2);
  await pause(Math.max(0, at.getTime() - Date.now() + 300));
  await db.sql`INSERT INTO item (id) VALUES (3)`;
  await poller.polls(2);
  await pause(300);
  await late`COMMIT`;
  late.release();
  await db.sql`INSERT INTO item (id) VALUES (4)`;
  await poller.polls(2);
  await db.sql`INSERT INTO item (id) VALUES (5)`;
  await poller.polls(3);
  for (const id of [1, 2, 3, 4, 5]) {
    ok(poller.delivered.includes(`item:${id}`), `row ${id} never arrived`);
  }
});
