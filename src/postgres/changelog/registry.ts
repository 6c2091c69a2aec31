/**
 * What is installed, and whether it has been working ever since.
 *
 * A trigger that was disabled and enabled again looks as if nothing had happened, and what was
 * written meanwhile isn't in the log. But each ALTER and each CREATE writes the row of pg_trigger
 * anew, with the xid of whoever did it as its xmin. The installation writes triggers, function and
 * the row in `tables` in one transaction, so that all have one xmin; another one anywhere means that
 * somebody has been there since. Partitions that came later have their copies from the transaction
 * that attached them: that of their row in pg_inherits.
 */
import type { Database } from "../client.ts";
import { loadStates, type TableState } from "./registry_state.ts";
import type { Recorded } from "./required.ts";
import { expectedTriggers } from "./triggers.ts";

export interface Changelog {
  /** Why this role can't use it; undefined: it can. `tables` is empty then. */
  readonly unusable: string | undefined;
  /** This role may say what it has passed. */
  readonly canAcknowledge: boolean;
  /** By `tableId`; tables that were never installed are absent. */
  readonly tables: ReadonlyMap<string, LoggedState>;
}

export interface LoggedState extends Recorded {
  readonly oid: string;
  /** The xid since which nothing is missing: what sees it misses nothing later. */
  readonly since: string;
  readonly intact: boolean;
  /** What is wrong, and so what may be missing; set when it isn't intact. */
  readonly broken?: string;
}

/** Reads what is installed for tables, in at most two statements. Undefined: there is no changelog. */
export async function loadChangelog(
  database: Database,
  schema: string,
  tables: readonly { readonly id: string; readonly oid: string }[],
  signal: AbortSignal,
): Promise<Changelog | undefined> {
  const [rights] = await database.query({ text: RIGHTS, params: [schema] }, signal);
  if (rights === undefined || rights[0] !== "t") return undefined;
  const [, usage, unreadable, canAcknowledge, role] = rights;
  const unusable = usage !== "t"
    ? `${role} has no USAGE on schema "${schema}"`
    : unreadable !== null && unreadable !== undefined
    ? `${role} can't read ${unreadable} in schema "${schema}"`
    : undefined;
  if (unusable !== undefined) return { unusable, canAcknowledge: false, tables: new Map() };
  const oids = tables.map(({ oid }) => oid);
  const states = await loadStates(database, schema, oids, true, signal);
  return {
    unusable,
    canAcknowledge: canAcknowledge === "t",
    tables: new Map(tables.flatMap(({ id, oid }): [string, LoggedState][] => {
      const state = states.get(oid);
      if (state?.registered === undefined) return [];
      const { key, columns, joins, since } = state.registered;
      const broken = brokenBy(state);
      const entry = { oid, key, columns, joins, since, intact: broken === undefined };
      return [[id, broken === undefined ? entry : { ...entry, broken }]];
    })),
  };
}

/** What is wrong with an installed table; undefined: nothing, since it was installed. */
export function brokenBy(state: TableState): string | undefined {
  const { shape, registered, triggers, functionXmin } = state;
  if (registered === undefined) return "it isn't installed";
  if (shape === undefined) return "the table isn't there";
  if (functionXmin === undefined) return "its function is missing";
  if (registered.since === "0") {
    return "rows were written while a column that it records was missing or had another type";
  }
  if (functionXmin !== registered.xmin) return "its function was altered since it was installed";
  if (registered.gone.length > 0) {
    const names = registered.gone.map((name) => `"${name}"`).join(", ");
    return `it records ${names}, which the table no longer has`;
  }
  for (const { member, name, copy } of expectedTriggers(shape)) {
    const found = triggers.find((each) => each.relation === member.oid && each.name === name);
    const what = `trigger "${name}" on ${member.name}`;
    if (found === undefined) return `${what} is missing`;
    if (found.enabled === "D") return `${what} is disabled`;
    if (found.enabled === "R") return `${what} fires in replica sessions alone`;
    const known = found.xmin === registered.xmin || copy && member.links.includes(found.xmin);
    if (!known) return `${what} was altered since it was installed`;
  }
  return undefined;
}

/** SQL over a pg_namespace n: it holds our log, and not a table that somebody called so. */
export const OURS: string =
  `(SELECT count(*) = 7 FROM pg_attribute a JOIN pg_class l ON l.oid = a.attrelid
 WHERE l.relnamespace = n.oid AND l.relname = 'log' AND l.relkind = 'r' AND NOT a.attisdropped
 AND a.attname IN ('seq', 'xid', 'rel', 'op', 'k', 'before', 'after'))`;

const RIGHTS = `
SELECT ${OURS}, has_schema_privilege(n.oid, 'USAGE'),
 (SELECT string_agg(w, ', ') FROM unnest(ARRAY['log', 'tables', 'consumers', 'trimmed']) w
  WHERE NOT coalesce((SELECT has_table_privilege(c.oid, 'SELECT') FROM pg_class c
    WHERE c.relnamespace = n.oid AND c.relname = w), false)),
 coalesce((SELECT bool_or(has_function_privilege(p.oid, 'EXECUTE')) FROM pg_proc p
  WHERE p.pronamespace = n.oid AND p.proname = 'acknowledge'), false),
 current_user
FROM pg_namespace n WHERE n.nspname = $1`;
