import * as v from "valibot";
import type { FieldDescription, MapValueType, Transform } from "../core/description.ts";
import { say } from "./issue_text.ts";
import { jsonObject, jsonValue, keysOf } from "./json_value.ts";
import { column } from "./names.ts";
import { SCALAR_TYPES, SHORTHAND_TYPES, typeSchema } from "./scalar_types.ts";
import { text, whole, word } from "./units.ts";

/** A field that doesn't know its name yet: the name is its key in `fields`. */
export type Unnamed = (name: string) => FieldDescription;

/** `"text"`: a type, of the column that has the field's name. */
export const shorthand: v.GenericSchema<unknown, Unnamed> = v.pipe(
  typeSchema(SHORTHAND_TYPES),
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

const MAP_VALUES: readonly MapValueType[] = [
  "text",
  "keyword",
  "boolean",
  "long",
  "double",
  "date",
];
const mapping = v.exactOptional(v.pipe(
  jsonObject,
  v.description("The sink's own mapping of the field, merged over the derived one."),
));

const VARIANTS = say(
  "INVALID_VALUE",
  "Expected the enum's values in the order of their rank",
  'Like "variants": ["low", "high"].',
);
/** OpenSearch reads a rule of its char filter into 256 characters. */
const MAX_VARIANT = 200;
const variant = v.pipe(
  v.string(VARIANTS),
  v.check(
    (each) => each.length <= MAX_VARIANT && !MARKERS.some((marker) => each.includes(marker)),
    say(
      "INVALID_VALUE",
      `A variant has at most ${MAX_VARIANT} characters, and none of U+0000, U+0001 and U+0002`,
      "Leave it out: what isn't listed sorts last.",
    ),
  ),
);
const MARKERS = ["\u0000", "\u0001", "\u0002"];
const variants = v.pipe(
  v.array(variant, VARIANTS),
  v.nonEmpty(VARIANTS),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { value: listed } = dataset;
    const twice = listed.find((each, at) => listed.indexOf(each) < at);
    if (twice === undefined) return;
    const message = `The variant "${twice}" is listed twice`;
    addIssue({ message: say("DUPLICATE_KEY", message, "Keep one: a value has one rank.") });
  }),
);

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
      v.description("text, keyword, identifier, enum: false drops the derived subfield."),
    )),
    variants: v.exactOptional(v.pipe(
      variants,
      v.description("enum: its values in rank order; the subfield rank sorts by it."),
    )),
    values: v.exactOptional(v.pipe(
      word(MAP_VALUES),
      v.description("map: what its values are searched as."),
    )),
    dimension: v.exactOptional(v.pipe(
      whole(1, 16_000),
      v.description("knn_vector: how many numbers; default: as the column declares."),
    )),
    columnTypes: v.exactOptional(v.pipe(
      v.array(text("a column type as Postgres prints it")),
      v.nonEmpty(say("INVALID_VALUE", "A list of no type takes no column", "Leave it out: any.")),
      v.description('custom: the column types it takes ("numeric", "text[]"); default: any.'),
    )),
    mapping,
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
    const problem = lacking(type, given);
    if (problem !== undefined) addIssue({ message: problem });
  }),
  v.transform(({ type, column, sql, transforms, ...more }): Unnamed => (name) => ({
    kind: "scalar",
    name,
    type,
    from: sql === undefined ? { kind: "column", column: column ?? name } : { kind: "sql", sql },
    transforms: transforms ?? [],
    ...more,
  })),
);
const ONLY_FOR: Readonly<Record<string, readonly string[]>> = {
  scale: ["decimal"],
  as: ["json"],
  subfields: ["text", "keyword", "identifier", "enum"],
  variants: ["enum"],
  values: ["map"],
  dimension: ["knn_vector"],
  columnTypes: ["custom"],
};

/** What a type can't do without. */
function lacking(type: string, given: Readonly<Record<string, unknown>>): string | undefined {
  if (type === "map" && !("values" in given)) {
    const list = MAP_VALUES.map((each) => `"${each}"`).join(", ");
    return say(
      "MISSING_KEY",
      "Nothing says what the map's values are",
      `"values" is one of ${list}.`,
    );
  }
  if (type !== "custom") return undefined;
  const { type: mapped } = keysOf(given["mapping"]);
  if (typeof mapped === "string" && mapped !== "") return undefined;
  return say(
    "MISSING_KEY",
    'A custom field is mapped as its "mapping" says, which needs a "type"',
    'Like "mapping": { "type": "rank_feature" }.',
  );
}

const geoPoint = v.pipe(
  v.strictObject({
    type: v.literal("geo_point"),
    column: v.exactOptional(column),
    lat: v.exactOptional(column),
    lon: v.exactOptional(column),
    mapping,
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const given = keysOf(dataset.value);
    const pair = ["lat", "lon"].filter((key) => key in given).length;
    if (pair === 0 || pair === 2 && !("column" in given)) return;
    const hint = 'Give "lat" and "lon", or one "column" that holds the point.';
    addIssue({ message: say("INVALID_VALUE", "This names no point, or two", hint) });
  }),
  v.transform(({ type: _, column, lat, lon, ...more }): Unnamed => (name) => ({
    kind: "geo_point",
    name,
    from: lat !== undefined && lon !== undefined
      ? { kind: "pair", lat, lon }
      : { kind: "column", column: column ?? name },
    ...more,
  })),
);

const jsonScalar = v.union([v.string(), v.number(), v.boolean(), v.null()]);

const constant = v.pipe(
  v.strictObject({
    type: v.literal("constant"),
    value: v.pipe(
      v.union(
        [jsonScalar, v.array(jsonScalar)],
        say(
          "INVALID_VALUE",
          "A constant is a text, a number, true, false or null, or a list of these",
          'Group several constants with { "object": { … } }.',
        ),
      ),
      v.description("The same in every document."),
    ),
    mapping,
  }),
  v.transform(({ type: _, ...more }): Unnamed => (name) => ({ kind: "constant", name, ...more })),
);

/** `{"type": "keyword", "column" | "sql", …}`. */
export const scalarField: v.GenericSchema<unknown, Unnamed> = v.lazy((input) => {
  if (input === undefined) return SCALAR_FIELD;
  const { type } = keysOf(input);
  return type === "geo_point" ? geoPoint : type === "constant" ? constant : plain;
});
/** What a scalar field is for an editor. */
export const SCALAR_FIELD: v.GenericSchema<unknown, Unnamed> = v.union([plain, geoPoint, constant]);
