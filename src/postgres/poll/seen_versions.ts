/**
 * Row versions (table, key, xmin) whose change has been acknowledged. Each poll reads the margin
 * again: what is in here needn't be built again. Bounded: what it forgot costs a duplicate.
 */
export interface SeenVersions {
  has(version: string): boolean;
  addAll(versions: Iterable<string>): void;
  clear(): void;
  /** Rises when something was left out. While it stays the same, all that was acknowledged is in here. */
  forgotten(): number;
  /** All that was visible in these tables when a poll of them began is acknowledged, and is in here. */
  polled(tables: Iterable<string>): void;
  /** How often `polled` was said of a table: each of these polls began when the one before had ended. */
  polls(table: string): number;
}

export function seenVersions(capacity: number): SeenVersions {
  // A Set keeps insertion order: the oldest goes first.
  const versions = new Set<string>();
  let forgotten = 0;
  const polls = new Map<string, number>();
  return {
    has: (version) => versions.has(version),
    addAll(added: Iterable<string>): void {
      for (const version of added) {
        versions.delete(version);
        versions.add(version);
      }
      for (const oldest of versions) {
        if (versions.size <= capacity) break;
        versions.delete(oldest);
      }
      // Whoever filled it may have left some out.
      if (versions.size >= capacity) forgotten++;
    },
    clear(): void {
      forgotten++;
      versions.clear();
    },
    forgotten: () => forgotten,
    polled(tables: Iterable<string>): void {
      for (const table of tables) polls.set(table, (polls.get(table) ?? 0) + 1);
    },
    polls: (table) => polls.get(table) ?? 0,
  };
}
