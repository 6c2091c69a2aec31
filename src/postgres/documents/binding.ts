import { nearest } from "../../core/nearest.ts";
import type { Problem } from "../../core/problem.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import {
  type Catalog,
  type CatalogColumn,
  type CatalogTable,
  columnOf,
  rowKeyOf,
} from "../catalog.ts";
import { type ColumnType, typeText } from "../catalog_types.ts";
import type { ExpressionFacts } from "./describe.ts";

/** What binding one index reads and where it reports what it finds wrong: all of it, not the first. */
export interface Binding {
  readonly catalog: Catalog;
  /** By `expressionKey`. */
  readonly expressions: ReadonlyMap<string, ExpressionFacts>;
  report(
    severity: Problem["severity"],
    code: string,
    path: string,
    message: string,
    hint?: string,
  ): void;
}

/** Finds a table or reports that it isn't there. */
export function bindTable(binding: Binding, ref: TableRef, path: string): CatalogTable | undefined {
  const table = binding.catalog.tables.get(tableId(ref));
  if (table === undefined) {
    const near = nearTable(ref, binding.catalog.others ?? []);
    binding.report(
      "error",
      "TABLE_MISSING",
      path,
      `Cannot find table ${tableId(ref)}: no table or view has that name`,
      near === undefined
        ? "Names are taken verbatim, case included; a table outside public is written schema.table."
        : `Did you mean "${near}"?`,
    );
  }
  return table;
}

/** As the config would name it: of the same name in another schema, else of a similar one in this. */
function nearTable({ schema, name }: TableRef, others: readonly TableRef[]): string | undefined {
  const elsewhere = others.filter((each) => each.name === name);
  if (elsewhere.length === 1 && elsewhere[0]) return tableId(elsewhere[0]);
  const near = nearest(name, others.filter((each) => each.schema === schema).map((o) => o.name));
  return near === undefined
    ? undefined
    : schema === "public"
    ? near
    : tableId({ schema, name: near });
}

/** Finds a column or reports that it isn't there, with the name that was likely meant. */
export function bindColumn(
  binding: Binding,
  table: CatalogTable,
  name: string,
  path: string,
): CatalogColumn | undefined {
  const column = columnOf(table, name);
  if (column === undefined) {
    const near = nearest(name, table.columns.map((each) => each.name));
    binding.report(
      "error",
      "COLUMN_MISSING",
      path,
      `Cannot find column "${name}": ${tableId(table.ref)} has none of that name`,
      near === undefined
        ? `Its columns are ${table.columns.map((each) => each.name).join(", ")}.`
        : `Did you mean "${near}"?`,
    );
  }
  return column;
}

/** All columns of a list, or undefined when one is missing. */
export function bindColumns(
  binding: Binding,
  table: CatalogTable,
  names: readonly string[],
  path: string,
): readonly CatalogColumn[] | undefined {
  const found = names.map((name, at) =>
    bindColumn(binding, table, name, names.length === 1 ? path : `${path}.${at}`)
  );
  return found.every((column) => column !== undefined) ? found : undefined;
}

/** What tells a related table's rows apart, so that they can be listed in one order and followed. */
export function bindIdentity(
  binding: Binding,
  table: CatalogTable,
  fallback: readonly CatalogColumn[] | undefined,
  path: string,
): readonly CatalogColumn[] | undefined {
  const key = rowKeyOf(table);
  if (key !== undefined) {
    const columns = bindColumns(binding, table, key, path);
    const use = `follow ${tableId(table.ref)} by its key`;
    return columns && areScalars(binding, columns, use, path) ? columns : undefined;
  }
  if (fallback !== undefined) return fallback;
  binding.report(
    "error",
    "KEY_MISSING",
    path,
    `Cannot tell the rows of ${tableId(table.ref)} apart: it has no primary key`,
    table.kind === "view" || table.kind === "materialized"
      ? "A view can't have one: relate the tables behind it instead."
      : "Add a primary key, or a unique index over columns that are NOT NULL.",
  );
  return undefined;
}

/**
 * Reports the first array among columns that rows are found by: the keys of a batch come as one
 * array for each column. `use` completes "Cannot … "tags"".
 */
export function areScalars(
  binding: Binding,
  columns: readonly CatalogColumn[],
  use: string,
  path: string,
): boolean {
  const array = columns.find(({ type }) => type.isArray);
  if (array === undefined) return true;
  binding.report(
    "error",
    "TYPE_MISMATCH",
    path,
    `Cannot ${use} "${array.name}": it is ${typeText(array.type)}`,
    "Use columns that are no arrays, or keep the elements in a table of their own.",
  );
  return false;
}

/** lc_monetary, which tells how many digits a currency has, is set in our sessions: texts must agree. */
export function warnOfMoney(
  binding: Binding,
  { base }: ColumnType,
  name: string,
  path: string,
): void {
  if (base !== "money") return;
  binding.report(
    "warning",
    "MONEY_DIGITS",
    path,
    `${name} is money, which is read with two digits behind the point whatever lc_monetary says`,
    "Cast it in sql: amount::numeric where the currency has two, amount::numeric * 100 where it has " +
      "none. A numeric column needs neither.",
  );
}
