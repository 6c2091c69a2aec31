import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { SyncEvent } from "../../src/core/events.ts";
import { installChangelog } from "../support/changelog.ts";
import { type EngineRun, startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

function fieldOf(sink: ScriptedSink, index: string, id: string, name: string): unknown {
  const body = sink.documents(index).get(id)?.body;
  return body === null || body === undefined ? undefined : JSON.parse(body)[name];
}

function followed(run: EngineRun): void {
  const problems = run.events.filter((event: SyncEvent) => event.type === "problem");
  deepEqual(problems.map((p) => JSON.stringify(p)).filter((p) => /CHANGELOG/.test(p)), []);
}

const LINKED = `
CREATE TABLE shelf (tenant int, no int, name text, PRIMARY KEY (tenant, no));
CREATE TABLE book (id bigint PRIMARY KEY, tenant int, shelf int, title text);
CREATE INDEX ON book (tenant, shelf);
INSERT INTO shelf SELECT t, n, 'x' FROM generate_series(1,2) t, generate_series(1,2) n;
INSERT INTO book VALUES (1, 1, 1, 'a');`;
const SHELVES = {
  shelves: {
    table: "shelf",
    fields: {
      name: "keyword",
      books: { hasMany: "book", foreignKey: ["tenant", "shelf"], fields: { id: "long" } },
    },
  },
};

test("a child whose link of two columns changes in one of them leaves its old parent", async () => {
  await using db = await createDatabase(LINKED);
  const { left } = await installChangelog(db, [
    { table: "shelf" },
    { table: "book", joins: ["tenant", "shelf"] },
  ]);
  equal(left.size, 0);
  const sink = scriptedSink("s");
  await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes: SHELVES });
  await run.waitFor("caughtUp");
  followed(run);
  deepEqual(fieldOf(sink, "shelves", "1,1", "books"), [{ id: 1 }]);
  await db.sql`UPDATE book SET shelf = 2 WHERE id = 1`;
  await eventually(
    "the new shelf",
    () =>
      Promise.resolve(JSON.stringify(fieldOf(sink, "shelves", "1,2", "books")) === '[{"id":1}]'),
  );
  await db.sql`INSERT INTO shelf VALUES (9, 9, 'last')`;
  await eventually("what came later", () => Promise.resolve(sink.documents("shelves").has("9,9")));
  deepEqual(fieldOf(sink, "shelves", "1,1", "books"), [], "the old shelf still holds the book");
});

test("a child whose two link columns change one after the other, then is deleted", async () => {
  await using db = await createDatabase(LINKED);
  await installChangelog(db, [
    { table: "shelf" },
    { table: "book", joins: ["tenant", "shelf"] },
  ]);
  const sink = scriptedSink("s");
  await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes: SHELVES });
  await run.waitFor("caughtUp");
  await db.sql.begin(async (tx) => {
    await tx`UPDATE book SET shelf = 2 WHERE id = 1`;
    await tx`UPDATE book SET tenant = 2 WHERE id = 1`;
    await tx`DELETE FROM book WHERE id = 1`;
  });
  await db.sql`INSERT INTO shelf VALUES (9, 9, 'last')`;
  await eventually("what came later", () => Promise.resolve(sink.documents("shelves").has("9,9")));
  deepEqual(fieldOf(sink, "shelves", "1,1", "books"), [], "the old shelf still holds the book");
});

