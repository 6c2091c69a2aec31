import type { IndexDescription } from "../core/description.ts";
import type { Problem } from "../core/problem.ts";
import type { TableLevel } from "../core/source.ts";
import { tableId } from "../core/table.ts";
import type { Catalog } from "./catalog.ts";
import type { Database } from "./client.ts";
import { digest } from "./documents/canonical.ts";
import { captureTables } from "./documents/paths.ts";
import type { PlannedIndex } from "./documents/plan.ts";
import { nearest } from "./documents/nearest.ts";
import { prepareDocuments, tablesOf } from "./documents/prepare.ts";
import type { PolledTable } from "./poll/polled_table.ts";
import {
  chooseStamp,
  type StampChoice,
  type StampDefaults,
  type TableSettings,
} from "./poll/stamps.ts";
import { loadTableFacts } from "./poll/table_facts.ts";

export interface SourceWishes {
  readonly indexes: readonly IndexDescription[];
  readonly rowSecurity: "refuse" | "allow";
  /** By `tableId`. */
  readonly tables: ReadonlyMap<string, TableSettings>;
  readonly stamps: StampDefaults;
}

/** What a source can do for the indexes: those it can serve, how their tables are followed. */
export interface SourcePlan {
  readonly catalog: Catalog;
  /** Indexes whose documents can be built and whose every table can be followed. */
  readonly plans: readonly PlannedIndex[];
  readonly polled: readonly PolledTable[];
  readonly levels: readonly TableLevel[];
  /** An index with an error among its own or its tables' isn't in `plans`. */
  readonly problems: readonly Problem[];
  /** Another digest later means that the plans no longer are what would be planned. */
  readonly digest: string;
}

/** Reads the catalog and plans everything, in a number of statements that rows don't change. */
export async function planSource(
  database: Database,
  wishes: SourceWishes,
  signal: AbortSignal,
): Promise<SourcePlan> {
  const { catalog, plans, problems: found } = await prepareDocuments(
    database,
    wishes.indexes,
    wishes,
    signal,
  );
  const wanted = captureTables(plans, catalog);
  const facts = await loadTableFacts(database, wanted.map(({ table }) => table), signal);
  const choices = new Map<string, StampChoice>(wanted.map((wish) => {
    const id = tableId(wish.table);
    const settings = wishes.tables.get(id) ?? {};
    return [id, chooseStamp(wish, facts.get(id), settings, wishes.stamps)];
  }));
  const problems = [
    ...found,
    ...unusedSettings(wishes),
    ...[...choices.values()].flatMap((choice) => choice.problems),
  ];

  const stampsOf = (plan: PlannedIndex) =>
    plan.tables.map((table) => choices.get(tableId(table))?.polled?.stamp);
  const served = plans.filter((plan) => stampsOf(plan).every((stamp) => stamp !== undefined))
    // A cursor says how far one stamp was read: by another one there may be a gap (design 3.8).
    .map((plan) => ({ ...plan, fingerprint: digest([plan.fingerprint, stampsOf(plan)], 16) }));
  // Without the tables that only the others needed.
  const followed = captureTables(served, catalog).flatMap(({ table }) => {
    const choice = choices.get(tableId(table));
    return choice?.polled === undefined || choice.level === undefined
      ? []
      : [{ polled: choice.polled, level: choice.level }];
  });
  const polled = followed.map((each) => each.polled);
  return {
    catalog,
    plans: served,
    polled,
    levels: followed.map((each) => each.level),
    problems,
    digest: JSON.stringify([
      served.map(({ name, hash, fingerprint }) => [name, hash, fingerprint]),
      polled,
      problems,
    ]),
  };
}

/** Settings of tables that no index names: most likely of a misspelt one. */
function unusedSettings({ indexes, tables }: SourceWishes): Problem[] {
  const named = tablesOf(indexes).map(tableId);
  return [...tables.keys()].filter((id) => !named.includes(id)).map((id) => {
    const near = nearest(id, named);
    return {
      severity: "warning",
      code: "TABLE_UNUSED",
      path: `source.tables.${id}`,
      message: `No index uses table ${id}: its settings have no effect`,
      hint: near === undefined ? `The indexes use ${named.join(", ")}.` : `Did you mean ${near}?`,
    };
  });
}
