import { deepEqual, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import type { IndexPlan } from "../../src/core/plan.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

const DDL =
  `CREATE TABLE item (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON item (updated_at, id);
INSERT INTO item SELECT g FROM generate_series(1, 5) g;`;
const PLAN: IndexPlan = {
  name: "items",
  root: { schema: "public", name: "item" },
  key: ["id"],
  tables: [],
  fields: [],
  settings: {},
  analysis: {},
  mappings: {},
  hash: "",
  fingerprint: "",
  refs: [],
  onRejected: "stop",
};

/** Reads the keys by twos, after `statement` once that many were read. */
async function readWhile(statement: string, at: number): Promise<readonly string[]> {
  await using db = await createDatabase(DDL);
  await using poller = await openPoller({
    url: db.readerUrl,
    tables: [{ name: "item", key: ["id"] }],
  });
  const keys: string[] = [];
  const rows = poller.capture.snapshot(PLAN, { chunk: 2 }, new AbortController().signal);
  if (at === 0) await db.sql.unsafe(statement);
  for await (const { value } of rows) {
    keys.push(value.key.join());
    if (keys.length === at) await db.sql.unsafe(statement);
  }
  return keys;
}

describe("a table that changes amid its seed asks for new plans", () => {
  for (const at of [0, 2]) {
    for (
      const statement of [
        "ALTER TABLE item RENAME TO thing",
        "ALTER TABLE item RENAME COLUMN id TO code",
      ]
    ) {
      test(`${statement}, after ${at} rows`, async () => {
        await rejects(readWhile(statement, at), { name: "RetryableError", code: "SCHEMA_CHANGED" });
      });
    }
  }

  test("and none when it doesn't", async () => {
    deepEqual(await readWhile("SELECT 1", 2), ["1", "2", "3", "4", "5"]);
  });
});
