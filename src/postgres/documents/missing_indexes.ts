import { tableId, type TableRef } from "../../core/table.ts";
import type { Catalog } from "../catalog.ts";
import { type Database, quote, type Statement } from "../client.ts";
import { explainScans, loadIndexes, type Scan, type UsableIndex } from "./explain.ts";
import { type Lookup, type LookupNeed, lookupsOf } from "./lookups.ts";
import type { PlannedIndex } from "./plan.ts";
import { overNoKeys } from "./render_build.ts";
import { resolveStatements } from "./resolve.ts";

/** A lookup that reads a whole table for a handful of rows. */
export interface MissingIndex {
  /** `tableId` form: the table, or what is read with it and has no index of its own. */
  readonly table: string;
  readonly columns: readonly string[];
  /**
   * "none": no index begins with the columns. "types": one does, and the comparison can't use it.
   * "view": the columns are a view's.
   */
  readonly why: "none" | "types" | "view";
  /** Who looks there, each once. */
  readonly needs: readonly LookupNeed[];
  /** The statement that makes the index; undefined where none can be told. */
  readonly sql: string | undefined;
}

/**
 * Has Postgres plan every build and resolve statement, and each lookup in them alone, over a Database
 * with the `PLANNER` settings: what is then still read as a whole lacks an index, however many rows
 * there are. A partial index counts where the whole statement uses it. Runs none of the statements.
 *
 * The planner says whether the comparison can be looked up in an index at all; of several that it
 * could use it may take any on a small table, so that which of them begin with the columns is read
 * from the catalog.
 */
export async function missingIndexes(
  planner: Database,
  plans: readonly PlannedIndex[],
  catalog: Catalog,
  signal: AbortSignal,
): Promise<readonly MissingIndex[]> {
  const lookups = lookupsOf(plans, catalog).filter(({ table }) => table.kind !== "foreign");
  const statements = statementsOf(plans, catalog);
  const probes = lookups.map(({ probe }) => probe);
  const all = [...probes, ...statements.map(({ statement }) => statement)];
  const explained = await explainScans(planner, all, signal);
  const probed = explained.slice(0, probes.length);
  const whole = explained.slice(probes.length);
  const relations = new Set(explained.flat().map(({ relation }) => relation));
  const indexes = await loadIndexes(planner, relations, signal);
  const missing = new Map<string, MissingIndex>();
  lookups.forEach((lookup, at) => {
    const slow = (probed[at] ?? []).filter((scan) => scan.inner && !isServed(scan, lookup));
    const unserved = slow.filter(({ relation }) => !isServedWhole(relation, lookup));
    for (const each of missingOf(lookup, unserved)) {
      const id = JSON.stringify([each.table, [...each.columns].sort(), each.why]);
      const known = missing.get(id);
      if (known === undefined) missing.set(id, each);
      else missing.set(id, { ...known, needs: [...known.needs, ...each.needs] });
    }
  });
  return [...missing.values()];

  function isServed({ relation, indexes: used }: Scan, { table, columns }: Lookup): boolean {
    // A view shows columns of tables under names of its own.
    if (table.kind === "view") return used.length > 0;
    const names = columns.map(({ name }) => name);
    return used.length > 0 &&
      (indexes.get(relation) ?? []).some((index) => fits(index, names, used.includes(index.name)));
  }

  /** Each statement that does the lookup does it by an index, a partial one for its filters. */
  function isServedWhole(relation: string, { needs, columns }: Lookup): boolean {
    const names = columns.map(({ name }) => name);
    const usable = (indexes.get(relation) ?? []).filter((index) => fits(index, names, true));
    return needs.every((need) =>
      statements.some(({ index, what }, at) =>
        index === need.index && what === need.what &&
        (whole[at] ?? []).some((scan) =>
          scan.relation === relation && usable.some(({ name }) => scan.indexes.includes(name))
        )
      )
    );
  }

  function missingOf(
    { table, columns, needs }: Lookup,
    slow: readonly Scan[],
  ): readonly MissingIndex[] {
    const [first] = slow;
    if (first === undefined) return [];
    const id = tableId(table.ref);
    const names = [...new Set(columns.map(({ name }) => name))];
    const found = { columns: names, needs };
    if (table.kind === "view") return [{ ...found, table: id, why: "view", sql: undefined }];
    // One index on a partitioned table makes those of all its partitions.
    const isWhole = table.kind === "partitioned";
    const places = isWhole ? [first] : uniqueBy(slow, ({ relation }) => relation);
    return places.map(({ ref, relation }): MissingIndex => {
      const at = isWhole ? id : relation;
      const isThere = (indexes.get(relation) ?? []).some((index) => fits(index, names, false));
      return isThere ? { ...found, table: at, why: "types", sql: undefined } : {
        ...found,
        table: at,
        why: "none",
        sql: sqlFor(isWhole ? table.ref : ref, names, !isWhole),
      };
    });
  }
}

/** `used`: the planner takes it, so that its filter holds and its expression is the one compared. */
function fits(index: UsableIndex, names: readonly string[], used: boolean): boolean {
  if (!index.valid || (index.partial && !used)) return false;
  return leadsWith(index, names) || (used && index.columns[0] === null);
}

function uniqueBy<T>(values: readonly T[], keyOf: (value: T) => string): readonly T[] {
  return [...new Map(values.map((value) => [keyOf(value), value])).values()];
}

/** Whether an index finds rows by all of these columns, or one row by some of them. */
function leadsWith(
  { method, columns, unique }: UsableIndex,
  names: readonly string[],
): boolean {
  if (method === "brin") return false;
  const leading = columns.slice(0, names.length);
  if (names.every((name) => (method === "gin" ? columns : leading).includes(name))) return true;
  return unique && columns.every((name) => name !== null && names.includes(name));
}

/** The statements that builder and resolver send, over no keys. */
function statementsOf(plans: readonly PlannedIndex[], catalog: Catalog): readonly {
  readonly index: string;
  readonly what: LookupNeed["what"];
  readonly statement: Statement;
}[] {
  return [
    ...plans.map(({ name: index, statement }) => ({
      index,
      what: "build" as const,
      statement: overNoKeys(statement),
    })),
    ...resolveStatements(plans, catalog).map(({ index, text, arrays }) => ({
      index,
      what: "resolve" as const,
      statement: { text, params: Array.from({ length: arrays }, () => "{}") },
    })),
  ];
}

/** A partitioned table takes no CONCURRENTLY. */
function sqlFor(
  { schema, name }: TableRef,
  columns: readonly string[],
  concurrently: boolean,
): string {
  const how = concurrently ? "CONCURRENTLY " : "";
  return `CREATE INDEX ${how}ON ${quote(schema)}.${quote(name)} (${
    columns.map(quote).join(", ")
  });`;
}
