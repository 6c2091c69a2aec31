import type { IndexDescription } from "../core/description.ts";
import type { Problem } from "../core/problem.ts";
import type { TableLevel } from "../core/source.ts";
import { tableId } from "../core/table.ts";
import type { Catalog } from "./catalog.ts";
import { loadChangelog } from "./changelog/registry.ts";
import { type RequiredTable, requiredTables } from "./changelog/required.ts";
import { type CaptureName, type Choice, choose, type TableSettings } from "./choose.ts";
import { changelogChance, type ChangelogFacts, changelogProblems } from "./choose_changelog.ts";
import { loadOutbox, outboxChance, outboxProblemsOf, type OutboxState } from "./choose_outbox.ts";
import { loadWalFacts, walChance } from "./choose_wal.ts";
import { type Database, quote } from "./client.ts";
import { blindTables } from "./documents/blind_tables.ts";
import { type CaptureTable, captureTables, endOf, pathsOf } from "./documents/paths.ts";
import { bearRefs, type PlannedIndex } from "./documents/plan.ts";
import { nearest } from "../core/nearest.ts";
import { prepareDocuments, tablesOf } from "./documents/prepare.ts";
import { levelOf } from "./levels.ts";
import type { Refusal, StampDefaults } from "./poll/stamps.ts";
import { unreadableColumns } from "./sweep/sweepable.ts";
import type { WalFacts } from "./wal/facts.ts";
import type {
  CapturePlan,
  ChangelogSettings,
  OutboxSettings,
  SweepSettings,
  SweptTable,
  WalSettings,
  Way,
} from "./ways.ts";
import { walProblems, walToldOnce } from "./wal_problems.ts";

export type { TableSettings };

export interface SourceWishes {
  readonly indexes: readonly IndexDescription[];
  readonly rowSecurity: "refuse" | "allow";
  /** For tables that say nothing. */
  readonly capture: CaptureName;
  /** By `tableId`. */
  readonly tables: ReadonlyMap<string, TableSettings>;
  readonly stamps: StampDefaults;
  /** 0: no table is followed by a lag. */
  readonly lagMs: number;
  readonly sweeps: SweepSettings;
  /** Absent: not used, permitted or not. */
  readonly wal?: WalSettings;
  /** Absent: not used, installed or not. */
  readonly changelog?: ChangelogSettings;
  readonly outbox?: OutboxSettings;
}

/** What a source can do for the indexes: those it can serve, how their tables are followed. */
export interface SourcePlan {
  readonly catalog: Catalog;
  /** Indexes whose documents can be built and whose every table can be followed. */
  readonly plans: readonly PlannedIndex[];
  readonly capture: CapturePlan;
  readonly levels: readonly TableLevel[];
  /** An index with an error among its own or its tables' isn't in `plans`. */
  readonly problems: readonly Problem[];
  /** Where a changelog is installed that this role can read, for any table or none. */
  readonly changelogSchema: string | undefined;
  /** What the server says of its WAL, and of those who read it. */
  readonly wal: WalFacts;
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
  const ids = captureTables(plans, catalog).map(({ table }) => tableId(table));
  const oids = ids.flatMap((id) => {
    const oid = catalog.tables.get(id)?.oid;
    return oid === undefined ? [] : [{ id, oid }];
  });
  const installed: Omit<ChangelogFacts, "required"> = {
    settings: wishes.changelog,
    found: wishes.changelog === undefined
      ? undefined
      : await loadChangelog(database, wishes.changelog.schema, oids, signal),
    role: catalog.role,
  };
  const outbox = wishes.outbox === undefined
    ? undefined
    : await loadOutbox(database, wishes.outbox, signal);
  const facts: SourceFacts = {
    wal: await loadWalFacts(database, wishes, { oids, role: catalog.role }, signal),
    installed,
    outbox,
    hidden: await loadHidden(database, catalog, signal),
  };
  const chosen = chooseAll(plans, catalog, wishes, facts);
  const served = plans.filter((plan) =>
    plan.tables.every((table) => (chosen.get(tableId(table))?.ways.length ?? 0) > 0)
  );
  // What only the others needed is asked for no more.
  const choices = served.length === plans.length
    ? chosen
    : chooseAll(served, catalog, wishes, facts);
  const ways = new Map(
    [...choices].flatMap(([id, { ways: [first, ...rest] }]) =>
      first === undefined ? [] : [[id, [first, ...rest] as const]]
    ),
  );
  const swept = [...choices.values()].flatMap((choice) => choice.swept ?? [])
    .filter(({ alone }) => !alone);
  const used = [...ways.values()].some(([{ kind }]) => kind === "wal");
  const problems = [
    ...found,
    ...unusedSettings(wishes),
    ...changelogProblems({ ...installed, required: new Map() }, catalog.standby),
    ...outboxProblemsOf(outbox, (id) => chosen.get(id)?.ways.length !== 0),
    ...walToldOnce([...chosen.values()].flatMap((choice) => choice.problems)),
  ];
  const levels = levelsOf(served, catalog, choices, wishes, facts.wal);
  const first = new Map([...ways].map(([id, [way]]) => [id, way]));
  const blind = blindTables(served, catalog, first);
  return {
    catalog,
    plans: served.map((plan) => bearRefs(plan, blind)),
    capture: {
      ways,
      swept,
      sweeps: wishes.sweeps,
      ...(wishes.wal === undefined ? {} : { wal: wishes.wal }),
      ...(wishes.changelog === undefined ? {} : { changelog: wishes.changelog }),
      ...(wishes.outbox === undefined ? {} : { outbox: wishes.outbox }),
    },
    levels,
    // Not part of the digest: who reads the slot comes and goes.
    problems: [...problems, ...walProblems(facts.wal, used, problems)],
    changelogSchema: installed.found !== undefined && installed.found.unusable === undefined
      ? wishes.changelog?.schema
      : undefined,
    wal: facts.wal,
    digest: digestOf(served, ways, swept, problems),
  };
}

