import { tableId } from "../../core/table.ts";
import type { Catalog, CatalogColumn, CatalogTable } from "../catalog.ts";
import { quote, type Statement } from "../client.ts";
import { createBinder } from "./binder.ts";
import type { BoundField, BoundFilter } from "./bound.ts";
import { captureTables, hopsOf } from "./paths.ts";
import type { PlannedIndex } from "./plan.ts";
import { renderFilters } from "./render_filter.ts";

/** What a lookup is done for: rendering documents, or finding those that a changed row shows in. */
export interface LookupNeed {
  readonly what: "build" | "resolve";
  /** The index of documents. */
  readonly index: string;
  /** The field whose rows are read, dotted; "": the index's own row. */
  readonly field: string;
}

/** Rows of a table found by columns: what some statement does for each row of a batch. */
export interface Lookup {
  readonly table: CatalogTable;
  readonly columns: readonly CatalogColumn[];
  /**
   * The comparison alone, as the statements do it: the same tables, columns and types, a relation's
   * filters, and nothing that could make another way of reading attractive. The rows are `l`.
   */
  readonly probe: Statement;
  /** Who does it; each once. */
  readonly needs: readonly LookupNeed[];
}

/**
 * Every lookup of the build and resolve statements, each once. Building goes down each link, resolving
 * goes up; rows whose capture shows no more than their key are read by it first. Pure.
 */
export function lookupsOf(plans: readonly PlannedIndex[], catalog: Catalog): readonly Lookup[] {
  const found = new Map<string, Omit<Lookup, "needs"> & { readonly needs: LookupNeed[] }>();
  const add = (
    table: CatalogTable,
    columns: readonly CatalogColumn[],
    given: Given,
    need: LookupNeed,
    where: readonly BoundFilter[] = [],
  ) => {
    const probe = probeOf(table, columns, given, where);
    const id = JSON.stringify(probe);
    const lookup = found.get(id) ?? { table, columns, probe, needs: [] };
    found.set(id, lookup);
    const isSame = (other: LookupNeed) => JSON.stringify(other) === JSON.stringify(need);
    if (!lookup.needs.some(isSame)) lookup.needs.push(need);
  };
  const captured = new Map(
    captureTables(plans, catalog).map(({ table, key }) => [tableId(table), key]),
  );
  /** Where what leads on isn't part of the captured key, the row is read by that key. */
  const addByKey = (
    table: CatalogTable,
    wanted: readonly CatalogColumn[],
    need: LookupNeed,
  ) => {
    const key = captured.get(tableId(table.ref)) ?? [];
    if (wanted.every(({ name }) => key.includes(name))) return;
    const columns = key.flatMap((name) => table.columns.filter((each) => each.name === name));
    add(table, columns, { columns }, need);
  };
  for (const { name: index, bound } of plans) {
    const { root, key } = bound;
    add(root.table, key, { columns: key }, { what: "build", index, field: "" });
    addByKey(root.table, key, { what: "resolve", index, field: "" });
    const walk = (fields: readonly BoundField[], above: string) => {
      for (const each of fields) {
        const field = `${above}${each.name}`;
        if (each.kind === "object") walk(each.fields, `${field}.`);
        if (each.kind !== "relation" && each.kind !== "aggregate") continue;
        for (const { upperTable, upper, lowerTable, lower } of hopsOf(each.link)) {
          const up = { table: upperTable, columns: upper };
          const down = { table: lowerTable, columns: lower };
          // Figures share a scan with others, which may not have their filter.
          const where = each.kind === "relation" && lowerTable === each.row.table
            ? each.row.where
            : [];
          add(lowerTable, lower, up, { what: "build", index, field }, where);
          add(upperTable, upper, down, { what: "resolve", index, field });
          addByKey(lowerTable, lower, { what: "resolve", index, field });
        }
        walk(each.row.fields, `${field}.`);
      }
    };
    walk(root.fields, "");
  }
  return [...found.values()];
}

/** Values to look for: of another table's columns, or parameters cast to the columns' own types. */
interface Given {
  readonly table?: CatalogTable;
  readonly columns: readonly CatalogColumn[];
}

/** OFFSET keeps the inner select apart: it is run for each row, and what it is run with is known. */
function probeOf(
  table: CatalogTable,
  columns: readonly CatalogColumn[],
  given: Given,
  where: readonly BoundFilter[],
): Statement {
  const binder = createBinder(0);
  const names = given.columns.map(({ name }, at) =>
    given.table === undefined ? `"#k${at}"` : quote(name)
  );
  const arrays = given.columns.map(({ type }) => `NULL::${type.cast}[]`);
  const from = given.table === undefined
    ? `unnest(${arrays.join(", ")}) AS u(${names.join(", ")})`
    : `${nameOf(given.table)} AS u`;
  const matches = columns.map(({ name }, at) => `l.${quote(name)} = u.${names[at] ?? "NULL"}`);
  if (where.length > 0) matches.push(renderFilters(where, "l", binder));
  const text = `SELECT 1 FROM ${from} CROSS JOIN LATERAL (SELECT 1 FROM ${nameOf(table)} AS l ` +
    `WHERE ${matches.join(" AND ")} OFFSET 0) AS x`;
  return { text, params: binder.values };
}

function nameOf({ ref }: CatalogTable): string {
  return `${quote(ref.schema)}.${quote(ref.name)}`;
}
