import { deepEqual, equal } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import type { FieldDescription } from "../../src/core/description.ts";
import { openDatabase } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { prepareDocuments } from "../../src/postgres/documents/prepare.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { EPOCH, index, scalar, SIGNAL } from "./documents_fixture.ts";
import { valueTable } from "./documents_value_cases.ts";

/** Each of them changes how a value of the matrix or of EXPRESSIONS is read or printed. */
const ODD: Readonly<Record<string, string>> = {
  DateStyle: "German, DMY",
  TimeZone: "America/Chicago",
  IntervalStyle: "sql_standard",
  extra_float_digits: "-15",
  bytea_output: "escape",
  search_path: "ext, pg_catalog",
  lc_monetary: "POSIX",
  lc_numeric: "POSIX",
  lc_time: "POSIX",
  timezone_abbreviations: "Australia",
  standard_conforming_strings: "off",
  backslash_quote: "off",
  transform_null_equals: "on",
  array_nulls: "off",
  quote_all_identifiers: "on",
  xmloption: "document",
  xmlbinary: "hex",
  default_text_search_config: "pg_catalog.english",
};

/** Pieces of sql whose value hangs on a setting, and the JSON text each must give. */
const EXPRESSIONS: readonly (readonly [sql: string, json: string])[] = [
  ["'a\\n'", '"a\\\\n"'],
  ["E'it\\'s'", '"it\'s"'],
  ["id = NULL", "null"],
  ["'{NULL,x}'::text[]", '[null,"x"]'],
  ["('public.v'::text)::regclass::text", '"v"'],
  ["('a<b/>'::text)::xml::text", '"a<b/>"'],
  ["xmlelement(name a, decode('ff', 'hex'))::text", '"<a>/w==</a>"'],
  ["to_tsvector('the cats'::text)::text", `"'cats':2 'the':1"`],
  ["('2024-02-03 00:00 EST'::text)::timestamptz::text", '"2024-02-03 05:00:00+00"'],
  ["('01.02.2024'::text)::date::text", '"2024-01-02"'],
  ["('2024-02-03'::text)::timestamptz::text", '"2024-02-03 00:00:00+00"'],
];

for (const major of [18, 15] as const) {
  describe(`session settings on Postgres ${major}`, () => {
    const table = valueTable(major);
    const fields: readonly FieldDescription[] = [
      ...table.fields,
      ...EXPRESSIONS.map(([sql], at) => {
        const type = sql.startsWith("id =") ? "boolean" : "keyword";
        return scalar(`e${at}`, type, { sql });
      }),
    ];
    const tail = EXPRESSIONS.map(([, json], at) => `,"e${at}":${json}`).join("");
    let db: TestDatabase;
    before(async () => {
      db = await createDatabase(table.ddl, major);
    });
    after(() => db[Symbol.asyncDispose]());

    async function compare(url: string, pooler: "none" | "transaction"): Promise<void> {
      await using database = openDatabase({
        url,
        pooler,
        rowSecurity: "refuse",
        maxConnections: 1,
        applicationName: `driftless/test-${crypto.randomUUID()}`,
        statementTimeoutMs: 120_000,
      });
      const { plans, catalog, problems } = await prepareDocuments(
        database,
        [index("v", "v", fields)],
        { rowSecurity: "refuse" },
        SIGNAL,
      );
      deepEqual(problems.filter(({ severity }) => severity === "error"), []);
      const builder = openDocumentBuilder({
        database,
        plans,
        catalog,
        maxDocumentBytes: 10 << 20,
      });
      const ids = [...table.expected.keys()].map((key) => builder.identify("v", [key]));
      const { documents, rejections } = await builder.build(ids, EPOCH, SIGNAL);
      deepEqual(rejections, []);
      equal(documents.length, table.expected.size);
      for (const { id, body } of documents) {
        equal(body, `${table.expected.get(id)?.slice(0, -1)}${tail}}`);
      }
    }

    async function alter(what: string, how: (name: string, value: string) => string) {
      for (const [name, value] of Object.entries(ODD)) {
        await db.sql.unsafe(`ALTER ${what} ${how(name, value)}`);
      }
    }

    test("no default of the database or the role shows in a document", async () => {
      await compare(db.readerUrl, "none");
      const set = (name: string, value: string) =>
        `SET ${name} = ${name === "search_path" ? value : `'${value}'`}`;
      await alter(`DATABASE "${db.name}"`, set);
      await compare(db.readerUrl, "none");
      await alter(`ROLE "${db.readerRole}"`, set);
      await compare(db.readerUrl, "none");
      await alter(`DATABASE "${db.name}"`, (name) => `RESET ${name}`);
      await alter(`ROLE "${db.readerRole}"`, (name) => `RESET ${name}`);
    });

    test("nor does what another client of the pooler left on the session", async () => {
      await using bouncer = await startPgBouncer(db.readerUrl, { poolSize: 1 });
      const other = postgres(bouncer.url, { max: 1, prepare: false, fetch_types: false });
      try {
        for (const [name, value] of Object.entries(ODD)) {
          await other.unsafe(`SELECT set_config('${name}', '${value}', false)`).simple();
        }
      } finally {
        await other.end();
      }
      const third = postgres(bouncer.url, { max: 1, prepare: false, fetch_types: false });
      try {
        const [row] = await third.unsafe("SHOW IntervalStyle").simple();
        deepEqual(Object.values(row ?? {}), ["sql_standard"], "the one session is as it was left");
      } finally {
        await third.end();
      }
      await compare(bouncer.url, "transaction");
    });
  });
}