test("rows logged under an earlier key, unread when the key was changed, don't stop the run", async () => {
  await using db = await createDatabase(`
CREATE TABLE item (a bigint PRIMARY KEY, b bigint NOT NULL DEFAULT 7, note text);
INSERT INTO item VALUES (1, 1, 'one');`);
  const indexes = { items: { table: "item", fields: { note: "keyword" } } };
  await installChangelog(db, [{ table: "item" }]);
  const sink = scriptedSink("s");
  {
    await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes });
    await run.waitFor("caughtUp");
    followed(run);
    await run.stop();
  }
  await db.sql`INSERT INTO item VALUES (2, 2, 'two')`;
  await db.sql.unsafe("ALTER TABLE item DROP CONSTRAINT item_pkey, ADD PRIMARY KEY (a, b)");
  await installChangelog(db, [{ table: "item" }]);
  await db.sql`INSERT INTO item VALUES (3, 3, 'three')`;
  await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes, supervised: true });
  await run.waitFor("caughtUp");
  await db.sql`INSERT INTO item VALUES (4, 4, 'four')`;
  await eventually("4", () => Promise.resolve(sink.documents("items").has("4,4")));
  deepEqual([...sink.documents("items").keys()].sort(), ["1,1", "2,2", "3,3", "4,4"]);
});

test("rows logged under an earlier key's type don't stop the run", async () => {
  await using db = await createDatabase(`
CREATE TABLE item (slug text PRIMARY KEY, id bigint NOT NULL, note text);
INSERT INTO item VALUES ('one', 1, 'one');`);
  const indexes = { items: { table: "item", fields: { note: "keyword" } } };
  await installChangelog(db, [{ table: "item" }]);
  const sink = scriptedSink("s");
  {
    await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes });
    await run.waitFor("caughtUp");
    await run.stop();
  }
  await db.sql`INSERT INTO item VALUES ('two', 2, 'two')`;
  await db.sql.unsafe("ALTER TABLE item DROP CONSTRAINT item_pkey, ADD PRIMARY KEY (id)");
  await installChangelog(db, [{ table: "item" }]);
  await db.sql`INSERT INTO item VALUES ('three', 3, 'three')`;
  await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes, supervised: true });
  await run.waitFor("caughtUp");
  await db.sql`INSERT INTO item VALUES ('four', 4, 'four')`;
  await eventually("4", () => Promise.resolve(sink.documents("items").has("4")));
});

for (const how of ["stopped", "running"] as const) {
  test(`a partition written to while it was detached, and attached again, ${how}`, async () => {
    await using db = await createDatabase(`
CREATE TABLE item (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE item_1 PARTITION OF item FOR VALUES FROM (0) TO (100);
CREATE TABLE item_2 PARTITION OF item FOR VALUES FROM (100) TO (200);
INSERT INTO item VALUES (1, 'old'), (2, 'old'), (101, 'old');`);
    const indexes = { items: { table: "item", fields: { note: "keyword" } } };
    await installChangelog(db, [{ table: "item" }]);
    const sink = scriptedSink("s");
    const first = startEngine({ url: db.readerUrl, sinks: [sink], indexes, supervised: true });
    await first.waitFor("caughtUp");
    followed(first);
    if (how === "stopped") await first.stop();
    await db.sql.begin(async (tx) => {
      await tx.unsafe("ALTER TABLE item DETACH PARTITION item_1");
      await tx.unsafe("UPDATE item_1 SET note = 'new' WHERE id = 1");
      await tx.unsafe("DELETE FROM item_1 WHERE id = 2");
      await tx.unsafe("INSERT INTO item_1 VALUES (3, 'new')");
      await tx.unsafe("ALTER TABLE item ATTACH PARTITION item_1 FOR VALUES FROM (0) TO (100)");
    });
    await using run = how === "running"
      ? first
      : startEngine({ url: db.readerUrl, sinks: [sink], indexes, supervised: true });
    await db.sql`INSERT INTO item VALUES (102, 'last')`;
    await eventually("102", () => Promise.resolve(sink.documents("items").has("102")));
    followed(run);
    await eventually("what the partition holds", () => {
      const held = [...sink.documents("items")].filter(([, { body }]) => body !== null)
        .map(([id]) => `${id} ${fieldOf(sink, "items", id, "note")}`).sort();
      return Promise.resolve(
        JSON.stringify(held) === JSON.stringify(["1 new", "101 old", "102 last", "3 new"]),
      );
    });
    ok(true);
  });
}
