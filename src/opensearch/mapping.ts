import type { MapValueType } from "../core/description.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { FieldPlan, IndexPlan } from "../core/plan.ts";
import { IDENTIFIER_ANALYZER, LOWERCASE_NORMALIZER, rankNormalizer } from "./analysis.ts";
import { MARK_FIELD, MARK_MAPPING } from "./marks.ts";
import { isObject, mergeJson } from "./merge.ts";

type ScalarPlan = Extract<FieldPlan, { kind: "scalar" }>;

/**
 * The mapping of a plan's index (design 4.2): strict, so that no document's content decides how a
 * field is searched. First what the fields give, each with its own `mapping` merged over it; then
 * `plan.mappings`; what is ours stays as it is.
 */
export function mappingOf(plan: IndexPlan): JsonObject {
  const derived = { dynamic: "strict", properties: propertiesOf(plan.fields) };
  const merged = mergeJson(derived, plan.mappings);
  const { properties } = merged;
  const all = isObject(properties) ? properties : {};
  return {
    ...merged,
    ...templatesOf(plan),
    properties: { ...all, [MARK_FIELD]: MARK_MAPPING },
  };
}

function propertiesOf(fields: readonly FieldPlan[]): JsonObject {
  return Object.fromEntries(fields.map((field) => [field.name, fieldMapping(field)]));
}

function fieldMapping(field: FieldPlan): JsonObject {
  if (field.kind === "object") {
    const properties = propertiesOf(field.fields);
    return field.mapping === "nested" ? { type: "nested", properties } : { properties };
  }
  return mergeJson(scalarMapping(field), field.mapping ?? {});
}

function scalarMapping(field: ScalarPlan): JsonObject {
  const subfields = field.subfields ?? true;
  const below = (fields: JsonObject) => subfields ? { fields } : {};
  switch (field.type) {
    case "text":
      return { type: "text", ...below({ keyword: EXACT }) };
    case "identifier":
      return {
        type: "text",
        analyzer: IDENTIFIER_ANALYZER,
        ...below({ keyword: EXACT }),
      };
    case "keyword":
      return { type: "keyword", ...below({ lower: LOWER }) };
    case "enum":
      if (field.variants === undefined) return { type: "keyword" };
      return { type: "keyword", ...below({ rank: rankMapping(field.variants) }) };
    case "uuid":
      return { type: "keyword" };
    case "decimal":
      return field.scale === undefined
        ? { type: "double" }
        : { type: "scaled_float", scaling_factor: 10 ** field.scale };
    case "date":
    case "date_nanos":
    case "date_range":
      return { type: field.type, format: DATE_FORMAT };
    case "json":
      return jsonMapping(field.as ?? "disabled");
    case "map":
      return { type: "object", dynamic: "true" };
    case "knn_vector":
      return {
        type: "knn_vector",
        ...(field.dimension === undefined ? {} : { dimension: field.dimension }),
      };
    case "custom":
      return {};
    default:
      return { type: field.type };
  }
}

function jsonMapping(as: "flat_object" | "object" | "disabled"): JsonObject {
  if (as === "flat_object") return { type: "flat_object" };
  if (as === "object") return { type: "object", dynamic: true };
  return { type: "object", enabled: false };
}

/**
 * What maps the keys of `map` fields as they come. The config's own templates go first: of all that
 * match, OpenSearch takes the first.
 */
function templatesOf({ fields, mappings }: IndexPlan): JsonObject {
  const given: Json = mappings["dynamic_templates"] ?? [];
  const ours = mapsIn(fields, "").flatMap(([path, values]) => [
    // A key with dots makes objects on the way to its value.
    {
      [`driftless ${path} (objects)`]: {
        path_match: `${path}.*`,
        match_mapping_type: "object",
        mapping: { type: "object", dynamic: "true" },
      },
    },
    { [`driftless ${path}`]: { path_match: `${path}.*`, mapping: VALUES[values] } },
  ]);
  if (ours.length === 0 || !Array.isArray(given)) return {};
  return { dynamic_templates: [...given, ...ours] };
}

/** The full paths of `map` fields, of those in relations too. */
function mapsIn(
  fields: readonly FieldPlan[],
  above: string,
): readonly (readonly [path: string, values: MapValueType])[] {
  return fields.flatMap((field) => {
    const path = `${above}${field.name}`;
    if (field.kind === "object") return mapsIn(field.fields, `${path}.`);
    return field.type === "map" ? [[path, field.values ?? "keyword"] as const] : [];
  });
}

/** The subfield that sorts by rank; a value that isn't listed, or has no rank, comes last. */
function rankMapping(variants: readonly string[]): JsonObject {
  return { type: "keyword", normalizer: rankNormalizer(variants), ignore_above: 8191 };
}

const EXACT: JsonObject = { type: "keyword", ignore_above: 256 };

/**
 * Lucene takes 32,766 bytes of a keyword: longer texts reach the field itself, which refuses the
 * document aloud, and never fail because of the subfield.
 */
const LOWER: JsonObject = {
  type: "keyword",
  normalizer: LOWERCASE_NORMALIZER,
  ignore_above: 8191,
};

/**
 * ISO 8601 as it is rendered for documents: up to six digits of a second, with an offset or
 * without, or a date alone; years beyond four digits or before 1 signed. Then the same as Postgres
 * itself prints it: such years without a sign, or marked " BC". Then milliseconds, which queries
 * may use as they do where nothing is said about the format.
 */
const TIME = "['T'HH:mm:ss[.SSSSSS][.SSSSS][.SSSS][.SSS][.SS][.S][XXX]]";
const DATE_FORMAT = `strict_date_optional_time||u-MM-dd${TIME}||yyyy-MM-dd${TIME} GG||epoch_millis`;

/** How the values of a map are searched. */
const VALUES: Readonly<Record<MapValueType, JsonObject>> = {
  text: { type: "text", fields: { keyword: EXACT } },
  keyword: { type: "keyword" },
  boolean: { type: "boolean" },
  long: { type: "long" },
  double: { type: "double" },
  date: { type: "date", format: DATE_FORMAT },
};
