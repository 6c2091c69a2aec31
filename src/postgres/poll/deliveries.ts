import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { notice } from "../../flow/notice.ts";
import type { Found } from "./scan.ts";

/** Hands out one poll's rows, the last one marked, and knows when all are acknowledged. */
export interface Deliveries {
  /** Yields the rows that weren't acknowledged in this version before; returns how many. */
  of(found: readonly Found[]): Generator<Delivery<Change>, number>;
  /** Yields the row that was held back. */
  last(): Generator<Delivery<Change>>;
  acknowledged(signal: AbortSignal): Promise<void>;
  versions(): Iterable<string>;
  count(): number;
}

/** `capacity` bounds the versions remembered; overflow costs duplicates, never loss. */
export function pollDeliveries(
  alreadySeen: (version: string) => boolean,
  capacity: number,
): Deliveries {
  const done = notice();
  const versions = new Set<string>();
  let count = 0;
  let open = 0;
  /** Held back by one, so that the poll's last row can say that nothing is behind it. */
  let held: Change | undefined;

  function deliver(value: Change, drained: boolean): Delivery<Change> {
    let acked = false;
    open++;
    const ack = () => {
      if (acked) return;
      acked = true;
      if (--open === 0) done.raise();
    };
    return drained ? { value, ack, drained } : { value, ack };
  }

  return {
    *of(found: readonly Found[]): Generator<Delivery<Change>, number> {
      const before = count;
      for (const { change, version } of found) {
        if (alreadySeen(version) || versions.has(version)) continue;
        if (versions.size < capacity) versions.add(version);
        count++;
        if (held !== undefined) yield deliver(held, false);
        held = change;
      }
      return count - before;
    },
    *last(): Generator<Delivery<Change>> {
      if (held !== undefined) yield deliver(held, true);
      held = undefined;
    },
    async acknowledged(signal: AbortSignal): Promise<void> {
      while (open > 0) await done.wait(signal);
    },
    versions: () => versions,
    count: () => count,
  };
}
