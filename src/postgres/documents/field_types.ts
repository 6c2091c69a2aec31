import type { ScalarType } from "../../core/description.ts";
import type { ColumnType } from "../catalog_types.ts";

export type Family =
  | "integer"
  | "float"
  | "numeric"
  | "money"
  | "boolean"
  | "text"
  | "uuid"
  | "enum"
  | "moment"
  | "json"
  | "inet"
  | "point"
  | "other"
  | "composite";

/** What kind of value a column holds; of an array, each element. */
export function familyOf(type: ColumnType): Family {
  if (type.isComposite) return "composite";
  if (type.labels !== undefined) return "enum";
  return FAMILIES[type.base] ?? "other";
}

/**
 * Whether a field of this type can hold the column's values: "narrow" when only some of them, so
 * that a sink may refuse a document.
 */
export function canHold(field: ScalarType, type: ColumnType): "yes" | "narrow" | "no" {
  const family = familyOf(type);
  if (family === "composite") return "no";
  switch (field) {
    case "text":
    case "keyword":
    case "wildcard":
    case "match_only_text":
    case "search_as_you_type":
      return "yes";
    case "enum":
      return family === "enum" || family === "text" ? "yes" : "no";
    case "uuid":
      return family === "uuid" || family === "text" ? "yes" : "no";
    case "boolean":
      return family === "boolean" ? "yes" : "no";
    case "short":
    case "integer":
    case "long":
    case "unsigned_long":
      return holdsInteger(field, family, type);
    case "float":
    case "double":
    case "decimal":
      return family === "integer" || family === "float" || family === "numeric" ||
          family === "money"
        ? "yes"
        : "no";
    case "date":
    case "date_nanos":
      return family === "moment" ? "yes" : "no";
    case "json":
      return family === "json" ? "yes" : "no";
    case "ip":
      return family === "inet" || family === "text" ? "yes" : "no";
    default:
      return "no";
  }
}

/** The field type that holds such a column as it is; undefined for what no scalar field holds. */
export function naturalType(type: ColumnType): ScalarType | undefined {
  const family = familyOf(type);
  switch (family) {
    case "integer":
      return type.base === "int2" ? "short" : type.base === "int4" ? "integer" : "long";
    case "float":
      return type.base === "float4" ? "float" : "double";
    case "numeric":
    case "money":
      return "double";
    case "boolean":
      return "boolean";
    case "uuid":
      return "uuid";
    case "moment":
      return "date";
    case "composite":
    case "json":
    case "point":
      return undefined;
    default:
      return "keyword";
  }
}

/** Whether Postgres can add such values up. */
export function isSummable(type: ColumnType): boolean {
  return !type.isArray && ["integer", "float", "numeric", "money"].includes(familyOf(type));
}

/** Whether `min` and `max` exist for such values in every supported release. */
export function isComparable(type: ColumnType): boolean {
  if (type.isArray) return false;
  const family = familyOf(type);
  if (family === "other") return ["time", "timetz", "interval"].includes(type.base);
  return isSummable(type) || ["text", "enum", "moment", "inet"].includes(family);
}

function holdsInteger(
  field: ScalarType,
  family: Family,
  type: ColumnType,
): "yes" | "narrow" | "no" {
  const digits = type.numeric;
  if (family === "numeric" && digits !== undefined && digits.scale <= 0) {
    return digits.precision <= 18 && field === "long" ? "yes" : "narrow";
  }
  if (family !== "integer") return "no";
  const size = INTEGER_BYTES[type.base] ?? 8;
  if (field === "unsigned_long") return "narrow";
  return size <= (field === "short" ? 2 : field === "integer" ? 4 : 8) ? "yes" : "narrow";
}

const INTEGER_BYTES: Readonly<Record<string, number>> = { int2: 2, int4: 4, oid: 8, int8: 8 };

const FAMILIES: Readonly<Record<string, Family>> = {
  int2: "integer",
  int4: "integer",
  int8: "integer",
  oid: "integer",
  float4: "float",
  float8: "float",
  numeric: "numeric",
  money: "money",
  bool: "boolean",
  text: "text",
  varchar: "text",
  bpchar: "text",
  name: "text",
  citext: "text",
  uuid: "uuid",
  date: "moment",
  timestamp: "moment",
  timestamptz: "moment",
  json: "json",
  jsonb: "json",
  hstore: "json",
  inet: "inet",
  cidr: "inet",
  point: "point",
};
