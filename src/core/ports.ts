import type { Change, RowKey } from "./change.ts";
import type { Checkpoint, SeedState } from "./checkpoint.ts";
import type { Delivery } from "./delivery.ts";
import type { Document, DocumentId, KeySums, Rejection, WriteMode } from "./document.ts";
import type { IndexReport } from "./index_report.ts";
import type { IndexPlan } from "./plan.ts";
import type { Epoch, PositionKind, SourceIdentity, TableLevel } from "./source.ts";

/** Where a capture stands once it is prepared. */
export interface Anchor {
  readonly identity: SourceIdentity;
  readonly positionKind: PositionKind;
  /**
   * True when nothing was resumed (no cursor, or one that no longer holds): every index counts as
   * unseeded.
   */
  readonly fresh: boolean;
  /**
   * Tables (`tableId`) whose changes since the cursor may not all be delivered: the indexes they are
   * part of count as unseeded too (design 3.8). With the reason.
   */
  readonly gaps: ReadonlyMap<string, string>;
  /**
   * Tables (`tableId`) whose changes are delivered to whoever is there, and never again: a sink that
   * was left out meanwhile has missed them. Absent: none.
   */
  readonly once?: ReadonlySet<string>;
  /** The source's clock: `confirmed().through` past it means that the capture has caught up. */
  readonly now: string;
}

/** A capture's acknowledged position. */
export interface Confirmed {
  readonly cursor: string;
  /** Everything committed before this moment has been acknowledged: ISO 8601, µs, UTC. */
  readonly through: string;
}

/** Finds changed rows. Claims what `levels` says, no more. */
export interface ChangeCapture extends AsyncDisposable {
  readonly levels: readonly TableLevel[];
  /**
   * Anchors a resume point; resolves before any snapshot reads its first row. `cursor` is what
   * `confirmed` returned in an earlier run, or undefined to start. `seeds` says that after a start
   * every index will be seeded: what became visible before the first snapshot needn't be delivered.
   * Throws FatalError SOURCE_CHANGED when the cursor belongs to another server or to one that went back in time.
   */
  prepare(cursor: string | undefined, seeds: boolean, signal: AbortSignal): Promise<Anchor>;
  /**
   * Root rows of one index that exist, in key order, strictly after `after`, in short read-only
   * transactions of at most `chunk` rows. The last delivery of a chunk is `drained`.
   * Ends early when the signal aborts: the caller checks it before marking anything seeded.
   */
  snapshot(
    plan: IndexPlan,
    from: { readonly after?: RowKey; readonly chunk: number },
    signal: AbortSignal,
  ): AsyncIterable<Delivery<Change>>;
  /** The planner's estimate of how many rows `snapshot` yields in all. */
  estimate(plan: IndexPlan, signal: AbortSignal): Promise<number>;
  /**
   * Changes after the confirmed position, endless. Ends only by throwing: FatalError,
   * RetryableError (the caller opens everything again), or the signal's reason.
   */
  live(signal: AbortSignal): AsyncIterable<Delivery<Change>>;
  /** The acknowledged position: what a restart may resume from. Cheap; called often. */
  confirmed(): Confirmed;
  /**
   * Every sink holds a checkpoint with this cursor of `confirmed()`: no restart begins before it. Cheap;
   * called often; never throws.
   */
  stored(cursor: string): void;
  /** Resolves when `confirmed().through` has changed since the last call of this. */
  advanced(signal: AbortSignal): Promise<void>;
  /**
   * Resolves when what was due at the start beside what `through` says, the sweeps of its tables,
   * is acknowledged. Needs `live` to run.
   */
  settled(signal: AbortSignal): Promise<void>;
}

/** Built documents of one batch. */
export interface Built {
  readonly documents: readonly Document[];
  /** Documents that can't be built: a failing cast, a body over the limit. The rest is in `documents`. */
  readonly rejections: readonly Rejection[];
}

/**
 * Who can say which documents there are, without the documents (design 3.6): the source, and each
 * sink that remembers.
 */
export interface KeyDigest<Id> {
  /** Of all documents that an index has, or should have. A sink makes visible what was written first. */
  keySums(index: string, signal: AbortSignal): Promise<KeySums>;
  /** The ids of the documents in those buckets, each once, in pages of any size. */
  idsIn(
    index: string,
    buckets: readonly number[],
    signal: AbortSignal,
  ): AsyncIterable<readonly Id[]>;
}

/** What changed rows lead to. */
export interface Resolved {
  /** The documents that the rows as they are, or are known to have been, can alter; each once. */
  readonly ids: readonly DocumentId[];
  /**
   * Rows that may have left documents unseen, by index, each once: whoever lists one of these in
   * `SyncMark.refs` is altered too. The sinks are asked (design 3.7).
   */
  readonly sought: ReadonlyMap<string, readonly string[]>;
}

