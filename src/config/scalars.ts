import * as v from "valibot";
import type { FieldDescription, ScalarType, Transform } from "../core/description.ts";
import { notSupported, say } from "./issue_text.ts";
import { jsonValue, keysOf } from "./json_value.ts";
import { column } from "./names.ts";
import { nearest } from "../core/nearest.ts";
import { later, text, whole, word } from "./units.ts";

/** A field that doesn't know its name yet: the name is its key in `fields`. */
export type Unnamed = (name: string) => FieldDescription;

/** The types of a scalar field that this release maps. */
const SCALAR_TYPES: readonly ScalarType[] = [
  "text",
  "keyword",
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
  "ip",
  "wildcard",
  "match_only_text",
  "search_as_you_type",
];
const LATER_TYPES = new Set([
  "identifier",
  "binary",
  "map",
  "geo_shape",
  "integer_range",
  "long_range",
  "float_range",
  "double_range",
  "date_range",
  "ip_range",
  "range",
  "completion",
  "knn_vector",
  "constant",
  "custom",
]);
/** What people write for a type that has another name here. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  string: '"text" for words, "keyword" for exact values',
  varchar: '"text" for words, "keyword" for exact values',
  int: '"integer"',
  int2: '"short"',
  int4: '"integer"',
  int8: '"long"',
  bigint: '"long"',
  smallint: '"short"',
  serial: '"integer"',
  number: '"double", "long" or "decimal"',
  numeric: '"decimal"',
  money: '"decimal"',
  real: '"float"',
  bool: '"boolean"',
  timestamp: '"date"',
  timestamptz: '"date"',
  datetime: '"date"',
  jsonb: '"json"',
  inet: '"ip"',
  point: '"geo_point"',
};

/** The name of a type, scalar or geo_point. */
function typeSchema<const T extends string>(types: readonly T[]): v.GenericSchema<unknown, T> {
  return v.picklist(types, ({ input }) => {
    const list = `The types are ${types.join(", ")}.`;
    if (typeof input !== "string") {
      return say("INVALID_VALUE", "Expected a field: a type's name or an object", list);
    }
    if (LATER_TYPES.has(input)) return notSupported(`The type "${input}"`, list);
    const lower = input.toLowerCase();
    const other = Object.hasOwn(OTHER_NAMES, lower) ? OTHER_NAMES[lower] : undefined;
    const near = nearest(input, types);
    const meant = other ?? (near === undefined ? undefined : `"${near}"`);
    const hint = meant === undefined ? list : `Did you mean ${meant}?`;
    return say("UNKNOWN_TYPE", `There is no type "${input}"`, hint);
  });
}

/** `"text"`: a type, of the column that has the field's name. */
export const shorthand: v.GenericSchema<unknown, Unnamed> = v.pipe(
  typeSchema([...SCALAR_TYPES, "geo_point"]),
  v.transform((type): Unnamed => (name) => {
    const from = { kind: "column", column: name } as const;
    return type === "geo_point"
      ? { kind: "geo_point", name, from }
      : { kind: "scalar", name, type, from, transforms: [] };
  }),
);

const transform: v.GenericSchema<unknown, Transform> = v.lazy((input) => {
  if (input === undefined) return TRANSFORM;
  return typeof input === "object" && input !== null ? defaultTransform : wordTransform;
});
const wordTransform = word(["lowercase", "trim"]);
const defaultTransform = v.strictObject({ default: jsonValue });
/** What one of `transforms` is for an editor. */
export const TRANSFORM: v.GenericSchema<unknown, Transform> = v.union([
  wordTransform,
  defaultTransform,
]);

const plain = v.pipe(
  v.strictObject({
    type: v.pipe(typeSchema(SCALAR_TYPES), v.description("How the value is searched.")),
    column: v.exactOptional(
      v.pipe(column, v.description("The column; default: the field's name.")),
    ),
    sql: v.exactOptional(v.pipe(
      text("an SQL expression over the row's own columns"),
      v.description("An SQL expression over the row's own columns, in place of a column."),
    )),
    transforms: v.exactOptional(v.pipe(
      v.array(transform),
      v.description('In order: "lowercase", "trim", {"default": value}.'),
    )),
    scale: v.exactOptional(v.pipe(
      whole(0, 18),
      v.description("decimal: digits kept behind the point; default: a double."),
    )),
    as: v.exactOptional(v.pipe(
      word(["flat_object", "object", "disabled"]),
      v.description('json: how it is mapped; default "disabled" (stored, not searched).'),
    )),
    subfields: v.exactOptional(v.pipe(
      v.boolean(),
      v.description("text and keyword: false drops the derived subfield."),
    )),
    variants: v.exactOptional(later("variants")),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const given = keysOf(dataset.value);
    if ("column" in given && "sql" in given) {
      addIssue({ message: say("INVALID_VALUE", 'Both "column" and "sql" are given', "Keep one.") });
    }
    const { type } = given;
    if (typeof type !== "string" || !(SCALAR_TYPES as readonly string[]).includes(type)) return;
    for (const [key, types] of Object.entries(ONLY_FOR)) {
      if (!(key in given) || types.includes(type)) continue;
      const message = `"${key}" belongs to the type ${types.join(" or ")}, not to ${type}`;
      addIssue({ message: say("INVALID_VALUE", message, `Remove "${key}".`) });
    }
  }),
  v.transform(({ type, column, sql, transforms, scale, as, subfields }): Unnamed => (name) => ({
    kind: "scalar",
    name,
    type,
    from: sql === undefined ? { kind: "column", column: column ?? name } : { kind: "sql", sql },
    transforms: transforms ?? [],
    ...(scale === undefined ? {} : { scale }),
    ...(as === undefined ? {} : { as }),
    ...(subfields === undefined ? {} : { subfields }),
  })),
);
const ONLY_FOR: Readonly<Record<string, readonly string[]>> = {
  scale: ["decimal"],
  as: ["json"],
  subfields: ["text", "keyword"],
};

const geoPoint = v.pipe(
  v.strictObject({
    type: v.literal("geo_point"),
    column: v.exactOptional(column),
    lat: v.exactOptional(column),
    lon: v.exactOptional(column),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const given = keysOf(dataset.value);
    const pair = ["lat", "lon"].filter((key) => key in given).length;
    if (pair === 0 || pair === 2 && !("column" in given)) return;
    const hint = 'Give "lat" and "lon", or one "column" of type point.';
    addIssue({ message: say("INVALID_VALUE", "This names no point, or two", hint) });
  }),
  v.transform(({ column, lat, lon }): Unnamed => (name) => ({
    kind: "geo_point",
    name,
    from: lat !== undefined && lon !== undefined
      ? { kind: "pair", lat, lon }
      : { kind: "column", column: column ?? name },
  })),
);

/** Only its type is looked at: what else such a field takes isn't known here yet. */
const laterType = v.pipe(
  v.looseObject({ type: typeSchema(SCALAR_TYPES) }),
  v.transform((): Unnamed => (name) => ({ kind: "object", name, fields: [] })),
);

/** `{"type": "keyword", "column" | "sql", …}`. */
export const scalarField: v.GenericSchema<unknown, Unnamed> = v.lazy((input) => {
  if (input === undefined) return SCALAR_FIELD;
  const { type } = keysOf(input);
  if (type === "geo_point") return geoPoint;
  return typeof type === "string" && LATER_TYPES.has(type) ? laterType : plain;
});
/** What a scalar field is for an editor. */
export const SCALAR_FIELD: v.GenericSchema<unknown, Unnamed> = v.union([plain, geoPoint]);
