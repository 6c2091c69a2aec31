import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { startEngine } from "../support/engine_run.ts";
import { createDatabase } from "../support/postgres.ts";
import { scriptedSink } from "../support/scripted_sink.ts";

const DDL = `CREATE TABLE item (a bigint, b bigint, updated_at timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX ON item (a, b);
CREATE INDEX ON item (updated_at, a, b);`;

/** Seeds once, two rows a chunk. */
async function idsOf(
  key: readonly string[],
  rows: string,
  ddl: string = DDL,
): Promise<readonly string[]> {
  await using db = await createDatabase(ddl);
  await db.sql.unsafe(`INSERT INTO item (${key.join(", ")}) VALUES ${rows}`);
  const sink = scriptedSink("s");
  await using run = startEngine({
    url: db.readerUrl,
    sinks: [sink],
    indexes: { items: { table: "item", key, fields: { a: "long" } } },
    options: { once: true, seed: { parallel: 1, chunk: 2 } },
  });
  equal(await run.outcome(), undefined);
  return [...sink.documents("items")].flatMap(([id, { body }]) => body === null ? [] : [id]).sort();
}

test("rows with a NULL in the index's key name no document, and the seed goes on behind them", async () => {
  const rows = "(1, 1), (1, NULL), (1, NULL), (2, 1), (NULL, 1), (NULL, NULL), (3, 1), (3, 2)";
  deepEqual(await idsOf(["a", "b"], rows), ["1,1", "2,1", "3,1", "3,2"]);
});

test("a chunk that ends among the NULLs of a key's only column doesn't end the seed", async () => {
  const ddl = `CREATE TABLE item (a bigint UNIQUE, updated_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON item (updated_at, a);`;
  deepEqual(await idsOf(["a"], "(1), (NULL), (NULL), (NULL), (NULL)", ddl), ["1"]);
});
