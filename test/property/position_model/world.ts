/**
 * The state of the model: a server with its clock, its xids and its transactions, and a poller.
 * Times and xids are small numbers that only grow; canonical.ts forgets all but their order.
 */
import type { Position, Step } from "../../../src/postgres/poll/position.ts";
import { GAP, PREPARED, RUNNING, type Shape, VISIBLE } from "./transaction.ts";

export interface World {
  readonly shapes: readonly Shape[];
  /** By transaction: the number in the name of its virtualxid. */
  readonly names: readonly number[];

  /** The last time that anybody read. */
  clock: number;
  /** The xid to be given next. */
  nextXid: number;
  /** Above the highest xid that ended: a snapshot's xmax. */
  xmax: number;
  /** How often the server restarted: stands for the postmaster's start. */
  restarts: number;

  /** By transaction: steps done, stamp, xids (0: none), rows it commits or has committed. */
  step: readonly number[];
  stamp: readonly number[];
  x: readonly number[];
  sub: readonly number[];
  rows: readonly number[];
  /** By transaction: rows read by the poll that runs, rows that are durable in the sink. */
  read: readonly number[];
  delivered: readonly number[];

  /** Index into the program's steps; the start-up's before the anchor is stored and seeded. */
  phase: number;
  started: boolean;
  pollsLeft: number;
  /** What is stored; survives a crash. */
  held: Held | undefined;
  /** Ranges that were put off, stored with the position. */
  rescans: readonly Range[];
  /** The last poll's snapshot as one number, in memory: 0 when none is known. */
  text: number;
  /** Bits: transactions whose rows the poll that has just ended promised (the barrier). */
  promised: number;
  /** What the poll that runs has read so far. */
  seen: Seen;
}

/** A position and its numbers. */
export interface Held {
  readonly position: Position;
  readonly t: number;
  readonly entries: readonly { readonly slot: number; readonly lb: number; readonly xb: number }[];
}

/** Rows to read: `lb` below 0 is −∞; `xb` below 0: whatever their xmin. */
export interface Range {
  readonly lb: number;
  readonly to: number;
  readonly xb: number;
}

/** What A and B have returned; bits are transactions. */
export interface Seen {
  t: number;
  upper: number;
  sx: number;
  sn: number;
  virtual: number;
  prepared: number;
  /** By transaction: the xid that was listed beside its virtualxid, 0 for none. */
  xids: readonly number[];
  text: number;
  /** Bits: transactions that had ended for good when A took its snapshot, and read the clock. */
  endedFirst: number;
  ended: number;
  /** Whether D was put off. */
  deferred: boolean;
  /** What `advance` made of it, once it was asked. */
  step: Step | undefined;
}

export const NOTHING_SEEN: Seen = {
  t: 0,
  upper: 0,
  sx: 0,
  sn: 0,
  virtual: 0,
  prepared: 0,
  xids: [],
  text: 0,
  endedFirst: 0,
  ended: 0,
  deferred: false,
  step: undefined,
};

/** `sharedName`: all virtualxids bear one name, as after a restart; else each has its own. */
export function newWorld(shapes: readonly Shape[], polls: number, sharedName = false): World {
  const zeros = () => shapes.map(() => 0);
  return {
    shapes,
    names: shapes.map((_, i) => sharedName ? 0 : i),
    clock: 0,
    nextXid: 1,
    xmax: 1,
    restarts: 0,
    step: zeros(),
    stamp: zeros(),
    x: zeros(),
    sub: zeros(),
    rows: shapes.map((s) => s.rows),
    read: zeros(),
    delivered: zeros(),
    phase: 0,
    started: false,
    pollsLeft: polls,
    held: undefined,
    rescans: [],
    text: 0,
    promised: 0,
    seen: NOTHING_SEEN,
  };
}

/** A copy that shares its arrays: nothing writes into an array, `replaced` makes another. */
export function copyOf(w: World): World {
  return { ...w };
}

/** `values` with another value at `i`. */
export function replaced(values: readonly number[], i: number, value: number): readonly number[] {
  const copy = values.slice();
  copy[i] = value;
  return copy;
}

/** Bits of transaction.ts: what can be seen of transaction `i` now. */
export function factsOf(w: World, i: number): number {
  return w.shapes[i]?.facts[w.step[i] ?? 0] ?? 0;
}

