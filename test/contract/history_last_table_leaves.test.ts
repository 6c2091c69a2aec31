import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { runCapture } from "../support/capture_run.ts";
import { installChangelog } from "../support/changelog.ts";
import { createDatabase } from "../support/postgres.ts";

const DDL = `CREATE TABLE item (id bigint PRIMARY KEY, v text,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at, id);`;
const INDEXES = { items: { table: "item", fields: { v: "keyword" } } };

// The changelog's stream moves while it is prepared; the one that only drains isn't prepared by then.
test("a stream whose last table goes to another one is drained, and isn't asked before it is prepared", async () => {
  await using db = await createDatabase(DDL);
  const options = { url: db.readerUrl, indexes: INDEXES, source: { sweeps: false } };
  const first = await runCapture(options);
  equal(first.levels[0]?.capture, "updated_at");
  await db.sql`INSERT INTO item VALUES (1)`;
  await first.sees(["upsert item:1"]);
  await first.caughtUp();
  const cursor = first.cursor();
  await first[Symbol.asyncDispose]();

  await db.sql`INSERT INTO item VALUES (2)`;
  await installChangelog(db, [{ table: "item" }]);
  await db.sql`INSERT INTO item VALUES (3)`;
  await using second = await runCapture({ ...options, cursor });
  equal(second.levels[0]?.capture, "changelog");
  deepEqual([...second.anchor.gaps], []);
  await db.sql`INSERT INTO item VALUES (4)`;
  await second.sees(["upsert item:2", "upsert item:3", "upsert item:4"]);
  await second.caughtUp();
});
