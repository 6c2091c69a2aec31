/**
 * An outbox whose rows are dealt with by us: marked or deleted. Rows that wait are the position; the
 * cursor holds no more than what `through` was.
 *
 * A poll: A (clock and snapshot; the snapshot of the last poll: nothing has committed since, the
 * poll ends). Pages of waiting rows by position, the lowest first; each is delivered, acknowledged
 * and then dealt with before the next is read, so one page is all that is held.
 *
 * Positions aren't in commit order: a sequence hands 5 to a transaction that commits after 6 has been
 * dealt with, or from another session's CACHE. So no poll begins above the bottom; within one poll
 * the pages go on after the last position, so that rows which can't be dealt with yet don't come
 * again and again, and end at the highest position that waited when the second page was due: however
 * fast rows are added, the poll ends.
 *
 * Why everything committed before A's clock is acknowledged when the poll has ended (`through`). Let
 * row r be committed before it: each statement after A sees r. Either somebody dealt with it, who did so
 * after its change was durable in the sink (all processes that claim from one outbox must feed one
 * sink). Or it waits while its part of the order is read: a page holds the lowest waiting rows above
 * the last position, so r, at p, is in the page whose end is the first at or above p. There is one: r
 * waits when the highest position is read, which is after A, so that is ≥ p. The poll awaits the
 * acknowledgement of every row of every page. (A row's position doesn't change.)
 *
 * Why a row is dealt with only when its change is durable. A row may be changed after it was read, by an
 * outbox that holds one row per document and sets it anew (INSERT … ON CONFLICT DO UPDATE): the
 * change it then stands for may have been committed after the document was built. It has another xmin
 * then, so it isn't dealt with, and the next poll finds it. (The position alone would lose it.)
 *
 * A row that somebody holds locked is passed over by the mark (SKIP LOCKED): it keeps waiting, so
 * nothing is lost by that; it is remembered as acknowledged, and dealt with by a later poll without
 * being delivered again. The reading locks nothing, and skips nothing: two processes may both
 * deliver a row, and one of them then deals with it. A crash before that: delivered again.
 */
