/**
 * Reads a relation whose rows carry their transaction's xid by the difference of two snapshots, page
 * by page, for ever. The order of the statements and the arithmetic between them are legs.ts's proof;
 * this file runs them, and keeps the position that a restart may begin at.
 *
 * Pages are read on while earlier ones aren't acknowledged; the position moves over contiguous
 * acknowledgements. An idle poll is one statement: S2 sees nothing that S1 doesn't.
 *
 * What is kept. S2 may see a transaction that left no flushed WAL: it aborted, or committed
 * asynchronously. A server that crashes forgets it and gives its xid to another one, which a later
 * S1 would claim to have passed. Every transaction's end is in the WAL before a snapshot sees it as
 * ended; so once the WAL inserted up to a moment after S2 is flushed, no xid that S2 sees can come
 * again. Until then (some hundred ms; 5 s while the WAL writer sleeps) the kept position is an older one; at
 * the very start one that sees no xid from the last checkpoint on. A run that goes on
 * across a crash would still use the newer: it ends when its backend or the postmaster is another one
 * than when `prepare` read the first snapshot, and begins again at the kept position. (Behind a pooler a
 * crash that spares the postmaster can't be told from any other change of backend, and goes unnoticed.)
 */
import { RetryableError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { notice } from "../../flow/notice.ts";
import { sleep } from "../../flow/sleep.ts";
import { watermark } from "../../flow/watermark.ts";
import type { Database, Row, Statement } from "../client.ts";
import { pollInterval, type PollTiming } from "../poll/interval.ts";
import { type Clock, readClock } from "../poll/listing.ts";
import type { Micros } from "../poll/micros.ts";
import type { StreamPosition } from "../stream.ts";
import { formatDifferenceCursor, parseDifferenceCursor } from "./difference_cursor.ts";
import { begun, type DifferencePosition, legOf, passed, type Place, resumed } from "./legs.ts";
import { endOfRecord } from "../record_end.ts";
import { below, covers, fence, parseSnapshot, type Snapshot } from "./snapshot.ts";
import {
  checkpointStatement,
  type DifferenceRelation,
  pageStatement,
  serverStatement,
} from "./statements.ts";

export interface DifferenceOptions {
  /** For this alone, of one connection, with the settings IN_ORDER. */
  readonly database: Database;
  readonly relation: DifferenceRelation;
  readonly pageSize: number;
  readonly timing: PollTiming;
  /** Sent behind each page, on its connection; `check` throws what makes the page worthless. */
  readonly guard?: {
    readonly statement: Statement;
    check(rows: readonly Row[], position: DifferencePosition): void;
  };
  /** `StreamContext.saw`. */
  saw(clock: Clock): void;
  /** Called whenever `confirmed()` has changed. */
  moved(): void;
}

export interface Difference {
  /**
   * Sets the position: the stored one (what `confirmed().cursor` was), or, without one, all that is
   * visible now. `anchor`: of the server that was anchored. Throws FatalError CURSOR_UNREADABLE;
   * RetryableError SOURCE_RESTARTED when another one answers.
   */
  prepare(stored: Json | undefined, anchor: Clock, end: AbortSignal): Promise<DifferencePosition>;
  /**
   * Pages, endless; to be called once after `prepare`. Ends only by throwing:
   * RetryableError SOURCE_RESTARTED when another server, or the same one restarted, answers.
   */
  pages(signal: AbortSignal): AsyncGenerator<DifferencePage>;
  /** The acknowledged position; `cursor` may be behind `through`, by what a crash could take back. */
  confirmed(): StreamPosition & { readonly through: Micros };
  /** The position in `confirmed().cursor`. */
  kept(): DifferencePosition;
}

export interface DifferencePage {
  /** Empty only when `drained`, behind pages that were full. */
  readonly rows: readonly DifferenceRow[];
  /** Nothing is right behind this page. Behind any other one there is one. */
  readonly drained: boolean;
  /** All its rows are durable. Idempotent. */
  ack(): void;
}

export interface DifferenceRow extends Place {
  /** The relation's `columns`. */
  readonly values: Row;
}

export function snapshotDifference(options: DifferenceOptions): Difference {
  const { database, relation, pageSize, guard, saw, moved } = options;
  const { minIntervalMs } = options.timing;
  const interval = pollInterval(options.timing);
  const advanced = notice();
  /** What is to be durable, in the order it was read. */
  const reached = watermark<Reached>((value) => {
    acknowledged = value;
    settle();
    advanced.raise();
    moved();
  });
  let prepared: Clock | undefined;
  let pid: number | undefined;
  /** How far it has been read. */
  let reading: Reached | undefined;
  let acknowledged: Reached | undefined;
  /** What may be stored, and what may be as soon as its WAL is flushed. */
  let kept: DifferencePosition | undefined;
  let next: Reached | undefined;
  let flushed = 0n;
  /** All that was committed at `barrier` was seen by `all`: to be confirmed once that is passed. */
  let due: { readonly all: Snapshot; readonly barrier: Micros } | undefined;

  return {
    async prepare(stored, anchor, signal) {
      prepared = anchor;
      next = undefined;
      // Of this connection: from here on another backend is noticed, and so is a crash.
      const clock = await readClock(database, signal);
      checkServer(clock.pm, clock.inRecovery);
      if (stored === undefined) {
        await startAt(clock, signal);
      } else {
        const found = parseDifferenceCursor(stored);
        // Another server's clock says nothing by this one's.
        const through = found.standby === clock.inRecovery ? found.through : 0n;
        kept = resumed(found.position, seenBy(clock));
        reading = acknowledged = { position: kept, lsn: 0n, through };
      }
      return current(reading).position;
    },
    async *pages(signal) {
      while (true) {
        const startedAt = performance.now();
        const outcome = yield* poll(signal);
        const dueInMs = interval.next(outcome) - (performance.now() - startedAt);
        const waitMs = outcome === "data" ? Math.min(AFTER_DATA_MS, minIntervalMs) : dueInMs;
        if (waitMs > 0) await sleep(waitMs, signal);
        signal.throwIfAborted();
      }
    },
    confirmed() {
      const { through } = current(acknowledged);
      const standby = current(prepared).inRecovery;
      return {
        cursor: formatDifferenceCursor({ position: current(kept), through, standby }),
        through,
      };
    },
    kept: () => current(kept),
  };

  async function startAt(clock: Clock, signal: AbortSignal): Promise<void> {
    const statements = [serverStatement(), ...(clock.inRecovery ? [] : [checkpointStatement()])];
    const [server, checkpoint] = await database.sequence(statements, signal);
    const [pm, inRecovery, inserted, flushedNow] = server?.[0] ?? [];
    checkServer(pm ?? "", inRecovery === "true");
    const done = seenBy(clock);
    const lsn = endOfRecord(BigInt(inserted ?? 0));
    reading = acknowledged = { position: { done, batch: null }, lsn, through: clock.barrier };
    // No xid below a checkpoint's next one can come again.
    const [epoch, low] = (checkpoint?.[0]?.[0] ?? "").split(":");
    const safe = clock.inRecovery ? done.xmax : (BigInt(epoch ?? 0) << 32n) + BigInt(low ?? 0);
    kept = { done: below(done, safe), batch: null };
    hasFlushed(BigInt(flushedNow ?? 0));
  }

  async function* poll(signal: AbortSignal): AsyncGenerator<DifferencePage, "idle" | "data"> {
    const clock = await readClock(database, signal);
    checkServer(clock.pm, clock.inRecovery);
    saw(clock);
    hasFlushed(clock.wal);
    due ??= { all: committedBy(clock), barrier: clock.barrier };
    let { position, lsn, through } = current(reading);
    const resuming = position.batch !== null;
    position = begun(position, seenBy(clock));
    let inserted = resuming ? lsn : undefined;
    let found = 0;
    for (let leg = legOf(position); leg !== undefined; leg = legOf(position)) {
      const page = await readPage(pageStatement(relation, leg, pageSize), position, signal);
      // The first reading after S2 is late enough for all of its batch.
      lsn = inserted ??= page.inserted;
      const { rows } = page;
      position = passed(position, rows.length < pageSize ? null : rows[rows.length - 1] ?? null);
      if (position.batch === null) through = confirmedBy(position) ?? through;
      reading = { position, lsn, through };
      const done = reached.enter(reading);
      found += rows.length;
      const drained = position.batch === null;
      if (rows.length > 0 || (drained && found > 0)) yield { rows, drained, ack: done };
      else done();
      while (reached.pending > MAX_PENDING_PAGES) await advanced.wait(signal);
    }
    if (inserted === undefined) {
      // Nothing was new but the time; while something is open, it is told with that.
      reading = { position, lsn, through: confirmedBy(position) ?? through };
      if (reached.pending === 0) reached.enter(reading)();
    }
    return found > 0 ? "data" : "idle";
  }

  async function readPage(statement: Statement, position: DifferencePosition, signal: AbortSignal) {
    const behind = guard === undefined ? [] : [guard.statement];
    const [rows = [], server, guarded = []] = await database.sequence(
      [statement, serverStatement(), ...behind],
      signal,
    );
    const [pm, inRecovery, inserted, flushedNow] = server?.[0] ?? [];
    checkServer(pm ?? "", inRecovery === "true");
    guard?.check(guarded, position);
    hasFlushed(BigInt(flushedNow ?? 0));
    return {
      rows: rows.map((row) => rowOf(row, relation.columns.length)),
      inserted: endOfRecord(BigInt(inserted ?? 0)),
    };
  }

  /** The barrier that is confirmed when this position is passed, if there is a new one. */
  function confirmedBy({ done }: DifferencePosition): Micros | undefined {
    if (due === undefined || !covers(done, due.all)) return undefined;
    const { barrier } = due;
    due = undefined;
    return barrier;
  }

  function hasFlushed(wal: bigint): void {
    flushed = wal;
    const before = kept;
    settle();
    if (kept !== before) moved();
  }

  function settle(): void {
    if (next !== undefined && next.lsn <= flushed) {
      kept = next.position;
      next = undefined;
    }
    const newest = current(acknowledged);
    if (newest.lsn <= flushed) {
      kept = newest.position;
      next = undefined;
    } else {
      next ??= newest;
    }
  }

  function checkServer(pm: string, inRecovery: boolean): void {
    const [now] = database.ownPids();
    const same = pm === current(prepared).pm && inRecovery === current(prepared).inRecovery &&
      (pid === undefined || pid === now);
    pid = now;
    if (same) return;
    throw new RetryableError(
      "SOURCE_RESTARTED",
      "Cannot go on polling: Postgres was restarted, or the connection to it was lost; " +
        "its identity is looked at again",
    );
  }
}

interface Reached {
  readonly position: DifferencePosition;
  /** When the WAL is flushed up to this, the position may be stored. */
  readonly lsn: bigint;
  /** What is confirmed with it. */
  readonly through: Micros;
}

/** Read and not acknowledged; each is a page of rows that somebody downstream holds. */
const MAX_PENDING_PAGES = 64;

/** Batches aren't begun faster than this while there is always something new. */
const AFTER_DATA_MS = 5;

/** What a batch that begins now may read. */
export function seenBy(clock: Clock): Snapshot {
  const snapshot = parseSnapshot(clock.snapshot);
  return clock.inRecovery ? fence(snapshot) : snapshot;
}

/** Sees at least everything that was committed (on a standby: replayed) at the clock's barrier. */
function committedBy(clock: Clock): Snapshot {
  const snapshot = parseSnapshot(clock.snapshot);
  return clock.inRecovery ? { ...snapshot, xmin: snapshot.xmax, xip: [] } : snapshot;
}

function rowOf(row: Row, width: number): DifferenceRow {
  return { xid: BigInt(row[0] ?? 0), seq: row[1] ?? "", values: row.slice(2, 2 + width) };
}

function current<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("Cannot read a difference: it is not prepared");
  return value;
}
