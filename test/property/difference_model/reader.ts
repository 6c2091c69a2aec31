/**
 * The reader of the log: what difference.ts does with the arithmetic of legs.ts, one statement a
 * step. A page that was read is acknowledged in a step of its own; what may be stored is stored in
 * another, at any time.
 */
import {
  begun,
  type DifferencePosition,
  type Leg,
  legOf,
  passed,
  type Place,
  resumed,
} from "../../../src/postgres/changelog/legs.ts";
import {
  below,
  fence,
  formatSnapshot,
  type Snapshot,
} from "../../../src/postgres/changelog/snapshot.ts";

export interface Algorithm {
  readonly name: string;
  readonly begun: (position: DifferencePosition, seen: Snapshot) => DifferencePosition;
  readonly legOf: (position: DifferencePosition) => Leg | undefined;
  readonly passed: (position: DifferencePosition, last: Place | null) => DifferencePosition;
  readonly resumed: (position: DifferencePosition, seen: Snapshot) => DifferencePosition;
  /** What a statement's condition on the xid says. */
  readonly matches: (xid: bigint, leg: Leg) => boolean;
  /** What a batch may read, of the snapshot that a primary, or a standby, showed. */
  readonly seen: (snapshot: Snapshot, standby: boolean) => Snapshot;
  /** The xid that triggers write beside a row. */
  readonly logs: "top" | "sub";
  /** Below this all is trimmed, when these are the consumers' acknowledged snapshots. */
  readonly trimsBelow: (acknowledged: readonly Snapshot[]) => bigint;
  /** Whether a page is worth nothing once the log was trimmed past its position. */
  readonly guard: "behind each page" | "none";
  /** Positions are stored as they are acknowledged; or as soon as they were read. */
  readonly stores: "acknowledged" | "read";
  /** A position is kept only when its WAL is flushed. */
  readonly awaitsFlush: boolean;
  /** A restart of Postgres is a start at the position that was kept. */
  readonly restarts: "at what was kept" | "nowhere";
  /** Another snapshot than the batch's for each page, or for S1 when the batch is read. */
  readonly snapshots: "one a batch" | "one a page" | "one when it is read";
}

export const OURS: Algorithm = {
  name: "ours",
  begun,
  legOf,
  passed,
  resumed,
  matches: (xid, leg) =>
    leg.leg === 1
      ? leg.xids.includes(xid)
      : xid >= leg.from && xid < leg.to.xmax && !leg.to.xip.includes(xid),
  seen: (snapshot, standby) => standby ? fence(snapshot) : snapshot,
  logs: "top",
  trimsBelow: (acknowledged) =>
    acknowledged.map(({ xmin }) => xmin).reduce((a, b) => a < b ? a : b),
  guard: "behind each page",
  stores: "acknowledged",
  awaitsFlush: true,
  restarts: "at what was kept",
  snapshots: "one a batch",
};

/** No xid was given when the last checkpoint was made: all may come again. */
const LAST_CHECKPOINT = 1n;

export interface Page {
  /** Indexes of rows. */
  readonly rows: readonly number[];
  readonly next: DifferencePosition;
}

/** What was seen when the position was begun. */
export interface Anchor {
  readonly seen: Snapshot;
  /** By row. */
  readonly visible: readonly boolean[];
  /** WAL records then: it counts when these are flushed. */
  readonly lsn: number;
}

export interface Reader {
  /** Read, and acknowledged but for `page`; undefined before it was anchored. */
  readonly at: DifferencePosition | undefined;
  readonly page: Page | undefined;
  /** What may be stored; a newer one waits until so many WAL records are flushed. */
  readonly kept: DifferencePosition | undefined;
  readonly next: { readonly position: DifferencePosition; readonly lsn: number } | undefined;
  /** WAL records at the first page of the batch; undefined while there was none. */
  readonly lsn: number | undefined;
  /** What the sink has stored. */
  readonly held: DifferencePosition | undefined;
  /** Acknowledged in the database, for trimming. */
  readonly registered: Snapshot | undefined;
  readonly standby: boolean;
  /** By row: how often it was delivered, 2 for more than once. */
  readonly delivered: readonly number[];
  /** Rows that weren't visible when it was anchored: the seed that follows needn't see them. */
  readonly owed: readonly boolean[];
  /** From then on rows may come again. */
  readonly mayRepeat: boolean;
}

export function newReader(rows: number): Reader {
  return {
    at: undefined,
    page: undefined,
    kept: undefined,
    next: undefined,
    lsn: undefined,
    held: undefined,
    registered: undefined,
    standby: false,
    delivered: new Array<number>(rows).fill(0),
    owed: new Array<boolean>(rows).fill(false),
    mayRepeat: false,
  };
}

/** S1 as a fresh position. What is kept of it, until its WAL is flushed, is what no crash forgets. */
export function anchored(
  algorithm: Algorithm,
  reader: Reader,
  { seen, visible, lsn }: Anchor,
  flushed: number,
): Reader {
  const at: DifferencePosition = { done: seen, batch: null };
  const kept = algorithm.awaitsFlush ? { done: below(seen, LAST_CHECKPOINT), batch: null } : at;
  const to: Reader = {
    ...reader,
    at,
    page: undefined,
    kept,
    next: undefined,
    lsn,
    held: undefined,
    delivered: reader.delivered.map(() => 0),
    owed: visible.map((isVisible) => !isVisible),
    mayRepeat: false,
  };
  const settled = withKept(algorithm, to, at, flushed);
  return { ...settled, held: settled.kept, lsn: undefined };
}

/** All of a page is durable. */
export function acknowledged(
  algorithm: Algorithm,
  reader: Reader,
  page: Page,
  flushed: number,
): Reader {
  const delivered = reader.delivered.slice();
  for (const row of page.rows) delivered[row] = Math.min(2, (delivered[row] ?? 0) + 1);
  const to: Reader = { ...reader, at: page.next, page: undefined, delivered };
  return page.next.batch === null
    ? { ...withKept(algorithm, to, page.next, flushed), lsn: undefined }
    : withKept(algorithm, to, page.next, flushed);
}

/** What may be stored, after WAL was flushed or a position acknowledged. */
export function withKept(
  { awaitsFlush }: Algorithm,
  reader: Reader,
  newest: DifferencePosition | undefined,
  flushed: number,
): Reader {
  let { kept, next } = reader;
  if (next !== undefined && next.lsn <= flushed) {
    kept = next.position;
    next = undefined;
  }
  if (newest !== undefined) {
    const lsn = reader.lsn ?? 0;
    if (lsn <= flushed || !awaitsFlush) {
      kept = newest;
      next = undefined;
    } else next ??= { position: newest, lsn };
  }
  return { ...reader, kept, next };
}

/** A position in words: `5:8:6→9:9: leg 2 after (7,1)`. */
export function tellPosition(position: DifferencePosition | undefined): string {
  if (position === undefined) return "nothing";
  const { done, batch } = position;
  if (batch === null) return formatSnapshot(done);
  const after = batch.after === null ? "" : ` after (${batch.after.xid},${batch.after.seq})`;
  return `${formatSnapshot(done)}→${formatSnapshot(batch.to)} leg ${batch.leg}${after}`;
}
