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
  add(delivery: Delivery<Change>): void;
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
  /** Looks since something became visible. */
  let looks = 0;

  return {
    begin(xid: number, commit: bigint): HeldTransaction {
      const held: Held = { xid, deliveries: [], isVisible: false, hasEnded: false };
      all.push(held);
      return {
        commit,
        add(delivery: Delivery<Change>): void {
          held.deliveries.push(delivery);
          count++;
        },
        end: () => void (held.hasEnded = true),
      };
    },

    async visible(signal: AbortSignal): Promise<readonly Delivery<Change>[]> {
      if (all.some(({ isVisible, deliveries }) => !isVisible && deliveries.length > 0)) {
        const snapshot = await readSnapshot(database, signal);
        for (const held of all) held.isVisible ||= isVisibleXid(held.xid, snapshot);
      }
      const ready: Delivery<Change>[] = [];
      for (const held of all) {
        if (!held.isVisible) continue;
        for (const delivery of held.deliveries) ready.push(delivery);
        held.deliveries = [];
      }
      all = all.filter(({ hasEnded, deliveries }) => !hasEnded || deliveries.length > 0);
      count -= ready.length;
      looks = ready.length > 0 ? 0 : looks + 1;
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

async function readSnapshot(database: Database, signal: AbortSignal): Promise<Snapshot> {
  const [row] = await database.query({ text: "SELECT pg_current_snapshot()::text" }, signal);
  return parseSnapshot(row?.[0] ?? "");
}

/** Rows' keys and links: some MB. */
const MAX_HELD = 10_000;
/** A commit that waits for a standby may wait for long. */
const MAX_RECHECK_MS = 100;
