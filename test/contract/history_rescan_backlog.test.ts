import { ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { pollPart } from "../support/poll_cursor.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

const TABLES = 25;

/**
 * Every transaction that one listing shows and the next doesn't is a range of every table to read
 * again. Read one by one, with a budget of pages a poll, they would pile up with enough tables.
 */
test("rescans don't pile up when each poll sees one transaction end", async () => {
  const names = Array.from({ length: TABLES }, (_, i) => `t${i}`);
  await using db = await createDatabase(
    names.map((name) =>
      `CREATE TABLE ${name} (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
     CREATE INDEX ON ${name} (updated_at, id);`
    ).join("\n"),
  );
  await using poller = await openPoller({
    url: db.readerUrl,
    tables: names.map((name) => ({ name, key: ["id"] })),
    marginMs: 1,
  });
  await poller.polls();
  const backlog: number[] = [];
  let open = await begin(0);
  for (let i = 1; i <= 40; i++) {
    const next = await begin(i);
    await open.end();
    open = next;
    await pause(2);
    await poller.polls();
    const { rescans } = pollPart(poller.capture.confirmed().cursor);
    backlog.push(Object.values(rescans).flat().length);
  }
  await open.end();
  const last = backlog.at(-1) ?? 0;
  ok(last <= TABLES * 2, `pages of rescans that wait, poll by poll: ${backlog.join(" ")}`);

  async function begin(i: number) {
    const connection = await db.sql.reserve();
    await connection`BEGIN`;
    await connection.unsafe(`INSERT INTO t${TABLES - 1} (id) VALUES (${i})`);
    return {
      async end() {
        await connection`COMMIT`;
        connection.release();
      },
    };
  }
});
