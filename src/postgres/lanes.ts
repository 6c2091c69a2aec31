import type postgres from "postgres";

/**
 * One connection. postgres.js runs a client's statements in order when it has one connection only;
 * its `reserve` would not come back from a fresh connection without `fetch_types`.
 */
export interface Lane {
  readonly sql: postgres.Sql;
  pid: number | undefined;
}

export interface LanePool {
  readonly all: readonly Lane[];
  take(): Promise<Lane>;
  give(lane: Lane): void;
}

export function lanePool(all: readonly Lane[]): LanePool {
  const free = [...all];
  const waiting: ((lane: Lane) => void)[] = [];
  return {
    all,
    take(): Promise<Lane> {
      const lane = free.pop();
      if (lane !== undefined) return Promise.resolve(lane);
      return new Promise((resolve) => waiting.push(resolve));
    },
    give(lane: Lane): void {
      const next = waiting.shift();
      if (next === undefined) free.push(lane);
      else next(lane);
    },
  };
}
