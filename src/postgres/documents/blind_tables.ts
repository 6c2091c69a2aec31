import { tableId } from "../../core/table.ts";
import { type Catalog, columnOf } from "../catalog.ts";
import type { Way } from "../ways.ts";
import { captureTables } from "./paths.ts";
import type { PlannedIndex } from "./plan.ts";
import type { BlindTables } from "./refs.ts";

/**
 * The tables of these plans whose changes don't tell what a row was before, by the way (of `ways`, by
 * `tableId`) that each is followed; one that has none counts as such. Pure.
 *
 * A table may go over to a way that sees: what the old one still delivers is sought all the same. It
 * was visible when the new one was anchored, and documents without its refs are only built after that.
 */
export function blindTables(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
  ways: ReadonlyMap<string, Way>,
): BlindTables {
  return new Map(
    captureTables(plans, catalog).flatMap(({ table: ref, key }) => {
      const id = tableId(ref);
      const table = catalog.tables.get(id);
      if (seesBefore(ways.get(id)) || table === undefined) return [];
      const columns = key.map((name) => columnOf(table, name)).filter((c) => c !== undefined);
      return columns.length === 0 ? [] : [[id, columns] as const];
    }),
  );
}

/** The WAL holds the old row's links where they are part of the table's replica identity. */
function seesBefore(way: Way | undefined): boolean {
  return way?.kind === "changelog" || way?.kind === "wal" && way.table.seesBefore;
}
