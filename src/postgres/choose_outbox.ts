import type { Problem } from "../core/problem.ts";
import { tableId } from "../core/table.ts";
import type { Chance } from "./choose.ts";
import type { Database } from "./client.ts";
import type { CaptureTable } from "./documents/paths.ts";
import { indexProblem, outboxProblems } from "./outbox/inspect_outbox.ts";
import { loadOutboxFacts } from "./outbox/outbox_facts.ts";
import type { OutboxSettings } from "./ways.ts";

/** What was found of the configured outbox. */
export interface OutboxState {
  readonly settings: OutboxSettings;
  /** An error among them: nothing can be followed by it. */
  readonly problems: readonly Problem[];
}

/** Looks at the outbox itself, in a fixed number of statements. */
export async function loadOutbox(
  database: Database,
  settings: OutboxSettings,
  signal: AbortSignal,
): Promise<OutboxState> {
  const facts = await loadOutboxFacts(database, settings.table, signal);
  const problems = outboxProblems(settings, facts);
  const broken = problems.some(({ severity }) => severity === "error");
  const slow = facts === undefined || broken ? undefined : indexProblem(settings, facts);
  return { settings, problems: slow === undefined ? problems : [...problems, slow] };
}

/** Whether the outbox follows one table. Pure; undefined: none is described. */
export function outboxChance(wish: CaptureTable, found: OutboxState | undefined): Chance {
  const id = tableId(wish.table);
  const none = (state: string): Chance => ({
    refusal: {
      code: "OUTBOX_MISSING",
      state,
      hint: "Name the table in source.outbox.tables.",
      sql: [],
    },
  });
  if (found === undefined) return none("source.outbox isn't described");
  const { settings: { table, mode, columns, names: all }, problems } = found;
  const names = all.get(id);
  if (names === undefined) return none("the outbox doesn't cover it");
  const error = problems.find(({ severity }) => severity === "error");
  if (error !== undefined) {
    const { hint = "" } = error;
    return { refusal: { code: "OUTBOX_UNUSABLE", state: error.message, hint, sql: [] } };
  }
  return {
    way: {
      kind: "outbox",
      stream: "outbox",
      signature: JSON.stringify([tableId(table), mode, columns, names]),
      table: { table: wish.table, id, key: wish.key, names },
    },
  };
}

/**
 * What is wrong with the outbox as a whole. Where all that it covers is followed another way, it
 * stops nothing.
 */
export function outboxProblemsOf(
  found: OutboxState | undefined,
  isFollowed: (id: string) => boolean,
): readonly Problem[] {
  if (found === undefined) return [];
  const all = [...found.settings.names.keys()].every(isFollowed);
  return found.problems.map((each) => all ? { ...each, severity: "warning" } : each);
}
