/**
 * Postgres' snapshots as values: which transactions' work a statement sees. Texts are those of
 * `pg_snapshot`: `xmin:xmax:xip,…`. xids are 64 bits (xid8: the epoch is in them) and belong to
 * top-level transactions: `pg_current_snapshot()` lists no others.
 */

/** Sees xid x if x < xmax and x isn't one of xip. */
export interface Snapshot {
  /** The lowest xid that it doesn't see: the first of `xip`, or `xmax`. */
  readonly xmin: bigint;
  readonly xmax: bigint;
  /** Those in progress below xmax, ascending, each once. */
  readonly xip: readonly bigint[];
}

/** Reads `pg_snapshot`'s text; throws RangeError for what isn't one. */
export function parseSnapshot(text: string): Snapshot {
  const match = /^(\d{1,20}):(\d{1,20}):((?:\d{1,20}(?:,\d{1,20})*)?)$/.exec(text);
  if (match === null) throw unreadable(text);
  const [, low = "", high = "", list = ""] = match;
  const xmax = BigInt(high);
  const xip = list === "" ? [] : list.split(",").map(BigInt);
  const ordered = xip.every((xid, i) => xid < xmax && (i === 0 || at(xip, i - 1) < xid));
  const xmin = xip[0] ?? xmax;
  // The text's xmin may be below what is in progress in no case that Postgres prints but one: a
  // standby doesn't list what is in progress, and says so by its xmin alone (see `fence`).
  if (!ordered || BigInt(low) > xmin) throw unreadable(text);
  return { xmin: BigInt(low), xmax, xip };
}

/** The inverse of `parseSnapshot`; also what Postgres reads as a pg_snapshot. */
export function formatSnapshot({ xmin, xmax, xip }: Snapshot): string {
  return `${xmin}:${xmax}:${xip.join(",")}`;
}

/** The same as pg_visible_in_snapshot. */
export function isVisible(xid: bigint, { xmax, xip }: Snapshot): boolean {
  return xid < xmax && !includes(xip, xid);
}

/**
 * What is known for sure of a standby's snapshot: it lists nothing as in progress, but everything
 * below its xmin is over there, so what was committed is visible. Sees xid x if x < F.
 */
export function fence({ xmin }: Snapshot): Snapshot {
  return { xmin, xmax: xmin, xip: [] };
}

/** Sees what either of the two sees, and nothing else. */
export function union(a: Snapshot, b: Snapshot): Snapshot {
  const xmax = a.xmax > b.xmax ? a.xmax : b.xmax;
  // Not seen by either: in a's list and not seen by b, or in b's and not seen by a. What both list
  // is in a's part alone.
  const left = a.xip.filter((xid) => !isVisible(xid, b));
  const right = b.xip.filter((xid) => xid >= a.xmax);
  return normalised(xmax, [...left, ...right]);
}

/** Sees what `snapshot` sees below `bound`. */
export function below({ xmax, xip }: Snapshot, bound: bigint): Snapshot {
  return normalised(xmax < bound ? xmax : bound, xip.filter((xid) => xid < bound));
}

/** Whether `a` sees everything that `b` sees. */
export function covers(a: Snapshot, b: Snapshot): boolean {
  if (b.xmax > a.xmax) {
    // [a.xmax, b.xmax) has to be in progress for b, each of it.
    const beyond = b.xip.filter((xid) => xid >= a.xmax).length;
    if (BigInt(beyond) !== b.xmax - a.xmax) return false;
  }
  return a.xip.every((xid) => !isVisible(xid, b));
}

function normalised(xmax: bigint, xip: readonly bigint[]): Snapshot {
  return { xmin: xip[0] ?? xmax, xmax, xip };
}

function includes(sorted: readonly bigint[], wanted: bigint): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (at(sorted, middle) < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}

function at(list: readonly bigint[], i: number): bigint {
  const value = list[i];
  if (value === undefined) throw new RangeError(`Cannot read item ${i} of ${list.length}`);
  return value;
}

function unreadable(text: string): RangeError {
  return new RangeError(`Cannot read a snapshot: "${text.slice(0, 60)}" isn't xmin:xmax:xip,…`);
}
