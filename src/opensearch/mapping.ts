import type { JsonObject } from "../core/json.ts";
import type { FieldPlan, IndexPlan } from "../core/plan.ts";
import { MARK_FIELD, MARK_MAPPING } from "./marks.ts";
import { isObject, mergeJson } from "./merge.ts";

/**
 * The mapping of a plan's index (design 4.2): strict, so that no document's content decides how a
 * field is searched; `plan.mappings` is merged over what the fields give, and what is ours stays as it is.
 */
export function mappingOf(plan: IndexPlan): JsonObject {
  const fields = { dynamic: "strict", properties: propertiesOf(plan.fields) };
  const merged = mergeJson(fields, plan.mappings);
  const { properties } = merged;
  const all = isObject(properties) ? properties : {};
  return { ...merged, properties: { ...all, [MARK_FIELD]: MARK_MAPPING } };
}

/** The normalizer of the lower-cased subfields; part of every index's analysis. */
export const LOWERCASE_NORMALIZER = "driftless_lowercase";

function propertiesOf(fields: readonly FieldPlan[]): JsonObject {
  return Object.fromEntries(fields.map((field) => [field.name, fieldMapping(field)]));
}

function fieldMapping(field: FieldPlan): JsonObject {
  if (field.kind === "object") {
    const properties = propertiesOf(field.fields);
    return field.mapping === "nested" ? { type: "nested", properties } : { properties };
  }
  const subfields = field.subfields ?? true;
  switch (field.type) {
    case "text":
      return {
        type: "text",
        ...(subfields ? { fields: { keyword: { type: "keyword", ignore_above: 256 } } } : {}),
      };
    case "keyword":
      return { type: "keyword", ...(subfields ? { fields: { lower: LOWER } } : {}) };
    case "enum":
    case "uuid":
      return { type: "keyword" };
    case "decimal":
      return field.scale === undefined
        ? { type: "double" }
        : { type: "scaled_float", scaling_factor: 10 ** field.scale };
    case "date":
      return { type: "date", format: DATE_FORMAT };
    case "date_nanos":
      return { type: "date_nanos", format: DATE_FORMAT };
    case "json":
      return jsonMapping(field.as ?? "disabled");
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
