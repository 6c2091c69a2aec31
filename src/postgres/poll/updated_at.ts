/**
 * Following tables by `updated_at` with open-transaction tracking (design 3.3, level L2), or by a
 * lag where transactions can't be tracked (L1). The order of the statements and the arithmetic
 * between them are position.ts's proof; this file runs them.
 *
 * One poll: A; when A's snapshot is the one of the last poll and nobody was open then, nothing has
 * committed since and the poll ends. Else B and the first page of C for every table in one round
 * trip (each statement in a transaction of its own, in this order), then C's further pages, then
 * some pages of D. The position moves when everything delivered is acknowledged; the next poll
 * begins after that, so a restart has at most one poll to repeat.
 */
import type { Delivery } from "../../core/delivery.ts";
import type { Change } from "../../core/change.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Row } from "../client.ts";
import type { ChangeStream, Prepared, StreamContext, StreamStart } from "../stream.ts";
import { formatCursor, parseCursor, type PollCursor } from "./cursor.ts";
import { type Clock, listingOf, readClock, stepBack } from "./listing.ts";
import { earliestAhead } from "./future.ts";
import { fitting } from "./fitting.ts";
import { type Deliveries, pollDeliveries } from "./deliveries.ts";
import type { Micros } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";
import {
  advance,
  anchor,
  type Listing,
  lowered,
  older,
  type Position,
  sameTransactions,
  type Step,
} from "./position.ts";
import { addRanges, begunAnew, isDone, onlyTables, proceeded, type Rescans } from "./rescans.ts";
import { pollInterval } from "./interval.ts";
import { hotPage, hotRange, hotStatement, rescanPage, rescanStatements } from "./scan.ts";
import { standby } from "./refusals.ts";
import { preparedStatement, runningStatement } from "./statements.ts";

export interface UpdatedAtOptions {
  /** None: only the clock is followed. */
  readonly tables: readonly PolledTable[];
  /** False, L1: `marginMs` is the lag, all that covers transactions that commit late. */
  readonly tracking: boolean;
  readonly marginMs: number;
  /** Tests of the proof put broken arithmetic here. */
  readonly arithmetic?: Arithmetic;
}

export interface Arithmetic {
  anchor(seen: Listing): Position;
  advance(previous: Position, seen: Listing): Step;
}

