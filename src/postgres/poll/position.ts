/**
 * The arithmetic of straggler tracking (design 3.3), as pure functions of what the statements
 * returned. Nothing here talks to a database; test/property/position_model.test.ts tries every
 * interleaving against it.
 *
 * A poll k runs, each in a transaction of its own and in this order: A (the clock, less a margin,
 * is t(k); xid bounds), B (who is open: pg_locks, then pg_prepared_xacts), C (every table's rows
 * stamped at or after t(k−1)), D (for each transaction that has ended, its rows stamped before
 * t(k−1)). When all that was read is durable the position becomes what `advance` returned.
 *
 * Why no committed row is missed, if stamps are ≥ the moment their transaction began − margin. Take
 * a transaction that committed, and let k be the first poll whose B no longer lists it.
 * 1. It is in no listing before k. Then it began after listing k−1 was read, so after A(k−1) read
 *    the clock: its stamps are ≥ t(k−1), and C(k), which runs after B(k) and so after the commit
 *    became visible (locks are released after that), finds them. If it began after B(k) as well, the
 *    same holds for the first poll that can see it.
 * 2. It is in listing j < k and was not in j−1. Its entry has lb = t(j−1) ≤ its beginning − margin by
 *    the argument of 1. At poll k it is missing: D(k) reads [lb, t(k−1)), C(k) the rest.
 * 3. It was open at the very first listing: lb = −∞.
 * PREPARE drops the virtualxid and shows a prepared transaction instead, under another name. B reads
 * pg_locks first, so it is seen under one of the names or under both; its new name takes the lowest
 * lb of all stored entries, of those still listed too, as nothing says which one it was.
 * xb only narrows D. Every xid of a transaction (sub-transactions have higher ones) is ≥ its top xid,
 * and xb is never above that: it is the top xid itself where B showed it, else A's snapshot xmin,
 * which is ≤ every xid running at A, even one whose lock B didn't show yet. It must never rise: the
 * name stays, but a later, higher reading may belong to nothing that we know.
 */
import type { Micros } from "./micros.ts";

/** A transaction that was open when last listed: its rows may still appear behind `t`. */
export interface OpenEntry {
  /** `5/172` (a virtualxid) or `prep:1152000` (a prepared transaction). */
  readonly v: string;
  /** No row of it is stamped before this; null is −∞. */
  readonly lb: Micros | null;
  /** No row of it has an older xmin: 32 bits, compared on the circle. */
  readonly xb: number;
}

/** Where a capture has read to, once everything it read is durable. */
export interface Position {
  /** Rows stamped before this have been seen, but for those of `open`. */
  readonly t: Micros;
  /** A's snapshot xmax, 64 bits: whatever began later has an xid that isn't below. */
  readonly sx: bigint;
  /** The postmaster's start: when it changed, every virtualxid has ended. */
  readonly pm: string;
  readonly open: readonly OpenEntry[];
}

/** What A and B returned. */
export interface Listing {
  /** A's clock less the margin. */
  readonly t: Micros;
  readonly sx: bigint;
  /** A's snapshot xmin, low 32 bits. */
  readonly sn: number;
  readonly pm: string;
  /** Open transactions by virtualxid; `x` is the top xid where its lock showed, else null. */
  readonly running: readonly { readonly v: string; readonly x: number | null }[];
  /** Prepared transactions, read after `running`; v is `prep:<xid>`. */
  readonly prepared: readonly { readonly v: string; readonly x: number }[];
}

/** Rows to be read again: stamped in [lb, to), with an xmin not older than xb. */
export interface RescanRange {
  readonly lb: Micros | null;
  readonly to: Micros;
  readonly xb: number;
}

export interface Step {
  /** To be adopted when everything this poll reads is durable, not before. */
  readonly next: Position;
  /** What D has to read, one range for all transactions that ended with the same lb. */
  readonly rescans: readonly RescanRange[];
}

/** The first position of all: whoever is open may have stamped a row at any time before. */
export function anchor(seen: Listing): Position {
  const open = [
    ...seen.running.map(({ v, x }) => ({ v, lb: null, xb: x ?? seen.sn })),
    ...seen.prepared.map(({ v, x }) => ({ v, lb: null, xb: x })),
  ];
  return { t: seen.t, sx: seen.sx, pm: seen.pm, open };
}

/** One poll's arithmetic: the position that its listing leads to, and what D must read. */
export function advance(previous: Position, seen: Listing): Step {
  const restarted = seen.pm !== previous.pm;
  // A restarted server may name a new transaction like an old one: nothing is known of it.
  const known = new Map(
    previous.open.filter((e) => !restarted || isPrepared(e.v)).map((e) => [e.v, e]),
  );
  let lowest: Micros | null = previous.t;
  for (const entry of previous.open) lowest = lower(lowest, entry.lb);

  const open: OpenEntry[] = [];
  for (const { v, x } of seen.running) {
    const entry = known.get(v);
    open.push(
      entry === undefined
        ? { v, lb: previous.t, xb: x ?? seen.sn }
        : { v, lb: entry.lb, xb: x === null ? entry.xb : older(entry.xb, x) },
    );
  }
  for (const { v, x } of seen.prepared) {
    open.push(known.get(v) ?? { v, lb: lowest, xb: x });
  }

  const listed = new Set(open.map((e) => e.v));
  const ended = previous.open.filter((e) => known.get(e.v) === undefined || !listed.has(e.v));
  return {
    next: { t: seen.t, sx: seen.sx, pm: seen.pm, open },
    rescans: rangesOf(ended, previous.t),
  };
}

/**
 * The same position after the database's clock stepped back: transactions that began since may be
 * stamped that much earlier, and what those that are open stamp from now on too.
 */
export function lowered(position: Position, by: Micros): Position {
  const open = position.open.map((e) => e.lb === null ? e : { ...e, lb: e.lb - by });
  return { ...position, t: position.t - by, open };
}

/** Whether a listing shows just the transactions that were open already: none ended, none is new. */
export function sameTransactions(position: Position, seen: Listing): boolean {
  const names = new Set(position.open.map((e) => e.v));
  return seen.pm === position.pm && seen.running.length + seen.prepared.length === names.size &&
    [...seen.running, ...seen.prepared].every(({ v }) => names.has(v));
}

/** The xid on the circle of 2³² that is the older, seen from any xid less than 2³¹ younger. */
export function older(a: number, b: number): number {
  return ((a - b) >>> 0) >= 0x80000000 ? a : b;
}

function rangesOf(ended: readonly OpenEntry[], to: Micros): RescanRange[] {
  const ranges = new Map<Micros | null, RescanRange>();
  for (const { lb, xb } of ended) {
    // Nothing of it can be stamped before `to`: C reads it.
    if (lb !== null && lb >= to) continue;
    const range = ranges.get(lb);
    ranges.set(lb, { lb, to, xb: range === undefined ? xb : older(range.xb, xb) });
  }
  return [...ranges.values()];
}

/** The lower of two bounds; null is −∞. */
export function lower(a: Micros | null, b: Micros | null): Micros | null {
  if (a === null || b === null) return null;
  return a < b ? a : b;
}

function isPrepared(v: string): boolean {
  return v.startsWith("prep:");
}
