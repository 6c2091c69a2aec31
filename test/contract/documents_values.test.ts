import { deepEqual, equal, notEqual } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Fixture, index, openFixture, scalar } from "./documents_fixture.ts";
import { valueTable } from "./documents_value_cases.ts";

const DDL = `
CREATE TYPE part AS (a int);
CREATE TABLE parts (id int PRIMARY KEY, part part);
CREATE TABLE k (id int PRIMARY KEY, real4 real[], real8 float8[], exact numeric[], whole int[], pg ext.vector(3), half ext.halfvec);
INSERT INTO k VALUES (1, '{0.1,2,-3}', '{0.1,2,-3}', '{0.10,2,-3}', '{1,2,3}', '[0.1,2,-3]', '[1,2,3]'),
  (2, '{}', '{}', '{}', '{}', NULL, NULL), (3, '{NaN,1}', '{Infinity}', '{NaN}', '{NULL}', NULL, NULL);
CREATE TABLE geo (id int PRIMARY KEY, lat numeric, lon float8, at point);
INSERT INTO geo VALUES (1, 52.520, 13.5, '(13.5,52.52)'), (2, NULL, 1, NULL), (3, 1, 'NaN', '(Infinity,1)');
CREATE TABLE w (id int PRIMARY KEY, name text, tags text[], n int, price numeric(9,2), note json);
INSERT INTO w VALUES (1, '  Ünï ', '{" A ",B,NULL}', NULL, NULL, NULL), (2, NULL, NULL, 5, 1, '{}'), (3, 'x', '{}', 0, 0, '1');
`;

/** Types of pg_catalog, arrays apart, that no column of table v has, nor the elements of one. */
const EVERY_TYPE = `
SELECT t.typname AS name FROM pg_type t
WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm', 'e', 'd')
  AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  AND NOT EXISTS (
    SELECT FROM pg_attribute a JOIN pg_type c ON c.oid = a.atttypid
    WHERE a.attrelid = 'public.v'::regclass AND a.attnum > 0 AND t.oid IN (c.oid, c.typelem))
ORDER BY 1`;

/** Kept by the server for itself: their input functions refuse every value, so no row holds one. */
const WITHOUT_INPUT: ReadonlySet<string> = new Set([
  "gtsvector",
  "pg_brin_bloom_summary",
  "pg_brin_minmax_multi_summary",
  "pg_dependencies",
  "pg_mcv_list",
  "pg_ndistinct",
  "pg_node_tree",
]);

