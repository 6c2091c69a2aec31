import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { RetryableError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { notice } from "../../flow/notice.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Row, Statement } from "../client.ts";
import { fitting } from "../poll/fitting.ts";
import type { Clock } from "../poll/listing.ts";
import type { Micros } from "../poll/micros.ts";
import type { ChangeStream, Prepared, StreamContext, StreamStart } from "../stream.ts";
import type { SweepSettings, SweptTable } from "../ways.ts";
import { ALONE_MS, dueAt, restMs } from "./bounds.ts";
import { formatSweeps, parseSweeps, type SweepState } from "./cursor.ts";
import { countRescues } from "./rescues.ts";
import { startBeforeSeed, type SweepWork, type TableSweep, tableSweep } from "./table_sweep.ts";

export interface SweepRowsOptions {
  readonly tables: readonly SweptTable[];
  readonly settings: Pick<SweepSettings, "dutyCycle">;
  /**
   * From the end of one sweep to the next of a table that nothing else follows: with the time a sweep
   * takes, that is how late a change of it may be seen. Default: a minute. A sweep reads the whole
   * table: a million short rows are 0.2 s of reading, which a duty cycle of 0.1 stretches to 2 s; a table
   * of 100 GB takes as long as the disk does, tenfold.
   */
  readonly aloneMs?: number;
  /** For a run that ends: tables that nothing else follows are due whenever they were swept last. */
  readonly once: boolean;
}

/**
 * The row sweep (design 3.6): every row version that was committed since a table's last sweep, whatever
 * its stamp; no deletes. bounds.ts has the proof. Confirms nothing: what it finds late is late.
 *
 * Tables take turns, a page each, on one connection; a page is acknowledged before the table's next one
 * is read, and the cursor stands behind it. Statements use `dutyCycle` of the time at most. A table that
 * somebody has locked is left for a while. On a standby: the same, on what is replayed there; reading is
 * in the way of replay, which may cancel a statement: then it reads less at a time.
 */
export function sweepRows(options: SweepRowsOptions, context: StreamContext): ChangeStream {
  const { tables, once, settings: { dutyCycle }, aloneMs = ALONE_MS } = options;
  const { seen, pageSize } = context;
  const database = context.open(1);
  const settling = notice();
  let sweeps: readonly TableSweep[] = [];
  /** Tables to be swept before `settled` is true. */
  const pending = new Set<string>();
  /** The process's clock, ms: when a table may have its turn again. */
  const locked = new Map<string, number>();
  let restUntil = 0;
  let started: Clock | undefined;

  return { prepare, live, confirmed, settled };

  function confirmed(): { readonly cursor: Json; readonly through: undefined } {
    const states = sweeps.flatMap(({ table, state }): [string, SweepState][] => {
      const now = state();
      return now === undefined ? [] : [[table.id, now]];
    });
    return { cursor: formatSweeps(new Map(states)), through: undefined };
  }

  async function prepare(start: StreamStart, signal: AbortSignal): Promise<Prepared> {
    started = start.clock;
    const states = start.stored === undefined
      ? new Map<string, SweepState>()
      : parseSweeps(start.stored);
    const fresh = tables.filter(({ id }) => !states.has(id) && start.seeded.has(id));
    if (fresh.length > 0) {
      const begun = await startBeforeSeed({ run }, fresh, signal);
      for (const [i, state] of begun.entries()) states.set(fresh[i]?.id ?? "", state);
    }
    const rescues = countRescues(seen, start.clock.sx);
    const work: SweepWork = {
      run,
      now,
      seen,
      rescues,
      rescued: ({ id }, rows) => context.observe({ type: "rescued", table: id, rows, by: "sweep" }),
      pageSize,
    };
    sweeps = tables.map((table) => tableSweep(table, startingState(table, states, start), work));
    for (const sweep of sweeps) if (waitMs(sweep) <= 0) pending.add(sweep.table.id);
    return { gaps: new Map() };
  }

  function startingState(
    table: SweptTable,
    states: ReadonlyMap<string, SweepState>,
    { due }: StreamStart,
  ): SweepState | undefined {
    const state = states.get(table.id);
    const atOnce = due.has(table.id) || (once && table.alone);
    if (state === undefined || !atOnce) return state;
    // One under way isn't enough: it leaves what changed behind its place to the next.
    return { bound: state.bound, heaps: state.heaps, finishedAt: undefined };
  }

  async function settled(signal: AbortSignal): Promise<void> {
    while (pending.size > 0) await settling.wait(signal);
  }

  async function* live(signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    for (let last = -1;;) {
      signal.throwIfAborted();
      // Whoever comes after the one that had its turn last.
      const order = sweeps.map((_, i) => (last + 1 + i) % sweeps.length);
      const waits = sweeps.map(waitMs);
      const next = order.find((i) => (waits[i] ?? 0) <= 0);
      const sweep = sweeps[next ?? -1];
      if (next === undefined || sweep === undefined) {
        await sleep(Math.min(LONGEST_SLEEP_MS, ...waits), signal);
        continue;
      }
      last = next;
      yield* fitting(turn(sweep, signal));
    }
  }

  async function* turn(sweep: TableSweep, signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    const { id } = sweep.table;
    try {
      const ended = yield* sweep.turn(signal);
      context.moved();
      if (ended && pending.delete(id)) settling.raise();
    } catch (error) {
      if (!(error instanceof RetryableError) || error.code !== LOCK_TIMEOUT) throw error;
      locked.set(id, performance.now() + LOCKED_MS);
      context.observe({
        type: "warning",
        code: "SWEEP_LOCKED",
        message: `The sweep of ${id} waits: somebody has locked the table`,
      });
    }
  }

  /** How long until a table is due; one whose sweep goes on is. */
  function waitMs({ table, state }: TableSweep): number {
    const untilUnlocked = (locked.get(table.id) ?? 0) - performance.now();
    const swept = state();
    if (swept === undefined || swept.current !== undefined) return untilUnlocked;
    const every = table.alone ? aloneMs : table.everyMs;
    const at = now();
    return Math.max(untilUnlocked, Number(dueAt(swept.finishedAt, every, at) - at) / 1000);
  }

  function now(): Micros {
    if (started === undefined) throw new Error("Cannot sweep: the stream is not prepared");
    const passed = performance.now() - started.receivedAt;
    return started.clock + BigInt(Math.round(passed * 1000));
  }

  async function run(
    statements: readonly Statement[],
    signal: AbortSignal,
    slept = 0,
  ): Promise<{ results: readonly (readonly Row[])[]; ms: number }> {
    const wait = restUntil - performance.now();
    if (wait > 0) await sleep(wait, signal);
    const sentAt = performance.now();
    let ms = 0;
    try {
      return { results: await database.sequence(statements, signal), ms: elapsed() };
    } finally {
      restUntil = performance.now() + restMs(elapsed(), dutyCycle);
    }

    function elapsed(): number {
      if (ms === 0) ms = Math.max(0, performance.now() - sentAt - slept);
      return ms;
    }
  }
}

const LOCK_TIMEOUT = "55P03";
/** `lock_timeout` has been waited for already. */
const LOCKED_MS = 30_000;
const LONGEST_SLEEP_MS = 3_600_000;
