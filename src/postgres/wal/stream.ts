/**
 * Capture from the write-ahead log (design 3.5, level L5): a durable slot, decoded by our own pgoutput.
 *
 * Nothing is lost as long as this holds: what the slot has confirmed <= what every sink's checkpoint
 * says <= what is acknowledged. The server never sends again what is confirmed, so that is told what is
 * stored alone (`stored`). Then a stored position below the slot's means that it moved on without us:
 * it was made anew, read by another process, or the sink's state is an older copy. Each is a gap.
 *
 * Histories that would lose a change, and what prevents it:
 *
 * - A transaction is decoded, built, and visible only later (visible.ts): its changes are held until a
 *   snapshot sees it. Others go past it; the position doesn't.
 * - A keepalive says how far the server has read. What it sent before that is above it in the
 *   watermark, so the position passes a keepalive only behind everything that came before. Inside a
 *   transaction it is not looked at.
 * - A transaction wrote to a table before the publication had it, and commits after the seed has read
 *   its place: see older_transactions.ts. So is one whose commit record lies before a new slot's
 *   first, and that still waits for its synchronous standby.
 * - A truncate, or rows that don't show their key: said in the stored cursor (`gaps`), in front of
 *   which the position stays; when that is stored everywhere the run ends, and the next `prepare`
 *   reports it. From there on what came with it, or before, is passed over: the index is filled anew.
 *   A crash before that meets it again. There may be many in a row (an identity that was raised since):
 *   a table that is filled anyhow is passed over where the fillings see the transaction.
 * - An update that shows in no document is passed over while its commit waits for a standby, and a plan
 *   that shows it fills the index meanwhile: the position waits for it all the same.
 * - A partition comes with the transaction that made it, and nobody sees yet what it is a part of: it is
 *   asked for when that is visible.
 * - Slot or publication are altered behind our back: looked at when the session is there, and then on.
 */
