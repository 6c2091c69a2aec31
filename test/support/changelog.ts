import { tableId } from "../../src/core/table.ts";
import { loadCatalog, rowKeyOf } from "../../src/postgres/catalog.ts";
import { applyScripts } from "../../src/postgres/changelog/apply.ts";
import { type InstallPlan, planInstall } from "../../src/postgres/changelog/install.ts";
import { loadChangelog, type LoggedState } from "../../src/postgres/changelog/registry.ts";
import { loadStates } from "../../src/postgres/changelog/registry_state.ts";
import type { Recorded, RequiredTable } from "../../src/postgres/changelog/required.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import type { TestDatabase } from "./postgres.ts";

/** What of a table in schema public is to be logged; the key is the primary key unless given. */
export type Wish = Partial<Recorded> & { readonly table: string };

export interface InstallOptions {
  readonly readers?: readonly string[];
  readonly attempts?: number;
  readonly say?: (line: string) => void;
}

/** Installs the changelog in schema driftless; returns what was planned and what was left out. */
export async function installChangelog(
  db: TestDatabase,
  wishes: readonly Wish[],
  { readers = [db.readerRole], attempts = 3, say = () => {} }: InstallOptions = {},
): Promise<{ readonly plan: InstallPlan; readonly left: ReadonlyMap<string, string> }> {
  await using database = openAdmin(db.url);
  const signal = new AbortController().signal;
  const plan = await plannedInstall(database, wishes, readers);
  const delay = { baseMs: 1, capMs: 1 };
  const left = await applyScripts(database, plan.scripts, { attempts, delay, say }, signal);
  return { plan, left };
}

/** What an installation would run now. */
export async function plannedInstall(
  database: Database,
  wishes: readonly Wish[],
  readers: readonly string[] = [],
): Promise<InstallPlan> {
  const signal = new AbortController().signal;
  const refs = wishes.map(({ table }) => ({ schema: "public", name: table }));
  const catalog = await loadCatalog(database, refs, signal);
  const required = wishes.map((wish): RequiredTable => {
    const table = { schema: "public", name: wish.table };
    const found = catalog.tables.get(tableId(table));
    if (found === undefined) throw new Error(`no table ${wish.table}`);
    return {
      table,
      id: tableId(table),
      catalog: found,
      key: wish.key ?? rowKeyOf(found) ?? [],
      columns: wish.columns === undefined ? null : wish.columns,
      joins: wish.joins ?? [],
      unfit: undefined,
    };
  });
  const there = await database.query(
    { text: "SELECT to_regclass('driftless.tables') IS NOT NULL" },
    signal,
  );
  const oids = required.map(({ catalog }) => catalog.oid);
  const states = await loadStates(database, "driftless", oids, there[0]?.[0] === "t", signal);
  return planInstall("driftless", required, states, readers);
}

/** What the registry says of one table. */
export async function loggedState(
  db: TestDatabase,
  table: string,
  url: string = db.readerUrl,
): Promise<LoggedState | undefined> {
  await using database = openAdmin(url, false);
  const [row] = await db.sql`SELECT ${`public.${table}`}::regclass::oid::text AS oid`;
  const id = tableId({ schema: "public", name: table });
  const signal = new AbortController().signal;
  const found = await loadChangelog(database, "driftless", [{ id, oid: row?.["oid"] }], signal);
  return found?.tables.get(id);
}

/** A direct connection that may write. */
export function openAdmin(url: string, writes = true): Database {
  return openDatabase({
    url,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName: `driftless/test-${crypto.randomUUID()}`,
    statementTimeoutMs: 60_000,
    writes,
  });
}

export interface LogRow {
  readonly table: string;
  readonly op: string;
  readonly k: readonly (string | null)[] | null;
  readonly before: Readonly<Record<string, string | null>> | null;
  readonly after: Readonly<Record<string, string | null>> | null;
}

/** Takes all rows out of the log, oldest first. */
export async function takeLog(db: TestDatabase): Promise<readonly LogRow[]> {
  const rows = await db.sql`WITH gone AS (DELETE FROM driftless.log RETURNING *)
    SELECT rel::regclass::text AS "table", op::text, k, before, after FROM gone ORDER BY xid, seq`;
  return rows.map((row) => ({ ...row })) as unknown as LogRow[];
}

/** The same as lines: `u item [1] {"a":"1"} {"a":"2"}`. */
export async function takeLines(db: TestDatabase): Promise<readonly string[]> {
  return (await takeLog(db)).map(({ table, op, k, before, after }) =>
    [op, table, ...[k, before, after].filter((part) => part !== null).map((p) => JSON.stringify(p))]
      .join(" ")
  );
}