export function isOver(w: World, i: number): boolean {
  return (w.step[i] ?? 0) === (w.shapes[i]?.steps.length ?? 0);
}

/** A reading of the clock; `tied`: in the same µs as the one before. */
export function readClock(w: World, tied: boolean): number {
  if (!tied || w.clock === 0) w.clock++;
  return w.clock;
}

/** Whether transaction `i` can take a step. */
export function canStep(w: World, i: number): boolean {
  if (isOver(w, i)) return false;
  if ((w.step[i] ?? 0) > 0) return true;
  const name = w.names[i];
  // One name for two: the first is of before a restart, the other of after it.
  if (w.names.indexOf(name ?? 0) < i) return w.restarts > 0;
  if (w.names.lastIndexOf(name ?? 0) > i) return w.restarts === 0;
  // Two that are alike are taken in one order only.
  return i === 0 || w.shapes[i - 1] !== w.shapes[i] || (w.step[i - 1] ?? 0) > 0;
}

/** Transaction `i` takes its next step. */
export function takeStep(w: World, i: number, tied: boolean): void {
  for (const action of w.shapes[i]?.steps[w.step[i] ?? 0] ?? []) {
    if (action === "now") w.stamp = replaced(w.stamp, i, readClock(w, tied));
    if (action === "xid") w.x = replaced(w.x, i, w.nextXid++);
    if (action === "sub") w.sub = replaced(w.sub, i, w.nextXid++);
    if (action === "visible" || action === "gone") endXids(w, i);
  }
  w.step = replaced(w.step, i, (w.step[i] ?? 0) + 1);
}

/** The server stops and starts: what was open is gone, but for what was prepared. */
export function restartServer(w: World): void {
  w.restarts++;
  for (let i = 0; i < w.shapes.length; i++) {
    const facts = factsOf(w, i);
    if ((w.step[i] ?? 0) === 0 || isOver(w, i)) continue;
    if ((facts & PREPARED) && (facts & RUNNING)) {
      const dropped = w.shapes[i]?.steps.findIndex((step) => step.includes("drop")) ?? 0;
      w.step = replaced(w.step, i, Math.max(w.step[i] ?? 0, dropped + 1));
      continue;
    }
    if (facts & RUNNING) endXids(w, i);
    if (!(facts & VISIBLE)) w.rows = replaced(w.rows, i, 0);
    w.step = replaced(w.step, i, w.shapes[i]?.steps.length ?? 0);
  }
}

/** Rows of `i` that are visible and not yet durable in the sink. */
export function undelivered(w: World, i: number): number {
  return factsOf(w, i) & VISIBLE ? (w.rows[i] ?? 0) & ~(w.delivered[i] ?? 0) : 0;
}

/** A snapshot's xmin: the oldest xid that runs, else its xmax. */
export function oldestRunning(w: World): number {
  let oldest = w.xmax;
  for (let i = 0; i < w.shapes.length; i++) {
    if (factsOf(w, i) & RUNNING) oldest = Math.min(oldest, w.x[i] ?? 0);
  }
  return oldest;
}

/** Bits: transactions that are over. */
export function overOnes(w: World): number {
  let bits = 0;
  for (let i = 0; i < w.shapes.length; i++) if (isOver(w, i)) bits |= 1 << i;
  return bits;
}

/** A snapshot's text as a number: its xmax, and who runs below that. */
export function snapshotText(w: World): number {
  let text = w.xmax << 8;
  for (let i = 0; i < w.shapes.length; i++) {
    if (factsOf(w, i) & RUNNING && (w.x[i] ?? 0) < w.xmax) text |= 1 << i;
  }
  return text;
}

/**
 * The highest `t` that a margin can give which covers every gap between a stamp and its
 * transaction's virtualxid: `clock − margin` is at or before each stamp in a gap.
 */
export function marginedClock(w: World, now: number): number {
  let t = now;
  for (let i = 0; i < w.shapes.length; i++) {
    if (factsOf(w, i) & GAP) t = Math.min(t, w.stamp[i] ?? 0);
  }
  return t;
}

function endXids(w: World, i: number): void {
  w.xmax = Math.max(w.xmax, (w.x[i] ?? 0) + 1, (w.sub[i] ?? 0) + 1);
}
