/** `driftless changelog`: the one command that may write to the source, and only when told to. */
import type { Config } from "../config/config.ts";
import { FatalError } from "../core/errors.ts";
import type { Problem } from "../core/problem.ts";
import { applyScripts, runAsOwner } from "../postgres/changelog/apply.ts";
import { planInstall, renderScripts, type Script } from "../postgres/changelog/install.ts";
import { loadChangelog, type LoggedState } from "../postgres/changelog/registry.ts";
import { loadStates } from "../postgres/changelog/registry_state.ts";
import { type ChangelogStatus, loadStatus } from "../postgres/changelog/registry_status.ts";
import { forgetStatement, planRemove } from "../postgres/changelog/remove.ts";
import { lacks, type RequiredTable, requiredTables } from "../postgres/changelog/required.ts";
import type { Database } from "../postgres/client.ts";
import { prepareDocuments } from "../postgres/documents/prepare.ts";
import { openAdmin, openSource } from "./source.ts";

/** Where the changelog is, and who may write there. */
export interface ChangelogTarget {
  readonly schema: string;
  /** Of whoever owns the tables; absent: `source.url`. */
  readonly adminUrl?: string;
  /** Runs what would be printed. */
  readonly apply: boolean;
  /** A line for people. */
  say(line: string): void;
}

/** What a command did, or what it would do. */
export interface ChangelogOutcome {
  /** For psql; "" when it was run. */
  readonly sql: string;
  /** Tables that were to be changed. */
  readonly tables: readonly string[];
  /** By table: why it wasn't changed. */
  readonly left: ReadonlyMap<string, string>;
}

/** Plans, and prints or runs, what makes the config's tables write to the changelog. */
export async function installChangelog(
  config: Config,
  target: ChangelogTarget,
  readers: readonly string[],
  signal: AbortSignal,
): Promise<ChangelogOutcome> {
  await using stack = new AsyncDisposableStack();
  const { wanted, role, problems } = await wantedTables(config, stack, signal);
  for (const { message } of problems) target.say(message);
  const admin = stack.use(openAdmin(config, target));
  const tables = wanted.map(({ id, catalog }) => ({ id, oid: catalog.oid }));
  const there = await usableChangelog(admin, target.schema, tables, signal);
  if (there === undefined) await refuseTaken(admin, target.schema, signal);
  const oids = tables.map(({ oid }) => oid);
  const states = await loadStates(admin, target.schema, oids, there !== undefined, signal);
  const self = await roleOf(admin, signal);
  const byDefault = target.apply && self === role ? [] : [role];
  const named = readers.length > 0 ? readers : byDefault;
  const { scripts, unfit, notes } = planInstall(target.schema, wanted, states, named);
  for (const [id, why] of unfit) target.say(`${id} can't be logged: ${why}`);
  for (const note of notes.values()) target.say(note);
  const header = [
    "driftless changelog install. To be run by the owner of the tables:",
    "psql -X -v ON_ERROR_STOP=1 -f THIS_FILE",
    "Each table is locked for a moment. A transaction that fails can be run again later: print anew.",
    ...[...unfit].map(([id, why]) => `Not logged: ${id}: ${why}`),
  ];
  return await printOrApply(admin, scripts, header, target, signal);
}

/** Plans, and prints or runs, what takes the changelog away. */
export async function removeChangelog(
  config: Config,
  target: ChangelogTarget,
  signal: AbortSignal,
): Promise<ChangelogOutcome> {
  await using admin = openAdmin(config, target);
  const scripts = await planRemove(admin, target.schema, signal);
  if (scripts === undefined) throw notInstalled(target.schema);
  const [last] = scripts.slice(-1);
  // While a table's triggers call their function, the schema can't go.
  const tables = scripts.slice(0, -1);
  const header = ["driftless changelog remove. Each table is locked for a moment."];
  if (!target.apply) return await printOrApply(admin, scripts, header, target, signal);
  const outcome = await printOrApply(admin, tables, header, target, signal);
  if (outcome.left.size > 0 || last === undefined) return outcome;
  await printOrApply(admin, [last], header, target, signal);
  return outcome;
}

/** Lets a consumer go. `found` undefined: nothing was run. */
export async function forgetConsumer(
  config: Config,
  target: ChangelogTarget,
  name: string,
  signal: AbortSignal,
): Promise<{ readonly sql: string; readonly found: boolean | undefined }> {
  const statement = forgetStatement(target.schema, name);
  if (!target.apply) return { sql: `${statement};\n`, found: undefined };
  await using admin = openAdmin(config, target);
  if (await usableChangelog(admin, target.schema, [], signal) === undefined) {
    throw notInstalled(target.schema);
  }
  const rows = await runAsOwner(admin, { text: statement }, signal);
  return { sql: "", found: rows.length > 0 };
}

