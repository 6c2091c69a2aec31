import type { Json, JsonObject } from "../../core/json.ts";
import { unreadable } from "../poll/cursor.ts";
import { formatMicros, type Micros, parseMicros } from "../poll/micros.ts";
import type { Xid8 } from "./bounds.ts";

/** How far a table's row sweeps are. */
export interface SweepState {
  /** Of the last sweep that was acknowledged as a whole, or of the start before a seed; undefined: none. */
  readonly bound: Xid8 | undefined;
  /** Heaps (`Heap.id`) that sweep read: others are read without a bound. */
  readonly heaps: readonly string[];
  /** By the source's clock; undefined: due at once. */
  readonly finishedAt: Micros | undefined;
  /** The sweep that goes on. */
  readonly current?: SweepProgress;
}

export interface SweepProgress {
  /** What this sweep leaves to the next. */
  readonly bound: Xid8;
  /** No bound is used, or none any more. */
  readonly full: boolean;
  /** All heaps of the table at its start. */
  readonly heaps: readonly string[];
  /** Those not begun, in order. */
  readonly left: readonly string[];
  readonly heap?: HeapProgress;
}

export interface HeapProgress {
  /** `Heap.id`. */
  readonly id: string;
  /** Its relfilenode: what `after` and `end` are places in. */
  readonly file: string;
  /** Blocks when it was looked up, after the sweep's start: later ones are the next sweep's. */
  readonly end: number;
  /** All rows up to this ctid are acknowledged. */
  readonly after: Place;
}

/** A ctid. */
export interface Place {
  readonly block: number;
  readonly offset: number;
}

export type SweepStates = ReadonlyMap<string, SweepState>;

/** As it is stored: big numbers as strings, times in µs. */
export function formatSweeps(states: SweepStates): Json {
  return {
    tables: Object.fromEntries([...states].map(([id, state]) => [id, formatState(state)])),
  };
}

/** The inverse of `formatSweeps`; throws FatalError CURSOR_UNREADABLE for what it can't have written. */
export function parseSweeps(stored: Json): Map<string, SweepState> {
  try {
    const { tables } = stored as unknown as Stored;
    return new Map(Object.entries(tables).map(([id, state]) => [id, parseState(state)]));
  } catch (cause) {
    throw unreadable(cause);
  }
}

function formatState({ bound, heaps, finishedAt, current }: SweepState): JsonObject {
  return {
    bound: bound === undefined ? null : String(bound),
    heaps,
    finishedAt: finishedAt === undefined ? null : formatMicros(finishedAt),
    ...(current === undefined ? {} : { current: formatProgress(current) }),
  };
}

function formatProgress({ bound, full, heaps, left, heap }: SweepProgress): JsonObject {
  return {
    bound: String(bound),
    full,
    heaps,
    left,
    ...(heap === undefined ? {} : {
      heap: {
        id: heap.id,
        file: heap.file,
        end: heap.end,
        after: [heap.after.block, heap.after.offset],
      },
    }),
  };
}

function parseState({ bound, heaps, finishedAt, current }: StoredState): SweepState {
  return {
    bound: bound === null ? undefined : BigInt(bound),
    heaps: heaps.map(String),
    finishedAt: finishedAt === null ? undefined : parseMicros(finishedAt),
    ...(current === undefined ? {} : { current: parseProgress(current) }),
  };
}

function parseProgress({ bound, full, heaps, left, heap }: StoredProgress): SweepProgress {
  return {
    bound: BigInt(bound),
    full: full === true,
    heaps: heaps.map(String),
    left: left.map(String),
    ...(heap === undefined ? {} : {
      heap: {
        id: String(heap.id),
        file: String(heap.file),
        end: whole(heap.end),
        after: { block: whole(heap.after[0]), offset: whole(heap.after[1]) },
      },
    }),
  };
}

function whole(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`Cannot read a sweep's position: ${value} is no block`);
  }
  return value;
}

interface Stored {
  readonly tables: Readonly<Record<string, StoredState>>;
}

interface StoredState {
  readonly bound: string | null;
  readonly heaps: readonly string[];
  readonly finishedAt: string | null;
  readonly current?: StoredProgress;
}

interface StoredProgress {
  readonly bound: string;
  readonly full: boolean;
  readonly heaps: readonly string[];
  readonly left: readonly string[];
  readonly heap?: {
    readonly id: string;
    readonly file: string;
    readonly end: number;
    readonly after: readonly [number, number];
  };
}
