import { tableId } from "../../core/table.ts";
import { type CatalogColumn, type CatalogTable, columnOf, rowKeyOf } from "../catalog.ts";
import type { BoundField, BoundFilter, BoundIndex, BoundLink, BoundRow } from "./bound.ts";
import { readExpression } from "./expression.ts";

/** A table and the columns of it that documents are made of, by name. */
export interface UsedTable {
  readonly table: CatalogTable;
  readonly columns: ReadonlySet<string>;
}

/**
 * Every table an index touches, root first, each once, with all columns that its queries read: also
 * the key that a root or a junction is followed by, which need not show.
 */
export function usedTables(index: BoundIndex): readonly UsedTable[] {
  const used = new Map<string, { table: CatalogTable; columns: Set<string> }>();
  const add = (table: CatalogTable, columns: readonly CatalogColumn[]) => {
    const id = tableId(table.ref);
    const entry = used.get(id) ?? { table, columns: new Set<string>() };
    used.set(id, entry);
    for (const { name } of columns) entry.columns.add(name);
  };
  const addKey = (table: CatalogTable, key: readonly string[] = []) =>
    add(table, key.flatMap((name) => columnOf(table, name) ?? []));
  add(index.root.table, index.key);
  addKey(index.root.table, index.root.table.primaryKey);
  if (index.softDelete?.kind === "column") add(index.root.table, [index.softDelete.column]);
  if (index.softDelete?.kind === "when") {
    add(index.root.table, inFilters(index.root.table, index.softDelete.filters));
  }
  const walk = (row: BoundRow) => {
    add(row.table, columnsOfRow(row));
    for (const { link, row: below } of linksOf(row.fields)) {
      if (link.through !== undefined) {
        add(link.through.table, [...link.through.left, ...link.through.right]);
        addKey(link.through.table, rowKeyOf(link.through.table));
      }
      add(link.lowerTable, link.lower);
      walk(below);
    }
  };
  walk(index.root);
  return [...used.values()];
}

/** Columns of a row's own table that its fields, filters and the rows below it read. */
export function columnsOfRow(row: BoundRow): readonly CatalogColumn[] {
  return [
    ...row.identity,
    ...inFilters(row.table, row.where),
    ...row.fields.flatMap((field) => inField(row.table, field)),
  ];
}

/** The links that leave a row, through objects too, in the order of the fields. */
export function linksOf(
  fields: readonly BoundField[],
): readonly { readonly link: BoundLink; readonly row: BoundRow }[] {
  return fields.flatMap((field) => {
    if (field.kind === "object") return linksOf(field.fields);
    if (field.kind === "aggregate") {
      const { column, link, row } = field;
      // The column belongs to what is counted: it is read there as if a filter named it.
      return [{
        link,
        row: column === undefined ? row : { ...row, identity: [...row.identity, column] },
      }];
    }
    if (field.kind !== "relation") return [];
    const { link, row, orderBy } = field;
    return [{
      link,
      row: { ...row, identity: [...row.identity, ...orderBy.map(({ column }) => column)] },
    }];
  });
}

function inField(table: CatalogTable, field: BoundField): readonly CatalogColumn[] {
  switch (field.kind) {
    case "scalar":
      return field.source.kind === "column"
        ? [field.source.column]
        : inExpression(table, field.source.sql);
    case "point":
      return field.from.kind === "pair" ? [field.from.lat, field.from.lon] : [field.from.column];
    case "constant":
      return [];
    case "object":
      return field.fields.flatMap((each) => inField(table, each));
    case "relation":
    case "aggregate":
      return field.link.upper;
  }
}

function inFilters(
  table: CatalogTable,
  filters: readonly BoundFilter[],
): readonly CatalogColumn[] {
  return filters.flatMap((filter) => {
    if (filter.kind === "sql") return inExpression(table, filter.sql);
    return filter.kind === "compare" ? [filter.column] : inFilters(table, filter.filters);
  });
}

/** Every column whose name occurs as a word: some too many do no harm, one too few would. */
function inExpression(table: CatalogTable, sql: string): readonly CatalogColumn[] {
  return [...readExpression(sql).words]
    .map((word) => columnOf(table, word))
    .filter((column) => column !== undefined);
}
