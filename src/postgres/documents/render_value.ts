import type { ScalarType, Transform } from "../../core/description.ts";
import type { ColumnType } from "../catalog_types.ts";
import { arrayLiteral } from "../client.ts";
import type { Binder } from "./binder.ts";
import type { BoundScalar } from "./bound.ts";
import { canHold, familyOf, naturalRange } from "./field_types.ts";
import { flatArray, overElements, type Render } from "./render_elements.ts";
import { renderMap } from "./render_map.ts";
import { renderRange } from "./render_range.ts";
import { renderBase64, renderMoment, renderNumber, renderText } from "./render_scalar.ts";
import { renderCoordinates, renderShape } from "./render_shape.ts";

/** What of a field decides how its value is rendered. */
export type ValueField = Pick<BoundScalar, "type" | "values" | "mapping">;

/**
 * SQL that gives a value as a field of this type carries it: something row_to_json writes on one
 * line and a sink accepts. Infinite times, NaN and infinite numbers become null.
 * `source` is an expression of the given type; it may be repeated.
 */
export function renderValue(
  field: ValueField,
  type: ColumnType,
  source: string,
  transforms: readonly Transform[],
  binder: Binder,
): string {
  let sql = source;
  let now = type;
  for (const transform of transforms) {
    if (typeof transform === "string") {
      [sql, now] = [textTransform(transform, sql, now), { ...TEXT, isArray: now.isArray }];
    } else {
      const parameter = binder.bind(defaultText(transform.default, now));
      sql = `coalesce(${sql}, ${parameter}::${now.cast}${now.isArray ? "[]" : ""})`;
    }
  }
  const shown = field.type === "custom" ? customType(field, now) : field.type;
  // As a whole, so that lists in lists stay what they are.
  if (shown === "json") return renderJson(now, sql);
  const one = shown === undefined ? renderNaturally(now) : renderOne(shown, field, now);
  if (!now.isArray) return one === undefined ? sql : one(sql);
  // unnest would make a column of each part.
  if (now.isComposite) return flatArray(`${sql}::text[]`);
  if (shown === "knn_vector") sql = `nullif(${sql}, '{}')`;
  if (one === undefined) return flatArray(sql);
  return overElements(sql, "json_agg", one, shown === "completion");
}

/** How one value, or one element, is rendered; undefined: row_to_json does it as it is. */
function renderOne(
  shown: ScalarType,
  { values }: ValueField,
  type: ColumnType,
): Render | undefined {
  switch (shown) {
    case "boolean":
    case "short":
    case "integer":
    case "long":
    case "unsigned_long":
    case "float":
    case "double":
    case "decimal":
      return renderNumber(type);
    case "date":
    case "date_nanos":
      return (sql) => renderMoment(type, sql);
    case "ip":
      return familyOf(type) === "inet"
        ? (sql) => `host(${sql})`
        : (sql) => `host(nullif(${sql}::text, '')::inet)`;
    case "completion":
      // Nothing can be completed to an empty text, and it takes no null in a list.
      return familyOf(type) === "json"
        ? (sql) => `nullif(${sql}::jsonb, 'null')`
        : (sql) => `nullif(${sql}::text, '')`;
    case "binary":
      return renderBase64;
    case "geo_shape":
      return renderShape(type);
    case "integer_range":
    case "long_range":
    case "float_range":
    case "double_range":
    case "date_range":
    case "ip_range":
      return renderRange(shown, type);
    case "map":
      return renderMap(values ?? "keyword", type);
    case "knn_vector":
      // pgvector prints a JSON array.
      return type.isArray ? renderNumber(type) : (sql) => `${sql}::text::json`;
    default:
      return renderText(type);
  }
}

/** Through jsonb: one line, and no key twice, which OpenSearch refuses. */
function renderJson(type: ColumnType, sql: string): string {
  if (familyOf(type) !== "json" || type.isArray) return `to_jsonb(${sql})`;
  return type.base === "jsonb" ? sql : `${sql}::jsonb`;
}

/** What a custom mapping's own type takes, where a field of that type holds such a column. */
function customType({ mapping }: ValueField, type: ColumnType): ScalarType | undefined {
  const mapped = SAME_NAME.find((name) => name === mapping?.["type"]);
  if (mapped !== undefined && canHold(mapped, type) !== "no") return mapped;
  const family = familyOf(type);
  if (family === "json" || family === "composite") return "json";
  return naturalRange(type);
}

/** A value in the JSON that comes nearest to it. */
function renderNaturally(type: ColumnType): Render | undefined {
  switch (familyOf(type)) {
    case "integer":
    case "float":
    case "numeric":
    case "money":
    case "boolean":
      return renderNumber(type);
    case "moment":
      return (sql) => renderMoment(type, sql);
    case "vector":
      return (sql) => `${sql}::text::json`;
    case "point":
      // [x, y], which geo_point reads as [lon, lat].
      return renderCoordinates;
    case "figure":
    case "geometry":
      return renderShape(type);
    default:
      return renderText(type);
  }
}

function textTransform(transform: "lowercase" | "trim", sql: string, type: ColumnType): string {
  const apply = (each: string) =>
    transform === "lowercase" ? `lower(${each}::text)` : `btrim(${each}::text)`;
  return type.isArray ? overElements(sql, "array_agg", apply) : apply(sql);
}

function defaultText(value: unknown, type: ColumnType): string {
  if (familyOf(type) === "json" && !type.isArray) return JSON.stringify(value);
  if (type.isArray && Array.isArray(value)) {
    return arrayLiteral(value.map((each) => each === null ? null : scalarText(each)));
  }
  return scalarText(value);
}

function scalarText(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Field types that are OpenSearch's own by the same name. */
const SAME_NAME: readonly ScalarType[] = [
  ...["text", "keyword", "boolean", "short", "integer", "long", "unsigned_long"] as const,
  ...["float", "double", "date", "date_nanos", "ip", "wildcard", "match_only_text"] as const,
  ...["search_as_you_type", "completion", "binary", "geo_shape", "knn_vector"] as const,
  ...["integer_range", "long_range", "float_range", "double_range", "date_range"] as const,
  ...["ip_range"] as const,
];

const TEXT: ColumnType = {
  declared: "text",
  cast: "text",
  base: "text",
  labels: undefined,
  isArray: false,
  isComposite: false,
  numeric: undefined,
};