/** What was read of the database beside its catalog. */
interface SourceFacts {
  readonly wal: WalFacts;
  readonly installed: Omit<ChangelogFacts, "required">;
  readonly outbox: OutboxState | undefined;
  readonly hidden: ReadonlyMap<string, Refusal>;
}

/** Tables whose row versions this role may not read: a grant on columns leaves those out. */
async function loadHidden(
  database: Database,
  catalog: Catalog,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Refusal>> {
  const tables = [...catalog.tables.values()];
  const found = await unreadableColumns(database, tables, catalog.role, signal);
  const named = new Set(found.map(({ path }) => path));
  return new Map([...catalog.tables.keys()].flatMap((id): [string, Refusal][] => {
    if (!named.has(`source.tables.${id}`)) return [];
    const state = "this role may read columns of it, but not xmin, ctid and tableoid";
    const sql = `GRANT SELECT (xmin, ctid, tableoid) ON ${id} TO ${quote(catalog.role)};`;
    return [[id, { code: "GRANT_PARTIAL", state, hint: sql, sql: [sql] }]];
  }));
}

/** How each table of those plans is followed, by `tableId`. */
function chooseAll(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
  wishes: SourceWishes,
  { wal, installed, outbox, hidden }: SourceFacts,
): ReadonlyMap<string, Choice> {
  const required: ReadonlyMap<string, RequiredTable> = requiredTables(plans, catalog);
  const changelog = { ...installed, required };
  const options = {
    ...wishes,
    standby: catalog.standby,
    hidden,
    wal: (wish: CaptureTable) => walChance(wish, wal, required.get(tableId(wish.table))),
    changelog: (wish: CaptureTable) => changelogChance(wish, changelog),
    outbox: (wish: CaptureTable) => outboxChance(wish, outbox),
  };
  return new Map(
    captureTables(plans, catalog).flatMap((wish) => {
      const id = tableId(wish.table);
      const table = catalog.tables.get(id);
      // A table that isn't there is the planner's to name.
      return table === undefined ? [] : [[id, choose(wish, table, options)]];
    }),
  );
}

function levelsOf(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
  choices: ReadonlyMap<string, Choice>,
  { sweeps: { keysMs, ...rest }, rowSecurity, lagMs, outbox }: SourceWishes,
  wal: WalFacts,
): readonly TableLevel[] {
  // Rows that are hidden would look deleted: then no keys are compared.
  const sweeps = { ...rest, keysMs: rowSecurity === "allow" ? undefined : keysMs };
  const roots = new Set(plans.map(({ root }) => tableId(root)));
  const children = new Set(
    plans.flatMap(({ bound }) => pathsOf(bound)).flatMap((path) => {
      const end = endOf(path);
      return end === undefined ? [] : [tableId(end.ref)];
    }),
  );
  const sweptPages = [...choices].reduce(
    (sum, [id, { swept }]) =>
      swept === undefined ? sum : sum + (catalog.tables.get(id)?.pages ?? 0),
    0,
  );
  return [...choices].flatMap(([id, choice]) => {
    const [way] = choice.ways;
    const table = catalog.tables.get(id);
    if (way === undefined || table === undefined) return [];
    const place = { root: roots.has(id), child: children.has(id) };
    return [
      levelOf(way, {
        choice,
        table,
        ...place,
        sweeps,
        sweptPages,
        lagMs,
        standby: catalog.standby,
        outbox: outbox?.mode,
        viaRoot: wal.server?.publication?.viaRoot === true,
      }),
    ];
  });
}

/** What a run is made of. No figure that only grows is part of it. */
function digestOf(
  plans: readonly PlannedIndex[],
  ways: ReadonlyMap<string, readonly Way[]>,
  swept: readonly SweptTable[],
  problems: readonly Problem[],
): string {
  const facts = plans.map(({ name, hash, fingerprint }) => [name, hash, fingerprint]);
  return JSON.stringify([facts, [...ways], swept, problems.flatMap(lasting)]);
}

/** Making slot and publication changes what is said of tables that can't use them. */
function lasting(problem: Problem): readonly unknown[] {
  const { code, path, severity } = problem;
  if (!code.startsWith("WAL_")) return [problem];
  return severity === "error" ? [[code, path]] : [];
}

/** Settings of tables that no index names: most likely of a misspelt one. */
function unusedSettings({ indexes, tables, outbox }: SourceWishes): Problem[] {
  const named = tablesOf(indexes).map(tableId);
  const unused = (ids: Iterable<string>, section: string) =>
    [...ids].filter((id) => !named.includes(id)).map((id): Problem => {
      const near = nearest(id, named);
      return {
        severity: "warning",
        code: "TABLE_UNUSED",
        path: `${section}.${id}`,
        message: `No index uses table ${id}: its settings have no effect`,
        hint: near === undefined ? `The indexes use ${named.join(", ")}.` : `Did you mean ${near}?`,
      };
    });
  return [
    ...unused(tables.keys(), "source.tables"),
    ...unused(outbox?.names.keys() ?? [], "source.outbox.tables"),
  ];
}
