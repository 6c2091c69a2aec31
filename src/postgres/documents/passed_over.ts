import type { Problem } from "../../core/problem.ts";
import { tableId } from "../../core/table.ts";
import { type Catalog, columnOf } from "../catalog.ts";
import type { BoundField } from "./bound.ts";
import { captureTables } from "./paths.ts";
import type { PlannedIndex } from "./plan.ts";
import { linksOf } from "./used_columns.ts";

/**
 * The problems of indexes that show rows which captures pass over, by the index's name. A row with a
 * NULL in its captured key names nothing, and that is right where every way to show it needs those
 * columns; a table without a key of its own is followed by all that it is joined by, in all indexes
 * together, and then a row may show by some columns while another is NULL. Pure.
 */
export function passedOver(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
): ReadonlyMap<string, readonly Problem[]> {
  const places = plans.map((plan) => ({ name: plan.name, shown: placesOf(plan) }));
  const found = new Map<string, Problem[]>();
  for (const { table: ref, key } of captureTables(plans, catalog)) {
    const id = tableId(ref);
    const table = catalog.tables.get(id);
    // The catalog calls no column of a view NOT NULL: its key is its author's word.
    if (table === undefined || table.kind === "view" || table.kind === "materialized") continue;
    const nullable = key.filter((column) => columnOf(table, column)?.notNull !== true);
    for (const { name, shown } of places) {
      const own = shown.filter((place) => place.table === id);
      const lacking = nullable.filter((column) => own.some(({ columns }) => !columns.has(column)));
      if (lacking.length === 0) continue;
      const problem: Problem = {
        severity: "error",
        code: "KEY_NULLABLE",
        path: `indexes.${name}`,
        message: `Cannot follow every row of ${id}: it has no primary key and is followed by ` +
          `(${key.join(", ")}); one with a NULL in ${lacking.join(", ")} would be passed over, ` +
          "and shows in this index all the same",
        hint: `Add a primary key, or make ${lacking.join(", ")} NOT NULL.`,
      };
      found.set(name, [...found.get(name) ?? [], problem]);
    }
  }
  return found;
}

/** A table, and columns that aren't NULL in a row of it that shows. */
interface Place {
  readonly table: string;
  readonly columns: ReadonlySet<string>;
}

function placesOf({ root, key, bound }: PlannedIndex): readonly Place[] {
  return [{ table: tableId(root), columns: new Set(key) }, ...inFields(bound.root.fields)];
}

function inFields(fields: readonly BoundField[]): readonly Place[] {
  return linksOf(fields).flatMap(({ link: { lowerTable, lower, through }, row }) => {
    const places = [{ table: lowerTable, joined: lower }];
    if (through !== undefined) {
      places.push({ table: through.table, joined: [...through.left, ...through.right] });
    }
    return [
      ...places.map(({ table, joined }): Place => ({
        table: tableId(table.ref),
        columns: new Set(joined.map(({ name }) => name)),
      })),
      ...inFields(row.fields),
    ];
  });
}
