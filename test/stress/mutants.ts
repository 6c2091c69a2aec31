/**
 * Ways to get it wrong, each made of the real code and one alteration: of its arithmetic, or of a
 * statement on its way. Each must lose rows, or the stress proves nothing.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Row, Statement } from "../../src/postgres/client.ts";
import {
  advance,
  anchor,
  type Listing,
  type OpenEntry,
  type Position,
  type Step,
} from "../../src/postgres/poll/position.ts";
import { preparedStatement, runningStatement } from "../../src/postgres/poll/statements.ts";
import type { Arithmetic } from "../../src/postgres/poll/updated_at.ts";
import type { ChangeStream, StreamContext } from "../../src/postgres/stream.ts";
import type { Random } from "../support/stress_random.ts";
import type { Meetings } from "./meetings.ts";
import type { Interference } from "./interference.ts";

const isClock = ({ text }: Statement): boolean =>
  text.includes("clock_timestamp()") && text.includes("pg_postmaster_start_time");
const isRunning = ({ text }: Statement): boolean => text.includes("FROM pg_locks");
const isPrepared = ({ text }: Statement): boolean => text.includes("pg_prepared_xacts");

/** How a poller takes part in what meetings.ts brings about. */
export interface Part {
  readonly meetings: Meetings;
  readonly random: Random;
  /** How often it holds still when it may. */
  readonly probability: number;
  /** Writers wait for it. */
  readonly leads: boolean;
}

/** Holds between the two statements of B while a transaction prepares. */
export function amidPreparing({ meetings, random, probability, leads }: Part): Interference {
  return {
    apart: true,
    async before(statement) {
      if (!isPrepared(statement)) return;
      const name = meetings.announced("preparing");
      if (name === undefined || !random.chance(probability)) return;
      await Promise.race([meetings.hold("preparing", name, leads), pause(PATIENCE_MS)]);
    },
  };
}

/** Catches transactions while they drop their locks. */
export function amidEnding({ meetings, random, probability, leads }: Part): Interference {
  return {
    apart: true,
    async after(statement, rows) {
      const name = isRunning(statement) ? meetings.announced("ending") : undefined;
      const at = rows.findIndex((row) => row[0] === name);
      if (name === undefined || at === -1 || !random.chance(probability)) return rows;
      const over = meetings.hold("ending", name, leads);
      const savepoint = await Promise.race([over, pause(PATIENCE_MS)]);
      return savepoint === undefined ? rows : rows.with(at, [name, savepoint]);
    },
  };
}

const PATIENCE_MS = 1000;

/** No pg_prepared_xacts. */
export function withoutPrepared(): Interference {
  return { after: (statement, rows) => isPrepared(statement) ? [] : rows };
}

/** The clock is read after the listing: B's answers are asked for before A is sent. */
export function clockAfterListing(random: Random, context: () => StreamContext): Interference {
  let listed: readonly (readonly Row[])[] | undefined;
  return {
    apart: true,
    async before(statement, database, signal) {
      if (!isClock(statement)) return;
      const b = [runningStatement(context().own()), preparedStatement()];
      listed = await database.sequence(b, signal);
      if (random.chance(0.3)) await pause(random.between(50, 200));
    },
    answer: (statement) =>
      isRunning(statement) ? listed?.[0] : isPrepared(statement) ? listed?.[1] : undefined,
  };
}

/** Only transactions that have an xid are known: all that a snapshot shows. */
export const fencedBySnapshot: Arithmetic = {
  anchor: (seen) => anchor(withXids(seen)),
  advance: (previous, seen) => advance(previous, withXids(seen)),
};

/** xb := x at each poll. */
export const risingXb: Arithmetic = {
  anchor,
  advance(previous, seen) {
    const step = advance(previous, seen);
    const rise = (entry: OpenEntry): OpenEntry => {
      const listed = seen.running.find(({ v }) => v === entry.v);
      return listed === undefined ? entry : { ...entry, xb: listed.x ?? seen.sn };
    };
    return { ...step, next: { ...step.next, open: step.next.open.map(rise) } };
  },
};

/** A new prepared transaction takes the lowest lb of those that ended, not of those still listed. */
export const preparedFromEnded: Arithmetic = {
  anchor,
  advance(previous: Position, seen: Listing): Step {
    const step = advance(previous, seen);
    const listed = new Set(step.next.open.map(({ v }) => v));
    const known = new Set(previous.open.map(({ v }) => v));
    let lowest: bigint | null = previous.t;
    for (const { v, lb } of previous.open) {
      if (listed.has(v) || lowest === null) continue;
      lowest = lb === null || lb < lowest ? lb : lowest;
    }
    const open = step.next.open.map((entry) =>
      entry.v.startsWith("prep:") && !known.has(entry.v) ? { ...entry, lb: lowest } : entry
    );
    return { ...step, next: { ...step.next, open } };
  },
};

/** Changelog: transactions that were in progress at the last snapshot are forgotten. */
export function withoutFirstLeg(): Interference {
  const isFirstLeg = ({ text }: Statement) => /"xid" = ANY\(\$\d+::xid8\[\]\)/.test(text);
  return { after: (statement, rows) => isFirstLeg(statement) ? [] : rows };
}

/** Changelog: all below the snapshot's xmax is taken to be over. */
export function fencedByXmax(): Interference {
  return {
    after: (statement, rows) =>
      isClock(statement)
        ? rows.map((row) => row.with(SNAPSHOT, `${row[XMAX]}:${row[XMAX]}:`))
        : rows,
  };
}
/** Columns of A (statements.ts). */
const [SNAPSHOT, XMAX] = [2, 3];

/** Row sweep: the next one looks from this one's xmax on. */
export function sweptFromXmax(): Interference {
  // [xmin, xmax, …] of the sweep's start.
  const isStart = ({ text }: Statement) => text.includes("AS slept");
  return {
    after: (statement, rows) =>
      isStart(statement) ? rows.map((row) => row.with(0, row[1] ?? null)) : rows,
  };
}

/** WAL: what is decoded is taken to be visible. */
export function builtUnseen(): Interference {
  const isSnapshot = ({ text }: Statement) => text === "SELECT pg_current_snapshot()::text";
  return {
    after: (statement, rows) => {
      if (!isSnapshot(statement)) return rows;
      const xmax = BigInt(rows[0]?.[0]?.split(":")[1] ?? "0") + 1_000_000n;
      return [[`${xmax}:${xmax}:`]];
    },
  };
}

/** WAL: a keepalive's position is stored, whatever of what came before it is still to be written. */
export function pastKeepalives(
  make: (context: StreamContext) => ChangeStream,
  context: StreamContext,
): ChangeStream {
  let alive = 0n;
  const stream = make({
    ...context,
    async replicate(from, signal) {
      const session = await context.replicate(from, signal);
      return {
        get empty(): boolean {
          return session.empty;
        },
        async take(scope, timeoutMs) {
          const frames = await session.take(scope, timeoutMs);
          for (const frame of frames) if (frame.kind === "alive") alive = frame.end;
          return frames;
        },
        confirm: (lsn) => session.confirm(lsn),
        ask: () => session.ask(),
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    },
  });
  return {
    ...stream,
    confirmed() {
      const { cursor, through } = stream.confirmed();
      const own = cursor as { readonly lsn: string };
      const lsn = BigInt(own.lsn) > alive ? own.lsn : String(alive);
      return { cursor: { ...own, lsn }, through };
    },
  };
}

function withXids(seen: Listing): Listing {
  return { ...seen, running: seen.running.filter(({ x }) => x !== null) };
}
