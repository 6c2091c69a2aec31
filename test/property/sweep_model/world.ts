/** A heap and the sweeps of it, chunk by chunk, page by page: what can happen, and what must never be. */
import { durableBound, mustReadAll, type Xid8 } from "../../../src/postgres/sweep/bounds.ts";
import { keyOf, type Model, type Move } from "../history_search.ts";
import {
  crashedHeap,
  type Heap,
  newHeap,
  oldestRunning,
  rewritten,
  type Size,
  type Step,
  writes,
} from "./heap.ts";

export interface Scenario {
  readonly size: Size;
  readonly writers: readonly (readonly Step[])[];
  /** Blocks a statement, rows a page. */
  readonly chunk: number;
  readonly page: number;
  readonly may: { readonly rewrite?: boolean; readonly crash?: boolean };
}

/** What a sweep's start saw. */
export interface Start {
  readonly xmin: Xid8;
  readonly xmax: Xid8;
  readonly xip: readonly Xid8[];
}

/** Bound, progress: as table_sweep.ts keeps and stores them. */
export interface State {
  readonly bound: Xid8 | undefined;
  /** For the mutant that compares with the snapshot. */
  readonly start: Start | undefined;
  /** Blocks of the heap at that sweep's start. */
  readonly blocks: number;
  readonly current?: Progress;
}

export interface Progress {
  readonly bound: Xid8;
  readonly start: Start;
  readonly full: boolean;
  readonly file: number;
  readonly end: number;
  /** All places up to this are acknowledged. */
  readonly after: number;
  /** Not the sweep's: the versions it has to find, by row and writer. */
  readonly due: readonly Found[];
}

/** Index of a row, and who wrote the version. */
type Found = readonly [number, number];

export interface Algorithm {
  readonly name: string;
  /** The bound that a sweep leaves to the next, by what its start saw. */
  readonly boundOf: (
    start: Start,
    wal: { readonly inserted: bigint; readonly flushed: bigint },
  ) => Xid8;
  /** Read again when the sweep ends, or when driftless starts in the middle of it. */
  readonly rereads: "never" | "at the end" | "at a start";
  readonly matches: (xid: Xid8, bound: Xid8, last: Start | undefined) => boolean;
  /** Where a full page leaves the sweep. */
  readonly afterFull: "at its last row" | "at the end of the chunk";
  readonly comparesFile: "behind the rows" | "before the rows" | "never";
  readonly resumes: "where it was" | "a block further";
  readonly stores: "acknowledged" | "read";
  /** Blocks are counted at the sweep's start, or are those of the sweep before. */
  readonly end: "now" | "the last sweep's";
}

export const OURS: Algorithm = {
  name: "ours",
  boundOf: ({ xmin }, { inserted, flushed }) =>
    durableBound({ xmin, inserted, flushed, checkpointed: LAST_CHECKPOINT }).bound,
  rereads: "never",
  matches: (xid, bound) => xid >= bound,
  afterFull: "at its last row",
  comparesFile: "behind the rows",
  resumes: "where it was",
  stores: "acknowledged",
  end: "now",
};

/** Its next xid: no checkpoint was made since the rows that were there. */
const LAST_CHECKPOINT = 2n;

interface Read {
  readonly rows: readonly Found[];
  readonly next: State;
}

interface World {
  readonly heap: Heap;
  /** Undefined before the start that precedes the seed. */
  readonly state: State | undefined;
  readonly held: State | undefined;
  readonly read: Read | undefined;
  /** The heap that was looked up: in memory. */
  readonly known: number | undefined;
  /** A mutant has compared the file. */
  readonly compared: boolean;
  /** A row that a sweep has left out. */
  readonly missed: number | undefined;
}

