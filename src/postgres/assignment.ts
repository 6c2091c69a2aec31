import type { StoredStreams } from "./capture_cursor.ts";
import type { Way } from "./ways.ts";

/** Which stream follows which table from now on, and what an earlier run's position leaves to do. */
export interface Assignment {
  /** By stream, then by `tableId`. */
  readonly assigned: ReadonlyMap<Way["stream"], ReadonlyMap<string, Way>>;
  /**
   * Tables that were followed by another stream before, which goes on with them until it has read
   * everything committed before the new one was anchored.
   */
  readonly leaving: ReadonlyMap<Way["stream"], ReadonlyMap<string, Way>>;
  /** Tables whose changes since the stored position can't all be read, with the reason. */
  readonly gaps: ReadonlyMap<string, string>;
  /** Tables that nobody followed: a gap too, and none that anybody need be told of. */
  readonly joined: ReadonlySet<string>;
  /** Tables that were on sweeps alone. */
  readonly due: ReadonlySet<string>;
  /** Tables that are followed by less than before, in words. */
  readonly lowered: ReadonlyMap<string, string>;
}

/**
 * Decides by comparing how each table is to be followed (`ways`, the chosen one first) with how the
 * stored position followed it (design 3.8). Pure.
 *
 * Why nothing is lost when a table T goes from stream O to stream N. N is anchored (or resumed) at a
 * moment before M, and delivers every change of T that its mechanism shows and that isn't visible at
 * its position. O goes on from its stored position until it has delivered everything committed
 * before M (until a poll that began after M is acknowledged). A change is either before M, then O's,
 * or not visible at N's position, then N's, or both.
 * Until O is done T stands under both in the stored cursor: a crash finds it there and drains again.
 */
export function assign(
  ways: ReadonlyMap<string, readonly [Way, ...Way[]]>,
  stored: StoredStreams,
): Assignment {
  const assigned = new Map<Way["stream"], Map<string, Way>>();
  const leaving = new Map<Way["stream"], Map<string, Way>>();
  const gaps = new Map<string, string>();
  const joined = new Set<string>();
  const due = new Set<string>();
  const lowered = new Map<string, string>();
  for (const [id, all] of ways) {
    const [chosen] = all;
    put(assigned, chosen.stream, id, chosen);
    const before = Object.entries(stored).flatMap(([stream, { tables }]) => {
      const signature = Object.hasOwn(tables, id) ? tables[id] : undefined;
      return signature === undefined ? [] : [{ stream, signature }];
    });
    if (before.length === 0) joined.add(id);
    for (const { stream, signature } of before) {
      if (stream === chosen.stream && signature === chosen.signature) continue;
      if ((RANKS[stream] ?? 0) > RANKS[chosen.stream]) {
        lowered.set(id, `${WORDS[stream]} before, by ${WORDS[chosen.stream]} now`);
      }
      // Its next sweep reads from the last one's bound on, whatever else follows the table; if it has one.
      if (stream === "sweep" && all.some((way) => way.stream === "sweep")) due.add(id);
      else {
        const old = all.find((way) => way.stream === stream && way.signature === signature);
        if (old === undefined || old.stream === chosen.stream) {
          gaps.set(id, `it was followed by ${WORDS[stream]}, which can't be read on from there`);
        } else put(leaving, old.stream, id, old);
      }
    }
  }
  return { assigned, leaving, gaps, joined, due, lowered };
}

const RANKS: Readonly<Record<string, number>> & Readonly<Record<Way["stream"], number>> = {
  sweep: 0,
  lag: 1,
  updated_at: 2,
  outbox: 4,
  changelog: 4,
  wal: 5,
};

const WORDS: Readonly<Record<string, string>> & Readonly<Record<Way["stream"], string>> = {
  sweep: "sweeps alone",
  lag: "its stamp with a lag",
  updated_at: "its stamp",
  outbox: "the outbox",
  changelog: "the changelog",
  wal: "the WAL",
};

function put<K>(maps: Map<K, Map<string, Way>>, key: K, id: string, way: Way): void {
  const map = maps.get(key) ?? new Map<string, Way>();
  map.set(id, way);
  maps.set(key, map);
}
