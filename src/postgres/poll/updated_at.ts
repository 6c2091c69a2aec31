/**
 * Capture by `updated_at` with open-transaction tracking (design 3.3, level L2). The order of the
 * statements and the arithmetic between them are position.ts's proof; this file runs them.
 *
 * One poll: A; when A's snapshot is the one of the last poll and nobody was open then, nothing has
 * committed since and the poll ends. Else B and the first page of C for every table in one round
 * trip (each statement in a transaction of its own, in this order), then C's further pages, then
 * some pages of D. The position moves when everything delivered is acknowledged; the next poll
 * begins after that, so a restart has at most one poll to repeat.
 */
import type { Delivery } from "../../core/delivery.ts";
import type { Change } from "../../core/change.ts";
import { RetryableError } from "../../core/errors.ts";
import type { Observer } from "../../core/events.ts";
import type { IndexPlan } from "../../core/plan.ts";
import type { Anchor, ChangeCapture, Confirmed } from "../../core/ports.ts";
import type { TableLevel } from "../../core/source.ts";
import { notice } from "../../flow/notice.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Database, Row } from "../client.ts";
import { compareIdentity, readIdentity } from "../identity.ts";
import { estimateRows, snapshotKeys } from "../snapshot.ts";
import { formatCursor, parseCursor, type PollCursor } from "./cursor.ts";
import { type Clock, listingOf, readClock, stepBack } from "./listing.ts";
import { earliestAhead } from "./future.ts";
import { fitting } from "./fitting.ts";
import { type Deliveries, pollDeliveries } from "./deliveries.ts";
import { formatMicros, type Micros } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";
import { advance, anchor, lowered, older, sameTransactions } from "./position.ts";
import { addRanges, begunAnew, isDone, onlyTables, proceeded, type Rescans } from "./rescans.ts";
import { pollInterval, type PollTiming } from "./interval.ts";
import { hotPage, hotRange, hotStatement, rescanPage, rescanStatements } from "./scan.ts";
import { behindPooler, refuseThePast, standby } from "./refusals.ts";
import { seenVersions } from "./seen_versions.ts";
import { preparedStatement, runningStatement } from "./statements.ts";

export interface UpdatedAtOptions {
  /** For polling alone. */
  readonly database: Database;
  /** For snapshots; and whatever else reads for this process, so that B leaves it out. */
  readonly readers: Database;
  readonly tables: readonly PolledTable[];
  readonly levels: readonly TableLevel[];
  readonly timing: PollTiming;
  readonly marginMs: number;
  readonly pageSize: number;
  readonly observe: Observer;
}

