import type { FieldDescription, ScalarField } from "../../src/core/description.ts";
import { scalar } from "./documents_fixture.ts";
import type { MatrixCase, MatrixField } from "./type_matrix.ts";
import { NUMBERS } from "./type_matrix_numbers.ts";
import { STRUCTURES } from "./type_matrix_structures.ts";
import { TEXTS } from "./type_matrix_texts.ts";
import { TIMES } from "./type_matrix_times.ts";

/** The whole matrix: every type of column and every field that is tried with it. */
export const CASES: readonly MatrixCase[] = [...NUMBERS, ...TIMES, ...TEXTS, ...STRUCTURES];

/** What a server of a major version knows of it, as table `v`: a column for each case, a row for each value. */
export interface ValueTable {
  readonly ddl: string;
  /** Of index v over table v. */
  readonly fields: readonly FieldDescription[];
  /** Keys of the rows, and the document that each must become. */
  readonly expected: ReadonlyMap<string, string>;
  /** Searches: each finds at least the document of that key. */
  readonly finds: readonly {
    readonly key: string;
    readonly query: unknown;
    readonly what: string;
  }[];
}

export function valueTable(major: 18 | 15): ValueTable {
  const cases = CASES.map((each, at) => ({ ...each, name: `c${at}` }))
    .filter(({ since }) => since === undefined || since <= major);
  const depth = Math.max(...cases.map(({ values }) => values.length));
  const keys = Array.from({ length: depth }, (_, row) => String(row));
  const columns = cases.map(({ name, column }) => `${name} ${column}`);
  const rows = keys.map((key, row) => {
    const values = cases.map(({ values }) => values[row]?.[0] ?? "NULL");
    return `INSERT INTO v VALUES (${[key, ...values].join(", ")});`;
  });
  const documents = keys.map((key, row): [string, string] => {
    const parts = cases.flatMap(({ name, fields, values }) =>
      fields.map((_, at) => `"${name}_${at}":${values[row]?.[at + 1] ?? "null"}`)
    );
    return [key, `{${parts.join(",")}}`];
  });
  return {
    ddl: `${TYPES}\nCREATE TABLE v (id int PRIMARY KEY, ${columns.join(", ")});\n${
      rows.join("\n")
    }`,
    fields: cases.flatMap(({ name, fields }) =>
      fields.map((field, at) => fieldOf(`${name}_${at}`, name, field))
    ),
    expected: new Map(documents),
    finds: cases.flatMap(({ name, column, fields, find }) =>
      (find ?? []).map(([field, value, query]) => ({
        key: String(value),
        query: query(`${name}_${field}`),
        what: `${column} in ${JSON.stringify(fields[field])}, value ${value}`,
      }))
    ),
  };
}

function fieldOf(name: string, column: string, field: MatrixCase["fields"][number]): ScalarField {
  const { type, ...more }: MatrixField = typeof field === "string" ? { type: field } : field;
  return scalar(name, type, { column, ...more });
}

/**
 * Types of the test's own. Those in schema ext are as PostGIS and pgvector have them as far as our SQL
 * goes: its text is already what the function would give.
 */
const TYPES = `
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION isn; CREATE EXTENSION cube;
CREATE TYPE mood AS ENUM ('bad', 'so so', 'good');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN tags AS text[];
CREATE TYPE address AS (street text, zip int, days date[]);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE TYPE inetrange AS RANGE (subtype = inet);
CREATE TYPE timerange AS RANGE (subtype = time);
CREATE SCHEMA ext;
CREATE TABLE ext.other (id int);
${["vector", "halfvec", "geometry", "geography"].map(standIn).join("\n")}
CREATE FUNCTION ext.geometry(ext.geography) RETURNS ext.geometry LANGUAGE sql IMMUTABLE AS 'SELECT $1::text::ext.geometry';
CREATE CAST (ext.geography AS ext.geometry) WITH FUNCTION ext.geometry(ext.geography);
CREATE FUNCTION ext.st_isempty(ext.geometry) RETURNS bool LANGUAGE sql AS $$ SELECT $1::text = '' $$;
CREATE FUNCTION ext.st_geometrytype(ext.geometry) RETURNS text LANGUAGE sql AS $$ SELECT 'ST_Point' $$;
CREATE FUNCTION ext.st_srid(ext.geometry) RETURNS int LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION ext.st_curvetoline(ext.geometry) RETURNS ext.geometry LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION ext.st_transform(ext.geometry, int) RETURNS ext.geometry LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION ext.st_asgeojson(ext.geometry, int, int) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
`;

/** A base type that reads and prints like text, with one number as its modifier. */
function standIn(name: string): string {
  return `CREATE TYPE ext.${name};
CREATE FUNCTION ext.${name}_in(cstring) RETURNS ext.${name} LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION ext.${name}_out(ext.${name}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE FUNCTION ext.${name}_typmod(cstring[]) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'bittypmodin';
CREATE TYPE ext.${name} (INPUT = ext.${name}_in, OUTPUT = ext.${name}_out, TYPMOD_IN = ext.${name}_typmod, LIKE = text);`;
}
