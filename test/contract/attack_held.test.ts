import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { installChangelog } from "../support/changelog.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const DDL = `
CREATE TABLE shelf (id int PRIMARY KEY, name text);
CREATE TABLE book (id int PRIMARY KEY, shelf int, title text,
  pos int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON book (shelf);
INSERT INTO shelf SELECT n, 'x' FROM generate_series(1, 5) n;
INSERT INTO book VALUES (1, 1, 'a', 1), (2, 2, 'b', 2), (3, 3, 'c', 3);`;
const indexes = {
  shelves: {
    table: "shelf",
    fields: {
      name: "keyword",
      books: {
        hasMany: "book",
        foreignKey: "shelf",
        orderBy: [{ column: "id" }],
        fields: { id: "long", title: "keyword" },
      },
    },
  },
};
const state = (sink: ScriptedSink) =>
  JSON.stringify(
    [...sink.documents("shelves")].filter(([, d]) => d.body !== null).sort()
      .map((
        [id, { body }],
      ) => [
        id,
        (JSON.parse(body ?? "null")).books.map((b: { id: number; title: string }) =>
          b.id + b.title
        ),
      ]),
  );
const HISTORIES: Record<string, string> = {
  "moved twice in one transaction":
    "UPDATE book SET shelf = 4 WHERE id = 1; UPDATE book SET shelf = 5 WHERE id = 1",
  "moved and deleted": "UPDATE book SET shelf = 4 WHERE id = 1; DELETE FROM book WHERE id = 1",
  "deleted and inserted again elsewhere":
    "DELETE FROM book WHERE id = 1; INSERT INTO book VALUES (1, 5, 'z', 1)",
  "keys swapped in one statement of rows of two parents":
    "ALTER TABLE book DROP CONSTRAINT book_pkey, ADD PRIMARY KEY (id) DEFERRABLE; UPDATE book SET id = 3 - id WHERE id < 3",
  "keys swapped": "UPDATE book SET id = -id WHERE id < 3; UPDATE book SET id = 3 + id WHERE id < 0",
  "truncated and rolled back to a savepoint":
    "SAVEPOINT s; TRUNCATE book; ROLLBACK TO s; UPDATE book SET title = 'k' WHERE id = 1",
  "truncated, then filled, in one transaction":
    "TRUNCATE book; INSERT INTO book VALUES (9, 1, 'n', 9), (1, 2, 'm', 1)",
  "upserted, moved":
    "INSERT INTO book VALUES (1, 4, 'u', 1) ON CONFLICT (id) DO UPDATE SET shelf = 4",
  "a writing CTE that deletes and inserts":
    "WITH d AS (DELETE FROM book WHERE id = 1 RETURNING *) INSERT INTO book SELECT 7, 5, title, 7 FROM d",
  "parent re-keyed, child before":
    "UPDATE book SET shelf = 8 WHERE id = 2; UPDATE shelf SET id = 8 WHERE id = 2",
};

for (const [name, sql] of Object.entries(HISTORIES)) {
  test(`under the changelog: ${name}`, async () => {
    await using db = await createDatabase(DDL);
    if (sql.startsWith("ALTER")) await db.sql.unsafe(sql.split(";")[0] ?? "");
    await installChangelog(db, [{ table: "shelf" }, { table: "book", joins: ["shelf"] }]);
    const sink = scriptedSink("s");
    await using run = startEngine({
      url: db.readerUrl,
      sinks: [sink],
      indexes,
      supervised: true,
      source: { sweeps: false },
    });
    await run.waitFor("caughtUp");
    const work = sql.startsWith("ALTER") ? sql.split(";").slice(1).join(";") : sql;
    await db.sql.begin(async (tx) => void await tx.unsafe(work).simple());
    await db.sql`INSERT INTO shelf VALUES (99, 'last')`;
    await eventually("99", () => Promise.resolve(sink.documents("shelves").has("99")));
    const truth = await db
      .sql`SELECT s.id::text AS id, coalesce(array_agg(b.id || b.title ORDER BY b.id)
      FILTER (WHERE b.id IS NOT NULL), '{}') AS books FROM shelf s LEFT JOIN book b ON b.shelf = s.id GROUP BY s.id`;
    const expected = JSON.stringify(truth.map((r) => [r["id"], r["books"]]).sort());
    await eventually("the truth", () => Promise.resolve(state(sink) === expected))
      .catch(() => deepEqual(state(sink), expected));
  });
}
