import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { RetryableError } from "../../src/core/errors.ts";
import type { Json } from "../../src/core/json.ts";
import { type Database, openDatabase, type Row } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { captureTables } from "../../src/postgres/documents/paths.ts";
import {
  aggregate,
  compare,
  EPOCH,
  type Fixture,
  index,
  openFixture,
  ref,
  relation,
  scalar,
  SIGNAL,
} from "./documents_fixture.ts";

const DDL = `
CREATE TABLE staff (id int PRIMARY KEY, name text, boss int REFERENCES staff);
INSERT INTO staff VALUES (1, 'Ada', NULL), (2, 'Bea', 1), (3, 'Cal', 1), (4, 'Dan', 2);
CREATE TABLE "Odd.Name" ("Key ""1" text, "select" int, "Other" text, PRIMARY KEY ("select", "Key ""1"));
INSERT INTO "Odd.Name" VALUES ('a,b', 1, 'x'), ('%', 1, 'y'), ('', 2, 'z');
CREATE TABLE "Child" ("Id" int PRIMARY KEY, p1 text, p2 int, "When" date);
INSERT INTO "Child" VALUES (1, 'a,b', 1, '2024-01-02'), (2, 'a,b', 1, '2024-01-01'), (3, '%', 1, NULL);
CREATE TABLE poison (id int PRIMARY KEY, n text);
INSERT INTO poison SELECT g, g::text FROM generate_series(1, 300) g;
UPDATE poison SET n = 'bad' WHERE id IN (7, 191, 192);
CREATE TABLE wide (id int PRIMARY KEY, body text);
INSERT INTO wide VALUES (1, 'small'), (2, repeat('x', 5000)), (3, repeat('é', 400));
CREATE TABLE parted (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO parted VALUES (1, '2024-05-05', 'a'), (1, '2025-05-05', 'b');
CREATE VIEW shown AS SELECT id, upper(name) AS name, boss FROM staff WHERE id < 4;
CREATE TABLE codes (id int PRIMARY KEY, code char(4) NOT NULL UNIQUE, flag bool NOT NULL, grade numeric NOT NULL);
INSERT INTO codes VALUES (1, 'ab', true, 1.50), (2, 'c', false, 2);
CREATE TYPE state AS ENUM ('new', 'paid', 'void');
CREATE TABLE f (id int PRIMARY KEY, s state, t text, n int, d timestamptz, tags text[], gone bool);
INSERT INTO f VALUES (1, 'new', 'abc', 1, '2024-01-01', '{a,b}', NULL), (2, 'paid', 'aXc', 5, '2024-06-01', '{}', false), (3, 'void', NULL, NULL, NULL, NULL, true), (4, 'paid', 'zzz', 9, '2025-01-01', '{b}', false);
`;

