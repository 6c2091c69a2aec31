import { tableId, type TableRef } from "../../core/table.ts";
import { type Catalog, type CatalogColumn, type CatalogTable, rowKeyOf } from "../catalog.ts";
import type { BoundField, BoundIndex, BoundLink } from "./bound.ts";
import type { PlannedIndex } from "./plan.ts";
import { linksOf } from "./used_columns.ts";

/** One hop between two tables: pairwise equal columns. A junction is a table between two hops. */
export interface Hop {
  readonly upperTable: CatalogTable;
  readonly upper: readonly CatalogColumn[];
  readonly lowerTable: CatalogTable;
  readonly lower: readonly CatalogColumn[];
}

/** Hops from a root down to a table whose rows show in its documents; at least one. */
export type Path = readonly Hop[];

/** What a capture has to read of a table. */
export interface CaptureTable {
  readonly table: TableRef;
  /** Columns of `Change.key`, in order, whoever yields the change: a poll or a snapshot. */
  readonly key: readonly string[];
  /** Columns worth reporting in `Change.before` and `after` beside the key. */
  readonly joinColumns: readonly string[];
}

/** Every path of an index, to junctions too, each once. */
export function pathsOf(index: BoundIndex): readonly Path[] {
  const paths = new Map<string, Path>();
  const walk = (fields: readonly BoundField[], above: Path): void => {
    for (const { link, row } of linksOf(fields)) {
      const path = [...above, ...hopsOf(link)];
      for (let end = above.length + 1; end <= path.length; end++) {
        const part = path.slice(0, end);
        paths.set(JSON.stringify(part.map(hopKey)), part);
      }
      walk(row.fields, path);
    }
  };
  walk(index.root.fields, []);
  return [...paths.values()];
}

/** The table a path ends in. */
export function endOf(path: Path): CatalogTable | undefined {
  return path.at(-1)?.lowerTable;
}

/** What captures are to report: each table that any plan touches, once. */
export function captureTables(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
): readonly CaptureTable[] {
  const ends = plans.flatMap((plan) => pathsOf(plan.bound)).map((path) => path.at(-1))
    .filter((hop) => hop !== undefined);
  const tables = new Map(plans.flatMap((plan) => plan.tables).map((ref) => [tableId(ref), ref]));
  return [...tables].flatMap(([id, ref]) => {
    const table = catalog.tables.get(id);
    if (table === undefined) return [];
    const own = ends.filter((hop) => tableId(hop.lowerTable.ref) === id);
    const roots = plans.filter((plan) => tableId(plan.root) === id);
    const key = table.primaryKey ?? roots[0]?.key ?? rowKeyOf(table) ?? joinKey(own);
    const joins = [
      ...own.flatMap((hop) => hop.lower.map(({ name }) => name)),
      ...roots.flatMap((plan) => plan.key),
    ];
    const joinColumns = [...new Set(joins)].filter((name) => !key.includes(name));
    return [{ table: ref, key, joinColumns }];
  });
}

/**
 * A junction or parent without a key is followed by the columns it is joined by: rows alike in
 * those lead to the same documents.
 */
function joinKey(hops: readonly Hop[]): readonly string[] {
  return [...new Set(hops.flatMap((hop) => hop.lower.map(({ name }) => name)))];
}

export function hopsOf(
  { upperTable, upper, lowerTable, lower, through }: BoundLink,
): readonly Hop[] {
  if (through === undefined) return [{ upperTable, upper, lowerTable, lower }];
  return [
    { upperTable, upper, lowerTable: through.table, lower: through.left },
    { upperTable: through.table, upper: through.right, lowerTable, lower },
  ];
}

function hopKey({ upperTable, upper, lowerTable, lower }: Hop): unknown {
  const names = (columns: readonly CatalogColumn[]) => columns.map(({ name }) => name);
  return [tableId(upperTable.ref), names(upper), tableId(lowerTable.ref), names(lower)];
}
