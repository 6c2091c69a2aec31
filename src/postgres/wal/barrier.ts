import { serverStatement } from "../changelog/statements.ts";
import type { Database } from "../client.ts";
import { pollInterval, type PollTiming } from "../poll/interval.ts";
import { type Clock, readClock } from "../poll/listing.ts";
import type { Micros } from "../poll/micros.ts";
import { endOfRecord } from "../record_end.ts";

export interface WalBarrierOptions {
  readonly database: Database;
  readonly timing: PollTiming;
  /** `StreamContext.saw`. */
  saw(clock: Clock): void;
  /** Has the server say how far it has read: when nothing is written, nothing else does. */
  ask(): void;
}

/** Turns positions into moments. */
export interface WalBarrier {
  /** How long `look` can wait. */
  dueMs(): number;
  /**
   * Reads the clock when it is time to; returns the moment that `position` is past, if there is a new
   * one. Throws what `saw` throws.
   */
  look(position: () => bigint, signal: AbortSignal): Promise<Micros | undefined>;
  /** The moment that is passed with this position, if there is a new one. */
  passedBy(position: bigint): Micros | undefined;
  /** Something came: look sooner. */
  busy(): void;
}

/**
 * What was committed before a reading of the clock (visible to its statement) has its commit record
 * before the WAL that is inserted when read after it; so when that much is acknowledged, all of it is.
 * A reading stands until it is passed, and is only then followed by the next one.
 */
export function walBarrier({ database, timing, saw, ask }: WalBarrierOptions): WalBarrier {
  const interval = pollInterval(timing);
  let due: { readonly barrier: Micros; readonly lsn: bigint } | undefined;
  let nextAt = -Infinity;
  let outcome: "idle" | "data" = "idle";

  return {
    dueMs: () => Math.max(0, nextAt - performance.now()),
    async look(position, signal): Promise<Micros | undefined> {
      if (performance.now() < nextAt) return undefined;
      if (due === undefined) {
        const clock = await readClock(database, signal);
        saw(clock);
        const [row] = await database.query(serverStatement(), signal);
        due = { barrier: clock.barrier, lsn: endOfRecord(BigInt(row?.[2] ?? 0)) };
      }
      nextAt = performance.now() + Math.max(timing.minIntervalMs, interval.next(outcome));
      outcome = "idle";
      const passed = passedBy(position());
      if (passed === undefined) ask();
      return passed;
    },
    passedBy,
    busy: () => void (outcome = "data"),
  };

  function passedBy(position: bigint): Micros | undefined {
    if (due === undefined || position < due.lsn) return undefined;
    const { barrier } = due;
    due = undefined;
    return barrier;
  }
}
