import type { Problem } from "../core/problem.ts";
import { tableId } from "../core/table.ts";
import { grantStatements } from "./changelog/install_schema.ts";
import type { Changelog } from "./changelog/registry.ts";
import { lacks, type RequiredTable } from "./changelog/required.ts";
import type { Chance } from "./choose.ts";
import type { CaptureTable } from "./documents/paths.ts";
import type { Refusal } from "./poll/stamps.ts";
import type { ChangelogSettings } from "./ways.ts";

export interface ChangelogFacts {
  /** Undefined: source.changelog is off. */
  readonly settings: ChangelogSettings | undefined;
  /** Undefined: none is installed. */
  readonly found: Changelog | undefined;
  /** What the plans need it to record, by `tableId`. */
  readonly required: ReadonlyMap<string, RequiredTable>;
  /** Whom a GRANT would name. */
  readonly role: string;
}

/** Whether the changelog follows one table. Pure. */
export function changelogChance(
  wish: CaptureTable,
  { settings, found, required, role }: ChangelogFacts,
): Chance {
  const id = tableId(wish.table);
  const refuse = (code: string, state: string, hint: string, sql: readonly string[] = []) => ({
    refusal: { code, state, hint, sql } satisfies Refusal,
  });
  if (settings === undefined) {
    return refuse("CHANGELOG_OFF", "source.changelog is off", 'Remove "changelog": false.');
  }
  const need = required.get(id);
  if (need?.unfit !== undefined) {
    const hint = "Follow it another way: capture auto takes the best.";
    return refuse("CHANGELOG_UNFIT", `no trigger can log it: ${need.unfit}`, hint);
  }
  if (found?.unusable !== undefined) {
    const sql = grantStatements(settings.schema, role).map((each) => `${each};`);
    const state = `the changelog can't be read: ${found.unusable}`;
    return refuse("CHANGELOG_UNREADABLE", state, sql.join("\n"), sql);
  }
  const state = found?.tables.get(id);
  if (state === undefined) {
    const hint = "Run `driftless changelog install`: it prints the SQL; --apply runs it.";
    return refuse("CHANGELOG_MISSING", "no changelog is installed for it", hint, [INSTALL]);
  }
  const again = "Run `driftless changelog install` again: it prints the SQL; --apply runs it.";
  if (!state.intact) {
    const why = `its changelog has a hole: ${state.broken ?? "it was altered"}`;
    return { ...refuse("CHANGELOG_BROKEN", why, again, [INSTALL]), alarm: true };
  }
  const lacking = need === undefined ? undefined : lacks(state, need);
  if (lacking !== undefined) {
    const why = `its changelog records too little: ${lacking}`;
    return { ...refuse("CHANGELOG_LACKS", why, again, [INSTALL]), alarm: true };
  }
  return {
    way: {
      kind: "changelog",
      stream: "changelog",
      signature: JSON.stringify([settings.schema, state.oid, state.since]),
      table: { table: wish.table, id, oid: state.oid, key: state.key },
    },
  };
}

/** What is wrong with the changelog as a whole. */
export function changelogProblems(
  { settings, found, role }: ChangelogFacts,
  standby: boolean,
): readonly Problem[] {
  if (settings === undefined || found === undefined) return [];
  const warn = (code: string, message: string, sql: readonly string[]): Problem => ({
    severity: "warning",
    code,
    path: "source.changelog",
    message,
    hint: sql.map((each) => `${each};`).join("\n"),
  });
  const grants = grantStatements(settings.schema, role);
  if (found.unusable !== undefined) {
    const message = `A changelog is installed and can't be read: ${found.unusable}`;
    return [warn("CHANGELOG_UNREADABLE", message, grants)];
  }
  if (found.canAcknowledge || standby) return [];
  return [warn(
    "CHANGELOG_NOT_ACKNOWLEDGED",
    `${role} can't say how far it has read the changelog in schema "${settings.schema}": it grows`,
    grants.slice(-1),
  )];
}

/** Figures of test/bench/write_overhead.ts: one client, Postgres 18, fsync off. */
const INSTALL = `-- For L4, which sees every change and every delete as it happens:
--   driftless changelog install            prints the SQL: a log table, and triggers on each table
--   driftless changelog install --apply    runs it, as --admin-url
-- Its triggers add about 10 µs to an update of one row that touches no mapped column, 18 µs to one
-- that is logged, where the update itself takes 20 to 23: up to a third of the throughput of writers
-- that do nothing else. The index that a stamp needs adds 3 to 6 µs, and ends HOT updates.`;
