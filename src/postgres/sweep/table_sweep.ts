/** The sweep of one table, a chunk at a time. What it reads, and why that is enough: bounds.ts. */
import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { FatalError, RetryableError } from "../../core/errors.ts";
import type { Row, Statement } from "../client.ts";
import { pollDeliveries } from "../poll/deliveries.ts";
import type { Micros } from "../poll/micros.ts";
import { type Found, foundOf } from "../poll/scan.ts";
import type { SeenVersions } from "../poll/seen_versions.ts";
import type { SweptTable } from "../ways.ts";
import {
  durableBound,
  FIRST_CHUNK,
  halved,
  mustReadAll,
  nextChunk,
  widened,
  type Xid8,
} from "./bounds.ts";
import type { HeapProgress, SweepProgress, SweepState } from "./cursor.ts";
import type { Rescues } from "./rescues.ts";
import {
  afterStatement,
  type Heap,
  heapsOf,
  heapsStatement,
  placeOf,
  rowsAtStatement,
  rowsStatement,
  startOf,
  startStatement,
  type SweepStart,
} from "./statements.ts";

/** What a table's sweep works with. */
export interface SweepWork {
  /**
   * Runs statements in order, each with its own snapshot, when it is their time; tells how long they
   * took, the rest that is part of them left out.
   */
  run(
    statements: readonly Statement[],
    signal: AbortSignal,
    restMs?: number,
  ): Promise<{ readonly results: readonly (readonly Row[])[]; readonly ms: number }>;
  /** The source's clock, about. */
  now(): Micros;
  readonly seen: SeenVersions;
  readonly rescues: Rescues;
  rescued(table: SweptTable, rows: number): void;
  readonly pageSize: number;
}

export interface TableSweep {
  readonly table: SweptTable;
  /** What is acknowledged. */
  state(): SweepState | undefined;
  /**
   * Goes on with the sweep, or begins one: reads one page and waits until it is acknowledged. Returns
   * whether a sweep has ended.
   */
  turn(signal: AbortSignal): AsyncGenerator<Delivery<Change>, boolean>;
}

/** What `SweepState` is before a table's first seed: what becomes visible from now on is swept. */
export async function startBeforeSeed(
  work: Pick<SweepWork, "run">,
  tables: readonly SweptTable[],
  signal: AbortSignal,
): Promise<readonly SweepState[]> {
  const { bound, start, heaps } = await begin(work, tables, signal);
  return heaps.map((each) => ({ bound, heaps: [...each.keys()], finishedAt: start.clock }));
}