describe("building documents", () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await openFixture(DDL);
  });
  after(() => fixture[Symbol.asyncDispose]());

  test("a table joined with itself works both ways, and its rows resolve as roots and as relatives", async () => {
    const staff = await fixture.open([index("staff", "staff", [
      scalar("name"),
      relation("belongsTo", "boss", "staff", ["boss"], [scalar("name")]),
      relation("hasMany", "reports", "staff", ["boss"], [
        scalar("name"),
        aggregate("count", "reports", "staff", ["boss"]),
      ]),
    ])]);
    deepEqual(await staff.read("1", "2"), [
      {
        name: "Ada",
        boss: null,
        reports: [{ name: "Bea", reports: 1 }, { name: "Cal", reports: 0 }],
      },
      { name: "Bea", boss: { name: "Ada" }, reports: [{ name: "Dan", reports: 0 }] },
    ]);
    // 2 itself, its boss, its report; above the boss there is no one.
    deepEqual(await staff.resolve("staff", [["2"]]), ["staff:1", "staff:2", "staff:4"]);
    deepEqual(await staff.resolve("staff", [["4"]]), ["staff:1", "staff:2", "staff:4"]);
  });

  test("names of any case and sign and composite keys work on both sides", async () => {
    const odd = await fixture.open([index("odd", { schema: "public", name: "Odd.Name" }, [
      scalar('Fi"eld', "keyword", { column: "Other" }),
      relation("hasMany", "kids", "Child", ["p2", "p1"], [
        scalar("id", "integer", { column: "Id" }),
        relation("belongsTo", "up", "x", ["p1", "p2"], [
          scalar("o", "keyword", { column: "Other" }),
        ], {
          table: { schema: "public", name: "Odd.Name" },
          references: ['Key "1', "select"],
        }),
      ], { orderBy: [{ column: "When", direction: "asc", nulls: "last" }] }),
    ])]);
    deepEqual(await odd.read(["1", "a,b"], ["2", ""], ["1", "%"]), [
      { 'Fi"eld': "x", kids: [{ id: 2, up: { o: "x" } }, { id: 1, up: { o: "x" } }] },
      { 'Fi"eld': "z", kids: [] },
      { 'Fi"eld': "y", kids: [{ id: 3, up: { o: "y" } }] },
    ]);
    deepEqual(await odd.resolve("Child", [["1"], ["3"]]), ["odd:1,%25", "odd:1,a%2Cb"]);
    const { documents } = await odd.build(["1", "a,b"], ["2", ""]);
    deepEqual(documents.map(({ id }) => id), ["1,a%2Cb", "2,"]);
  });

  test("rows that can't be built are named and set aside, and the rest is built", async () => {
    const poison = await fixture.open([index("poison", "poison", [
      scalar("n", "integer", { sql: "n::int" }),
    ])]);
    const keys = Array.from({ length: 300 }, (_, at) => String(at + 1));
    fixture.sent.length = 0;
    const { documents, rejections } = await poison.build(...keys);
    deepEqual(rejections.map(({ index, id, type }) => `${index} ${id} ${type}`), [
      "poison 7 22P02",
      "poison 191 22P02",
      "poison 192 22P02",
    ]);
    deepEqual(
      documents.map(({ id }) => id),
      keys.filter((id) => !["7", "191", "192"].includes(id)),
    );
    ok(documents.every(({ id, body }) => body === `{"n":${id}}`));
    ok(fixture.sent.length < 60, `${fixture.sent.length} statements`);
  });

  test("a document over the limit is set aside without being sent", async () => {
    const wide = await fixture.open([index("wide", "wide", [scalar("body", "text")])], 700);
    const { documents, rejections } = await wide.build("1", "2", "3", "4");
    deepEqual(documents.map(({ id, body }) => [id, body]), [["1", '{"body":"small"}'], [
      "4",
      null,
    ]]);
    deepEqual(rejections.map(({ id, type }) => [id, type]), [["2", "too_large"], [
      "3",
      "too_large",
    ]]);
  });

  test("a key that isn't the primary key names the documents, and changes find them by it", async () => {
    const codes = await fixture.open([index("codes", "codes", [scalar("id", "integer")], {
      key: ["code"],
    })]);
    deepEqual(captureTables(codes.prepared.plans, codes.prepared.catalog), [
      { table: ref("codes"), key: ["id"], joinColumns: ["code"] },
    ]);
    deepEqual(await codes.resolve("codes", [["1"], ["2"]]), ["codes:ab  ", "codes:c   "]);
    deepEqual(await codes.read("ab  ", "c   "), [{ id: 1 }, { id: 2 }]);
    const gone = { op: "delete" as const, before: { code: "zz  " } };
    deepEqual(await codes.resolve("codes", [["9"]], gone), ["codes:zz  "]);
  });

  test("a key of any type comes back as it was asked for", async () => {
    for (const key of [["flag"], ["grade"], ["flag", "code", "grade"]]) {
      const codes = await fixture.open([
        index("codes", "codes", [scalar("id", "integer")], { key }),
      ]);
      const { ids } = await codes.builder.resolve(
        [{ table: ref("codes"), op: "upsert", key: ["1"] }, {
          table: ref("codes"),
          op: "upsert",
          key: ["2"],
        }],
        SIGNAL,
      );
      const { documents } = await codes.builder.build(ids, EPOCH, SIGNAL);
      deepEqual(documents.map(({ body }) => body).sort(), ['{"id":1}', '{"id":2}']);
    }
  });

  test("a partitioned table and a view are roots like any other", async () => {
    const parted = await fixture.open([index("parted", "parted", [scalar("v")])]);
    deepEqual(await parted.read(["1", "2025-05-05"], ["1", "2024-05-05"], ["1", "2026-01-01"]), [
      { v: "b" },
      { v: "a" },
      undefined,
    ]);
    const shown = await fixture.open([index("shown", "shown", [
      scalar("name"),
      relation("hasMany", "reports", "staff", ["boss"], [scalar("id", "integer")]),
    ], { key: ["id"] })]);
    deepEqual(await shown.read("2", "4"), [{ name: "BEA", reports: [{ id: 4 }] }, undefined]);
  });

  test("a junction without a key leads by the columns that it is joined by", async () => {
    await fixture.db.sql.unsafe(`
      CREATE TABLE loose (a int, b int, note text);
      INSERT INTO loose VALUES (1, 2, 'x'), (1, 2, 'y'), (1, 3, 'z'), (NULL, 4, 'n')`);
    const staff = await fixture.open([index("staff", "staff", [
      relation("manyToMany", "friends", "staff", [], [scalar("name")], {
        through: { table: ref("loose"), leftKey: ["a"], rightKey: ["b"] },
      }),
    ])]);
    deepEqual(await staff.read("1", "2"), [
      { friends: [{ name: "Bea" }, { name: "Cal" }] },
      { friends: [] },
    ]);
    const captured = captureTables(staff.prepared.plans, staff.prepared.catalog);
    deepEqual(captured.find(({ table }) => table.name === "loose")?.key, ["a"]);
    deepEqual(await staff.resolve("loose", [["1"], ["7"]]), ["staff:1", "staff:7"]);
    deepEqual(await staff.resolve("staff", [["2"]]), ["staff:1", "staff:2"]);
  });

  test("filters mean what SQL means, in the column's own type", async () => {
    const ids = async (
      ...where: Parameters<typeof index>[3] extends infer T
        ? T extends { where?: infer W } ? W extends readonly (infer F)[] ? F[] : never : never
        : never
    ) => {
      const open = await fixture.open([index("f", "f", [scalar("id", "integer")], { where })]);
      return (await open.read("1", "2", "3", "4")).flatMap((doc) =>
        doc === undefined ? [] : [(doc as { id: Json }).id]
      );
    };
    deepEqual(await ids(compare("s", "eq", "paid")), [2, 4]);
    deepEqual(await ids(compare("s", "gt", "new")), [2, 3, 4]);
    deepEqual(await ids(compare("n", "neq", 5)), [1, 4]);
    deepEqual(await ids(compare("n", "between", 1, 5)), [1, 2]);
    deepEqual(await ids(compare("n", "lte", "5"), compare("n", "gte", 5)), [2]);
    deepEqual(await ids(compare("n", "in", 9, 1)), [1, 4]);
    deepEqual(await ids(compare("s", "notIn", "new", "void")), [2, 4]);
    deepEqual(await ids(compare("n", "in")), []);
    deepEqual(await ids(compare("t", "like", "a%c")), [1, 2]);
    deepEqual(await ids(compare("t", "ilike", "AX_")), [2]);
    deepEqual(await ids(compare("s", "like", "p%")), [2, 4]);
    deepEqual(await ids(compare("t", "eq", "a' OR true --")), []);
    deepEqual(await ids(compare("d", "lt", "2024-03-01T00:00:00Z")), [1]);
    deepEqual(await ids(compare("t", "isNull")), [3]);
    deepEqual(await ids(compare("t", "isNotNull")), [1, 2, 4]);
    deepEqual(await ids(compare("gone", "eq", true)), [3]);
    deepEqual(await ids(compare("tags", "eq", "{a,b}")), [1]);
    deepEqual(await ids({ kind: "sql", sql: "'b' = ANY (tags)" }), [1, 4]);
    deepEqual(
      await ids({
        kind: "any",
        filters: [
          compare("n", "eq", 1),
          { kind: "all", filters: [compare("s", "eq", "paid"), compare("n", "gt", 5)] },
        ],
      }),
      [1, 4],
    );
    deepEqual(await ids({ kind: "any", filters: [] }), []);
    deepEqual(await ids({ kind: "all", filters: [] }), [1, 2, 3, 4]);
  });

  test("a soft delete is a true flag, a filled column, or filters that hold", async () => {
    const left = async (softDelete: NonNullable<Parameters<typeof index>[3]>["softDelete"]) => {
      const more = softDelete === undefined ? {} : { softDelete };
      const open = await fixture.open([index("f", "f", [scalar("id", "integer")], more)]);
      return (await open.read("1", "2", "3", "4")).map((doc) => doc !== undefined);
    };
    deepEqual(await left({ kind: "column", column: "gone" }), [true, true, false, true]);
    deepEqual(await left({ kind: "column", column: "t" }), [false, false, true, false]);
    deepEqual(await left({ kind: "when", filters: [compare("n", "gt", 4)] }), [
      true,
      false,
      true,
      false,
    ]);
  });

  test("a version is the epoch above the position, and rises when something was written", async () => {
    const wide = await fixture.open([index("wide", "wide", [scalar("id", "integer")])]);
    const version = async () => (await wide.build("1")).documents[0]?.version ?? 0n;
    const first = await version();
    equal(first >> 55n, 1n);
    await wide.builder.advancePosition(SIGNAL);
    const second = await version();
    ok(second > first, `${second} > ${first}`);
    const id = wide.builder.identify("wide", ["1"]);
    for (const other of [{ ...EPOCH, timeline: 2 }, { ...EPOCH, kind: "replay" as const }]) {
      await rejects(
        wide.builder.build([id], other, SIGNAL),
        (error) => error instanceof RetryableError && error.code === "EPOCH_CHANGED",
      );
    }
    const clock = await wide.builder.build([id], { number: 3, timeline: 0, kind: "clock" }, SIGNAL);
    equal((clock.documents[0]?.version ?? 0n) >> 55n, 3n);
  });

  test("the position is read before the snapshot: a commit between them is in the document", async () => {
    await fixture.db.sql.unsafe(
      "CREATE TABLE raced (id int PRIMARY KEY, n int); INSERT INTO raced VALUES (1, 1)",
    );
    const { plans, catalog } = await fixture.prepare([
      index("raced", "raced", [scalar("n", "integer")]),
    ]);
    let commits = 0;
    const database: Database = {
      ...fixture.database,
      // One at a time, with a commit behind the first: the widest gap a sequence can have.
      async sequence(statements, signal) {
        const results: (readonly Row[])[] = [];
        for (const statement of statements) {
          results.push(await fixture.database.query(statement, signal));
          if (commits++ === 0) await fixture.db.sql.unsafe("UPDATE raced SET n = 2");
        }
        return results;
      },
    };
    const builder = openDocumentBuilder({ database, plans, catalog, maxDocumentBytes: 1 << 20 });
    const id = builder.identify("raced", ["1"]);
    const [first] = (await builder.build([id], EPOCH, SIGNAL)).documents;
    const [second] = (await builder.build([id], EPOCH, SIGNAL)).documents;
    equal(first?.body, '{"n":2}');
    // The commit lies above the version that was read before it: a later build may overwrite.
    ok((second?.version ?? 0n) > (first?.version ?? 0n));
  });

  test("a table that changed under its plan asks for a new one", async () => {
    await fixture.db.sql.unsafe("CREATE TABLE moved (id int PRIMARY KEY, a text)");
    const moved = await fixture.open([index("moved", "moved", [scalar("a")])]);
    await moved.build("1");
    await fixture.db.sql.unsafe("ALTER TABLE moved RENAME a TO b");
    await rejects(
      moved.build("1"),
      (error) => error instanceof RetryableError && error.code === "SCHEMA_CHANGED",
    );
  });

  test("a chunk that takes longer than a statement may is built in halves", async () => {
    await fixture.db.sql.unsafe(`
      CREATE FUNCTION slowly(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN PERFORM pg_sleep(0.05); RETURN $1; END $$`);
    const many = index("poison", "poison", [scalar("id", "integer", { sql: "slowly(id)" })]);
    const { plans, catalog } = await fixture.prepare([many]);
    await using database = openDatabase({
      url: fixture.db.readerUrl,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/test-slow",
      statementTimeoutMs: 1_500,
    });
    const builder = openDocumentBuilder({ database, plans, catalog, maxDocumentBytes: 1 << 20 });
    const ids = Array.from({ length: 40 }, (_, at) => builder.identify("poison", [String(at + 1)]));
    const { documents } = await builder.build(ids, EPOCH, SIGNAL);
    deepEqual(documents.map(({ body }) => body), ids.map(({ id }) => `{"id":${id}}`));
  });

  test("an abort ends a build with the signal's reason", async () => {
    const wide = await fixture.open([index("wide", "wide", [
      scalar("body", "text", { sql: "body || repeat('x', 10)" }),
    ])]);
    const stop = new AbortController();
    const reason = new Error("enough");
    const id = wide.builder.identify("wide", ["1"]);
    stop.abort(reason);
    await rejects(wide.builder.build([id], EPOCH, stop.signal), reason);
  });
});
