import { ok } from "node:assert/strict";
import { test } from "node:test";
import { runCapture } from "../support/capture_run.ts";
import { installChangelog } from "../support/changelog.ts";
import { createDatabase } from "../support/postgres.ts";

const ITEM = "CREATE TABLE item (id bigint PRIMARY KEY, note text);";
const indexes = { items: { table: "item", fields: { note: "text" } } };

test("the stored WAL position follows the changelog: a server that went back is known by it", async () => {
  await using db = await createDatabase(ITEM);
  await installChangelog(db, [{ table: "item" }]);
  await using run = await runCapture({
    url: db.readerUrl,
    indexes,
    source: { capture: "changelog", sweeps: false },
  });
  await db.sql`INSERT INTO item SELECT g, 'x' FROM generate_series(1, 500) g`;
  const [row] = await db.sql`SELECT (pg_current_wal_flush_lsn() - '0/0')::text AS w`;
  await run.caughtUp();
  const { wal } = JSON.parse(run.cursor());
  ok(BigInt(wal) >= BigInt(row?.["w"]), `${wal} is stored, and ${row?.["w"]} was flushed before`);
});

test("a table that was swept alone and isn't swept any more is a gap", async () => {
  await using db = await createDatabase(ITEM);
  const swept = await runCapture({ url: db.readerUrl, indexes, source: { capture: "sweep" } });
  await db.sql`INSERT INTO item VALUES (1, 'a')`;
  await swept.sees(["upsert item:1"]);
  await swept.caughtUp();
  const cursor = swept.cursor();
  await swept[Symbol.asyncDispose]();
  await db.sql`INSERT INTO item VALUES (2, 'while nobody looked')`;
  await installChangelog(db, [{ table: "item" }]);
  await using run = await runCapture({
    url: db.readerUrl,
    indexes,
    cursor,
    source: { capture: "changelog", sweeps: false },
  });
  await run.caughtUp();
  ok(
    run.anchor.gaps.has("public.item") || run.delivered.includes("upsert item:2"),
    `lost: ${run.delivered}`,
  );
});
