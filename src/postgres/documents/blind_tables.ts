import type { TableLevel } from "../../core/source.ts";
import { tableId } from "../../core/table.ts";
import { type Catalog, columnOf } from "../catalog.ts";
import { captureTables } from "./paths.ts";
import type { PlannedIndex } from "./plan.ts";
import type { BlindTables } from "./refs.ts";

/**
 * The tables of these plans whose changes don't tell what a row was before, by how each is followed;
 * one that isn't listed counts as such. Pure.
 *
 * A table may go over to a way that sees: what the old one still delivers is sought all the same. It
 * was visible when the new one was anchored, and documents without its refs are only built after that.
 */
export function blindTables(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
  levels: readonly Pick<TableLevel, "table" | "capture">[],
): BlindTables {
  const seen = new Set(
    levels.filter(({ capture }) => SEE_BEFORE.has(capture)).map(({ table }) => table),
  );
  return new Map(
    captureTables(plans, catalog).flatMap(({ table: ref, key }) => {
      const id = tableId(ref);
      const table = catalog.tables.get(id);
      if (seen.has(id) || table === undefined) return [];
      const columns = key.map((name) => columnOf(table, name)).filter((c) => c !== undefined);
      return columns.length === 0 ? [] : [[id, columns] as const];
    }),
  );
}

const SEE_BEFORE: ReadonlySet<TableLevel["capture"]> = new Set(["changelog", "wal"]);
