import type { SeenVersions } from "../poll/seen_versions.ts";
import type { Xid8 } from "./bounds.ts";

/** Counts the rows that a sweep found and live capture didn't. */
export interface Rescues {
  /** Takes note of a row that the sweep found and nobody had delivered; whether it did. */
  note(table: string, row: NotedRow): boolean;
  /**
   * A sweep of the table begins: those noted before that nobody else has delivered since. The ones that
   * are still there in that version are rescued: another version may be what was delivered instead.
   */
  judge(table: string, next: Xid8): readonly Missed[];
}

export interface Missed {
  readonly version: string;
  readonly ctid: string;
}

export interface NotedRow extends Missed {
  readonly xid: Xid8;
  /** The sweep's own bound: transactions below it ended before the sweep began. */
  readonly bound: Xid8;
}

/**
 * Counts fewer than there are, never more: rows whose transaction began after this process did (`next`:
 * the next xid then) and ended before the sweep began; that weren't among the acknowledged versions when
 * they were found, nor when the table is swept again and two polls of it have been acknowledged since,
 * the second of which began after that, and that are still there unaltered; with no version forgotten in all that time. What is noted when
 * the process ends isn't counted, nor what is beyond 1,000 rows between two sweeps of a table.
 * The caller doesn't add a noted version to `seen`: it is live capture that has to.
 */
export function countRescues(seen: SeenVersions, next: Xid8): Rescues {
  /** Xids from which on all acknowledged versions are remembered. */
  let from = next;
  let forgotten = seen.forgotten();
  const noted = new Map<string, { polls: number; readonly versions: Map<string, Missed> }>();

  return {
    note(table: string, { version, ctid, xid, bound }: NotedRow): boolean {
      if (seen.forgotten() !== forgotten || xid < from || xid >= bound) return false;
      let entry = noted.get(table);
      if (entry === undefined) noted.set(table, entry = { polls: 0, versions: new Map() });
      if (entry.versions.size >= MOST_NOTED) return false;
      entry.versions.set(version, { version, ctid });
      entry.polls = seen.polls(table);
      return true;
    },
    judge(table: string, next: Xid8): readonly Missed[] {
      if (seen.forgotten() !== forgotten) {
        noted.clear();
        from = next;
        forgotten = seen.forgotten();
        return [];
      }
      const entry = noted.get(table);
      if (entry === undefined || seen.polls(table) < entry.polls + 2) return [];
      noted.delete(table);
      return [...entry.versions.values()].filter(({ version }) => !seen.has(version));
    },
  };
}

const MOST_NOTED = 1000;
