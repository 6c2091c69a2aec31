import type { Database, Row } from "../client.ts";
import { type Micros, parseMicros } from "./micros.ts";
import type { Listing } from "./position.ts";
import { clockStatement } from "./statements.ts";

/** What A returned. */
export interface Clock {
  /** The database's clock, without margin. */
  readonly clock: Micros;
  /** Everything committed before this is visible to every statement after A, and to A's snapshot. */
  readonly barrier: Micros;
  readonly snapshot: string;
  readonly sx: bigint;
  readonly sn: number;
  readonly pm: string;
  readonly inRecovery: boolean;
  /** WAL flushed so far, on a standby replayed, in bytes. */
  readonly wal: bigint;
  /** The process's monotonic clock before A was sent and after it returned, ms. */
  readonly sentAt: number;
  readonly receivedAt: number;
}

/** Runs A. */
export async function readClock(database: Database, signal: AbortSignal): Promise<Clock> {
  const sentAt = performance.now();
  const [row] = await database.query(clockStatement(), signal);
  const receivedAt = performance.now();
  return {
    clock: parseMicros(text(row, 0)),
    barrier: parseMicros(text(row, 1)),
    snapshot: text(row, 2),
    sx: BigInt(text(row, 3)),
    sn: Number(BigInt(text(row, 4)) & 0xffffffffn),
    pm: text(row, 5),
    inRecovery: text(row, 6) === "true",
    wal: BigInt(text(row, 7)),
    sentAt,
    receivedAt,
  };
}

/** Puts A's and B's rows together; `marginMs` is taken off A's clock. */
export function listingOf(
  clock: Clock,
  running: readonly Row[],
  prepared: readonly Row[],
  marginMs: number,
): Listing {
  return {
    t: clock.clock - BigInt(marginMs) * 1000n,
    sx: clock.sx,
    sn: clock.sn,
    pm: clock.pm,
    running: running.map((row) => ({
      v: text(row, 0),
      x: row[1] === null || row[1] === undefined ? null : Number(row[1]),
    })),
    prepared: prepared.map((row) => ({ v: `prep:${text(row, 0)}`, x: Number(text(row, 0)) })),
  };
}

/**
 * How far the database's clock stepped back between two readings of it, in µs; 0 when it didn't, as
 * far as the process's monotonic clock can tell.
 */
export function stepBack(before: Clock, after: Clock): Micros {
  const atLeast = BigInt(Math.floor((after.sentAt - before.receivedAt) * 1000));
  const deficit = atLeast - (after.clock - before.clock);
  return deficit > STEP_TOLERANCE ? deficit + STEP_TOLERANCE : 0n;
}

/** Clocks that are slewed drift by less than this between two polls. */
const STEP_TOLERANCE: Micros = 10_000n;

function text(row: Row | undefined, column: number): string {
  const value = row?.[column];
  if (value === null || value === undefined) {
    throw new TypeError(`Cannot read a listing: column ${column} is missing`);
  }
  return value;
}
