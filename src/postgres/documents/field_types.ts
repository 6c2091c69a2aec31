import type { RangeType, ScalarType } from "../../core/description.ts";
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
  | "bytes"
  | "range"
  | "point"
  /** Postgres's own figures that GeoJSON has a shape for. */
  | "figure"
  /** PostGIS. */
  | "geometry"
  /** pgvector. */
  | "vector"
  | "other"
  | "composite";

/** What kind of value a column holds; of an array, each element. */
export function familyOf(type: ColumnType): Family {
  if (type.isComposite) return "composite";
  if (type.labels !== undefined) return "enum";
  if (type.range !== undefined) return "range";
  return FAMILIES[type.base] ?? "other";
}

/**
 * Whether a field of this type can hold the column's values: "narrow" when only some of them, so
 * that a sink may refuse a document. A text in a field that reads it (ip, geo_shape) is "yes".
 */
export function canHold(field: ScalarType, type: ColumnType): "yes" | "narrow" | "no" {
  const family = familyOf(type);
  switch (field) {
    case "text":
    case "keyword":
    case "identifier":
    case "wildcard":
    case "match_only_text":
    case "search_as_you_type":
    case "custom":
      return "yes";
    case "enum":
      return yesIf(family === "enum" || family === "text");
    case "uuid":
      return yesIf(family === "uuid" || family === "text");
    case "boolean":
      return yesIf(family === "boolean");
    case "short":
    case "integer":
    case "long":
    case "unsigned_long":
      return holdsInteger(field, family, type);
    case "float":
    case "double":
    case "decimal":
      return yesIf(isNumber(family) || family === "money");
    case "date":
      return yesIf(family === "moment");
    case "date_nanos":
      // OpenSearch counts them from 1970 to 2262.
      return family === "moment" ? "narrow" : "no";
    case "json":
      // Whether a text is JSON or a string of JSON, its column doesn't say: `sql` does.
      return yesIf(family !== "text" || type.isArray);
    case "ip":
      return yesIf(family === "inet" || family === "text");
    case "completion":
      return yesIf(["text", "enum", "uuid"].includes(family) || isJson(type));
    case "binary":
      return yesIf(family === "bytes");
    case "geo_shape":
      // OpenSearch takes one shape for a field.
      return yesIf(!type.isArray && (SHAPES.has(family) || isJson(type)));
    case "map":
      return yesIf(family === "json" && !type.isArray);
    case "knn_vector":
      return yesIf(type.isArray ? isNumber(family) : family === "vector");
    default:
      return holdsRange(field, family, type);
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
    case "range":
      return naturalRange(type) ?? "keyword";
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

function yesIf(holds: boolean): "yes" | "no" {
  return holds ? "yes" : "no";
}

function isNumber(family: Family): boolean {
  return family === "integer" || family === "float" || family === "numeric";
}

/** JSON itself, which hstore is only at need. */
function isJson({ base }: ColumnType): boolean {
  return base === "json" || base === "jsonb";
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

function holdsRange(field: RangeType, family: Family, type: ColumnType): "yes" | "narrow" | "no" {
  if (family === "inet") return yesIf(field === "ip_range");
  if (type.range === undefined || type.range.isMulti && type.isArray) return "no";
  const { subtype } = type.range;
  const bounds = familyOf(subtype);
  switch (field) {
    case "integer_range":
      return bounds !== "integer" ? "no" : INTEGER_BYTES[subtype.base] === 8 ? "narrow" : "yes";
    case "long_range":
      return yesIf(bounds === "integer");
    case "float_range":
    case "double_range":
      return yesIf(isNumber(bounds));
    case "date_range":
      return yesIf(bounds === "moment");
    case "ip_range":
      return yesIf(bounds === "inet");
  }
}

/** The range field for a range column; undefined: none holds it. */
export function naturalRange(type: ColumnType): RangeType | undefined {
  if (type.range === undefined || type.range.isMulti && type.isArray) return undefined;
  const { subtype } = type.range;
  switch (familyOf(subtype)) {
    case "integer":
      return INTEGER_BYTES[subtype.base] === 8 ? "long_range" : "integer_range";
    case "float":
      return subtype.base === "float4" ? "float_range" : "double_range";
    case "numeric":
      return "double_range";
    case "moment":
      return "date_range";
    case "inet":
      return "ip_range";
    default:
      return undefined;
  }
}

const INTEGER_BYTES: Readonly<Record<string, number>> = { int2: 2, int4: 4, oid: 8, int8: 8 };
const SHAPES: ReadonlySet<Family> = new Set(["text", "point", "figure", "geometry"]);

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
  bytea: "bytes",
  point: "point",
  lseg: "figure",
  box: "figure",
  path: "figure",
  polygon: "figure",
  geometry: "geometry",
  geography: "geometry",
  vector: "vector",
  halfvec: "vector",
};
