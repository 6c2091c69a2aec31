/** A random schema, the indexes over it, and what is written to it: plain data, so that it shrinks. */
import type { Random } from "../../support/stress_random.ts";

export type ColumnType =
  | "int"
  | "bigint"
  | "numeric2"
  | "numeric"
  | "float"
  | "text"
  | "bool"
  | "timestamptz"
  | "timestamp"
  | "date"
  | "uuid"
  | "texts"
  | "ints"
  | "jsonb";

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

/** Columns that point to another table, or to their own. */
export interface Link {
  readonly columns: readonly string[];
  readonly to: string;
  readonly references: readonly string[];
  /** What the foreign key does when its target goes; "none": there is no constraint. */
  readonly constraint: "none" | "cascade" | "set null" | "no action";
}

export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  /** The primary key; []: a junction without one. */
  readonly key: readonly string[];
  /** A unique key beside it. */
  readonly code: readonly string[];
  readonly links: readonly Link[];
  readonly capture: "changelog" | "updated_at";
  /** Keys may be longer than an id. */
  readonly longKeys: boolean;
}

export interface World {
  readonly seed: number;
  readonly tables: readonly Table[];
  readonly indexes: readonly IndexSpec[];
  /** Before driftless starts. */
  readonly initial: readonly string[];
  readonly steps: readonly Step[];
  readonly sink: "scripted" | "sqlite" | "opensearch";
  readonly engine: {
    readonly maxChanges: number;
    readonly chunk: number;
    readonly pageSize: number;
  };
}

/** Some transactions, after which the documents are compared. */
export interface Step {
  /** driftless is ended before and started after them: they come as one batch. */
  readonly offline: boolean;
  /** Each: statements, of which one that breaks a constraint does nothing. */
  readonly transactions: readonly (readonly string[])[];
}

export interface IndexSpec {
  readonly name: string;
  readonly table: string;
  /** Absent: the primary key. */
  readonly key?: readonly string[];
  readonly where: readonly FilterSpec[];
  readonly softDelete?:
    | { readonly kind: "column"; readonly column: string }
    | { readonly kind: "when"; readonly filters: readonly FilterSpec[] };
  readonly fields: readonly FieldSpec[];
}

export type FilterSpec =
  | {
    readonly kind: "compare";
    readonly column: string;
    readonly op: string;
    readonly values: readonly string[];
  }
  | { readonly kind: "any"; readonly filters: readonly FilterSpec[] }
  | { readonly kind: "all"; readonly filters: readonly FilterSpec[] }
  /** `column > number`, as sql. */
  | { readonly kind: "above"; readonly column: string; readonly value: number }
  /** `column IS DISTINCT FROM 'value'`, as sql. */
  | { readonly kind: "distinct"; readonly column: string; readonly value: string };

export type ValueSpec =
  | { readonly kind: "column"; readonly column: string }
  /** `column + 1`, as sql. */
  | { readonly kind: "plus"; readonly column: string }
  /** `coalesce(column, 'none') || '!'`, as sql. */
  | { readonly kind: "shout"; readonly column: string }
  /** `CASE WHEN column > 1 THEN 'many' ELSE 'few' END`, as sql. */
  | { readonly kind: "case"; readonly column: string };

export type TransformSpec = "lowercase" | "trim" | { readonly default: string };

export interface LinkSpec {
  readonly upper: readonly string[];
  readonly lower: readonly string[];
  readonly through?: {
    readonly table: string;
    readonly left: readonly string[];
    readonly right: readonly string[];
  };
}

export interface OrderSpec {
  readonly column: string;
  readonly direction: "asc" | "desc";
  readonly nulls: "first" | "last";
}

export type FieldSpec =
  | {
    readonly kind: "scalar";
    readonly name: string;
    /** As in a config. */
    readonly type: string;
    readonly value: ValueSpec;
    readonly transforms: readonly TransformSpec[];
    readonly more: Readonly<Record<string, unknown>>;
  }
  | {
    readonly kind: "constant";
    readonly name: string;
    readonly value: string | number | boolean | null;
  }
  | { readonly kind: "point"; readonly name: string; readonly lat: string; readonly lon: string }
  | { readonly kind: "object"; readonly name: string; readonly fields: readonly FieldSpec[] }
  | RelationSpec
  | AggregateSpec;

export interface RelationSpec {
  readonly kind: "relation";
  readonly name: string;
  readonly relation: "belongsTo" | "hasOne" | "hasMany" | "manyToMany";
  readonly table: string;
  readonly link: LinkSpec;
  readonly where: readonly FilterSpec[];
  readonly orderBy: readonly OrderSpec[];
  readonly limit?: number;
  readonly nested: boolean;
  readonly fields: readonly FieldSpec[];
}

export interface AggregateSpec {
  readonly kind: "aggregate";
  readonly name: string;
  readonly figure: "count" | "sum" | "avg" | "min" | "max" | "ids";
  readonly table: string;
  readonly link: LinkSpec;
  readonly column?: string;
  readonly where: readonly FilterSpec[];
}

/** One of them. */
export function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[random.between(0, from.length - 1)];
  if (found === undefined) throw new RangeError("Cannot pick from nothing");
  return found;
}

export function tableOf(tables: readonly Table[], name: string): Table {
  const found = tables.find((table) => table.name === name);
  if (found === undefined) throw new RangeError(`no table ${name}`);
  return found;
}

export function columnOf(table: Table, name: string): Column {
  const found = table.columns.find((column) => column.name === name);
  if (found === undefined) throw new RangeError(`no column ${name} in ${table.name}`);
  return found;
}

/** Every table that an index reads, junctions too. */
export function tablesIn({ table, fields }: IndexSpec): ReadonlySet<string> {
  return new Set([table, ...inFields(fields)]);
}

function inFields(fields: readonly FieldSpec[]): readonly string[] {
  return fields.flatMap((field) => {
    if (field.kind === "object") return inFields(field.fields);
    if (field.kind !== "relation" && field.kind !== "aggregate") return [];
    const through = field.link.through === undefined ? [] : [field.link.through.table];
    const below = field.kind === "relation" ? inFields(field.fields) : [];
    return [field.table, ...through, ...below];
  });
}