for (const major of [18, 15] as const) {
  describe(`values on Postgres ${major}`, () => {
    const table = valueTable(major);
    let fixture: Fixture;
    before(async () => {
      fixture = await openFixture(`${table.ddl}\n${DDL}`, major);
    });
    after(() => fixture[Symbol.asyncDispose]());

    test("every type becomes the JSON text that a sink accepts, on one line", async () => {
      const open = await fixture.open([index("v", "v", table.fields)]);
      const { documents, rejections } = await open.build(...table.expected.keys());
      deepEqual(rejections, []);
      for (const { id, body } of documents) {
        equal(body?.includes("\n"), false);
        // Field by field first: a difference of two long lines says little.
        const [is, wanted] = [fieldsOf(body ?? ""), fieldsOf(table.expected.get(id) ?? "")];
        for (const [name, json] of wanted) equal(is.get(name), json, `row ${id}, ${name}`);
        equal(body, table.expected.get(id));
      }
    });

    test("no type that a column can have is missing from the matrix", async () => {
      const rows = await fixture.db.sql.unsafe<{ name: string }[]>(EVERY_TYPE);
      const missing = rows.map(({ name }) => name).filter((name) => !WITHOUT_INPUT.has(name));
      deepEqual(missing, []);
    });

    test("a composite type with another attribute is another fingerprint", async () => {
      const fingerprint = async () => {
        const { plans } = await fixture.prepare([
          index("parts", "parts", [scalar("part", "json")]),
        ]);
        return plans[0]?.fingerprint;
      };
      const before = await fingerprint();
      equal(await fingerprint(), before);
      await fixture.db.sql.unsafe("ALTER TYPE part RENAME ATTRIBUTE a TO b");
      notEqual(await fingerprint(), before);
    });

    test("a vector is a list of numbers, and an empty one is none", async () => {
      const columns = ["real4", "real8", "exact", "whole", "pg", "half"];
      const open = await fixture.open([
        index("k", "k", columns.map((name) => scalar(name, "knn_vector", { dimension: 3 }))),
      ]);
      const { documents } = await open.build("1", "2", "3");
      deepEqual(documents.map(({ body }) => body?.replaceAll(", ", ",")), [
        '{"real4":[0.1,2,-3],"real8":[0.1,2,-3],"exact":[0.10,2,-3],"whole":[1,2,3],"pg":[0.1,2,-3],"half":[1,2,3]}',
        '{"real4":null,"real8":null,"exact":null,"whole":null,"pg":null,"half":null}',
        // No number to search by: the sink refuses it, as it does one of another length.
        '{"real4":[null,1],"real8":[null],"exact":[null],"whole":[null],"pg":null,"half":null}',
      ]);
    });

    test("points come from two columns or one, and half a point is none", async () => {
      const open = await fixture.open([index("geo", "geo", [
        { kind: "geo_point", name: "pair", from: { kind: "pair", lat: "lat", lon: "lon" } },
        { kind: "geo_point", name: "one", from: { kind: "column", column: "at" } },
      ])]);
      deepEqual(await open.read("1", "2", "3"), [
        { pair: { lat: 52.52, lon: 13.5 }, one: { lat: 52.52, lon: 13.5 } },
        { pair: null, one: null },
        { pair: null, one: null },
      ]);
    });

    test("transforms and sql run in the database, in order", async () => {
      const open = await fixture.open([index("w", "w", [
        scalar("name", "keyword", { transforms: ["lowercase", "trim", { default: "none" }] }),
        scalar("tags", "keyword", { transforms: ["trim", "lowercase"] }),
        scalar("n", "integer", { transforms: [{ default: 7 }] }),
        scalar("price", "double", { transforms: [{ default: 9.5 }] }),
        scalar("note", "json", { transforms: [{ default: { a: [1] } }] }),
        scalar("upper", "keyword", { sql: "upper(btrim(name)) || '!'" }),
        scalar("parts", "keyword", { sql: "string_to_array(btrim(name), 'n')" }),
        scalar("double", "long", { sql: "n * 2::bigint" }),
        scalar("year", "integer", {
          sql: "extract(year FROM date '2024-05-06' + coalesce(n, 0))::int",
        }),
        scalar("day", "date", { sql: "date '2024-05-06' + n" }),
        scalar("huge", "double", { sql: "'Infinity'::float8" }),
      ])]);
      deepEqual(await open.read("1", "2", "3"), [
        {
          name: "ünï",
          tags: ["a", "b", null],
          n: 7,
          price: 9.5,
          note: { a: [1] },
          upper: "ÜNÏ!",
          parts: ["Ü", "ï"],
          double: null,
          year: 2024,
          day: null,
          huge: null,
        },
        {
          name: "none",
          tags: null,
          n: 5,
          price: 1,
          note: {},
          upper: null,
          parts: null,
          double: 10,
          year: 2024,
          day: "2024-05-11",
          huge: null,
        },
        {
          name: "x",
          tags: [],
          n: 0,
          price: 0,
          note: 1,
          upper: "X!",
          parts: ["x"],
          double: 0,
          year: 2024,
          day: "2024-05-06",
          huge: null,
        },
      ]);
    });
  });
}

/** The JSON text of each field, cut where the next field's name begins. */
function fieldsOf(body: string): ReadonlyMap<string, string> {
  const parts = body.slice(1, -1).split(/,?"(c\d+_\d+)":/).slice(1);
  return new Map(parts.flatMap((name, at) => at % 2 === 0 ? [[name, parts[at + 1] ?? ""]] : []));
}
