import { ok } from "node:assert/strict";
import { randomInt } from "node:crypto";
import process from "node:process";
import { test } from "node:test";
import postgres from "postgres";
import { type Random, seededRandom } from "../support/stress_random.ts";
import { allowWal } from "../support/wal.ts";
import { openScene, type SceneSetup, withTruth } from "./capture_scene.ts";

/** A book under the identity of its key at first, a part under a full one; some notes lie out of line. */
const DDL = `
CREATE TABLE shelf (id bigint PRIMARY KEY, name text);
CREATE TABLE book (id bigint PRIMARY KEY, shelf_id bigint, name text, rank int, blob text);
CREATE UNIQUE INDEX book_by_id ON book (id);
ALTER TABLE book ALTER blob SET STORAGE EXTERNAL;
CREATE TABLE part (id bigint PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, shelf_id bigint, name text,
  rank int);
ALTER TABLE part REPLICA IDENTITY FULL;
CREATE INDEX ON book (shelf_id);
CREATE INDEX ON part (shelf_id);
INSERT INTO shelf SELECT g, 'shelf ' || g FROM generate_series(1, 20) g;
INSERT INTO book SELECT g, 1 + g % 20, 'book ' || g, g, repeat('b', 3000) FROM generate_series(1, 60) g;
INSERT INTO part SELECT g, 1 + g % 20, 'part ' || g, g FROM generate_series(1, 60) g;`;

const onShelf = (table: string) => ({
  hasMany: table,
  foreignKey: "shelf_id",
  where: [{ column: "rank", op: "lt", value: 1000 }],
  orderBy: [{ column: "rank" }, { column: "id" }],
  fields: { id: "long", name: "keyword" },
});
const list = (table: string) =>
  `'${table}', coalesce((SELECT jsonb_agg(jsonb_build_object('id', c.id, 'name', c.name)
   ORDER BY c.rank, c.id) FROM ${table} c WHERE c.shelf_id = s.id AND c.rank < 1000), '[]')`;
const INDEXES = {
  shelves: withTruth(
    {
      table: "shelf",
      fields: { name: "keyword", book: onShelf("book"), part: onShelf("part") },
    },
    `SELECT s.id::text AS id, jsonb_build_object('name', s.name, ${list("book")}, ${list("part")})
     ::text AS document FROM shelf s`,
  ),
  books: withTruth(
    {
      table: "book",
      fields: {
        name: "keyword",
        shelf: { belongsTo: "shelf", column: "shelf_id", fields: { name: "keyword" } },
      },
    },
    `SELECT id::text, jsonb_build_object('name', name, 'shelf', (SELECT jsonb_build_object(
     'name', s.name) FROM shelf s WHERE s.id = b.shelf_id))::text AS document FROM book b`,
  ),
};
const SETUP: SceneSetup = { indexes: INDEXES, source: { capture: "wal", sweeps: false } };

const SEED = Number(process.env["SEED"] ?? randomInt(1_000_000));
const TRANSACTIONS = Number(process.env["TRANSACTIONS"] ?? "120");
/** Between two of these all documents are compared. */
const ROUND = 15;

