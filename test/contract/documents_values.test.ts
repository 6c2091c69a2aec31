import { deepEqual, equal } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openDatabase } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { prepareDocuments } from "../../src/postgres/documents/prepare.ts";
import { EPOCH, type Fixture, index, openFixture, scalar, SIGNAL } from "./documents_fixture.ts";
import { CASES, DEPTH, VALUE_FIELDS, VALUES_DDL } from "./documents_value_cases.ts";

const DDL = `${VALUES_DDL}
CREATE TABLE geo (id int PRIMARY KEY, lat numeric, lon float8, at point);
INSERT INTO geo VALUES (1, 52.520, 13.5, '(13.5,52.52)'), (2, NULL, 1, NULL), (3, 1, 'NaN', '(Infinity,1)');
CREATE TABLE w (id int PRIMARY KEY, name text, tags text[], n int, price numeric(9,2), note json);
INSERT INTO w VALUES (1, '  Ünï ', '{" A ",B,NULL}', NULL, NULL, NULL), (2, NULL, NULL, 5, 1, '{}'), (3, 'x', '{}', 0, 0, '1');
`;

for (const major of [18, 15] as const) {
  describe(`values on Postgres ${major}`, () => {
    let fixture: Fixture;
    before(async () => {
      fixture = await openFixture(DDL, major);
    });
    after(() => fixture[Symbol.asyncDispose]());

    test("every type becomes the JSON text that a sink accepts, on one line", async () => {
      const open = await fixture.open([index("v", "v", VALUE_FIELDS)]);
      const { documents } = await open.build(
        ...Array.from({ length: DEPTH }, (_, at) => String(at)),
      );
      for (const [row, { body }] of documents.entries()) {
        const parts = CASES.map(({ values }, at) => `"c${at}":${values[row]?.[1] ?? "null"}`);
        equal(body, `{${parts.join(",")}}`);
        equal(body?.includes("\n"), false);
        JSON.parse(body ?? "");
      }
    });

    test("the defaults of the role and the database don't show in a document", async () => {
      const plain = await fixture.open([index("v", "v", VALUE_FIELDS)]);
      const keys = Array.from({ length: DEPTH }, (_, at) => String(at));
      const expected = (await plain.build(...keys)).documents.map(({ body }) => body);
      const { db } = fixture;
      const role = `"${db.readerRole}"`;
      const odd = {
        DateStyle: "German",
        TimeZone: "America/Chicago",
        IntervalStyle: "sql_standard",
        extra_float_digits: "0",
        bytea_output: "escape",
        search_path: "pg_catalog",
      };
      for (const [name, value] of Object.entries(odd)) {
        await db.sql.unsafe(`ALTER ROLE ${role} SET ${name} = '${value}'`);
        await db.sql.unsafe(`ALTER DATABASE "${db.name}" SET ${name} = '${value}'`);
      }
      await using database = openDatabase({
        url: db.readerUrl,
        pooler: "none",
        rowSecurity: "refuse",
        maxConnections: 1,
        applicationName: "driftless/test-odd",
        statementTimeoutMs: 60_000,
      });
      const { plans, catalog } = await prepareDocuments(
        database,
        [
          index("v", "v", VALUE_FIELDS),
        ],
        { rowSecurity: "refuse" },
        SIGNAL,
      );
      const builder = openDocumentBuilder({ database, plans, catalog, maxDocumentBytes: 1 << 20 });
      const built = await builder.build(
        keys.map((key) => builder.identify("v", [key])),
        EPOCH,
        SIGNAL,
      );
      deepEqual(built.documents.map(({ body }) => body), expected);
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