/** How the changelog is doing, as far as a role may know. */
export interface ChangelogReport extends ChangelogStatus {
  readonly tables: readonly {
    readonly id: string;
    /** Undefined: it isn't installed for this table. */
    readonly state: LoggedState | undefined;
    /** What the config needs and the log lacks, or why it can't be logged. */
    readonly trouble: string | undefined;
  }[];
  /** The role of `source.url` may say what it has passed. */
  readonly canAcknowledge: boolean;
}

export async function changelogReport(
  config: Config,
  target: Pick<ChangelogTarget, "schema" | "adminUrl">,
  signal: AbortSignal,
): Promise<ChangelogReport> {
  await using stack = new AsyncDisposableStack();
  const { wanted, source } = await wantedTables(config, stack, signal);
  const tables = wanted.map(({ id, catalog }) => ({ id, oid: catalog.oid }));
  const own = await loadChangelog(source, target.schema, tables, signal);
  const database = own?.unusable === undefined || target.adminUrl === undefined
    ? source
    : stack.use(openAdmin(config, { ...target, apply: false }));
  const found = await usableChangelog(database, target.schema, tables, signal);
  if (found === undefined) throw notInstalled(target.schema);
  return {
    ...await loadStatus(database, target.schema, signal),
    canAcknowledge: own?.canAcknowledge === true,
    tables: wanted.map((each) => {
      const state = found.tables.get(each.id);
      const trouble = each.unfit ?? state?.broken ??
        (state === undefined ? "it isn't installed" : lacks(state, each));
      return { id: each.id, state, trouble };
    }),
  };
}

/** What the config wants logged: tables that a better way isn't prescribed for. */
async function wantedTables(
  config: Config,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<{
  readonly source: Database;
  readonly wanted: readonly RequiredTable[];
  readonly role: string;
  readonly problems: readonly Problem[];
}> {
  const source = stack.use(openSource(config, 1));
  const { catalog, plans, problems } = await prepareDocuments(
    source,
    config.indexes,
    config.source,
    signal,
  );
  const errors = problems.filter(({ severity }) => severity === "error");
  if (plans.length === 0) {
    throw new FatalError(
      "CONFIG_INVALID",
      `Cannot tell what to log: no index can be served (${errors[0]?.message ?? "none is there"})`,
      "`driftless check` lists what is wrong.",
    );
  }
  const { tables, capture } = config.source;
  const wanted = [...requiredTables(plans, catalog).values()].filter(({ id }) =>
    LOGGED.has(tables.get(id)?.capture ?? capture)
  );
  return { source, wanted, role: catalog.role, problems: errors };
}

/** Throws where a role can't look. Undefined: there is none. */
async function usableChangelog(
  database: Database,
  schema: string,
  tables: readonly { readonly id: string; readonly oid: string }[],
  signal: AbortSignal,
): ReturnType<typeof loadChangelog> {
  const found = await loadChangelog(database, schema, tables, signal);
  if (found?.unusable === undefined) return found;
  throw new FatalError(
    "42501",
    `Cannot look at the changelog: ${found.unusable}`,
    "Give --admin-url, or have its owner run `driftless changelog install --reader ROLE`.",
  );
}

async function printOrApply(
  admin: Database,
  scripts: readonly Script[],
  header: readonly string[],
  { apply, say }: ChangelogTarget,
  signal: AbortSignal,
): Promise<ChangelogOutcome> {
  const tables = scripts.flatMap(({ table }) => table === undefined ? [] : [table]);
  if (!apply) return { sql: renderScripts(scripts, header), tables, left: new Map() };
  const left = await applyScripts(admin, scripts, { ...PATIENCE, say }, signal);
  return { sql: "", tables, left };
}

/** Ours alone: what else is in there would be granted, altered and dropped with it. */
async function refuseTaken(database: Database, schema: string, signal: AbortSignal): Promise<void> {
  const [row] = await database.query({
    text: `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 ORDER BY 1 LIMIT 1`,
    params: [schema],
  }, signal);
  if (row === undefined) return;
  throw new FatalError(
    "SCHEMA_TAKEN",
    `Cannot put the changelog into schema "${schema}": it holds other things ("${row[0]}")`,
    "Name another one in source.changelog.schema; it is made for the changelog alone.",
  );
}

async function roleOf(database: Database, signal: AbortSignal): Promise<string> {
  const [row] = await database.query({ text: "SELECT current_user::text" }, signal);
  return row?.[0] ?? "";
}

function notInstalled(schema: string): FatalError {
  return new FatalError(
    "NOT_INSTALLED",
    `Cannot find the changelog: schema "${schema}" holds none`,
    "`driftless changelog install` prints the SQL that makes it.",
  );
}

/** Captures that a changelog may be picked for. */
const LOGGED: ReadonlySet<string> = new Set(["auto", "changelog"]);
/** Half a minute of locks, and the pauses between. */
const PATIENCE = { attempts: 10, delay: { baseMs: 500, capMs: 15_000 } };