export function captureUpdatedAt(options: UpdatedAtOptions, context: StreamContext): ChangeStream {
  const { tracking, marginMs, arithmetic = { anchor, advance } } = options;
  // No table's margin is below the position's: C would begin after it.
  const tables = options.tables.map((table) =>
    table.marginMs >= marginMs ? table : { ...table, marginMs }
  );
  const { seen, pageSize, observe } = context;
  const database = context.open(1);
  const interval = pollInterval(context.timing);
  const ids = tables.map((table) => table.id);
  let cursor: PollCursor | undefined;
  /** The last A whose poll was acknowledged, or the anchor's. */
  let lastClock: Clock | undefined;
  /** When the next row stamped in the future is to be read; undefined: not looked up. */
  let due: { readonly at: Micros | undefined } | undefined;
  /** Whether a seed of this or an earlier run may have read rows before stragglers ended. */
  let seeding = false;

  return {
    prepare,
    live,
    confirmed: () => ({ cursor: formatCursor(current()), through: current().through }),
    seedBegins: () => {
      seeding = true;
    },
  };

  function current(): PollCursor {
    if (cursor === undefined) throw new Error("Cannot poll: the stream is not prepared");
    return cursor;
  }

  async function prepare(start: StreamStart, signal: AbortSignal): Promise<Prepared> {
    // The proof wants A before B, both of this connection's making.
    const clock = await readClock(database, signal);
    if (tracking && clock.inRecovery) throw standby();
    const found = start.stored === undefined ? undefined : parseCursor(start.stored);
    if (found === undefined) {
      cursor = {
        position: arithmetic.anchor(await listing(clock, signal)),
        rescans: {},
        through: clock.clock,
      };
      seeding = ids.some((id) => !start.seeded.has(id));
    } else {
      const behind = found.position.t - (clock.clock - BigInt(marginMs) * 1000n);
      cursor = behind > 0n ? afterUnseenStep(found, behind) : found;
      seeding = true;
    }
    cursor = { ...cursor, rescans: begunAnew(onlyTables(cursor.rescans, ids)) };
    lastClock = undefined;
    return { gaps: new Map() };
  }

  /** B. */
  async function listing(clock: Clock, signal: AbortSignal): Promise<Listing> {
    if (!tracking) return listingOf(clock, [], [], marginMs);
    const statements = [runningStatement(context.own()), preparedStatement()];
    const [running, prepared] = await database.sequence(statements, signal);
    return listingOf(clock, running ?? [], prepared ?? [], marginMs);
  }

  async function* live(signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    while (true) {
      const startedAt = performance.now();
      const outcome = yield* fitting(poll(signal));
      const waitMs = interval.next(outcome) - (performance.now() - startedAt);
      if (waitMs > 0) await sleep(waitMs, signal);
      signal.throwIfAborted();
    }
  }

  async function* poll(signal: AbortSignal): AsyncGenerator<Delivery<Change>, "idle" | "data"> {
    const clock = await readClock(database, signal);
    context.saw(clock);
    followSteps(clock);
    const { position, rescans } = current();
    // Nothing has committed since the last poll's A: only who is open may differ, and the time.
    const unchanged = lastClock !== undefined && isSame(lastClock, clock) && isDone(rescans) &&
      !await isDue(clock, signal);
    if (unchanged && position.open.length === 0) return settle(clock);
    let listed = unchanged ? await listing(clock, signal) : undefined;
    if (listed !== undefined && sameTransactions(position, listed)) return settle(clock);

    const ranges = tables.map((table) => hotRange(table, position.t, clock.clock, marginMs));
    const hot = tables.map((table, i) => hotStatement(table, at(ranges, i), null, pageSize));
    let pages: readonly (readonly Row[])[];
    if (listed !== undefined || !tracking) {
      listed ??= await listing(clock, signal);
      pages = await database.sequence(hot, signal);
    } else {
      const b = [runningStatement(context.own()), preparedStatement()];
      const [running, prepared, ...rest] = await database.sequence([...b, ...hot], signal);
      listed = listingOf(clock, running ?? [], prepared ?? [], marginMs);
      pages = rest;
    }
    const moved = arithmetic.advance(position, listed);
    // Whoever ended before a seed read its first row is in what the seed reads.
    const ended = moved.rescans.filter((range) => range.lb !== null || seeding);
    const pending = addRanges(rescans, ids, ended);

    const delivery = pollDeliveries((version) => seen.has(version), SEEN_CAPACITY);
    for (const [i, table] of tables.entries()) {
      let page = hotPage(table, pages[i] ?? [], pageSize);
      while (true) {
        yield* delivery.of(page.found);
        if (page.after === undefined) break;
        const next = hotStatement(table, at(ranges, i), page.after, pageSize);
        page = hotPage(table, await database.query(next, signal), pageSize);
      }
    }
    const left = yield* rescan(pending, delivery, signal);
    yield* delivery.last();
    await delivery.acknowledged(signal);

    seen.addAll(delivery.versions());
    if (isDone(left)) seen.polled(ids);
    cursor = {
      position: moved.next,
      rescans: left,
      through: isDone(left) ? clock.clock : current().through,
    };
    lastClock = clock;
    due = undefined;
    context.moved();
    return delivery.count() > 0 || !isDone(left) ? "data" : "idle";
  }

  /** Ends a poll that had nothing to look for. */
  function settle(clock: Clock): "idle" {
    lastClock = clock;
    cursor = { ...current(), through: clock.barrier };
    seen.polled(ids);
    context.moved();
    return "idle";
  }

  /** Whether the time of a row that was stamped in the future has come. Looked up once when idle. */
  async function isDue(clock: Clock, signal: AbortSignal): Promise<boolean> {
    due ??= { at: await earliestAhead(database, tables, clock, signal) };
    return due.at !== undefined && due.at < clock.clock;
  }

  /** Reads what stragglers left, a page a table at a time; returns what is still to be read. */
  async function* rescan(
    pending: Rescans,
    delivery: Deliveries,
    signal: AbortSignal,
  ): AsyncGenerator<Delivery<Change>, Rescans> {
    const limits = { limit: pageSize, baseMarginMs: marginMs };
    const deadline = performance.now() + RESCAN_MS_PER_POLL;
    let left = pending;
    do {
      const work = tables.flatMap((table) => {
        const first = left[table.id]?.[0];
        if (first === undefined) return [];
        return [{ table, first, statements: rescanStatements(table, first, limits) }];
      });
      if (work.length === 0) break;
      const results = await database.sequence(work.flatMap((each) => each.statements), signal);
      let read = 0;
      for (const { table, first, statements } of work) {
        const part = results.slice(read, read += statements.length);
        const page = rescanPage(table, first, part, limits);
        const rescued = yield* delivery.of(page.found);
        if (rescued > 0) {
          observe({ type: "rescued", table: table.id, rows: rescued, by: "tracking" });
        }
        left = proceeded(left, table.id, page.after);
      }
    } while (performance.now() < deadline);
    return left;
  }

  /** Before anything may end this poll early: the next one compares with this clock. */
  function followSteps(clock: Clock): void {
    const step = lastClock === undefined ? 0n : stepBack(lastClock, clock);
    if (step === 0n) return;
    steppedBack(step);
    cursor = { ...current(), position: lowered(current().position, step) };
  }

  /**
   * The clock was set back while nobody looked, nothing says when: whatever has an xid that wasn't
   * over at the stored poll is looked for whatever its stamp.
   */
  function afterUnseenStep(found: PollCursor, behind: Micros): PollCursor {
    steppedBack(behind);
    const position = lowered(found.position, behind);
    const xb = found.position.open.map((e) => e.xb).reduce(
      older,
      Number(found.position.sx & 0xffffffffn),
    );
    const range = { lb: null, to: position.t, xb };
    return { ...found, position, rescans: addRanges(found.rescans, ids, [range]) };
  }

  function steppedBack(by: bigint): void {
    const seconds = Number(by) / 1e6;
    const message = `The database's clock stepped back by ${seconds.toFixed(3)} s; ` +
      "rows stamped since are read again from before the step";
    observe({ type: "warning", code: "CLOCK_STEPPED_BACK", message });
  }
}

/** Versions remembered, of one poll: some 10 MB. Overflow costs duplicates, never loss. */
const SEEN_CAPACITY = 50_000;
/** D must not hold up C for long. */
const RESCAN_MS_PER_POLL = 100;

/** Whether nothing can have become visible between two As. A standby's snapshot hides who is running. */
function isSame(before: Clock, after: Clock): boolean {
  return after.inRecovery ? before.wal === after.wal : before.snapshot === after.snapshot;
}

function at<T>(list: readonly T[], i: number): T {
  const value = list[i];
  if (value === undefined) throw new RangeError(`Cannot read item ${i} of ${list.length}`);
  return value;
}
