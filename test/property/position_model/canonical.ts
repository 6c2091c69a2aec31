/**
 * Two worlds with the same future have the same canonical form. Of times and xids only the order
 * counts (both are compared, never added to), so each is replaced by its rank among those still in
 * play; a value that nothing will read again is left out: the stamp and xids of a transaction whose
 * rows are durable and which nothing lists, what a poll has read before it began again.
 */
import type { Algorithm } from "./poll.ts";
import { GAP, PREPARED, RUNNING, SUB_LOCK, SUB_ROW, TOP_LOCK, TOP_ROW } from "./transaction.ts";
import { factsOf, snapshotText, type World } from "./world.ts";

/** 64 bits of hash of a canonical form: of 10⁷ states two meet by chance once in 10⁵ runs. */
export interface Fingerprint {
  high: number;
  low: number;
}

const form = new Uint8Array(256);
const times = new Uint8Array(512);
const xids = new Uint8Array(512);

/** Writes the fingerprint into `into`. `ties`: clock readings may repeat, so the last one counts. */
export function fingerprint(
  w: World,
  algorithm: Algorithm,
  ties: boolean,
  into: Fingerprint,
): void {
  rank(w, algorithm, ties);
  const length = write(w, algorithm);
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    const byte = form[i] ?? 0;
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high + byte, 0x85ebca6b);
    high ^= high >>> 15;
  }
  into.low = mixed(low ^ (high >>> 7)) >>> 0;
  into.high = mixed(high + Math.imul(low, 0xc2b2ae35)) >>> 0;
}

function write(w: World, algorithm: Algorithm): number {
  let n = 0;
  const put = (value: number): void => {
    form[n++] = value;
  };
  put(w.phase);
  put((w.pollsLeft << 2) | (w.restarts << 1) | (w.started ? 1 : 0));
  put(xids[w.xmax] ?? 0);
  put(xids[w.nextXid] ?? 0);
  put(times[w.clock] ?? 0);
  const { seen } = w;
  // A snapshot that differs never becomes the same again.
  if (algorithm.probes !== undefined) put(w.text === snapshotText(w) ? 1 : 0);
  if (w.phase > 0) {
    if (algorithm.probes !== undefined) put(w.text === seen.text ? 1 : 0);
    put(times[seen.t] ?? 0);
    put(times[seen.upper] ?? 0);
    put(algorithm.readsSx ? xids[seen.sx] ?? 0 : 0);
    put(xids[seen.sn] ?? 0);
    put(seen.virtual);
    put(seen.prepared);
    put(seen.deferred ? 1 : 0);
  }
  for (let i = 0; i < w.shapes.length; i++) {
    put(w.step[i] ?? 0);
    put((w.rows[i] ?? 0) << 4 | (w.delivered[i] ?? 0) << 2 | (w.read[i] ?? 0));
    put(isAwaited(w, i) || inGap(w, i) ? times[w.stamp[i] ?? 0] ?? 0 : 0);
    put(readsXid(w, i) || awaits(w, i, TOP_ROW) ? xids[w.x[i] ?? 0] ?? 0 : 0);
    put(readsSub(w, i) || awaits(w, i, SUB_ROW) ? xids[w.sub[i] ?? 0] ?? 0 : 0);
    if (w.phase > 0) {
      put(seen.virtual >> i & 1 ? xids[seen.xids[i] ?? 0] ?? 0 : 0);
      put(isAwaited(w, i) ? (seen.ended >> i & 1) << 1 | seen.endedFirst >> i & 1 : 0);
    }
  }
  if (w.held !== undefined) {
    put(times[w.held.t] ?? 0);
    put(Number(w.held.position.pm));
    put(w.held.entries.length);
    for (const { slot, lb, xb } of w.held.entries) {
      put(slot);
      put(lb < 0 ? 0 : times[lb] ?? 0);
      put(xids[xb] ?? 0);
    }
  }
  for (const range of w.rescans) {
    put(200);
    put(range.lb < 0 ? 0 : times[range.lb] ?? 0);
    put(times[range.to] ?? 0);
    put(xids[range.xb] ?? 0);
  }
  return n;
}

/**
 * Fills `times` and `xids`: a value gets the number of bounds at or below it. Bounds are what a
 * row's stamp or xmin may yet be compared with.
 */
function rank(w: World, algorithm: Algorithm, ties: boolean): void {
  times.fill(0, 0, w.clock + 2);
  xids.fill(0, 0, w.nextXid + 2);
  if (ties) times[w.clock] = 1;
  xids[w.xmax] = 1;
  xids[w.nextXid] = 1;
  const { seen } = w;
  if (w.phase > 0) {
    times[seen.t] = 1;
    times[seen.upper] = 1;
    xids[seen.sn] = 1;
    if (algorithm.readsSx) xids[seen.sx] = 1;
  }
  for (let i = 0; i < w.shapes.length; i++) {
    if (inGap(w, i)) times[w.stamp[i] ?? 0] = 1;
    if (readsXid(w, i)) xids[w.x[i] ?? 0] = 1;
    if (readsSub(w, i)) xids[w.sub[i] ?? 0] = 1;
    if (w.phase > 0 && seen.virtual >> i & 1) xids[seen.xids[i] ?? 0] = 1;
  }
  if (w.held !== undefined) {
    times[w.held.t] = 1;
    for (const { lb, xb } of w.held.entries) {
      if (lb >= 0) times[lb] = 1;
      xids[xb] = 1;
    }
  }
  for (const range of w.rescans) {
    if (range.lb >= 0) times[range.lb] = 1;
    times[range.to] = 1;
    xids[range.xb] = 1;
  }
  number(times, w.clock + 1);
  number(xids, w.nextXid + 1);
}

function number(values: Uint8Array, end: number): void {
  let bounds = 0;
  for (let i = 0; i < end; i++) {
    if (values[i]) bounds++;
    values[i] = bounds;
  }
}

/** Rows that may still have to be delivered: not those of a transaction that rolls back. */
function isAwaited(w: World, i: number): boolean {
  return ((w.rows[i] ?? 0) & ~(w.delivered[i] ?? 0)) !== 0;
}

function awaits(w: World, i: number, row: number): boolean {
  return ((w.rows[i] ?? 0) & ~(w.delivered[i] ?? 0) & row) !== 0;
}

/** Its stamp may become a bound: the margin goes back to it. */
function inGap(w: World, i: number): boolean {
  return (factsOf(w, i) & GAP) !== 0;
}

/** Its xids may become bounds: a listing or a snapshot can still show them. */
function readsXid(w: World, i: number): boolean {
  return (factsOf(w, i) & (RUNNING | TOP_LOCK | PREPARED)) !== 0;
}

function readsSub(w: World, i: number): boolean {
  return (factsOf(w, i) & SUB_LOCK) !== 0;
}

function mixed(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
