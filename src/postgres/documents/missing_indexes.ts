import { tableId } from "../../core/table.ts";
import type { CatalogColumn, CatalogTable } from "../catalog.ts";
import { quote } from "../client.ts";
import { pathsOf } from "./paths.ts";
import type { PlannedIndex } from "./plan.ts";

/** An index without which a statement reads a whole table for a handful of rows. */
export interface MissingIndex {
  /** The index of documents that needs it. */
  readonly index: string;
  /** `tableId` form. */
  readonly table: string;
  readonly columns: readonly string[];
  /** What building or resolving looks up by these columns. */
  readonly need: "build" | "resolve";
  /** The statement that makes it. */
  readonly sql: string;
}

/**
 * Decides from the catalog's indexes alone, so that ten rows say the same as two million: each join
 * column set of every path needs a valid, whole index that begins with those columns in any order.
 * Building looks up the lower end of each hop, resolving the upper end. Each missing one once.
 */
export function missingIndexes(plans: readonly PlannedIndex[]): readonly MissingIndex[] {
  const missing = new Map<string, MissingIndex>();
  for (const plan of plans) {
    const look = (
      table: CatalogTable,
      columns: readonly CatalogColumn[],
      need: MissingIndex["need"],
    ) => {
      const isStored = table.kind !== "view" && table.kind !== "foreign";
      const names = [...new Set(columns.map(({ name }) => name))];
      if (!isStored || isIndexed(table, names)) return;
      const id = tableId(table.ref);
      const key = `${id}\0${[...names].sort().join("\0")}`;
      if (missing.has(key)) return;
      missing.set(key, {
        index: plan.name,
        table: id,
        columns: names,
        need,
        sql: sqlFor(table, names),
      });
    };
    look(plan.bound.root.table, plan.bound.key, "build");
    for (const hop of pathsOf(plan.bound).map((path) => path.at(-1))) {
      if (hop === undefined) continue;
      look(hop.lowerTable, hop.lower, "build");
      look(hop.upperTable, hop.upper, "resolve");
    }
  }
  return [...missing.values()];
}

function isIndexed(table: CatalogTable, names: readonly string[]): boolean {
  return table.indexes.some(({ valid, partial, method, columns }) => {
    if (!valid || partial) return false;
    if (method === "hash") return names.length === 1 && columns[0] === names[0];
    const leading = columns.slice(0, names.length);
    return method === "btree" && names.every((name) => leading.includes(name));
  });
}

/** A partitioned table takes no CONCURRENTLY. */
function sqlFor({ ref, kind }: CatalogTable, names: readonly string[]): string {
  const how = kind === "partitioned" ? "" : "CONCURRENTLY ";
  const columns = names.map(quote).join(", ");
  return `CREATE INDEX ${how}ON ${quote(ref.schema)}.${quote(ref.name)} (${columns});`;
}