import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { FatalError, RetryableError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { tableId } from "../../core/table.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Database, Row } from "../client.ts";
import { pollDeliveries } from "../poll/deliveries.ts";
import { fitting } from "../poll/fitting.ts";
import { pollInterval } from "../poll/interval.ts";
import { type Clock, readClock } from "../poll/listing.ts";
import { formatMicros, type Micros, parseMicros } from "../poll/micros.ts";
import type { Found } from "../poll/scan.ts";
import type { ChangeStream, Prepared, StreamContext, StreamStart } from "../stream.ts";
import type { HintedTable, OutboxSettings } from "../ways.ts";
import {
  type Claimed,
  dealtStatement,
  highestStatement,
  strangersStatement,
  type Version,
  waitingStatement,
} from "./claim_statements.ts";
import type { Hints } from "./hints.ts";
import type { OutboxShape } from "./shape.ts";

export interface ClaimOptions {
  readonly settings: OutboxSettings;
  readonly tables: readonly HintedTable[];
  readonly shape: OutboxShape;
  readonly hints: Hints;
  /** Reads and writes. */
  readonly database: Database;
}

/** Follows an outbox in mode `mark` or `delete`. */
export function claimOutbox(options: ClaimOptions, context: StreamContext): ChangeStream {
  const { settings, tables, shape, hints, database } = options;
  const { seen, pageSize } = context;
  const id = tableId(settings.table);
  const claimed: Claimed = {
    settings,
    positionType: shape.positionType,
    locks: shape.canLock,
    names: [...new Set(tables.flatMap(({ names }) => names))],
  };
  const interval = pollInterval(context.timing);
  let through: Micros | undefined;
  /** The last A whose poll was acknowledged and left no row behind. */
  let lastClock: Clock | undefined;
  let strangersAt = -Infinity;

  function prepare({ stored, clock }: StreamStart): Promise<Prepared> {
    if (clock.inRecovery) throw standby();
    // Afresh: what is committed by now is what a seed or the way before this one delivers.
    through = stored === undefined ? clock.clock : throughOf(stored);
    lastClock = undefined;
    return Promise.resolve({ gaps: new Map() });
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
    if (lastClock?.snapshot === clock.snapshot) {
      lastClock = clock;
      confirm(clock.barrier);
      return "idle";
    }
    let delivered = 0;
    let left = 0;
    let after: string | undefined;
    let to: string | undefined;
    while (true) {
      const range = { ...after === undefined ? {} : { after }, ...to === undefined ? {} : { to } };
      const statement = waitingStatement(claimed, { ...range, limit: pageSize });
      const rows = await database.query(statement, signal);
      if (rows.length > 0) {
        delivered += yield* deliver(rows, signal);
        left += await dealWith(rows.map(versionOf), signal);
      }
      if (rows.length < pageSize) break;
      after = rows.at(-1)?.[0] ?? undefined;
      to ??= (await database.query(highestStatement(claimed), signal))[0]?.[0] ?? after;
    }
    await tellStrangers(signal);
    lastClock = left === 0 ? clock : undefined;
    confirm(clock.clock);
    return delivered > 0 ? "data" : "idle";
  }

  /** Hands out a page and awaits its acknowledgement; returns how many changes it held. */
  async function* deliver(
    rows: readonly Row[],
    signal: AbortSignal,
  ): AsyncGenerator<Delivery<Change>, number> {
    const unseen = rows.filter((row) => !seen.has(versionName(versionOf(row))));
    const changes = await hints.read(
      unseen.map(([, , name = null, key = null]) => ({ name, key })),
      signal,
    );
    const delivery = pollDeliveries(() => false, 0);
    yield* delivery.of(changes.flatMap((change) => change === undefined ? [] : [found(change)]));
    yield* delivery.last();
    await delivery.acknowledged(signal);
    return delivery.count();
  }

  /** Returns how many keep waiting: changed since, or held by somebody. */
  async function dealWith(versions: readonly Version[], signal: AbortSignal): Promise<number> {
    let dealt: readonly Row[] = [];
    try {
      dealt = await database.query(dealtStatement(claimed, versions), signal);
    } catch (error) {
      if (!(error instanceof RetryableError) || !IN_THE_WAY.has(error.code)) throw error;
    }
    const done = new Set(dealt.map(([position]) => position));
    const waiting = versions.filter(({ position }) => !done.has(position));
    seen.addAll(waiting.map(versionName));
    return waiting.length;
  }

  /** Rows that aren't ours are neither read nor dealt with: somebody has to be told of them. */
  async function tellStrangers(signal: AbortSignal): Promise<void> {
    if (performance.now() - strangersAt < STRANGERS_EVERY_MS) return;
    const rows = await database.query(strangersStatement(claimed), signal);
    for (const [name = null, count] of rows) hints.unknown(name, Number(count));
    strangersAt = performance.now();
  }

  function confirm(at: Micros): void {
    through = at;
    context.moved();
  }

  function versionName({ position, xmin }: Version): string {
    return `${id}\0${position}\0${xmin}`;
  }

  return {
    prepare,
    live,
    confirmed() {
      if (through === undefined) throw new Error("Cannot follow the outbox: it is not prepared");
      return { cursor: { through: formatMicros(through) }, through };
    },
  };
}

/** Each is delivered, whatever its version. */
function found(change: Change): Found {
  return { change, version: "" };
}

/** Who changes or locks the rows at the same time: lock timeout, deadlock, serialization failure. */
const IN_THE_WAY = new Set(["55P03", "40P01", "40001"]);
const STRANGERS_EVERY_MS = 60_000;

function versionOf([position, xmin]: Row): Version {
  return { position: position ?? "", xmin: xmin ?? "" };
}

/** 1970 for what another mode stored: the rows that wait say all the same where we are. */
function throughOf(stored: Json): Micros {
  if (typeof stored !== "object" || stored === null || !("through" in stored)) return 0n;
  const { through } = stored;
  return typeof through === "string" ? parseMicros(through) : 0n;
}

function standby(): FatalError {
  return new FatalError(
    "STANDBY",
    "Cannot claim rows of the outbox on a standby: nothing can be written there",
    "Point source.url to the primary, or read the outbox by an xid8 column.",
  );
}
