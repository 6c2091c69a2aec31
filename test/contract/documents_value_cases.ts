import type { FieldDescription, ScalarType } from "../../src/core/description.ts";
import { scalar } from "./documents_fixture.ts";

/** A column's type, a field's type, and each value's SQL with the JSON text it must become. */
export interface Case {
  readonly column: string;
  readonly field: ScalarType;
  readonly values: readonly (readonly [sql: string, json: string])[];
}

export const CASES: readonly Case[] = [
  {
    column: "timestamptz",
    field: "date",
    values: [
      ["'2024-03-10 02:30:00.123456-05'", '"2024-03-10T07:30:00.123456+00:00"'],
      ["'infinity'", "null"],
      ["'-infinity'", "null"],
      ["NULL", "null"],
      ["'0044-03-15 12:00:00+00 BC'", '"-0043-03-15T12:00:00.000000+00:00"'],
      ["'0001-01-01 00:00:00+00 BC'", '"0000-01-01T00:00:00.000000+00:00"'],
      ["'10001-01-01 00:00:00+00'", '"+10001-01-01T00:00:00.000000+00:00"'],
      ["'9999-12-31 23:59:59.999999+00'", '"9999-12-31T23:59:59.999999+00:00"'],
    ],
  },
  {
    column: "timestamp(0)",
    field: "date_nanos",
    values: [["'2024-03-10 02:30:00'", '"2024-03-10T02:30:00"'], ["'infinity'", "null"]],
  },
  {
    column: "date",
    field: "date",
    values: [["'2024-02-29'", '"2024-02-29"'], ["'infinity'", "null"], [
      "'0044-03-15 BC'",
      '"-0043-03-15"',
    ]],
  },
  {
    column: "date[]",
    field: "date",
    values: [["'{2024-02-29,infinity,NULL}'", '["2024-02-29", null, null]'], ["'{}'", "[]"]],
  },
  {
    column: "timestamptz",
    field: "keyword",
    values: [["'2024-03-10 02:30:00-05'", '"2024-03-10T07:30:00+00:00"'], ["NULL", "null"]],
  },
  {
    column: "bigint",
    field: "long",
    values: [["9223372036854775807", "9223372036854775807"], ["-1", "-1"]],
  },
  { column: "bigint", field: "keyword", values: [["9007199254740993", '"9007199254740993"']] },
  { column: "smallint", field: "short", values: [["-32768", "-32768"]] },
  { column: "int[]", field: "integer", values: [["'{1,NULL,3}'", "[1,null,3]"], ["NULL", "null"]] },
  { column: "int[][]", field: "integer", values: [["'{{1,2},{3,4}}'", "[[1,2],[3,4]]"]] },
  {
    column: "numeric",
    field: "decimal",
    values: [
      ["12345678901234567890.123456789", "12345678901234567890.123456789"],
      ["1.10", "1.10"],
      ["'NaN'", "null"],
      ["'Infinity'", "null"],
      ["'-Infinity'", "null"],
    ],
  },
  { column: "numeric(12,2)", field: "double", values: [["0.1", "0.10"], ["'NaN'", "null"]] },
  {
    column: "numeric[]",
    field: "double",
    values: [["'{1.50,NaN,Infinity,NULL}'", "[1.50, null, null, null]"]],
  },
  {
    column: "numeric(20,0)",
    field: "unsigned_long",
    values: [["18446744073709551615", "18446744073709551615"]],
  },
  {
    column: "float8",
    field: "double",
    values: [["0.1", "0.1"], ["1e300", "1e+300"], ["'NaN'", "null"], ["'-Infinity'", "null"]],
  },
  { column: "float4", field: "float", values: [["0.1", "0.1"], ["'Infinity'", "null"]] },
  { column: "money", field: "decimal", values: [["'1234.50'", "1234.50"], ["'-0.05'", "-0.05"]] },
  { column: "boolean", field: "boolean", values: [["true", "true"], ["NULL", "null"]] },
  {
    column: "text",
    field: "text",
    values: [
      [
        `E'a"b\\\\c\\n\\t\\u0001 \\U0001F600 \\u200F'`,
        '"a\\"b\\\\c\\n\\t\\u0001 \u{1F600} \u200F"',
      ],
      ["''", '""'],
    ],
  },
  { column: "text[]", field: "keyword", values: [[`'{a,"b,c",NULL,""}'`, '["a","b,c",null,""]']] },
  { column: "char(5)", field: "keyword", values: [["'ab'", '"ab"']] },
  { column: "varchar(9)", field: "keyword", values: [["'Ab '", '"Ab "']] },
  { column: "citext", field: "keyword", values: [["'AbC'", '"AbC"']] },
  { column: "mood", field: "enum", values: [["'so so'", '"so so"']] },
  { column: "mood[]", field: "enum", values: [[`'{good,"so so"}'`, '["good","so so"]']] },
  { column: "positive", field: "integer", values: [["7", "7"]] },
  { column: "tags", field: "keyword", values: [["'{x,y}'", '["x","y"]']] },
  {
    column: "uuid",
    field: "uuid",
    values: [["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"']],
  },
  {
    column: "inet",
    field: "ip",
    values: [["'10.1.2.3/24'", '"10.1.2.3"'], ["'::1'", '"::1"'], ["NULL", "null"]],
  },
  { column: "inet", field: "keyword", values: [["'10.1.2.3/24'", '"10.1.2.3/24"']] },
  { column: "text", field: "ip", values: [["'192.168.0.1'", '"192.168.0.1"'], ["''", "null"]] },
  { column: "inet[]", field: "ip", values: [["'{10.0.0.1,::2}'", '["10.0.0.1", "::2"]']] },
  {
    column: "json",
    field: "json",
    values: [[`E'{"a":\\n 1.50,\\r\\n"b":[1,\\n2], "a": 2}'`, '{"a": 2, "b": [1, 2]}'], [
      "'null'",
      "null",
    ]],
  },
  {
    column: "jsonb",
    field: "json",
    values: [[`'{"x": "a\\nb"}'`, '{"x": "a\\nb"}'], ["'[]'", "[]"]],
  },
  { column: "jsonb[]", field: "json", values: [[`ARRAY['{"x":1}'::jsonb]`, '[{"x": 1}]']] },
  { column: "hstore", field: "json", values: [["'a=>1,b=>NULL'", '{"a": "1", "b": null}']] },
  { column: "json", field: "keyword", values: [[`E'{"a":\\n1}'`, '"{\\"a\\":\\n1}"']] },
  {
    column: "bytea",
    field: "keyword",
    values: [["decode(repeat('ff', 60), 'hex')", `"${"/".repeat(80)}"`], ["''", '""']],
  },
  {
    column: "interval",
    field: "keyword",
    values: [["'1 year 2 days 03:04:05.5'", '"P1Y2DT3H4M5.5S"']],
  },
  { column: "time", field: "keyword", values: [["'03:04:05.006'", '"03:04:05.006"']] },
  { column: "int4range", field: "keyword", values: [["'[1,5)'", '"[1,5)"']] },
  { column: "ltree", field: "keyword", values: [["'a.b.c'", '"a.b.c"']] },
  { column: "point", field: "keyword", values: [["'(1,2)'", '"(1,2)"']] },
];

const NAMES = CASES.map((_, at) => `c${at}`);
export const DEPTH: number = Math.max(...CASES.map(({ values }) => values.length));
/** Table `v`: a column for each case, a row for each depth, keyed from 0. */
export const VALUES_DDL: string = `
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('bad', 'so so', 'good');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN tags AS text[];
CREATE TABLE v (id int PRIMARY KEY, ${
  CASES.map(({ column }, at) => `c${at} ${column}`).join(", ")
});
${
  Array.from({ length: DEPTH }, (_, row) => {
    const values = CASES.map(({ values }) => values[row]?.[0] ?? "NULL");
    return `INSERT INTO v VALUES (${[row, ...values].join(", ")});`;
  }).join("\n")
}
`;

/** A field for each case, all of one index. */
export const VALUE_FIELDS: readonly FieldDescription[] = NAMES.map((name, at) =>
  scalar(name, CASES[at]?.field)
);
