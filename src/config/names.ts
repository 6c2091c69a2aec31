import * as v from "valibot";
import type { TableRef } from "../core/table.ts";
import { say } from "./issue_text.ts";
import { text } from "./units.ts";

/** A table: `"users"`, `"crm.orders"`, `"crm.\"odd.name\""`, or `{"schema", "table"}`. */
export const table: v.GenericSchema<unknown, TableRef> = v.lazy((input) => {
  if (input === undefined) return TABLE;
  return typeof input === "object" && input !== null ? tableParts : tableText;
});

/** One column name. */
export const column: v.GenericSchema<unknown, string> = text("a column name");

/** One column name or a list of them, as a list. */
export const columns: v.GenericSchema<unknown, readonly string[]> = v.lazy((input) => {
  if (input === undefined) return COLUMNS;
  return Array.isArray(input) ? columnList : columnAlone;
});

/** The name of a field of a document. */
export const fieldName: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.check(
    (name) => name !== "" && !name.includes(".") && name.trim() === name,
    say(
      "INVALID_NAME",
      "A field's name can't be empty, hold a dot, or begin or end with a space",
      'Group fields with {"object": {…}} instead of a dotted name.',
    ),
  ),
  v.check(
    (name) => !RESERVED_FIELDS.has(name),
    say("INVALID_NAME", "This name is reserved for the index's own bookkeeping", "Rename it."),
  ),
);

/** Splits a table's text form; undefined when it isn't one. Names are taken verbatim. */
export function parseTable(name: string): TableRef | undefined {
  const parts: string[] = [];
  let rest = name;
  for (;;) {
    const match = /^(?:"((?:[^"]|"")+)"|([^".]+))/.exec(rest);
    if (match === null) return undefined;
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    rest = rest.slice(match[0].length);
    if (rest === "") break;
    if (!rest.startsWith(".")) return undefined;
    rest = rest.slice(1);
  }
  const [first, second, ...more] = parts;
  if (first === undefined || more.length > 0) return undefined;
  return second === undefined ? { schema: "public", name: first } : { schema: first, name: second };
}

/** What is said of a text that doesn't name a table. */
export const NOT_A_TABLE: string = say(
  "INVALID_VALUE",
  "Expected a table's name",
  'Write "users", "crm.orders", or "crm.\\"odd.name\\"" when the name holds a dot.',
);

const tableText = v.pipe(
  v.string(NOT_A_TABLE),
  v.rawTransform(({ dataset, addIssue, NEVER }): TableRef => {
    const parsed = parseTable(dataset.value);
    if (parsed !== undefined) return parsed;
    addIssue({ message: NOT_A_TABLE });
    return NEVER;
  }),
);
const tableParts = v.pipe(
  v.strictObject({
    schema: v.optional(text("a schema name"), "public"),
    table: text("a table name"),
  }),
  v.transform(({ schema, table }): TableRef => ({ schema, name: table })),
);
/** What `table` is for an editor. */
export const TABLE: v.GenericSchema<unknown, TableRef> = v.union([tableText, tableParts]);

const columnAlone = v.pipe(
  v.string(
    say("INVALID_VALUE", "Expected a column name or a list of them", 'Like "id" or ["a", "b"].'),
  ),
  v.nonEmpty(say("INVALID_VALUE", "A column name can't be empty", "Name a column.")),
  v.transform((name): readonly string[] => [name]),
);
const columnList = v.pipe(
  v.array(column),
  v.nonEmpty(say("INVALID_VALUE", "A list of columns can't be empty", "Name a column.")),
);
/** What `columns` is for an editor. */
export const COLUMNS: v.GenericSchema<unknown, readonly string[]> = v.union([
  columnAlone,
  columnList,
]);

const RESERVED_FIELDS = new Set([
  "_sync",
  "_id",
  "_index",
  "_source",
  "_type",
  "_routing",
  "_version",
  "_seq_no",
  "_primary_term",
  "_field_names",
  "_ignored",
  "_size",
  "_tier",
]);