/** From changed rows to documents, set-based: statements per batch, never per row. */
export interface DocumentBuilder extends KeyDigest<DocumentId>, AsyncDisposable {
  readonly plans: readonly IndexPlan[];
  /** The document of one root row, by the index's own key: what a seed reads. */
  identify(index: string, key: RowKey): DocumentId;
  /** The inverse of `identify`; undefined for an id that doesn't show its key (a digest). */
  keyOf(index: string, id: string): RowKey | undefined;
  /** What a set of changed rows can alter, in a number of statements that rows don't change. */
  resolve(changes: readonly Change[], signal: AbortSignal): Promise<Resolved>;
  /**
   * One statement per index. The position that becomes the version is read before, on the same
   * connection, in a statement of its own. No row, a filtered or a soft-deleted one: a delete.
   * Throws RetryableError EPOCH_CHANGED when the position isn't of the epoch's timeline and kind.
   */
  build(ids: readonly DocumentId[], epoch: Epoch, signal: AbortSignal): Promise<Built>;
  /** Moves the position past everything used before (design 5.3); a no-op on a standby. */
  advancePosition(signal: AbortSignal): Promise<void>;
}

/** Which documents of a sink list a row in `SyncMark.refs`. */
export interface RefDirectory {
  /**
   * Ids of the documents that list any of these, each once. Sees everything whose `write` resolved,
   * also in a generation that searches see while another one is filled.
   */
  holders(index: string, refs: readonly string[], signal: AbortSignal): Promise<readonly string[]>;
  /** How many documents list none because they have too many: `SyncMark.over`. */
  over(index: string, signal: AbortSignal): Promise<number>;
}

/** Where documents go. Knows nothing of tables. */
export interface Sink extends AsyncDisposable {
  readonly name: string;
  /** Absent: it can't be asked what it holds. */
  readonly keys?: KeyDigest<string>;
  /** Absent: it can't be asked; a row that left a document unseen stays in it. */
  readonly refs?: RefDirectory;
  /** One line about what it is connected to and as whom; throws when it can't be reached. */
  connect(signal: AbortSignal): Promise<string>;
  /** The stored progress of filling this plan's index; undefined when it was never begun. Reads only. */
  seedState(plan: IndexPlan, signal: AbortSignal): Promise<SeedState | undefined>;
  /**
   * How what exists stands to the plan; throws what `ensure` would throw for it, and changes nothing.
   * Absent: it can't tell.
   */
  inspect?(plan: IndexPlan, signal: AbortSignal): Promise<IndexReport>;
  /**
   * The plan's physical index exists with its mapping, and is written to from now on. Idempotent;
   * called before any write, on resumes too. Throws FatalError MAPPING_CONFLICT when what exists
   * contradicts the plan. `fresh` names a new filling: an empty generation, beside the one that an
   * alias may still serve; absent, the filling that `seedState` named goes on.
   */
  ensure(plan: IndexPlan, fresh: string | undefined, signal: AbortSignal): Promise<void>;
  /** Stores how far the filling is: only after those documents' `write` resolved. */
  saveSeed(
    index: string,
    progress: { readonly after: RowKey; readonly rows: number },
    signal: AbortSignal,
  ): Promise<void>;
  /** Makes the filled index what searches see, drops what it replaces, and remembers it. */
  markSeeded(index: string, signal: AbortSignal): Promise<void>;
  /**
   * Resolves when every document not listed is durable. A document that is already there in a
   * newer version counts as durable. Each document occurs once in a call. Throws RetryableError
   * when what is not durable may be sent again as a whole, FatalError when it can't.
   */
  write(
    documents: readonly Document[],
    mode: WriteMode,
    signal: AbortSignal,
  ): Promise<readonly Rejection[]>;
  /** Makes everything written so far visible to searches of the named indexes. */
  refresh(indexes: readonly string[], signal: AbortSignal): Promise<void>;
  /** The stored checkpoint; undefined when there is none. Reads only. */
  loadCheckpoint(signal: AbortSignal): Promise<Checkpoint | undefined>;
  /** Throws FatalError INDEX_LOST when a physical index isn't the one `ensure` saw. */
  saveCheckpoint(checkpoint: Checkpoint, signal: AbortSignal): Promise<void>;
}

/** One hit of a search: the id, the score where there is one, and the document's JSON. */
export interface Hit {
  readonly id: string;
  readonly score?: number;
  readonly body: string;
}

/** A sink that can search: the `search` command works on it. */
export interface Searchable {
  search(index: string, query: string, limit: number, signal: AbortSignal): Promise<readonly Hit[]>;
}
