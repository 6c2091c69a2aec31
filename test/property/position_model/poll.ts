/**
 * The poller of the model: a program of statements, each one instant, around the real `anchor` and
 * `advance`. Everything that a mutant may do differently is a field of `Algorithm`.
 */
import {
  type advance,
  type anchor,
  sameTransactions,
  type Step,
} from "../../../src/postgres/poll/position.ts";
import { circular, hold, listingOf, rangeOf } from "./numbers.ts";
import { PREPARED, RUNNING, SHOWN, SUB_LOCK, TOP_LOCK, TOP_ROW } from "./transaction.ts";
import {
  canStep,
  copyOf,
  factsOf,
  type Held,
  marginedClock,
  NOTHING_SEEN,
  oldestRunning,
  overOnes,
  type Range,
  readClock,
  replaced,
  snapshotText,
  takeStep,
  undelivered,
  type World,
} from "./world.ts";

export type Statement =
  /** A's snapshot: sx and sn. */
  | "snapshot"
  /** A's clock. */
  | "clock"
  /** A's clock with a margin of nothing, a mutant's. */
  | "clock without margin"
  /** B's pg_locks, first virtualxids, then xids; B's pg_prepared_xacts. */
  | "vxids"
  | "xids"
  | "prepared"
  /** pg_locks' xids, a mutant's: the youngest of a transaction in place of the oldest. */
  | "youngest xids"
  /** In place of B, a mutant's: who runs by the snapshot, which doesn't know who has no xid. */
  | "snapshot's xids"
  /** C: rows stamped at or after t(k−1), up to A's clock and the margin. */
  | "hot"
  /** In place of C, the control's: rows stamped after the largest stamp seen. */
  | "naive hot"
  /** D: the ranges of `advance` and those put off earlier. */
  | "rescan"
  /** Rows read become durable in the sink. */
  | "ack"
  /** `next` is stored. */
  | "store"
  /** The start-up's: `anchor` is stored. */
  | "anchor"
  /** Reads every row that is visible, durably. */
  | "seed";

export interface Algorithm {
  readonly name: string;
  readonly anchor: typeof anchor;
  readonly advance: typeof advance;
  /** Steps of statements; those of one step share an instant. */
  readonly startUp: readonly (readonly Statement[])[];
  readonly poll: readonly (readonly Statement[])[];
  /** Whether D may be put off, its ranges stored with the position. */
  readonly mayDefer: boolean;
  /** False: ranges put off are kept in memory only. */
  readonly storesRescans: boolean;
  /** Whether sx decides anything. */
  readonly readsSx: boolean;
  /** Whether a poll that finds nothing changed ends early, and what it may then promise. */
  readonly probes?: "to the snapshot" | "to the clock";
}

export function stepsOf(w: World, algorithm: Algorithm): readonly (readonly Statement[])[] {
  return w.started ? algorithm.poll : algorithm.startUp;
}

/** The next statements of the poller, all at this instant. */
export function takePollStep(
  w: World,
  algorithm: Algorithm,
  tied: boolean,
  deferring: boolean,
): void {
  const steps = stepsOf(w, algorithm);
  const statements = steps[w.phase] ?? [];
  // Values of the poll before are gone with it.
  w.seen = { ...(w.phase === 0 ? NOTHING_SEEN : w.seen) };
  for (const statement of statements) execute(w, algorithm, statement, tied, deferring);
  w.phase++;
  const quiet = w.started && algorithm.probes !== undefined && isQuiet(w, statements);
  if (w.phase < steps.length && !quiet) return;
  if (w.started) {
    w.pollsLeft--;
    const promised = quiet && algorithm.probes !== "to the clock"
      ? w.seen.endedFirst
      : w.seen.ended;
    w.promised = w.rescans.length === 0 ? promised : 0;
    w.text = w.seen.text;
  }
  w.phase = 0;
  w.started = true;
}

/** The idle probe: whether the poll ends here, as nothing can have changed since the last one. */
function isQuiet(w: World, statements: readonly Statement[]): boolean {
  if (w.text !== w.seen.text || w.rescans.length > 0) return false;
  if (statements.includes("clock") && heldBy(w).entries.length === 0) return true;
  return statements.includes("prepared") && sameTransactions(heldBy(w).position, listingOf(w));
}

/** The poller dies and starts again: it knows what is stored. */
export function crash(w: World, algorithm: Algorithm): void {
  // Between the anchor and the seed's end: the seed goes on.
  w.phase = !w.started && w.held !== undefined ? algorithm.startUp.length - 1 : 0;
  w.seen = NOTHING_SEEN;
  w.text = 0;
  w.read = w.read.map(() => 0);
  if (!algorithm.storesRescans) w.rescans = [];
}

/**
 * The barrier (design 3.3): whether the poll that has just ended left out a row of a transaction
 * which had ended when it began.
 */
export function breaksBarrier(w: World): boolean {
  return w.promised !== 0 && missing(w).some((i) => w.promised >> i & 1);
}

/**
 * Every transaction goes on to its end, then a poll runs undisturbed: nobody is open, so it forgets
 * whom it knew, and a second one would read nothing of what there is.
 */
