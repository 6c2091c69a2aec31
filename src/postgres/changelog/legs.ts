/**
 * The arithmetic of the snapshot difference (design 3.4), as pure functions of what the statements
 * returned. Nothing here talks to a database.
 *
 * Rows carry the xid of the top-level transaction that wrote them. A position says that every row of
 * a transaction that snapshot S1 (`done`) sees is durable. A batch runs, each in a transaction of its
 * own and in this order: the snapshot S2 (`to`), then pages of leg 1 (transactions in progress in
 * S1 that S2 sees) and of leg 2 (transactions from xmax(S1) on that S2 sees), in the order (xid,
 * seq). When all that was read is durable, S1 becomes S1 ∪ S2: S2 itself, on one server.
 *
 * Why each committed row is delivered, and once unless a restart repeats it. Write V(S) for what S
 * sees: all below xmax(S) that isn't in xip(S).
 * 1. The legs read V(S2) \ V(S1), each once: what S1 doesn't see is ≥ xmax(S1) (leg 2) or in
 *    xip(S1) (leg 1, all below xmax(S1)), never both.
 * 2. What V(S2) holds was over when S2 was taken. A transaction's rows become visible before it
 *    leaves the list of those in progress, so each statement after S2 sees all rows of V(S2) that
 *    were committed, and no such row can appear later: the pages of a leg may be read at any time
 *    after, by any keyset, after a restart too, and no page misses a row that is put before it.
 *    xids and seqs aren't in commit order; within V(S2) that doesn't matter any more.
 * 3. So after a batch exactly V(S1) ∪ V(S2) is durable, which is what the next S1 says. A transaction
 *    that is in progress in S2 stays in the list, or is ≥ xmax(S2): it is in no V so far, and in the
 *    first V(S2') taken after it has ended. Snapshots of one server only grow, so it is in V once.
 * Nothing waits for a transaction that runs long: it stays in xip, and the others pass.
 *
 * Histories that break other orders:
 * - S2 after the legs (or `S1 := a snapshot read when the batch is done`): T commits between leg 2
 *   and S2; S2 sees it, no leg read it, S1 := S2: lost.
 * - Legs without "visible in S2": 10 is in S2's list and commits before its page is read: delivered now,
 *   and again when a later S2 sees it. Or it commits when the keyset is at 11: passed; only its staying
 *   in S1's list saves it, so with S1 := xmax alone it is lost.
 * - One leg by `xid >= xmin(S1)`: with 10 open for an hour, all rows of that hour at each batch.
 * - `xid >= xmax(S1)` alone: 10 was in progress in S1 and commits: lost. That is `seq > last seq` too.
 * - A subtransaction's xid in the column: it is in no snapshot's text, so visible to S2 when its parent
 *   is still in progress: read before it committed, not seen, passed: lost. Hence pg_current_xact_id().
 * - S1 of a server that crashed: an aborted transaction's xid, or one committed asynchronously, may
 *   be given out again after recovery when no WAL of it or later was flushed. S1 sees it: the second
 *   bearer is lost. So a position is only kept when the WAL inserted up to then is flushed (see
 *   difference.ts).
 *
 * A standby doesn't know what is in progress: its snapshot's list is empty, and a row above its xmin
 * may be invisible though not listed. S2 is then the fence F:F: (snapshot.ts): all below F is over and
 * replayed there, so 2 holds for it. 1 and 3 hold for any two snapshots, whichever is the later:
 * V(S1) \ V(S2) isn't read again, and the union says so. So a cursor written on the primary goes on
 * on a standby, lagging or not, and back, without loss or repetition. A fence waits for every
 * transaction that holds an xid, in any database.
 */
import { covers, isVisible, type Snapshot, union } from "./snapshot.ts";

/** Where a row is in the order of a leg. */
export interface Place {
  readonly xid: bigint;
  /** The ordering column's text: orders what one transaction wrote. */
  readonly seq: string;
}

export interface Batch {
  /** S2. */
  readonly to: Snapshot;
  readonly leg: 1 | 2;
  /** The last row of the leg that was passed; null: none. */
  readonly after: Place | null;
}

/** What has been passed: V(done), and of a batch all before its place. */
export interface DifferencePosition {
  /** S1. */
  readonly done: Snapshot;
  /** null: nothing is being read. Its leg has something to read. */
  readonly batch: Batch | null;
}

/** What the next page has to read, in the order (xid, seq). */
export type Leg =
  & { readonly after: Place | null }
  & (
    /** Rows with one of these xids: all are visible in S2. Not empty. */
    | { readonly leg: 1; readonly xids: readonly bigint[] }
    /** Rows with from <= xid < to.xmax that `to` sees. Not an empty range. */
    | { readonly leg: 2; readonly from: bigint; readonly to: Snapshot }
  );

/**
 * The position after S2 was read: with a batch, or unchanged when S2 sees nothing that S1 doesn't.
 * A batch that is being read goes on to its own S2.
 */
export function begun(position: DifferencePosition, seen: Snapshot): DifferencePosition {
  if (position.batch !== null) return position;
  const batch = firstOf(position.done, { to: seen, leg: 1, after: null });
  return batch === null ? position : { done: position.done, batch };
}

/** What the next page reads; undefined: no batch is being read. */
export function legOf({ done, batch }: DifferencePosition): Leg | undefined {
  if (batch === null) return undefined;
  const { to, leg, after } = batch;
  return leg === 1 ? { leg, xids: ended(done, to), after } : { leg, from: done.xmax, to, after };
}

/**
 * The position when all rows of a page are durable, and of all pages before it. `last`: the last row
 * of a page that was full; null: there is nothing more in this leg.
 */
export function passed(position: DifferencePosition, last: Place | null): DifferencePosition {
  const { done, batch } = position;
  if (batch === null) return position;
  if (last !== null) return { done, batch: { ...batch, after: last } };
  const next = batch.leg === 1 ? firstOf(done, { ...batch, leg: 2, after: null }) : null;
  return next === null ? { done: union(done, batch.to), batch: null } : { done, batch: next };
}

/**
 * A stored position as it may be used on a server that now sees `seen`. What the batch's S2 saw may be
 * not visible yet on a standby that lags behind the one where it was read: the batch is then read
 * again from its beginning, some day.
 */
export function resumed(position: DifferencePosition, seen: Snapshot): DifferencePosition {
  const { done, batch } = position;
  return batch === null || covers(seen, batch.to) ? position : { done, batch: null };
}

/** Whether a row is one that this position has passed. `seq` has to be a whole number's text. */
export function hasPassed({ done, batch }: DifferencePosition, { xid, seq }: Place): boolean {
  if (isVisible(xid, done)) return true;
  if (batch === null || !isVisible(xid, batch.to)) return false;
  const leg = xid < done.xmax ? 1 : 2;
  if (leg !== batch.leg) return leg < batch.leg;
  const { after } = batch;
  if (after === null) return false;
  return xid < after.xid || (xid === after.xid && BigInt(seq) <= BigInt(after.seq));
}

/** The batch at its first leg that isn't empty; null: there is none. */
function firstOf(done: Snapshot, batch: Batch): Batch | null {
  if (batch.leg === 1 && ended(done, batch.to).length > 0) return batch;
  return batch.to.xmax > done.xmax ? { ...batch, leg: 2 } : null;
}

/** In progress in S1, seen by S2. */
function ended(done: Snapshot, to: Snapshot): readonly bigint[] {
  return done.xip.filter((xid) => isVisible(xid, to));
}
