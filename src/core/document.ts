import type { RowKey } from "./change.ts";

/** Names a document: its index, its `_id`, and the root row's key that the `_id` was made from. */
export interface DocumentId {
  readonly index: string;
  readonly id: string;
  readonly key: RowKey;
}

/** A document to write. */
export interface Document {
  readonly index: string;
  readonly id: string;
  /** External version (design 5.3): epoch << 55 | position read before the build. */
  readonly version: bigint;
  /** The JSON exactly as Postgres rendered it, on one line; null deletes the document. */
  readonly body: string | null;
  /** What the source says of the key, for comparing keys; absent on a delete. */
  readonly sync?: SyncMark;
}

/** Made by the source at the build, stored by the sink beside the document, never looked at on the way. */
export interface SyncMark {
  /** 0 to `BUCKETS` − 1, by the hash of the `_id`. */
  readonly bucket: number;
  /** 31 bits of that hash: what a bucket's sum is made of. */
  readonly key: number;
  /**
   * JSON array of texts, as rendered: the rows of other tables that the document was made of (design
   * 3.7), of the plan's `refs` tables alone. Absent where there is none.
   */
  readonly refs?: string;
  /** There were more than `maxRefs` of them: none is listed. */
  readonly over?: true;
}

export const BUCKETS = 4096;

/** The bucket that a sink counts a document in which came to it without a mark: put there by hand. */
export const UNMARKED = -1;

/** Count of documents in a bucket and sum of their `SyncMark.key`: exact below 2^53. */
export interface KeySum {
  readonly count: number;
  readonly sum: number;
}

/** By bucket; an empty one is absent. */
export type KeySums = ReadonlyMap<number, KeySum>;

/**
 * Who writes. "live", the owner of the stream, wins a tie of versions (`external_gte`); "fill",
 * a seed or a repair, must be strictly newer (`external`).
 */
export type WriteMode = "live" | "fill";

/** A document that can't be built or that a sink refused. Never an error of the whole batch. */
export interface Rejection {
  readonly index: string;
  readonly id: string;
  /** The kind of refusal without any value: `mapper_parsing_exception`, `22P02`, `too_large`. */
  readonly type: string;
  /** The field concerned, where it is known. */
  readonly field?: string;
  /** The whole text. It may quote row content: for the dead letter alone, never for a log. */
  readonly reason: string;
}
