import type {
  CompareOperator,
  ConstantField,
  MapValueType,
  OrderBy,
  ScalarType,
  Transform,
} from "../../core/description.ts";
import type { JsonObject } from "../../core/json.ts";
import type { CatalogColumn, CatalogTable } from "../catalog.ts";
import type { ColumnType } from "../catalog_types.ts";

/**
 * An index description whose every name was found in the catalog and whose every column can hold
 * what it is declared to be. What bind_*.ts make and render_*.ts turn into SQL.
 */
export interface BoundIndex {
  readonly root: BoundRow;
  /** Columns of the `_id`. */
  readonly key: readonly CatalogColumn[];
  readonly softDelete:
    | { readonly kind: "column"; readonly column: CatalogColumn }
    | { readonly kind: "when"; readonly filters: readonly BoundFilter[] }
    | undefined;
}

/** One row of a table and the fields made of it, at the root or in a relation. */
export interface BoundRow {
  readonly table: CatalogTable;
  /** Columns that tell its rows apart: children are listed by them in the end. */
  readonly identity: readonly CatalogColumn[];
  readonly where: readonly BoundFilter[];
  readonly fields: readonly BoundField[];
}

export type BoundField =
  | BoundScalar
  | BoundPoint
  | BoundConstant
  | { readonly kind: "object"; readonly name: string; readonly fields: readonly BoundField[] }
  | BoundRelation
  | BoundAggregate;

/** A column or an expression over the row's own columns, with its type. */
export type BoundSource =
  | { readonly kind: "column"; readonly column: CatalogColumn; readonly type: ColumnType }
  | { readonly kind: "sql"; readonly sql: string; readonly type: ColumnType };

export interface BoundScalar {
  readonly kind: "scalar";
  readonly name: string;
  readonly type: ScalarType;
  readonly source: BoundSource;
  readonly transforms: readonly Transform[];
  readonly scale?: number;
  readonly as?: "flat_object" | "object" | "disabled";
  readonly subfields?: boolean;
  readonly variants?: readonly string[];
  readonly values?: MapValueType;
  readonly dimension?: number;
  readonly mapping?: JsonObject;
}

export type BoundConstant = ConstantField;

export interface BoundPoint {
  readonly kind: "point";
  readonly name: string;
  readonly from:
    | { readonly kind: "pair"; readonly lat: CatalogColumn; readonly lon: CatalogColumn }
    | { readonly kind: "column"; readonly column: CatalogColumn };
  readonly mapping?: JsonObject;
}

export interface BoundRelation {
  readonly kind: "relation";
  readonly name: string;
  /** An array of rows; else one object or null. */
  readonly many: boolean;
  readonly link: BoundLink;
  readonly row: BoundRow;
  readonly orderBy: readonly BoundOrder[];
  /** Rows listed at most; 1 for a single one that the catalog doesn't prove to be the only one. */
  readonly limit: number | undefined;
  readonly mapping: "object" | "nested";
}

export interface BoundAggregate {
  readonly kind: "aggregate";
  readonly name: string;
  readonly figure: "count" | "sum" | "avg" | "min" | "max" | "ids";
  readonly link: BoundLink;
  /** No fields: what is counted, and which of it. */
  readonly row: BoundRow;
  /** What is summed or listed; undefined for count and for ids of the key. */
  readonly column: CatalogColumn | undefined;
  /** How the figure is searched. */
  readonly type: ScalarType;
}

export interface BoundOrder {
  readonly column: CatalogColumn;
  readonly direction: OrderBy["direction"];
  readonly nulls: OrderBy["nulls"];
}

/** How rows of `lower.table` belong to one row above: pairwise equal columns, at times by a junction. */
export interface BoundLink {
  readonly upperTable: CatalogTable;
  readonly lowerTable: CatalogTable;
  /** Columns of the row above. */
  readonly upper: readonly CatalogColumn[];
  /** Columns of the related table; without a junction they pair with `upper`. */
  readonly lower: readonly CatalogColumn[];
  readonly through: BoundJunction | undefined;
}

export interface BoundJunction {
  readonly table: CatalogTable;
  /** Pairs with `upper`. */
  readonly left: readonly CatalogColumn[];
  /** Pairs with `lower`. */
  readonly right: readonly CatalogColumn[];
}

export type BoundFilter =
  | {
    readonly kind: "compare";
    readonly column: CatalogColumn;
    readonly op: CompareOperator;
    readonly values: readonly string[];
  }
  | { readonly kind: "any" | "all"; readonly filters: readonly BoundFilter[] }
  | { readonly kind: "sql"; readonly sql: string };