export function sweepModel(algorithm: Algorithm, scenario: Scenario): Model<World> {
  const { size, chunk, page, may } = scenario;
  const numbers = new Map<string, number>();
  return {
    name: algorithm.name,
    start: {
      heap: newHeap(size, scenario.writers),
      state: undefined,
      held: undefined,
      read: undefined,
      known: undefined,
      compared: false,
      missed: undefined,
    },
    moves,
    key,
    broken: ({ missed }) =>
      missed === undefined
        ? undefined
        : `row ${missed + 1} was committed before this sweep began, and no sweep has found it`,
  };

  function moves(w: World): Move<World>[] {
    const out: Move<World>[] = [];
    const add = (to: Partial<World>, says: () => string) => out.push({ to: { ...w, ...to }, says });
    const { heap } = w;
    for (let i = 0; i < heap.writers.length; i++) {
      for (const { to, says } of writes(heap, size, i)) add({ heap: settled(to) }, () => says);
    }
    if (may.rewrite) {
      const to = rewritten(heap, size);
      if (to !== undefined) add({ heap: to }, () => "VACUUM FULL turns the rows round");
    }
    if (may.crash && !heap.crashed) {
      const flushed = heap.wal.length;
      if (flushed > heap.flushed) add({ heap: { ...heap, flushed } }, () => "the WAL is flushed");
      add({ heap: crashedHeap(heap), read: undefined }, () => "Postgres is killed and recovers");
    }
    sweepMoves(w, add);
    return out;
  }

  /** Where no crash can forget anything, it doesn't matter what is flushed. */
  function settled(heap: Heap): Heap {
    return may.crash ? heap : { ...heap, flushed: heap.wal.length };
  }

  function sweepMoves(w: World, add: (to: Partial<World>, says: () => string) => void): void {
    const { heap, state, held, read } = w;
    if (state === undefined) {
      const start = startOf(heap);
      const bound = algorithm.boundOf(start, walOf(heap));
      const anchored: State = { bound, start, blocks: heap.blocks };
      const rows = heap.rows.map((row) => ({ ...row, found: row.committed !== undefined }));
      add(
        { heap: { ...heap, rows }, state: anchored, held: anchored },
        () => `bound ${bound}, the seed reads`,
      );
      return;
    }
    if (read !== undefined) {
      const rows = heap.rows.map((row, r) =>
        read.rows.some(([of, by]) => of === r && row.committed?.by === by)
          ? { ...row, found: true }
          : row
      );
      add(
        { heap: { ...heap, rows }, state: read.next, read: undefined },
        () => "acknowledged",
      );
    } else if (state.current === undefined) {
      begin(w, state, add);
    } else if (state.current.after >= state.current.end * size.slots - 1) {
      finish(w, state, state.current, add);
    } else {
      readChunk(w, state, state.current, add);
    }
    const storable = algorithm.stores === "read" && read !== undefined ? read.next : state;
    if (numberOf(storable, heap) !== numberOf(held, heap)) {
      add({ held: storable }, () => `stored: ${tell(storable)}`);
    }
    if (
      held !== undefined && (read !== undefined || numberOf(held, heap) !== numberOf(state, heap))
    ) {
      const back = started(heap, held);
      add(
        { state: back, read: undefined, known: undefined, compared: false },
        () => `driftless is killed and starts, ${tell(back)}`,
      );
    }
  }

  function started(heap: Heap, held: State): State {
    const { current } = held;
    if (current === undefined) return held;
    const bound = algorithm.rereads === "at a start"
      ? algorithm.boundOf(startOf(heap), walOf(heap))
      : current.bound;
    const after = algorithm.resumes === "where it was"
      ? current.after
      : Math.min((current.end - 1) * size.slots, current.after + size.slots);
    return { ...held, current: { ...current, bound, after } };
  }

  function begin(w: World, state: State, add: Add): void {
    const { heap } = w;
    const start = startOf(heap);
    const current: Progress = {
      bound: algorithm.boundOf(start, walOf(heap)),
      start,
      full: mustReadAll(state.bound, BigInt(heap.nextXid)),
      file: heap.file,
      end: algorithm.end === "now" ? heap.blocks : state.blocks,
      after: -1,
      due: heap.rows.flatMap(({ committed, found }, r) =>
        committed === undefined || found ? [] : [[r, committed.by] as const]
      ),
    };
    const to = { ...state, blocks: heap.blocks, current };
    add(
      { state: to, known: heap.file },
      () => `a sweep begins, ${tell(to)}`,
    );
  }

  function finish(w: World, state: State, { bound, start, due }: Progress, add: Add): void {
    const left = algorithm.rereads === "at the end"
      ? algorithm.boundOf(startOf(w.heap), walOf(w.heap))
      : bound;
    const to: State = { bound: left, start, blocks: state.blocks };
    const missed = due.find((each) => isMissing(w.heap, each));
    add(
      {
        state: to,
        known: undefined,
        missed: missed?.[0],
      },
      () => `the sweep ends, bound ${left}`,
    );
  }

  function readChunk(w: World, state: State, current: Progress, add: Add): void {
    const { heap } = w;
    const { comparesFile } = algorithm;
    if (comparesFile !== "never") {
      if (w.known === undefined || w.known !== current.file) {
        const known = heap.file;
        const again = { ...current, file: known, end: heap.blocks, after: -1 };
        const to = known === current.file ? state : { ...state, current: again };
        add({ known, state: to }, () => `looks the heap up: ${tell(to)}`);
        return;
      }
      const isOther = heap.file !== current.file;
      if (comparesFile === "behind the rows" && isOther) {
        add({ known: undefined }, () => "reads a chunk of another file: thrown away");
        return;
      }
      if (comparesFile === "before the rows" && !w.compared) {
        if (isOther) add({ known: undefined }, () => "the file is another one");
        else add({ compared: true }, () => "the file is the same");
        return;
      }
    }
    const first = Math.floor((current.after + 1) / size.slots);
    const to = Math.min(current.end, first + chunk);
    const bound = current.full ? undefined : state.bound;
    const found = heap.rows
      .flatMap(({ committed }, row) => committed === undefined ? [] : [{ row, ...committed }])
      .filter(({ place }) => place > current.after && place < to * size.slots)
      .filter(({ xid }) =>
        bound === undefined || algorithm.matches(BigInt(xid), bound, state.start)
      )
      .sort((a, b) => a.place - b.place)
      .slice(0, page);
    const isFull = found.length === page && algorithm.afterFull === "at its last row";
    const after = isFull ? found.at(-1)?.place ?? 0 : to * size.slots - 1;
    const next: State = { ...state, current: { ...current, after } };
    const blocks = to - first === 1 ? `block ${first}` : `blocks ${first} to ${to - 1}`;
    const rows = found.map(({ row, by }) => [row, by] as const);
    const words = rows.length === 0 ? "nothing" : rows.map(([row]) => `row ${row + 1}`).join(", ");
    const says = () => `reads ${blocks}: ${words}`;
    if (rows.length === 0) add({ state: next, compared: false }, says);
    else add({ read: { rows, next }, compared: false }, says);
  }

  function key(w: World): string {
    const { heap, read } = w;
    const out = [
      numberOf(w.state, heap),
      numberOf(w.held, heap),
      numberOf(read?.next, heap),
      w.known ?? -1,
      w.compared ? 1 : 0,
      w.missed ?? -1,
      heap.blocks,
      heap.file,
      heap.nextXid,
      heap.xmax,
      heap.crashed ? 1 : 0,
    ];
    for (const { step, xid, sub, over } of heap.writers) out.push(step, xid, sub, over ? 1 : 0);
    for (const [r, { committed, pending, before, found }] of heap.rows.entries()) {
      for (const version of may.crash ? [committed, pending, before] : [committed, pending]) {
        out.push(
          version === undefined ? -1 : version.by + 1,
          version?.place ?? 0,
          version?.xid ?? 0,
        );
      }
      const isRead = read?.rows.some(([of, by]) => of === r && committed?.by === by) ?? false;
      out.push((found ? 1 : 0) | (isRead ? 2 : 0));
    }
    if (may.crash) {
      out.push(heap.flushed, heap.wal.length);
      for (const of of heap.wal) out.push(of);
    }
    return keyOf(out);
  }

  function numberOf(state: State | undefined, heap: Heap): number {
    if (state === undefined) return 0;
    const { current } = state;
    const due = current?.due.filter((each) => isMissing(heap, each)).join(" ");
    const starts = `${startText(state.start)} ${startText(current?.start)}`;
    const text = `${tell(state)} ${state.blocks} ${due} ${starts}`;
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, numbers.size + 1);
    return numbers.size;
  }

  /** The snapshots themselves matter to the mutant that compares with them alone. */
  function startText(start: Start | undefined): string {
    return algorithm.matches === OURS.matches || start === undefined
      ? ""
      : `${start.xmax}:${start.xip}`;
  }
}

/** Still what everybody sees, and delivered by nobody. What was overwritten is owed no more. */
function isMissing({ rows }: Heap, [r, by]: Found): boolean {
  const row = rows[r];
  return row?.committed?.by === by && !row.found;
}

type Add = (to: Partial<World>, says: () => string) => void;

function startOf(heap: Heap): Start {
  const running = heap.writers.filter(({ xid, over }) => xid > 0 && xid < heap.xmax && !over);
  return {
    xmin: BigInt(oldestRunning(heap)),
    xmax: BigInt(heap.xmax),
    xip: running.map(({ xid }) => BigInt(xid)),
  };
}

/** As bytes: odd, so that no position is the start of a page. */
function walOf({ wal, flushed }: Heap): { readonly inserted: bigint; readonly flushed: bigint } {
  return { inserted: BigInt(wal.length) * 1000n + 1n, flushed: BigInt(flushed) * 1000n + 1n };
}

function tell({ bound, current }: State): string {
  if (current === undefined) return `bound ${bound}`;
  const { bound: next, full, file, end, after } = current;
  return `bound ${
    full ? "none" : bound
  }, next ${next}, file ${file}, behind place ${after} of ${end} blocks`;
}
