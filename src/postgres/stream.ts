import type { Change } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import type { Observer } from "../core/events.ts";
import type { Json } from "../core/json.ts";
import type { SourceIdentity } from "../core/source.ts";
import type { Database } from "./client.ts";
import type { Clock } from "./poll/listing.ts";
import type { Micros } from "./poll/micros.ts";
import type { SeenVersions } from "./poll/seen_versions.ts";
import type { SessionSettings } from "./session_settings.ts";
import type { WalSession } from "./wal/session.ts";

/**
 * One way of following some of a source's tables. The capture (capture.ts) is made of these: it
 * settles who the source is, runs them beside each other, and stores their positions as one cursor.
 */
export interface ChangeStream {
  /** Anchors afresh when `start.stored` is undefined, else goes on from there. Reads no row of a table. */
  prepare(start: StreamStart, signal: AbortSignal): Promise<Prepared>;
  /**
   * Changes after the confirmed position, endless. Ends only by throwing, as
   * `ChangeCapture.live`. The last delivery of what was found at one time is `drained`.
   */
  live(signal: AbortSignal): AsyncGenerator<Delivery<Change>>;
  /** The acknowledged position. Cheap; called often. After a change of it `moved` was called. */
  confirmed(): StreamPosition;
  /**
   * Resolves when all that was due when it was prepared, beside what `through` says, is
   * acknowledged: a sweep. Absent: there never is any. Needs `live` to run.
   */
  settled?(signal: AbortSignal): Promise<void>;
  /** `confirmed().cursor` of this or a later moment is stored in every sink. Never throws. */
  stored?(cursor: Json): void;
  /** Its tables are followed another way by now: nothing is asked of it again. Lets go of what it holds. */
  left?(): Promise<void>;
  /** A seed is about to read its first row: what becomes visible from now on has to be delivered. */
  seedBegins?(): void;
}

export interface StreamStart {
  /** What `confirmed().cursor` was in an earlier run of a stream of this name. */
  readonly stored: Json | undefined;
  /** Tables that will be seeded from now on, by `tableId`: earlier changes needn't be delivered. */
  readonly seeded: ReadonlySet<string>;
  /** Tables that were on sweeps alone until now: a sweep of them is due at once. */
  readonly due: ReadonlySet<string>;
  readonly identity: SourceIdentity;
  /** The source's clock and snapshot, read after `identity`. */
  readonly clock: Clock;
}

export interface Prepared {
  /**
   * Tables (`tableId`) whose changes since the stored position can't all be delivered: their indexes
   * are filled anew. With the reason, for the log.
   */
  readonly gaps: ReadonlyMap<string, string>;
}

export interface StreamPosition {
  /** What a restart needs: JSON, big numbers as strings. */
  readonly cursor: Json;
  /**
   * Everything committed before this moment to this stream's tables is acknowledged, as far as its
   * level sees it. Undefined: it confirms nothing (a sweep), and nobody waits for it.
   */
  readonly through: Micros | undefined;
}

/** What a stream asks of its connections. */
export interface Opened {
  /** To acknowledge in the database. */
  readonly writes?: boolean;
  readonly settings?: SessionSettings;
}

/** Where a session begins to read the WAL. */
export interface ReplicationStart {
  readonly slot: string;
  readonly publication: string;
  /** In bytes. What the slot has confirmed beyond it isn't sent either. */
  readonly from: bigint;
}

/** What streams are given to work with. */
export interface StreamContext {
  /** Shared with snapshots and builds. */
  readonly readers: Database;
  /** Connections of one's own, closed with the capture. */
  open(connections: number, how?: Opened): Database;
  /** A session that reads the WAL, closed with the capture; see `openWalSession`. */
  replicate(from: ReplicationStart, signal: AbortSignal): Promise<WalSession>;
  /** All backends of this process, for B to leave out. */
  own(): { readonly pids: readonly number[]; readonly applicationName: string };
  /**
   * Each clock that a stream reads is shown here first. Throws when the server isn't the one that was
   * anchored: restarted (SOURCE_RESTARTED), promoted (EPOCH_CHANGED), at an earlier moment (SOURCE_CHANGED).
   */
  saw(clock: Clock): void;
  /** Row versions that were acknowledged, by whoever found them. */
  readonly seen: SeenVersions;
  /** To be called whenever `confirmed()` has changed. */
  moved(): void;
  readonly observe: Observer;
  readonly pageSize: number;
  readonly timing: { readonly minIntervalMs: number; readonly maxIntervalMs: number };
}
