import { ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openPoller } from "../support/polling.ts";
import { startPostgres } from "../support/postgres.ts";
import postgres from "postgres";

test("a row stamped 1 s ahead arrives once its time has come, on an idle server too", async () => {
  const server = await startPostgres({ major: 18, settings: { autovacuum: "off" } });
  const sql = postgres(server.url, { max: 2, onnotice: () => {} });
  try {
    await sql.unsafe(`CREATE TABLE item (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL);
      CREATE INDEX ON item (updated_at, id);`).simple();
    await using poller = await openPoller({
      url: server.url,
      tables: [{ name: "item", key: ["id"] }],
    });
    await poller.polls(2);
    await sql`INSERT INTO item VALUES (1, clock_timestamp() + interval '1 second')`;
    await poller.polls(3);
    for (let i = 0; i < 30; i++) {
      await pause(100);
      await poller.polls();
    }
    ok(poller.delivered.includes("item:1"), "3 s after the commit, 2 s after its stamp: not read");
  } finally {
    await sql.end({ timeout: 1 });
    await server.stop();
  }
});
