/**
 * A table of a few places and the transactions that write to it. A version lies in a place; places
 * are numbered through the blocks, so many a block.
 */
export interface Version {
  /** Index of the transaction that wrote it; −1: it was there. */
  readonly by: number;
  readonly place: number;
  /** xmin: a savepoint's xid, where one wrote it. */
  readonly xid: number;
}

/** What everybody else sees of a row, and what a transaction that is open has made of it. */
export interface Row {
  readonly committed: Version | undefined;
  readonly pending: Version | undefined;
  /** What a crash would bring back. */
  readonly before: Version | undefined;
  /** A sweep or the seed has delivered `committed`. */
  readonly found: boolean;
}

/** Each step is one instant. A write goes to any row, or to a new one, and to any place. */
export type Step = "xid" | "write" | "write in a savepoint" | "commit" | "roll back";

export interface Writer {
  readonly steps: readonly Step[];
  readonly step: number;
  readonly xid: number;
  readonly sub: number;
  readonly over: boolean;
}

export interface Heap {
  readonly rows: readonly Row[];
  readonly writers: readonly Writer[];
  readonly blocks: number;
  /** The relfilenode. */
  readonly file: number;
  readonly nextXid: number;
  readonly xmax: number;
  /** WAL records of ends: by writer; how many of them are flushed. */
  readonly wal: readonly number[];
  readonly flushed: number;
  readonly crashed: boolean;
}

export interface Size {
  readonly blocks: number;
  /** Places a block. */
  readonly slots: number;
  /** Rows at the beginning. */
  readonly rows: number;
  /** Blocks that may be added. */
  readonly grows: number;
}

export function newHeap(size: Size, writers: readonly (readonly Step[])[]): Heap {
  const rows = Array.from({ length: size.rows }, (_, i): Row => ({
    // Not in the first place: there is room behind the sweep.
    committed: { by: -1, place: size.blocks * size.slots - 1 - i, xid: 1 },
    pending: undefined,
    before: undefined,
    found: false,
  }));
  return {
    rows,
    writers: writers.map((steps) => ({ steps, step: 0, xid: 0, sub: 0, over: false })),
    blocks: size.blocks,
    file: 0,
    nextXid: 2,
    xmax: 2,
    wal: [],
    flushed: 0,
    crashed: false,
  };
}

/** Everything that writer `i` can do now, with its words. */
export function writes(heap: Heap, size: Size, i: number): { to: Heap; says: string }[] {
  const own = heap.writers[i];
  const step = own?.steps[own.step];
  if (own === undefined || step === undefined || own.over) return [];
  const before = heap.writers[i - 1];
  if (own.step === 0 && before?.steps === own.steps && before.step === 0) return [];
  const next = { ...own, step: own.step + 1 };
  const name = `T${i + 1}`;
  if (step === "xid") {
    const writer = { ...next, xid: heap.nextXid };
    const to = { ...withWriter(heap, i, writer), nextXid: heap.nextXid + 1 };
    return [{ to, says: `${name} gets xid ${writer.xid}` }];
  }
  if (step === "commit" || step === "roll back") {
    const xmax = Math.max(heap.xmax, own.xid + 1, own.sub + 1);
    const rows = heap.rows.map((row) => row.pending?.by === i ? ended(row, step) : row);
    const to = { ...withWriter(heap, i, { ...next, over: true }), rows, xmax };
    return [{
      to: { ...to, wal: [...heap.wal, i] },
      says: `${name} ${step === "commit" ? "commits" : "rolls back"}`,
    }];
  }
  const inSavepoint = step === "write in a savepoint";
  const writer = inSavepoint ? { ...next, sub: heap.nextXid } : next;
  const xid = inSavepoint ? heap.nextXid : own.xid;
  const from = { ...withWriter(heap, i, writer), nextXid: heap.nextXid + (inSavepoint ? 1 : 0) };
  return freePlaces(heap, size).flatMap((place) => {
    const version = { by: i, place, xid };
    const blocks = Math.max(heap.blocks, Math.floor(place / size.slots) + 1);
    const where = `in block ${Math.floor(place / size.slots)} (xmin ${xid})`;
    const updates = heap.rows.flatMap((row, r) => {
      if (row.pending !== undefined || row.committed === undefined) return [];
      const rows = heap.rows.map((each, j) => j === r ? { ...each, pending: version } : each);
      return [{
        to: { ...from, rows, blocks },
        says: `${name} updates row ${r + 1}, now ${where}`,
      }];
    });
    const fresh = {
      committed: undefined,
      pending: version,
      before: undefined,
      found: false,
    };
    const inserts = {
      to: { ...from, rows: [...heap.rows, fresh], blocks },
      says: `${name} inserts a row ${where}`,
    };
    return [...updates, inserts];
  });
}

/** VACUUM FULL or CLUSTER: no writer is in its way, versions keep their xmin and change places. */
export function rewritten(heap: Heap, { slots }: Size): Heap | undefined {
  if (heap.file > 0 || heap.rows.some(({ pending }) => pending !== undefined)) return undefined;
  const order = heap.rows
    .filter(({ committed }) => committed !== undefined)
    .sort((a, b) => (b.committed?.place ?? 0) - (a.committed?.place ?? 0));
  const rows = heap.rows.map((row) =>
    row.committed === undefined
      ? row
      : { ...row, committed: { ...row.committed, place: order.indexOf(row) } }
  );
  return { ...heap, rows, file: 1, blocks: Math.ceil(order.length / slots) };
}

/** Killed and recovered: ends that weren't flushed never were, and their xids are given again. */
export function crashedHeap(heap: Heap): Heap {
  const kept = heap.wal.slice(0, heap.flushed);
  const survives = (by: number) => by < 0 || kept.includes(by);
  const rows = heap.rows.map((row): Row => {
    if (row.committed === undefined || survives(row.committed.by)) {
      return { ...row, pending: undefined };
    }
    return {
      ...row,
      committed: row.before,
      before: undefined,
      pending: undefined,
      found: true,
    };
  });
  const xids = kept.flatMap((i) => [heap.writers[i]?.xid ?? 0, heap.writers[i]?.sub ?? 0]);
  const nextXid = Math.max(1, ...xids) + 1;
  const writers = heap.writers.map((own) => own.xid > 0 ? { ...own, over: true } : own);
  return { ...heap, rows, writers, wal: kept, nextXid, xmax: nextXid, crashed: true };
}

/** A snapshot's xmin. */
export function oldestRunning({ writers, xmax }: Heap): number {
  const running = writers.filter(({ xid, over }) => xid > 0 && !over).map(({ xid }) => xid);
  return Math.min(xmax, ...running);
}

function ended(row: Row, how: "commit" | "roll back"): Row {
  if (how === "roll back") return { ...row, pending: undefined };
  return {
    committed: row.pending,
    pending: undefined,
    before: row.committed,
    found: false,
  };
}

/** What VACUUM may have emptied counts as empty. */
function freePlaces({ rows, blocks }: Heap, { slots, grows, blocks: first }: Size): number[] {
  const used = rows.flatMap(({ committed, pending }) => [committed?.place, pending?.place]);
  const end = Math.min(blocks + 1, first + grows) * slots;
  return Array.from({ length: Math.max(end, blocks * slots) }, (_, place) => place)
    .filter((place) => !used.includes(place));
}

function withWriter(heap: Heap, i: number, writer: Writer): Heap {
  return { ...heap, writers: heap.writers.map((each, j) => j === i ? writer : each) };
}