export function tableSweep(
  table: SweptTable,
  stored: SweepState | undefined,
  work: SweepWork,
): TableSweep {
  const { seen, rescues, pageSize } = work;
  let state = stored;
  let size = FIRST_CHUNK;
  /** As they were when the sweep began, or when one of them turned out to be another. */
  let known: ReadonlyMap<string, Heap> | undefined;

  return { table, state: () => state, turn };

  async function* turn(signal: AbortSignal): AsyncGenerator<Delivery<Change>, boolean> {
    const current = state?.current ?? await started(signal);
    const at = await whereNow(current, signal);
    if (at === undefined) {
      state = { bound: current.bound, heaps: current.heaps, finishedAt: work.now() };
      known = undefined;
      return true;
    }
    yield* chunk(at.current, at.place, at.heap, signal);
    return false;
  }

  function progress(current: SweepProgress): SweepProgress {
    const { bound, heaps, finishedAt } = state ?? NEVER;
    state = { bound, heaps, finishedAt, current };
    return current;
  }

  async function started(signal: AbortSignal): Promise<SweepProgress> {
    const { bound, start, heaps } = await begin(work, [table], signal);
    known = heaps[0] ?? new Map();
    const missed = rescues.judge(table.id, start.next);
    if (missed.length > 0) {
      const statement = rowsAtStatement(table, missed.map(({ ctid }) => ctid));
      const { results } = await work.run([statement], signal);
      const now = new Set(results[0]?.map((row) => foundOf(table, row).version));
      const rows = missed.filter(({ version }) => now.has(version)).length;
      if (rows > 0) work.rescued(table, rows);
    }
    const ids = [...known.keys()];
    const full = mustReadAll(state?.bound, start.next);
    return progress({ bound, full, heaps: ids, left: ids });
  }

  /** The heap to read and from where; undefined when all are read. */
  async function whereNow(
    current: SweepProgress,
    signal: AbortSignal,
  ): Promise<
    { current: SweepProgress; heap: Heap; place: HeapProgress } | undefined
  > {
    if (current.heap === undefined && current.left.length === 0) return undefined;
    if (known === undefined) {
      const { results } = await work.run([heapsStatement(table)], signal);
      known = heapsOf(results[0] ?? []);
    }
    const { heap: begun, left, ...sweep } = current;
    const [id, ...others] = begun === undefined ? left : [begun.id, ...left];
    const heap = known.get(id ?? "");
    // Detached or dropped: its rows aren't the table's any more.
    if (heap === undefined) return whereNow(progress({ ...sweep, left: others }), signal);
    // Rewritten: its rows are in other blocks now.
    const place = begun?.file === heap.file
      ? begun
      : { id: heap.id, file: heap.file, end: heap.blocks, after: { block: 0, offset: 0 } };
    if (place.after.block >= place.end) {
      return whereNow(progress({ ...sweep, left: others }), signal);
    }
    return { current: { ...sweep, left: others, heap: place }, heap, place };
  }

  async function* chunk(
    current: SweepProgress,
    place: HeapProgress,
    heap: Heap,
    signal: AbortSignal,
  ): AsyncGenerator<Delivery<Change>> {
    const from = place.after;
    const to = Math.min(place.end, from.block + size);
    const asked = to - from.block;
    const bound = current.full || state?.heaps.includes(heap.id) !== true
      ? undefined
      : state?.bound;
    const range = { heap, after: from, to, bound, limit: pageSize };
    const statements = [rowsStatement(table, range), afterStatement(table, heap)];
    let read: Awaited<ReturnType<SweepWork["run"]>>;
    try {
      read = await work.run(statements, signal);
    } catch (error) {
      if (!(error instanceof RetryableError) || !TOO_LONG.has(error.code)) throw error;
      const half = halved(asked);
      if (half === undefined) throw error.code === TIMED_OUT ? stuck(table, error) : error;
      size = half;
      return;
    }
    const [rows = [], [after] = []] = read.results;
    if (after?.[0] !== heap.file) {
      known = undefined;
      return;
    }
    const next = BigInt(after[1] ?? 0);
    if (bound !== undefined && mustReadAll(bound, next)) {
      progress({ ...current, full: true });
      return;
    }
    const isFull = rows.length >= pageSize;
    const reached = isFull ? placeOf(rows.at(-1)) : { block: to, offset: 0 };
    const covered = isFull ? reached.block - from.block + 1 : asked;
    size = nextChunk(size, { asked, covered, ms: read.ms });

    yield* deliver(current, rows, next, bound === undefined, signal);
    progress({ ...current, heap: { ...place, after: reached } });
  }

  async function* deliver(
    { bound }: SweepProgress,
    rows: readonly Row[],
    next: Xid8,
    all: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Delivery<Change>> {
    const found = rows.map((row) => foundOf(table, row));
    const delivery = pollDeliveries((version) => seen.has(version), pageSize);
    yield* delivery.of(found);
    yield* delivery.last();
    await delivery.acknowledged(signal);
    // A full pass would only drive out what others need.
    if (all) return;
    const versions = new Set(delivery.versions());
    if (table.recorded) {
      for (const version of noted(found, rows, next, bound)) versions.delete(version);
    }
    seen.addAll(versions);
  }

  /** What live capture should have had: left out of `seen`, so that it can still show that it has. */
  function* noted(
    found: readonly Found[],
    rows: readonly Row[],
    next: Xid8,
    bound: Xid8,
  ): Generator<string> {
    for (const [i, { version }] of found.entries()) {
      if (seen.has(version)) continue;
      const xid = widened(Number(rows[i]?.at(-2)), next);
      const ctid = rows[i]?.at(-1) ?? "";
      if (rescues.note(table.id, { version, ctid, xid, bound })) yield version;
    }
  }
}

/** Starts sweeps of these tables at one moment: S, and then their heaps. */
async function begin(
  { run }: Pick<SweepWork, "run">,
  tables: readonly SweptTable[],
  signal: AbortSignal,
): Promise<{
  readonly bound: Xid8;
  readonly start: SweepStart;
  readonly heaps: readonly ReadonlyMap<string, Heap>[];
}> {
  const listings = tables.map(heapsStatement);
  for (const restMs of FLUSH_RESTS_MS) {
    const { results } = await run([startStatement(restMs), ...listings], signal, restMs);
    const start = startOf(results[0]?.[0]);
    const { bound, exact } = durableBound(start);
    if (!exact && restMs !== FLUSH_RESTS_MS.at(-1)) continue;
    return { bound, start, heaps: results.slice(1).map(heapsOf) };
  }
  throw new Error("Cannot start a sweep: it was never tried");
}

/** The WAL writer flushes what nobody waits for within 0.6 s, by default. */
const FLUSH_RESTS_MS = [0, 50, 250, 1000];
const TIMED_OUT = "57014";
/** 40001: a standby's statement that was in the way of replay. */
const TOO_LONG: ReadonlySet<string> = new Set([TIMED_OUT, "40001"]);
const NEVER: SweepState = { bound: undefined, heaps: [], finishedAt: undefined };

function stuck({ id }: SweptTable, cause: unknown): FatalError {
  return new FatalError(
    "SWEEP_STUCK",
    `Cannot sweep ${id}: reading a single block of it takes longer than the statement timeout`,
    "See what the server is busy with: locks, its disks, a block that can't be read.",
    { cause },
  );
}
