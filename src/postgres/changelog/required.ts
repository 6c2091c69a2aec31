import { tableId, type TableRef } from "../../core/table.ts";
import { type Catalog, type CatalogTable, columnOf, isUnique } from "../catalog.ts";
import type { BoundField, BoundFilter, BoundIndex, BoundRow } from "../documents/bound.ts";
import { readExpression } from "../documents/expression.ts";
import { captureTables } from "../documents/paths.ts";
import type { PlannedIndex } from "../documents/plan.ts";
import { linksOf, usedTables } from "../documents/used_columns.ts";

/** What the log has to hold of a table. */
export interface Recorded {
  /** Columns of the log's `k`, in order. */
  readonly key: readonly string[];
  /** Beside the key: an update that changes none of them isn't logged. Null: every column counts. */
  readonly columns: readonly string[] | null;
  /** Columns of the log's `before` and `after`. */
  readonly joins: readonly string[];
}

/** What plans need the log to hold of one table. */
export interface RequiredTable extends Recorded {
  readonly table: TableRef;
  /** `tableId(table)`. */
  readonly id: string;
  readonly catalog: CatalogTable;
  /** Why no trigger can log it; undefined when one can. */
  readonly unfit: string | undefined;
}

/** What the changelog has to record so that every plan's documents can follow it. By `tableId`. */
export function requiredTables(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
): ReadonlyMap<string, RequiredTable> {
  const used = new Map<string, Set<string>>();
  const whole = new Set<string>();
  for (const { bound } of plans) {
    for (const { table, columns } of usedTables(bound)) {
      const id = tableId(table.ref);
      const all = used.get(id) ?? new Set<string>();
      used.set(id, all);
      for (const name of columns) {
        all.add(name);
        for (const base of basesOf(table, name)) all.add(base);
      }
    }
    for (const id of withRawSql(bound)) whole.add(id);
  }
  const required = captureTables(plans, catalog).flatMap(({ table, key, joinColumns }) => {
    const id = tableId(table);
    const found = catalog.tables.get(id);
    if (found === undefined) return [];
    const columns = whole.has(id)
      ? null
      : [...new Set([...used.get(id) ?? [], ...joinColumns])].filter((name) => !key.includes(name))
        .sort();
    return [{
      table,
      id,
      catalog: found,
      key,
      columns,
      joins: joinColumns,
      unfit: unfitFor(found, [...key, ...joinColumns]),
    }];
  });
  return new Map(required.map((each) => [each.id, each]));
}

/** What is missing in the log for what is required, as text; undefined: nothing. */
export function lacks(registered: Recorded, required: Recorded): string | undefined {
  const quoted = (names: readonly string[]) => names.map((name) => `"${name}"`).join(", ");
  if (JSON.stringify(registered.key) !== JSON.stringify(required.key)) {
    return `it logs the key (${quoted(registered.key)}), where (${quoted(required.key)}) is needed`;
  }
  const missing: string[] = [];
  const joins = required.joins.filter((name) => !registered.joins.includes(name));
  if (joins.length > 0) missing.push(`it doesn't log the values of ${quoted(joins)}`);
  if (registered.columns !== null) {
    const seen = new Set([...registered.key, ...registered.columns, ...registered.joins]);
    const unseen = required.columns?.filter((name) => !seen.has(name));
    if (unseen === undefined) missing.push("it doesn't look at every column, as raw sql needs");
    else if (unseen.length > 0) missing.push(`it doesn't look at ${quoted(unseen)}`);
  }
  return missing.length === 0 ? undefined : missing.join("; ");
}

/** What holds for both: what is installed goes on, what is wanted comes along. */
export function united(registered: Recorded | undefined, required: RequiredTable): Recorded {
  const { key, catalog } = required;
  if (registered === undefined) return { key, columns: required.columns, joins: required.joins };
  const there = (name: string) => !key.includes(name) && columnOf(catalog, name) !== undefined;
  const joins = [...new Set([...registered.joins, ...required.joins])].filter(there);
  if (registered.columns === null || required.columns === null) {
    return { key, columns: null, joins };
  }
  const columns = [...registered.columns, ...registered.key, ...required.columns];
  return { key, columns: [...new Set(columns)].filter(there).sort(), joins };
}

/** Whether two rows alike in the key are one row at two times. */
export function isPaired(table: CatalogTable, key: readonly string[]): boolean {
  return isUnique(table, key) && key.every((name) => columnOf(table, name)?.notNull === true);
}

/** A trigger sees no value in a virtual generated column: what it is made of stands for it. */
function basesOf(table: CatalogTable, name: string): readonly string[] {
  const generated = columnOf(table, name)?.generated ?? "";
  if (generated === "") return [];
  return [...readExpression(generated).words].filter((word) => columnOf(table, word) !== undefined);
}

/** Tables of which a plan reads an expression: what that may see isn't ours to say. */
function withRawSql(index: BoundIndex): ReadonlySet<string> {
  const found = new Set<string>();
  const walk = (row: BoundRow) => {
    if (row.where.some(isSql) || row.fields.some(holdsSql)) found.add(tableId(row.table.ref));
    for (const { row: below } of linksOf(row.fields)) walk(below);
  };
  walk(index.root);
  const { softDelete, root } = index;
  if (softDelete?.kind === "when" && softDelete.filters.some(isSql)) {
    found.add(tableId(root.table.ref));
  }
  return found;
}

function isSql(filter: BoundFilter): boolean {
  if (filter.kind === "sql") return true;
  return filter.kind !== "compare" && filter.filters.some(isSql);
}

function holdsSql(field: BoundField): boolean {
  if (field.kind === "scalar") return field.source.kind === "sql";
  return field.kind === "object" && field.fields.some(holdsSql);
}

function unfitFor(table: CatalogTable, logged: readonly string[]): string | undefined {
  if (table.kind !== "table" && table.kind !== "partitioned") {
    return `it is a ${table.kind === "materialized" ? "materialized view" : table.kind}: ` +
      "its rows change without a trigger";
  }
  if (table.foreign) return "another server fills it, or a partition of it, past any trigger";
  if (table.subscribed === true) return "a subscription fills it, past its triggers";
  if (logged.length === 0) return "it has no key";
  const odd = logged.find((name) => NAMED_BY_PATH.test(columnOf(table, name)?.type.base ?? ""));
  if (odd === undefined) return undefined;
  return `the text of its column "${odd}" depends on each session's search_path`;
}

/** regclass and its like. */
const NAMED_BY_PATH = /^reg[a-z]+$/;