import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { RetryableError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { notice } from "../../flow/notice.ts";
import { watermark } from "../../flow/watermark.ts";
import { fitting } from "../poll/fitting.ts";
import type { Snapshot } from "../changelog/snapshot.ts";
import type { ChangeStream, Prepared, StreamContext, StreamStart } from "../stream.ts";
import type { ReplicatedTable, WalSettings } from "../ways.ts";
import { walBarrier } from "./barrier.ts";
import { formatWalCursor, parseWalCursor, type WalCursor, type WalGap } from "./cursor.ts";
import { type HeldTransaction, heldTransactions, readSnapshot } from "./held.ts";
import { claimSlot } from "./claim_slot.ts";
import { checkPublication } from "./publication.ts";
import { decode, unreadable } from "./decode.ts";
import type { WalSession } from "./session.ts";
import { SLOT_SESSION } from "./slot.ts";
import { watchSlot } from "./slot_watch.ts";
import { isVisibleXid } from "./visible.ts";
import { type RelationShapes, relationShapes } from "./shapes.ts";

export interface WalOptions {
  readonly settings: WalSettings;
  /** Every table that the stream follows; rows of others are passed over. */
  readonly tables: readonly ReplicatedTable[];
}

/** Follows these tables by the WAL. */
export function captureWal({ settings, tables }: WalOptions, context: StreamContext): ChangeStream {
  const database = context.open(1);
  const managing = context.open(1, { writes: true, settings: SLOT_SESSION });
  let session: WalSession | undefined;
  let cursor: WalCursor | undefined;
  /** What `prepare` has seen to: those tables are filled anew, from behind there. */
  let reported: readonly WalGap[] = [];
  /** Those that are filled anew whatever the reason, and what the fillings see from the first. */
  let refilled: { readonly gap: WalGap; readonly seen: Snapshot } | undefined;
  let stored: WalCursor | undefined;
  const storedAnew = notice();
  const barrier = walBarrier({
    database,
    timing: context.timing,
    saw: context.saw,
    ask: () => current(session).ask(),
  });
  const reached = watermark<bigint>(moveTo);

  return {
    prepare,
    live: (signal) => fitting(live(signal)),
    confirmed() {
      const position = current(cursor);
      return { cursor: formatWalCursor(position), through: position.through };
    },
    stored(json: Json): void {
      stored = parseWalCursor(json);
      session?.confirm(stored.lsn);
      storedAnew.raise();
    },
    async left() {
      await session?.[Symbol.asyncDispose]();
      const message = `Replication slot "${settings.slot}" isn't read any more, as no table is ` +
        "followed by the WAL, and keeps all that is written from now on: `driftless wal drop " +
        "--apply` removes it";
      context.observe({ type: "warning", code: "SLOT_UNUSED", message });
    },
  };

  async function prepare(start: StreamStart, signal: AbortSignal): Promise<Prepared> {
    const found = start.stored === undefined ? undefined : parseWalCursor(start.stored);
    const claimed = await claimSlot(
      { managing, settings, tables, found, observe: context.observe },
      signal,
    );
    const gaps = new Map(claimed.gaps);
    const said = found?.gaps ?? [];
    for (const { tables: ids, reason } of said) for (const id of ids) gaps.set(id, reason);
    reported = [...said, claimed.anew];
    cursor = {
      slot: settings.slot,
      publication: claimed.publication,
      lsn: claimed.from,
      through: found?.slot === settings.slot ? found.through : start.clock.barrier,
      published: Object.fromEntries(claimed.published),
      gaps: [],
    };
    const { slot, publication } = settings;
    // At once: nobody else takes it while the indexes are looked at.
    session = await context.replicate({ slot, publication, from: claimed.from }, signal);
    await claimed.settled(signal);
    const seen = await readSnapshot(database, signal);
    const gap = { at: claimed.anew.at, tables: [...gaps.keys()], reason: "it is filled anew" };
    refilled = { gap, seen };
    return { gaps };
  }

  function moveTo(lsn: bigint): void {
    const { through, ...rest } = current(cursor);
    if (lsn <= rest.lsn) return;
    cursor = { ...rest, lsn, through: barrier.passedBy(lsn) ?? through };
    context.moved();
  }

  async function* live(signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    const reading = current(session);
    const lost = new AbortController();
    const scope = AbortSignal.any([signal, lost.signal]);
    const { published } = current(cursor);
    let dropping = false;
    const watching = watchSlot({
      database: managing,
      settings,
      observe: context.observe,
      letGo() {
        dropping = true;
        return reading[Symbol.asyncDispose]();
      },
      also: (signal) => checkPublication(managing, settings, tables, published, signal),
    }, scope).catch((error) => {
      if (scope.aborted) return;
      lost.abort(error);
      // Nobody may be taking from it for long: it isn't to hold up a server that shuts down.
      void reading[Symbol.asyncDispose]().catch(() => {});
    });
    const held = heldTransactions(database);
    let open: HeldTransaction | undefined;
    /** Where the last transaction that was sent as a whole ends. */
    let sent = current(cursor).lsn;
    /** The last that is ready, until it is known whether something is right behind it. */
    let kept: readonly Delivery<Change>[] = [];
    try {
      const shapes = await relationShapes(database, tables, scope);
      while (true) {
        const keptMs = kept.length === 0 ? Infinity : KEPT_MS;
        const waitMs = Math.min(held.recheckMs() ?? Infinity, barrier.dueMs(), keptMs);
        const frames = held.isFull() ? [] : await reading.take(scope, waitMs);
        for (const frame of frames) {
          if (frame.kind === "data") await read(frame.payload, shapes, scope);
          else if (open === undefined) reach(frame.end);
        }
        if (held.isFull()) await held.pause(scope);
        const through = await barrier.look(() => current(cursor).lsn, scope);
        if (through !== undefined) {
          cursor = { ...current(cursor), through };
          context.moved();
        }
        const ready = [...kept, ...await held.visible(scope)];
        if (ready.length > 0) barrier.busy();
        // A commit often comes in a piece of its own behind its last row, and what else comes may
        // concern nobody: without a word that this was all a batch would wait for more.
        const more = frames.length > 0 && (open !== undefined || !reading.empty);
        kept = more ? ready.splice(-1) : [];
        for (const [at, delivery] of ready.entries()) {
          yield !more && at === ready.length - 1 ? { ...delivery, drained: true } : delivery;
        }
      }
    } catch (error) {
      // The session was let go of to drop the slot: that goes first, and is the reason.
      if (!dropping) throw error;
      await watching;
      scope.throwIfAborted();
      throw error;
    } finally {
      lost.abort(ENDED);
      await watching;
    }

    function reach(lsn: bigint): void {
      if (lsn > sent) sent = lsn;
      reached.pass(sent);
    }

    async function read(
      payload: Uint8Array,
      shapes: RelationShapes,
      signal: AbortSignal,
    ): Promise<void> {
      const message = decode(payload);
      switch (message.kind) {
        case "begin":
          open = held.begin(message.xid, message.commit);
          break;
        case "commit":
          open?.end();
          open = undefined;
          reach(message.end);
          break;
        case "relation":
          await shapes.meet(message.relation, () => inside(open).visible(signal), signal);
          break;
        case "insert":
        case "update":
        case "delete": {
          const transaction = inside(open);
          const changes = shapes.changesOf(message);
          if (changes.length === 0 && shapes.follows(message.oid)) {
            transaction.pass(() => reached.enter(sent));
          }
          for (const found of changes) {
            if ("unfit" in found) {
              await leave([found.id], found.unfit, transaction, signal);
              continue;
            }
            // Only behind the last change of a transaction its end is reached.
            transaction.add({ value: found, ack: reached.enter(sent) });
          }
          break;
        }
        case "truncate": {
          const transaction = inside(open);
          const visible = () => transaction.visible(signal);
          const ids = await shapes.truncated(message.oids, visible, signal);
          await leave(ids, TRUNCATED, transaction, signal);
          break;
        }
      }
    }
  }

  /** Ends the run when that is stored, if it wasn't reported before. */
  async function leave(
    ids: readonly string[],
    reason: string,
    { commit, xid }: HeldTransaction,
    signal: AbortSignal,
  ): Promise<void> {
    const { gap, seen } = current(refilled);
    // There may be many in a row, as after a change of the identity: one filling has them all.
    const known = (id: string) =>
      reported.some(({ at, tables: gone }) => commit <= at && gone.includes(id)) ||
      gap.tables.includes(id) && isVisibleXid(xid, seen);
    const lost = ids.filter((id) => !known(id));
    if (lost.length === 0) return;
    const before = current(cursor);
    // With those that a restart meets again before this one: two that took turns would go on for ever.
    const again = [...reported, gap].filter(({ at }) => at >= before.lsn);
    cursor = { ...before, gaps: [...again, { at: commit, tables: lost, reason }] };
    context.moved();
    while (!(stored?.gaps.some(({ at }) => at === commit) ?? false)) await storedAnew.wait(signal);
    throw new RetryableError(
      reason === TRUNCATED ? "TABLE_TRUNCATED" : "SCHEMA_CHANGED",
      `Cannot follow ${lost.join(", ")} on: ${reason}`,
    );
  }
}

function inside(transaction: HeldTransaction | undefined): HeldTransaction {
  if (transaction === undefined) throw unreadable("a row came outside of a transaction");
  return transaction;
}

function current<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("Cannot read the WAL: it is not prepared");
  return value;
}

/** How long the last row waits for its commit, in ms. */
const KEPT_MS = 10;
const TRUNCATED = "it was truncated";
const ENDED = new Error("ended");