export function captureUpdatedAt(options: UpdatedAtOptions): ChangeCapture {
  const { database, readers, tables, marginMs, pageSize, observe } = options;
  const seen = seenVersions(SEEN_CAPACITY);
  const advanced = notice();
  const interval = pollInterval(options.timing);
  const ids = tables.map((table) => table.id);
  let cursor: PollCursor | undefined;
  /** The last A whose poll was acknowledged, or the anchor's. */
  let lastClock: Clock | undefined;
  /** When the next row stamped in the future is to be read; undefined: not looked up. */
  let due: { readonly at: Micros | undefined } | undefined;
  /** Whether a seed of this or an earlier run may have read rows before stragglers ended. */
  let seeding = false;

  return {
    levels: options.levels,
    prepare,
    async *snapshot(plan: IndexPlan, from, signal: AbortSignal) {
      seeding = true;
      yield* fitting(snapshotKeys(readers, plan, from, signal));
    },
    estimate: (plan, signal) => estimateRows(readers, plan.root, signal),
    live,
    confirmed(): Confirmed {
      const now = current();
      return { cursor: formatCursor(now), through: formatMicros(now.through) };
    },
    async advanced(signal: AbortSignal): Promise<void> {
      await advanced.wait(signal);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await database[Symbol.asyncDispose]();
      await readers[Symbol.asyncDispose]();
    },
  };

  function current(): PollCursor {
    if (cursor === undefined) throw new Error("Cannot poll: the capture is not prepared");
    return cursor;
  }

  async function prepare(
    stored: string | undefined,
    seeds: boolean,
    signal: AbortSignal,
  ): Promise<Anchor> {
    if (!database.pooled && await database.behindPooler(signal)) throw behindPooler();
    const identity = await readIdentity(database, signal);
    const clock = await readClock(database, signal);
    if (clock.inRecovery) throw standby();
    const found = stored === undefined ? undefined : parseCursor(stored);
    const fresh = found === undefined || compareIdentity(found.source, identity) === "promoted";
    if (fresh) {
      const seenNow = await listing(clock, signal);
      cursor = {
        source: identity,
        position: anchor(seenNow),
        rescans: {},
        wal: clock.wal,
        through: clock.clock,
      };
      seeding = !seeds;
    } else {
      refuseThePast(found, clock);
      const behind = found.position.t - (clock.clock - BigInt(marginMs) * 1000n);
      cursor = behind > 0n ? afterUnseenStep(found, behind) : found;
      seeding = true;
    }
    cursor = { ...cursor, rescans: begunAnew(onlyTables(cursor.rescans, ids)) };
    seen.clear();
    lastClock = undefined;
    return {
      identity,
      positionKind: "flush",
      fresh,
      now: formatMicros(clock.clock),
    };
  }

  async function listing(clock: Clock, signal: AbortSignal) {
    const [running, prepared] = await database.sequence(
      [runningStatement(own()), preparedStatement()],
      signal,
    );
    return listingOf(clock, running ?? [], prepared ?? [], marginMs);
  }

  function own() {
    return { pids: readers.ownPids(), applicationName: readers.applicationName };
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
    check(clock);
    const { position, rescans } = current();
    // Nothing has committed since the last poll's A: only who is open may differ, and the time.
    const unchanged = lastClock?.snapshot === clock.snapshot && isDone(rescans) &&
      !await isDue(clock, signal);
    if (unchanged && position.open.length === 0) return settle(clock);
    let listed = unchanged ? await listing(clock, signal) : undefined;
    if (listed !== undefined && sameTransactions(position, listed)) return settle(clock);

    const ranges = tables.map((table) => hotRange(table, position.t, clock.clock, marginMs));
    const hot = tables.map((table, i) => hotStatement(table, at(ranges, i), null, pageSize));
    let pages: readonly (readonly Row[])[];
    if (listed !== undefined) {
      pages = await database.sequence(hot, signal);
    } else {
      const b = [runningStatement(own()), preparedStatement()];
      const [running, prepared, ...rest] = await database.sequence([...b, ...hot], signal);
      listed = listingOf(clock, running ?? [], prepared ?? [], marginMs);
      pages = rest;
    }
    const moved = advance(position, listed);
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
    cursor = {
      source: current().source,
      position: moved.next,
      rescans: left,
      wal: clock.wal,
      through: isDone(left) ? clock.clock : current().through,
    };
    lastClock = clock;
    due = undefined;
    advanced.raise();
    return delivery.count() > 0 || !isDone(left) ? "data" : "idle";
  }

  /** Ends a poll that had nothing to look for. */
  function settle(clock: Clock): "idle" {
    lastClock = clock;
    cursor = { ...current(), through: clock.barrier };
    advanced.raise();
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
        if (rescued > 0) observe({ type: "rescued", table: table.id, rows: rescued });
        left = proceeded(left, table.id, page.after);
      }
    } while (performance.now() < deadline);
    return left;
  }

  function check(clock: Clock): void {
    const { position } = current();
    if (clock.inRecovery) throw standby();
    refuseThePast(current(), clock);
    if (lastClock !== undefined && lastClock.pm !== clock.pm) {
      throw new RetryableError(
        "SOURCE_RESTARTED",
        "Cannot go on polling: Postgres was restarted; its identity is looked at again",
      );
    }
    // Before anything may end this poll early: the next one compares with this clock.
    const step = lastClock === undefined ? 0n : stepBack(lastClock, clock);
    if (step === 0n) return;
    steppedBack(step);
    cursor = { ...current(), position: lowered(position, step) };
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

/** Versions remembered, of one poll and in all: some 10 MB. Overflow costs duplicates, never loss. */
const SEEN_CAPACITY = 50_000;
/** D must not hold up C for long. */
const RESCAN_MS_PER_POLL = 100;

function at<T>(list: readonly T[], i: number): T {
  const value = list[i];
  if (value === undefined) throw new RangeError(`Cannot read item ${i} of ${list.length}`);
  return value;
}