export function settle(from: World, algorithm: Algorithm): World {
  const w = copyOf(from);
  if (w.phase > 0) crash(w, algorithm);
  for (let i = 0; i < w.shapes.length; i++) while (canStep(w, i)) takeStep(w, i, false);
  for (let polls = w.started ? 1 : 2; polls > 0; polls--) {
    do takePollStep(w, algorithm, false, false); while (w.phase > 0);
  }
  return w;
}

/** Transactions with a row that was committed and isn't durable in the sink. */
export function missing(w: World): number[] {
  return w.shapes.map((_, i) => i).filter((i) => undelivered(w, i) !== 0);
}

function execute(
  w: World,
  algorithm: Algorithm,
  statement: Statement,
  tied: boolean,
  deferring: boolean,
): void {
  const { seen } = w;
  switch (statement) {
    case "snapshot":
      seen.sx = w.xmax;
      seen.sn = oldestRunning(w);
      seen.text = snapshotText(w);
      seen.endedFirst = overOnes(w);
      return;
    case "clock":
    case "clock without margin":
      seen.upper = readClock(w, tied);
      seen.t = statement === "clock" ? marginedClock(w, seen.upper) : seen.upper;
      seen.ended = overOnes(w);
      return;
    case "vxids":
      seen.virtual = bitsOf(w, SHOWN);
      return;
    case "xids":
      seen.xids = w.shapes.map((_, i) => shownXid(w, i));
      return;
    case "youngest xids":
      seen.xids = w.shapes.map((_, i) => factsOf(w, i) & SUB_LOCK ? w.sub[i] ?? 0 : shownXid(w, i));
      return;
    case "prepared":
      seen.prepared = bitsOf(w, PREPARED);
      return;
    case "snapshot's xids":
      seen.virtual = bitsOf(w, RUNNING);
      seen.xids = w.x;
      return;
    case "hot":
      read(w, [{ lb: w.held?.t ?? 0, to: seen.upper + 1, xb: -1 }]);
      return;
    case "naive hot":
      seen.t = w.held?.t ?? 0;
      for (let i = 0; i < w.shapes.length; i++) {
        const stamp = w.stamp[i] ?? 0;
        if (undelivered(w, i) && stamp > (w.held?.t ?? 0)) seen.t = Math.max(seen.t, stamp);
      }
      read(w, [{ lb: (w.held?.t ?? 0) + 1, to: w.clock + 1, xb: -1 }]);
      return;
    case "rescan":
      seen.deferred = deferring;
      if (!deferring) read(w, [...w.rescans, ...stepOf(w, algorithm).rescans.map(rangeOf)]);
      return;
    case "ack":
      w.delivered = w.delivered.map((rows, i) => rows | (w.read[i] ?? 0));
      w.read = w.read.map(() => 0);
      return;
    case "store":
      w.rescans = seen.deferred
        ? distinct([...w.rescans, ...stepOf(w, algorithm).rescans.map(rangeOf)])
        : [];
      w.held = hold(w, stepOf(w, algorithm).next);
      return;
    case "anchor":
      w.held = hold(w, algorithm.anchor(listingOf(w)));
      return;
    case "seed":
      w.delivered = w.delivered.map((rows, i) => rows | undelivered(w, i));
      return;
  }
}

/** The oldest xid whose lock shows: a savepoint's may be left alone while locks go. */
function shownXid(w: World, i: number): number {
  const facts = factsOf(w, i);
  if (facts & TOP_LOCK) return w.x[i] ?? 0;
  return facts & SUB_LOCK ? w.sub[i] ?? 0 : 0;
}

function bitsOf(w: World, fact: number): number {
  let bits = 0;
  for (let i = 0; i < w.shapes.length; i++) if (factsOf(w, i) & fact) bits |= 1 << i;
  return bits;
}

function read(w: World, ranges: readonly Range[]): void {
  for (let i = 0; i < w.shapes.length; i++) {
    const rows = undelivered(w, i);
    const stamp = w.stamp[i] ?? 0;
    for (let row = TOP_ROW; row <= rows; row <<= 1) {
      if (!(rows & row)) continue;
      const xmin = circular(row === TOP_ROW ? w.x[i] ?? 0 : w.sub[i] ?? 0);
      const hit = ranges.some(({ lb, to, xb }) =>
        stamp >= lb && stamp < to && (xb < 0 || ((xmin - circular(xb)) >>> 0) < 2 ** 31)
      );
      if (hit) w.read = replaced(w.read, i, (w.read[i] ?? 0) | row);
    }
  }
}

/** What `advance` says of this poll's listing: asked by D and when the position is stored. */
function stepOf(w: World, algorithm: Algorithm): Step {
  w.seen.step ??= algorithm.advance(heldBy(w).position, listingOf(w));
  return w.seen.step;
}

function distinct(ranges: readonly Range[]): Range[] {
  const sorted = ranges.toSorted((a, b) => a.lb - b.lb || a.to - b.to || a.xb - b.xb);
  return sorted.filter((range, i) => {
    const last = sorted[i - 1];
    return last === undefined || last.lb !== range.lb || last.to !== range.to ||
      last.xb !== range.xb;
  });
}

function heldBy(w: World): Held {
  if (w.held === undefined) throw new Error("Cannot poll: nothing is anchored");
  return w.held;
}
