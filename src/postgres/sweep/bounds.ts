/**
 * The arithmetic of the row sweep (design 3.6), and why it loses nothing. Pure.
 *
 * Sweep k of a table: S_k, a snapshot; B_k := xmin(S_k), the oldest xid that was still running then,
 * as xid8; after that every block of every heap, in any number of statements, each with a snapshot of
 * its own, looking for row versions with x ≥ B_(k−1) (x the version's xmin). B_k is used by sweep k+1
 * once all that sweep k found is acknowledged.
 *
 * Claim: when sweep k is acknowledged, each row whose newest version was committed before S_k has been
 * delivered since that version was committed. Let T, with top xid t ≤ x, have written the version; a
 * subtransaction's xid is above its top's, never below.
 * - T ended before S_(k−1): by induction it was delivered (by sweep k−1 or before; or it was seeded, by
 *   reads after S_0; or sweep 1 had no bound).
 * - T ended after S_(k−1), before S_k: at S_(k−1) it was running or had no xid. So
 *   t ≥ xmin(S_(k−1)) = B_(k−1), hence x ≥ B_(k−1), and every statement of sweep k sees the version
 *   where it lies, unless T' has replaced it by then. T' then ended after S_k, so the row's newest
 *   version isn't one the claim is about; its xid is ≥ B_k by the same argument, sweep k+1 looks for it.
 *   It may lie anywhere: behind us, in another partition, in blocks added since. (A row that is moved
 *   behind us in every sweep again is delivered by the first sweep in which it isn't.)
 * So blocks that are added after S_k needn't be read, nor line pointers re-used behind us; and no sweep
 * chases a table that grows.
 *
 * What breaks other bounds:
 * - xmax(S_k) in place of xmin: T has xid 10 at S_k and commits after sweep k has read its block; another
 *   transaction has 11, so B_k would be 12 and x = 10 is never looked for again.
 * - xids that S_k shows as visible in place of a bound (pg_visible_in_snapshot): it takes a running
 *   transaction's subtransaction (x = 11, t = 10, xip {10}) for one that ended.
 * - the snapshot of the sweep's end: what commits behind the reader during the sweep lies below it.
 * - a bound that a crash outlives. A crash forgets what wasn't flushed, xids too: asynchronous commits up
 *   to xid 99 are seen, B = 100, the server dies, comes back and gives 90 to 99 out again, to rows that
 *   sweep k+1 takes for old ones. So a bound counts only when the WAL up to it is flushed
 *   (`durableBound`): every transaction that ended has written its end there before a snapshot shows it
 *   as ended, and recovery resumes above every xid it finds there or in the checkpoint.
 *
 * Xids are compared on a circle: `age(x) BETWEEN 0 AND age(B)` holds for x from B to the next xid, as
 * long as these are less than 2^31 apart; `mustReadAll` says when not, and is asked again with an xid
 * read after each page. VACUUM's freezing leaves a version's xmin as it was: one that is 2^31 old or
 * older has a negative age and is left out, rightly; one older than 2^32 looks new again: a duplicate.
 * age() counts from an xid read when the statement was planned: a version committed between that and the
 * statement's snapshot may be left out; it is younger than S_k, thus sweep k+1's.
 *
 * Rewrites keep a version's xmin (VACUUM FULL, CLUSTER) and put it elsewhere: the heap is read again from
 * its start. A heap that the last sweep didn't know (a partition attached, a table swapped in) is read
 * without a bound: its rows may be older than any.
 */

/** A transaction id with its epoch: what xid8 holds. */
export type Xid8 = bigint;

/** What a sweep's start reads, in one statement and in this order. WAL positions in bytes. */
export interface StartFacts {
  /** `pg_snapshot_xmin` of its snapshot. */
  readonly xmin: Xid8;
  /** Written after the snapshot was taken: all that ended before lies below. 0 on a standby, which replays what is flushed. */
  readonly inserted: bigint;
  /** Flushed at the end. */
  readonly flushed: bigint;
  /** `next_xid` of the last checkpoint: a crash never goes back behind it. */
  readonly checkpointed: Xid8;
}

/** The bound that a sweep with this start leaves to the next; `exact` false: older than it need be. */
export function durableBound(
  { xmin, inserted, flushed, checkpointed }: StartFacts,
): { readonly bound: Xid8; readonly exact: boolean } {
  // An insert position at the start of a page stands behind the page's header, a flushed one before.
  const idle = flushed % WAL_PAGE === 0n && inserted - flushed <= WAL_PAGE_HEADER;
  if (flushed >= inserted || idle || checkpointed >= xmin) return { bound: xmin, exact: true };
  return { bound: checkpointed, exact: false };
}

/**
 * Whether a sweep has to read without a bound: there is none, or the server's next xid is before it
 * (not the server it was read on), or so far behind it that ages overflow.
 */
export function mustReadAll(bound: Xid8 | undefined, next: Xid8): boolean {
  return bound === undefined || next < bound || next - bound >= WRAP_DISTANCE;
}

/** The xid8 of a row's xmin, given an xid8 that isn't older: exact for those less than 2^32 older. */
export function widened(xid: number, next: Xid8): Xid8 {
  return next - ((next - BigInt(xid)) & 0xffffffffn);
}

/** When a table is due: at once if it never was; a clock that was set back doesn't put it off. */
export function dueAt(finishedAt: bigint | undefined, everyMs: number, now: bigint): bigint {
  if (finishedAt === undefined) return now;
  return (finishedAt < now ? finishedAt : now) + BigInt(Math.round(everyMs * 1000));
}

/** What reading a chunk took. */
export interface ChunkRead {
  /** Blocks that were asked for. */
  readonly asked: number;
  /** Blocks up to the one that is read next: fewer, when the page was full before the end. */
  readonly covered: number;
  readonly ms: number;
}

/** Blocks of the next chunk, towards `TARGET_MS` a statement and one page of rows. */
export function nextChunk(size: number, { asked, covered, ms }: ChunkRead): number {
  // What lies behind a full page is read again by the next statement.
  if (covered < asked) return Math.max(1, covered);
  const scale = Math.min(2, Math.max(0.5, TARGET_MS / Math.max(ms, 1)));
  const scaled = Math.round(asked * scale);
  // The end of a heap says little: a short chunk is no reason to shrink, a slow one is.
  if (asked < size && scale >= 1) return size;
  return Math.min(MAX_CHUNK, Math.max(1, scaled));
}

/** Half of a chunk that timed out; undefined when it was one block: there is nothing to halve. */
export function halved(asked: number): number | undefined {
  return asked <= 1 ? undefined : Math.floor(asked / 2);
}

/** How long to rest after statements that took `spentMs`, so that they are that share of the time. */
export function restMs(spentMs: number, dutyCycle: number): number {
  return spentMs / dutyCycle - spentMs;
}

/** From the end of one sweep to the next of a table that nothing else follows. */
export const ALONE_MS = 60_000;
/** Blocks: 16 MB of heap. */
export const FIRST_CHUNK = 2000;
/** A GiB. */
const MAX_CHUNK = 131_072;
export const TARGET_MS = 50;

/** 2^31, less what may be given out until somebody looks again. */
export const WRAP_DISTANCE: Xid8 = 2n ** 31n - 10_000_000n;

const WAL_PAGE = 8192n;
/** The long one, at the start of a segment. */
const WAL_PAGE_HEADER = 40n;
