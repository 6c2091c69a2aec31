/**
 * Row versions (table, key, xmin) whose change has been acknowledged. Each poll reads the margin
 * again: what is in here needn't be built again. Bounded: what it forgot costs a duplicate.
 */
export interface SeenVersions {
  has(version: string): boolean;
  addAll(versions: Iterable<string>): void;
  clear(): void;
}

export function seenVersions(capacity: number): SeenVersions {
  // A Set keeps insertion order: the oldest goes first.
  const versions = new Set<string>();
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
    },
    clear: () => versions.clear(),
  };
}
