import type { Json, JsonObject } from "./json.ts";
import type { TableRef } from "./table.ts";

/**
 * An index as its author described it (design 4.1), normalised: shorthands expanded, table names
 * split into schema and name, order of fields kept. Produced by config/, consumed by
 * postgres/documents. Nothing here has been checked against a database.
 */
export interface IndexDescription {
  readonly name: string;
  readonly table: TableRef;
  /** Columns that make the `_id`; absent: the primary key. */
  readonly key?: readonly string[];
  readonly where: readonly Filter[];
  readonly softDelete?: SoftDelete;
  readonly fields: readonly FieldDescription[];
  readonly settings?: JsonObject;
  readonly analysis?: JsonObject;
  readonly mappings?: JsonObject;
  /** Names of the sinks this index goes to; absent: all. */
  readonly sinks?: readonly string[];
  readonly onRejected: RejectionPolicy;
}

/** What to do with a rejected document: end the run before acknowledging, or count it and go on. */
export type RejectionPolicy = "stop" | "skip";

/** A row is gone when the column is true or non-null, or when all filters hold. */
export type SoftDelete =
  | { readonly kind: "column"; readonly column: string }
  | { readonly kind: "when"; readonly filters: readonly Filter[] };

/** A filter over one row. Values are JSON scalars, bound as text and cast to the column's type. */
export type Filter =
  | {
    readonly kind: "compare";
    readonly column: string;
    readonly op: CompareOperator;
    /** One value for most, a list for in/notIn, two for between, none for isNull/isNotNull. */
    readonly values: readonly (string | number | boolean)[];
  }
  | { readonly kind: "any" | "all"; readonly filters: readonly Filter[] }
  | { readonly kind: "sql"; readonly sql: string };

export type CompareOperator =
  | "eq"
  | "neq"
  | "lt"
  | "lte"
  | "gt"
  | "gte"
  | "like"
  | "ilike"
  | "in"
  | "notIn"
  | "between"
  | "isNull"
  | "isNotNull";

export type FieldDescription =
  | ScalarField
  | GeoPointField
  | ConstantField
  | ObjectField
  | RelationField
  | AggregateField;

/** The types of a scalar field. */
export type ScalarType =
  | "text"
  | "keyword"
  /** Code-like text (`C-01234`, `fooBar`): split on case and punctuation. */
  | "identifier"
  | "enum"
  | "uuid"
  | "boolean"
  | "short"
  | "integer"
  | "long"
  | "unsigned_long"
  | "float"
  | "double"
  | "decimal"
  | "date"
  | "date_nanos"
  | "json"
  | "ip"
  | "wildcard"
  | "match_only_text"
  | "search_as_you_type"
  | "completion"
  /** Base64. */
  | "binary"
  | "geo_shape"
  | RangeType
  /** An object with keys that nobody knows beforehand, whose values have one type. */
  | "map"
  | "knn_vector"
  /** Mapped as the field's `mapping` says. */
  | "custom";

export type RangeType =
  | "integer_range"
  | "long_range"
  | "float_range"
  | "double_range"
  | "date_range"
  | "ip_range";

/** What the values of a map are searched as. */
export type MapValueType =
  | "text"
  | "keyword"
  | "boolean"
  | "long"
  | "double"
  | "date";

export type Transform = "lowercase" | "trim" | { readonly default: Json };

/** A column or an expression of the row itself; an array column gives an array. */
export interface ScalarField {
  readonly kind: "scalar";
  readonly name: string;
  readonly type: ScalarType;
  readonly from:
    | { readonly kind: "column"; readonly column: string }
    | { readonly kind: "sql"; readonly sql: string };
  readonly transforms: readonly Transform[];
  /** decimal: digits kept by `scaled_float`; absent: double. */
  readonly scale?: number;
  /** json: how it is mapped; absent: "disabled" (stored, not searched). */
  readonly as?: "flat_object" | "object" | "disabled";
  /** text, keyword, identifier and enum: false drops the derived subfields. */
  readonly subfields?: boolean;
  /** enum: the values in rank order; the field then sorts by rank through its subfield `rank`. */
  readonly variants?: readonly string[];
  /** map: always there. */
  readonly values?: MapValueType;
  /** knn_vector: how many numbers; absent: as the column's type declares. */
  readonly dimension?: number;
  /** Merged over the derived mapping; custom: the whole of it. */
  readonly mapping?: JsonObject;
  /** custom: names of the column types that it takes (`numeric`, `text[]`); absent: any. */
  readonly columnTypes?: readonly string[];
}

export type JsonScalar = string | number | boolean | null;

/** The same in every document: a JSON scalar, or a list of them, mapped by what they are. */
export interface ConstantField {
  readonly kind: "constant";
  readonly name: string;
  readonly value: JsonScalar | readonly JsonScalar[];
  /** Merged over the derived mapping. */
  readonly mapping?: JsonObject;
}

/** A point from two numeric columns, or from one column that holds points. */
export interface GeoPointField {
  readonly kind: "geo_point";
  readonly name: string;
  readonly from:
    | { readonly kind: "pair"; readonly lat: string; readonly lon: string }
    | { readonly kind: "column"; readonly column: string };
  /** Merged over the derived mapping. */
  readonly mapping?: JsonObject;
}

/** Columns of the same row grouped under one name. */
export interface ObjectField {
  readonly kind: "object";
  readonly name: string;
  readonly fields: readonly FieldDescription[];
}

export interface Through {
  readonly table: TableRef;
  /** Junction columns that point to the row that holds this field. */
  readonly leftKey: readonly string[];
  /** Junction columns that point to the related table. */
  readonly rightKey: readonly string[];
}

export interface OrderBy {
  readonly column: string;
  readonly direction: "asc" | "desc";
  readonly nulls: "first" | "last";
}

/** Rows of another table folded in: an object (belongsTo, hasOne) or an array of them. */
export interface RelationField {
  readonly kind: "belongsTo" | "hasOne" | "hasMany" | "manyToMany";
  readonly name: string;
  readonly table: TableRef;
  /** belongsTo: columns of this row. hasOne and hasMany: columns of the other table. manyToMany: []. */
  readonly columns: readonly string[];
  /** The columns pointed at; absent: the primary key of the table pointed at. */
  readonly references?: readonly string[];
  /** manyToMany only. */
  readonly through?: Through;
  readonly where: readonly Filter[];
  readonly orderBy: readonly OrderBy[];
  readonly limit?: number;
  /** "nested" keeps each element's fields together when searching; "object" flattens them. */
  readonly mapping: "object" | "nested";
  readonly fields: readonly FieldDescription[];
}

/** A figure over related rows. */
export interface AggregateField {
  readonly kind: "count" | "sum" | "avg" | "min" | "max" | "ids";
  readonly name: string;
  readonly table: TableRef;
  /** sum, avg, min, max: the column; ids: absent means the child's key. */
  readonly column?: string;
  /** Columns of the other table that point here; [] with `through`. */
  readonly foreignKey: readonly string[];
  readonly references?: readonly string[];
  readonly through?: Through;
  readonly where: readonly Filter[];
}
