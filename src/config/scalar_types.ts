import * as v from "valibot";
import { nearest } from "../core/nearest.ts";
import type { ScalarType } from "../core/description.ts";
import { say } from "./issue_text.ts";

/** The types of a field made of a column or an expression of the row itself. */
export const SCALAR_TYPES: readonly ScalarType[] = [
  "text",
  "keyword",
  "identifier",
  "enum",
  "uuid",
  "boolean",
  "short",
  "integer",
  "long",
  "unsigned_long",
  "float",
  "double",
  "decimal",
  "date",
  "date_nanos",
  "json",
  "map",
  "ip",
  "wildcard",
  "match_only_text",
  "search_as_you_type",
  "completion",
  "binary",
  "geo_shape",
  "integer_range",
  "long_range",
  "float_range",
  "double_range",
  "date_range",
  "ip_range",
  "knn_vector",
  "custom",
];

/** What has a form of its own beside the scalar types. */
export const OTHER_TYPES = ["geo_point", "constant"] as const;

/** Types that are nothing without another key, each with what to write. */
const NEEDS_MORE: Readonly<Record<string, string>> = {
  map: '{ "type": "map", "values": "keyword" }',
  custom: '{ "type": "custom", "mapping": { "type": "…" } }',
  constant: '{ "type": "constant", "value": "…" }',
};

/** The name of a type; those of `types` alone are taken, others are told what was likely meant. */
export function typeSchema<const T extends string>(
  types: readonly T[],
): v.GenericSchema<unknown, T> {
  return v.picklist(types, ({ input }) => {
    const list = `The types are ${[...SCALAR_TYPES, ...OTHER_TYPES].join(", ")}.`;
    if (typeof input !== "string") {
      return say("INVALID_VALUE", "Expected a field: a type's name or an object", list);
    }
    const more = Object.hasOwn(NEEDS_MORE, input) ? NEEDS_MORE[input] : undefined;
    if (more !== undefined) {
      return say("INVALID_VALUE", `The type "${input}" needs more than its name`, `Write ${more}.`);
    }
    const lower = input.toLowerCase();
    const other = Object.hasOwn(OTHER_NAMES, lower) ? OTHER_NAMES[lower] : undefined;
    if (other !== undefined) return unknown(input, `Did you mean ${other}?`);
    const near = nearest(input, [...SCALAR_TYPES, ...OTHER_TYPES]);
    return unknown(input, near === undefined ? list : `Did you mean "${near}"?`);
  });
}

/** The types that a text alone describes: the column has the field's name. */
export const SHORTHAND_TYPES: readonly (ScalarType | "geo_point")[] = [
  ...SCALAR_TYPES.filter((type) => !Object.hasOwn(NEEDS_MORE, type)),
  "geo_point",
];

function unknown(input: string, hint: string): string {
  return say("UNKNOWN_TYPE", `There is no type "${input}"`, hint);
}

/** What people write for a type that has another name here. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  string: '"text" for words, "keyword" for exact values',
  varchar: '"text" for words, "keyword" for exact values',
  citext: '"text" for words, "keyword" for exact values',
  int: '"integer"',
  int2: '"short"',
  int4: '"integer"',
  int8: '"long"',
  bigint: '"long"',
  smallint: '"short"',
  serial: '"integer"',
  number: '"double", "long" or "decimal"',
  numeric: '"decimal"',
  scaled_float: '"decimal" with "scale"',
  money: '"decimal"',
  real: '"float"',
  bool: '"boolean"',
  timestamp: '"date"',
  timestamptz: '"date"',
  datetime: '"date"',
  jsonb: '"json"',
  flat_object: '"json" with "as": "flat_object"',
  hstore: '"map"',
  inet: '"ip"',
  cidr: '"ip_range"',
  point: '"geo_point"',
  geometry: '"geo_shape", or "geo_point"',
  geography: '"geo_shape", or "geo_point"',
  bytea: '"binary"',
  vector: '"knn_vector"',
  dense_vector: '"knn_vector"',
  range: '"integer_range", "long_range", "float_range", "double_range", "date_range" or "ip_range"',
  int4range: '"integer_range"',
  int8range: '"long_range"',
  numrange: '"double_range"',
  daterange: '"date_range"',
  tsrange: '"date_range"',
  tstzrange: '"date_range"',
  object: '{ "object": { … } } for columns of the row, or "json"',
  nested: 'a relation with "mapping": "nested"',
};
