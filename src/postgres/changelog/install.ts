/**
 * SQL that installs the changelog, a transaction per table. Each takes the table's lock first, and
 * goes on only if nothing is other than when it was planned (`state_of`): so the decision
 * whether the old installation was intact, and `since` may stay, holds at the moment of the
 * transaction, and two configs can't overwrite each other's columns.
 *
 * Why `since` is right. The lock waits for every transaction that has written to the table, and
 * lets nobody write to it until this one has committed. So whoever sees `since` sees all that was
 * written before the triggers were there; what he doesn't see was written after, and is logged.
 */
import { quote } from "../client.ts";
import { brokenBy } from "./registry.ts";
import type { TableState } from "./registry_state.ts";
import { type Recorded, type RequiredTable, united } from "./required.ts";
import { grantStatements, schemaStatements } from "./install_schema.ts";
import { byRow, expectedTriggers, type TableShape, triggerStatement } from "./triggers.ts";
import { functionName, triggerFunction } from "./triggers_function.ts";

/** Statements that belong in one transaction. */
export interface Script {
  readonly title: string;
  /** The table whose lock it needs, as `tableId`; absent: it needs none. */
  readonly table?: string;
  readonly statements: readonly string[];
}

/** What is to be done, and what can't be. */
export interface InstallPlan {
  readonly scripts: readonly Script[];
  /** By table: why its changes can't be logged. */
  readonly unfit: ReadonlyMap<string, string>;
  /** By table: what others ought to know. */
  readonly notes: ReadonlyMap<string, string>;
}

/** Plans an installation, or one more of it, from what there is. `states` by oid. Pure. */
export function planInstall(
  schema: string,
  required: readonly RequiredTable[],
  states: ReadonlyMap<string, TableState>,
  readers: readonly string[],
): InstallPlan {
  const scripts: Script[] = [{
    title: `The changelog in schema ${quote(schema)}`,
    statements: schemaStatements(schema),
  }];
  if (readers.length > 0) {
    scripts.push({
      title: `What ${readers.join(", ")} needs to follow it`,
      statements: readers.flatMap((role) => grantStatements(schema, role)),
    });
  }
  const unfit = new Map<string, string>();
  const notes = new Map<string, string>();
  for (const table of required) {
    const state = states.get(table.catalog.oid);
    const why = table.unfit ?? virtualIn(table, state?.shape) ??
      (state?.shape === undefined ? "the table isn't there any more" : undefined);
    if (why !== undefined) unfit.set(table.id, why);
    if (why !== undefined || state?.shape === undefined) continue;
    const kept = keptSince(state, table);
    if (state.registered !== undefined && kept === undefined) {
      notes.set(table.id, refilled(state, table));
    }
    scripts.push(tableScript(schema, table, state, state.shape, kept));
  }
  return { scripts, unfit, notes };
}

/** Turns scripts into a file for psql. Comments say what each is for. */
export function renderScripts(scripts: readonly Script[], header: readonly string[]): string {
  const parts = scripts.map(({ title, statements }) =>
    [`-- ${oneLine(title)}`, "BEGIN;", ...statements.map((each) => `${each};`), "COMMIT;", ""]
      .join("\n")
  );
  return [...header.map((line) => `-- ${oneLine(line)}`), "", ...parts].join("\n");
}

function tableScript(
  schema: string,
  table: RequiredTable,
  state: TableState,
  shape: TableShape,
  kept: string | undefined,
): Script {
  const name = `${quote(table.table.schema)}.${quote(table.table.name)}`;
  const recorded = united(state.registered, table);
  const expected = expectedTriggers(shape);
  const calls = functionName(schema, shape.oid);
  const stale = state.triggers.filter((found) =>
    !found.copy &&
    !expected.some((each) => each.member.oid === found.relation && each.name === found.name)
  );
  return {
    title: `Log what changes in ${table.id}`,
    table: table.id,
    statements: [
      "SET LOCAL lock_timeout = '3s'",
      `LOCK TABLE ${name} IN SHARE ROW EXCLUSIVE MODE`,
      guard(schema, name, shape.oid, state.fingerprint),
      triggerFunction(schema, table.catalog, recorded, byRow(shape), shape.types),
      `REVOKE ALL ON FUNCTION ${calls}() FROM PUBLIC`,
      ...stale.map((found) => `DROP TRIGGER ${quote(found.name)} ON ${found.on}`),
      ...expected.filter(({ copy }) => !copy).map((each) => triggerStatement(each, calls)),
      registerStatement(schema, shape.oid, recorded, kept),
    ],
  };
}

/** Ends the transaction when the table isn't what it was when this was written. */
function guard(schema: string, name: string, oid: string, fingerprint: string): string {
  const text = name.replaceAll("'", "''");
  return `DO $driftless$ BEGIN
IF '${text}'::regclass::oid <> ${oid} OR ${quote(schema)}.state_of(${oid}) <> '${fingerprint}' THEN
  RAISE EXCEPTION 'the table or its triggers have changed since this was planned, or this is another database'
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run driftless changelog install again.';
END IF;
END $driftless$`;
}

function registerStatement(
  schema: string,
  oid: string,
  { key, columns, joins }: Recorded,
  kept: string | undefined,
): string {
  const since = kept === undefined ? "pg_current_xact_id()" : `'${kept}'::xid8`;
  const values = [oid, array(key), columns === null ? "NULL" : array(columns), array(joins), since];
  return `INSERT INTO ${quote(schema)}.tables (rel, key, columns, joins, since)
VALUES (${values.join(", ")})
ON CONFLICT (rel) DO UPDATE SET key = excluded.key, columns = excluded.columns,
  joins = excluded.joins, since = excluded.since`;
}

/** The xid that stays: nothing was missed so far, and the key is the same. */
function keptSince(state: TableState, table: RequiredTable): string | undefined {
  const { registered } = state;
  if (registered === undefined || brokenBy(state) !== undefined) return undefined;
  return registered.key.join("\0") === table.key.join("\0") ? registered.since : undefined;
}

function refilled(state: TableState, table: RequiredTable): string {
  const why = brokenBy(state) ?? `its key was (${state.registered?.key.join(", ")})`;
  return `${table.id}: changes may have been missed (${why}); indexes of it are filled anew`;
}

function virtualIn(table: RequiredTable, shape: TableShape | undefined): string | undefined {
  const name = [...table.key, ...table.joins].find((each) => shape?.virtual.includes(each));
  return name === undefined
    ? undefined
    : `rows are joined by "${name}", a virtual generated column, whose value no trigger sees`;
}

function array(values: readonly string[]): string {
  if (values.length === 0) return "'{}'::text[]";
  return `ARRAY[${values.map((value) => `'${value.replaceAll("'", "''")}'`).join(", ")}]::text[]`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}
