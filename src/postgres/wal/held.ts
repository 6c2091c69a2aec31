import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { sleep } from "../../flow/sleep.ts";
import { parseSnapshot, type Snapshot } from "../changelog/snapshot.ts";
import type { Database } from "../client.ts";
import { isVisibleXid } from "./visible.ts";

/** One transaction's changes, as far as they were read and not given on. */
export interface HeldTransaction {
  /** Where its commit record begins, in bytes. */
  readonly commit: bigint;
  /** 32 bits, as the WAL holds it. */
  readonly xid: number;
  add(delivery: Delivery<Change>): void;
  /**
   * Something in it concerns no document as they are planned now. Enters it once; what that gave is
   * called when it is visible: another plan's seed, behind that position, will see it.
   */
  pass(enter: () => () => void): void;
  /** Resolves when it is visible. */
  visible(signal: AbortSignal): Promise<void>;
  /** No more will come. */
  end(): void;
}

/** Changes that were decoded and may not be visible yet. */
export interface HeldTransactions {
  begin(xid: number, commit: bigint): HeldTransaction;
  /** What is visible by now, in the order it was committed; nothing of it is held any more. */
  visible(signal: AbortSignal): Promise<readonly Delivery<Change>[]>;
  /** When to look again; undefined: nothing is held. */
  recheckMs(): number | undefined;
  /** So much is held that nothing more should be read. */
  isFull(): boolean;
  /** Waits that long. */
  pause(signal: AbortSignal): Promise<void>;
}

interface Held {
  readonly xid: number;
  deliveries: Delivery<Change>[];
  seen: (() => void) | undefined;
  isVisible: boolean;
  hasEnded: boolean;
}

/**
 * Looks by one statement, whatever is held. A transaction that becomes visible before an earlier one
 * isn't kept waiting for it: documents are built from rows as they are, in any order.
 */
export function heldTransactions(database: Database): HeldTransactions {
  let all: Held[] = [];
  let count = 0;
  /** Looks in vain since something became visible, or since nothing was held. */
  let looks = 0;

  return {
    begin(xid: number, commit: bigint): HeldTransaction {
      const held: Held = {
        xid,
        deliveries: [],
        seen: undefined,
        isVisible: false,
        hasEnded: false,
      };
      all.push(held);
      return {
        commit,
        xid,
        add(delivery: Delivery<Change>): void {
          held.deliveries.push(delivery);
          count++;
        },
        pass(enter: () => () => void): void {
          if (held.seen !== undefined || held.isVisible) return;
          held.seen = enter();
          count++;
        },
        async visible(signal: AbortSignal): Promise<void> {
          for (let waitMs = 1; !held.isVisible; waitMs = Math.min(waitMs * 2, MAX_RECHECK_MS)) {
            held.isVisible = isVisibleXid(xid, await readSnapshot(database, signal));
            if (!held.isVisible) await sleep(waitMs, signal);
          }
        },
        end: () => void (held.hasEnded = true),
      };
    },

    async visible(signal: AbortSignal): Promise<readonly Delivery<Change>[]> {
      if (all.some((held) => !held.isVisible && isWaiting(held))) {
        const snapshot = await readSnapshot(database, signal);
        for (const held of all) held.isVisible ||= isVisibleXid(held.xid, snapshot);
      }
      const ready: Delivery<Change>[] = [];
      for (const held of all) {
        if (!held.isVisible) continue;
        for (const delivery of held.deliveries) ready.push(delivery);
        held.deliveries = [];
        if (held.seen === undefined) continue;
        count--;
        held.seen();
        held.seen = undefined;
      }
      all = all.filter((held) => !held.hasEnded || isWaiting(held));
      count -= ready.length;
      looks = count === 0 || ready.length > 0 ? 0 : looks + 1;
      return ready;
    },

    recheckMs: () => count === 0 ? undefined : waitMs(),
    isFull: () => count >= MAX_HELD,
    pause: (signal) => sleep(waitMs(), signal),
  };

  function waitMs(): number {
    return Math.min(MAX_RECHECK_MS, 2 ** Math.min(looks, 16));
  }
}

function isWaiting({ deliveries, seen }: Held): boolean {
  return deliveries.length > 0 || seen !== undefined;
}

export async function readSnapshot(database: Database, signal: AbortSignal): Promise<Snapshot> {
  const [row] = await database.query({ text: "SELECT pg_current_snapshot()::text" }, signal);
  return parseSnapshot(row?.[0] ?? "");
}

/** Rows' keys and links: some MB. */
const MAX_HELD = 10_000;
/** A commit that waits for a standby may wait for long. */
const MAX_RECHECK_MS = 100;