/** One statement, or some that belong together. */
function statement(random: Random): string {
  const n = (to: number) => random.between(1, to);
  const one = <T>(of: readonly T[]): T => of[random.between(0, of.length - 1)] as T;
  const table = one(["book", "part"]);
  const [id, other, shelf] = [n(70), n(70), one(["NULL", String(n(20))])];
  if (random.chance(0.006)) {
    return `TRUNCATE ${one([table, "book, part"])};
      INSERT INTO ${table} (id, shelf_id, name, rank) SELECT g, 1 + g % 20, 'new', g
      FROM generate_series(1, 40) g ON CONFLICT DO NOTHING`;
  }
  if (random.chance(0.004)) {
    const identity = one(["FULL", "DEFAULT", "USING INDEX book_by_id"]);
    return `ALTER TABLE book REPLICA IDENTITY ${identity}`;
  }
  return one([
    `UPDATE ${table} SET shelf_id = ${shelf} WHERE id = ${id}`,
    `UPDATE ${table} SET name = ${one(["NULL", `'name ${n(999)}'`])} WHERE id BETWEEN ${id} AND ${
      id + 5
    }`,
    `UPDATE ${table} SET rank = ${one([n(50), 2000])} WHERE id = ${id}`,
    `DELETE FROM ${table} WHERE id = ${id}`,
    `DELETE FROM ${table} WHERE id > 100`,
    `INSERT INTO book VALUES (${id}, ${shelf}, 'in', ${n(90)}, repeat('z', 2500))
     ON CONFLICT (id) DO UPDATE SET shelf_id = excluded.shelf_id`,
    `INSERT INTO part SELECT ${id}, ${shelf}, 'in', ${n(90)}
     WHERE NOT EXISTS (SELECT FROM part WHERE id = ${id})`,
    `UPDATE part SET id = CASE id WHEN ${id} THEN ${other} ELSE ${id} END WHERE id IN (${id}, ${other})`,
    `UPDATE part SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE 1 END, shelf_id = ${shelf}
     WHERE id IN (1, 2, 3)`,
    `UPDATE ${table} SET id = id + 100, shelf_id = ${shelf} WHERE id = ${id}
     AND NOT EXISTS (SELECT FROM ${table} WHERE id = ${id + 100})`,
    `UPDATE shelf SET name = 'shelf ${n(99)}' WHERE id = ${n(20)}`,
    `SAVEPOINT undone; UPDATE ${table} SET shelf_id = 1; ROLLBACK TO undone`,
    `SAVEPOINT done; UPDATE ${table} SET shelf_id = ${n(20)} WHERE id = ${id}; RELEASE done`,
  ]);
}

for (const major of [18, 15] as const) {
  test(`random transactions with truncates, changed keys and identities, past triggers and prepared, under crashes, on Postgres ${major}: the documents are the rows`, async (t) => {
    t.diagnostic(`SEED=${SEED} TRANSACTIONS=${TRANSACTIONS} replays it`);
    const random = seededRandom(SEED, `transactions ${major}`);
    await using scene = await openScene(DDL, major);
    await allowWal(scene.db);
    await using stack = new AsyncDisposableStack();
    const writer = postgres(scene.db.url, { max: 1, onnotice: () => {} });
    stack.defer(() => writer.end({ timeout: 1 }));
    await writer.unsafe("SET lock_timeout = '3s'");
    let run = scene.start(SETUP);
    stack.defer(() => run.crash());
    await run.waitFor("caughtUp");
    let [committed, truncates, crashes] = [0, 0, 0];
    for (let at = 1; at <= TRANSACTIONS; at++) {
      const body = Array.from({ length: random.between(1, 8) }, () => statement(random)).join(
        ";\n",
      );
      const silent = random.chance(0.15) ? "SET LOCAL session_replication_role = replica;" : "";
      const end = random.chance(0.1) ? `PREPARE TRANSACTION '${scene.db.name}'` : "COMMIT";
      try {
        await writer.unsafe(`BEGIN; ${silent} ${body}; ${end}`).simple();
        if (end !== "COMMIT") await writer.unsafe(`COMMIT PREPARED '${scene.db.name}'`).simple();
        committed++;
        if (body.includes("TRUNCATE")) truncates++;
      } catch {
        // A key that is taken, a table with pending events: it is rolled back, as a client's would be.
        await writer.unsafe("ROLLBACK").simple();
      }
      if (random.chance(0.04)) {
        crashes++;
        await run.crash();
        run = scene.start(SETUP);
      }
      if (at % ROUND === 0) await scene.equalsTables(INDEXES);
    }
    await scene.equalsTables(INDEXES);
    t.diagnostic(`${committed} committed, ${truncates} with truncates, ${crashes} crashes`);
    ok(committed > TRANSACTIONS / 4, `${committed} committed`);
  });
}
