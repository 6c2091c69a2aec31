import type { RowKey } from "./change.ts";
import type { Epoch, SourceIdentity } from "./source.ts";

/**
 * What a stream needs to go on after a restart, stored by each sink as one value. It is saved only
 * when every sink has made durable what `cursor` says was read.
 */
export interface Checkpoint {
  readonly identity: SourceIdentity;
  readonly epoch: Epoch;
  /** Rises by one with each save. */
  readonly sequence: number;
  /** Opaque to all but its capture. */
  readonly cursor: string;
  /** Everything committed before this moment is durable: ISO 8601, µs, UTC. */
  readonly confirmedThrough: string;
  /**
   * The indexes this stream has been followed for without a gap, in the sink that stores it. An
   * index whose seed or fingerprint isn't the one named here counts as unseeded (design 3.8).
   */
  readonly coverage: Readonly<Record<string, Coverage>>;
  /** When the keys of each index were last compared, by the source's clock: ISO 8601, µs, UTC. */
  readonly keysCompared?: Readonly<Record<string, string>>;
}

export interface Coverage {
  /** The seed that filled the index: `SeedState.seed`. */
  readonly seed: string;
  /** `IndexPlan.hash` and `IndexPlan.fingerprint` it was filled under. */
  readonly hash: string;
  readonly fingerprint: string;
  /** `IndexPlan.refs` since it was filled; absent: none. A plan that needs another one has a gap. */
  readonly refs?: readonly string[];
}

/** How far one sink's index is filled. */
export interface SeedState {
  /** Names one filling: a new one starts from nothing. */
  readonly seed: string;
  readonly seeded: boolean;
  /** Key of the last row of the contiguous prefix that is durable; absent: none yet. */
  readonly after?: RowKey;
  /** Rows in that prefix. */
  readonly rows: number;
}
