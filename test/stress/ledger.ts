/** What was committed, and what each follower read: all in this process's clock. */

interface Commit {
  /** null: the row was deleted. */
  readonly v: number | null;
  readonly at: number;
}

/** What one follower's deliveries amounted to. */
export interface Verdict {
  readonly commits: number;
  readonly deliveries: number;
  /** Rows whose last committed version was never read at a delivery of theirs. */
  readonly lost: number;
  readonly lostKeys: readonly string[];
  /** Deliveries beyond the row's commits. */
  readonly duplicates: number;
  /** From the commit to its first delivery. */
  readonly medianMs: number;
  readonly p99Ms: number;
}

export interface Ledger {
  /** `silent`: the rows of somebody who writes past triggers; all their rows are. */
  committed(versions: ReadonlyMap<number, number | null>, silent?: boolean): void;
  readonly commits: number;
  /** By row: the version that must be in the table now. */
  last(): Map<number, number>;
  /** `seesSilent`: who doesn't isn't asked for those rows. */
  follow(seesDeletes: boolean, seesSilent?: boolean): Reader;
}

/** One follower's part. */
export interface Reader {
  /** Each of these rows was delivered, and was in this version when it was read afterwards. */
  read(ids: readonly number[], versions: ReadonlyMap<number, number>): void;
  verdict(): Verdict;
}

export function openLedger(): Ledger {
  const rows = new Map<number, Commit[]>();
  const silentRows = new Set<number>();
  let commits = 0;

  return {
    get commits(): number {
      return commits;
    },
    committed(versions, silent = false) {
      const at = performance.now();
      for (const [id, v] of versions) {
        if (silent) silentRows.add(id);
        const list = rows.get(id);
        if (list === undefined) rows.set(id, [{ v, at }]);
        else list.push({ v, at });
        commits++;
      }
    },
    last() {
      const last = new Map<number, number>();
      for (const [id, list] of rows) {
        const v = list.at(-1)?.v ?? null;
        if (v !== null) last.set(id, v);
      }
      return last;
    },
    follow: (seesDeletes, seesSilent = false) =>
      reader(rows, seesDeletes, seesSilent ? new Set() : silentRows),
  };
}

function reader(
  rows: ReadonlyMap<number, readonly Commit[]>,
  seesDeletes: boolean,
  unseen: ReadonlySet<number>,
): Reader {
  /** By row: each version that was read, when it was first read. */
  const reads = new Map<number, Commit[]>();
  const deliveries = new Map<number, number>();
  return {
    read(ids, versions) {
      const at = performance.now();
      for (const id of ids) {
        deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
        const v = versions.get(id) ?? null;
        const list = reads.get(id) ?? [];
        if (list.length === 0) reads.set(id, list);
        if (list.at(-1)?.v !== v || list.length === 0) list.push({ v, at });
      }
    },
    verdict() {
      const lostKeys: string[] = [];
      const latencies: number[] = [];
      let commits = 0;
      let duplicates = 0;
      for (const [id, list] of rows) {
        if (unseen.has(id)) continue;
        const seen = reads.get(id) ?? [];
        const claimed = seesDeletes ? list : list.filter(({ v }) => v !== null);
        commits += claimed.length;
        duplicates += Math.max(0, (deliveries.get(id) ?? 0) - list.length);
        const last = list.at(-1)?.v ?? null;
        // A row that was deleted says nothing to those who don't see deletes.
        if ((last !== null || seesDeletes) && !seen.some(({ v }) => v === last)) {
          lostKeys.push(last === null ? `${id} (deleted)` : String(id));
        }
        for (const { v, at } of claimed) {
          const first = seen.find((read) =>
            v === null ? read.v === null : read.v !== null && read.v >= v
          );
          if (first !== undefined) latencies.push(Math.max(0, first.at - at));
        }
      }
      latencies.sort((a, b) => a - b);
      const quantile = (q: number) => latencies[Math.floor(q * (latencies.length - 1))] ?? NaN;
      return {
        commits,
        deliveries: [...deliveries.values()].reduce((sum, n) => sum + n, 0),
        lost: lostKeys.length,
        lostKeys: lostKeys.slice(0, 10),
        duplicates,
        medianMs: quantile(0.5),
        p99Ms: quantile(0.99),
      };
    },
  };
}
