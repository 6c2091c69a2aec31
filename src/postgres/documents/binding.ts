import type { Problem } from "../../core/problem.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import {
  type Catalog,
  type CatalogColumn,
  type CatalogTable,
  columnOf,
  rowKeyOf,
} from "../catalog.ts";
import type { ExpressionFacts } from "./describe.ts";
import { nearest } from "../../core/nearest.ts";

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
    binding.report(
      "error",
      "TABLE_MISSING",
      path,
      `Cannot find table ${tableId(ref)}: no table or view has that name`,
      "Names are taken verbatim, case included; a table outside public is written schema.table.",
    );
  }
  return table;
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
  if (key !== undefined) return bindColumns(binding, table, key, path);
  if (fallback !== undefined) return fallback;
  binding.report(
    "error",
    "KEY_MISSING",
    path,
    `Cannot tell the rows of ${tableId(table.ref)} apart: it has no primary key`,
    "Add a primary key, or a unique index over columns that are NOT NULL.",
  );
  return undefined;
}
