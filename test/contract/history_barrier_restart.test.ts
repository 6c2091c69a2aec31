import { ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

const DDL =
  `CREATE TABLE item (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at, id);`;
const TABLES = [{ name: "item", key: ["id"] }];

test("a restart in the middle of a rescan doesn't confirm what the rescan has yet to read", async () => {
  await using db = await createDatabase(DDL);
  let cursor: string;
  let committedAt: string;
  let before: string;
  {
    await using poller = await openPoller({
      url: db.readerUrl,
      tables: TABLES,
      pageSize: 1,
      marginMs: 1,
    });
    await poller.polls();
    const late = await db.sql.reserve();
    await late`BEGIN`;
    await late`INSERT INTO item (id) SELECT g FROM generate_series(1, 5000) g`;
    await pause(10);
    await db.sql`INSERT INTO item (id) VALUES (100000)`;
    await poller.polls(2);
    await late`COMMIT`;
    late.release();
    const [row] = await db.sql`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`;
    committedAt = row?.["at"];
    await pause(10);
    await db.sql`INSERT INTO item (id) VALUES (100001)`;
    await poller.polls(2);
    ok(!poller.delivered.includes("item:5000"), "the rescan isn't done");
    before = poller.capture.confirmed().through;
    cursor = poller.capture.confirmed().cursor;
  }
  ok(before < committedAt, "before the restart the barrier waits for the rescan");
  await using again = await openPoller({
    url: db.readerUrl,
    tables: TABLES,
    pageSize: 1,
    marginMs: 1,
    cursor,
  });
  const { through } = again.capture.confirmed();
  ok(
    through < committedAt,
    `${through} is confirmed, but row 5000 was committed at ${committedAt}`,
  );
});
