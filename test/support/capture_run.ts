import { ok } from "node:assert/strict";
import { loadConfig } from "../../src/config/load.ts";
import type { Change } from "../../src/core/change.ts";
import type { Delivery } from "../../src/core/delivery.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { Anchor, ChangeCapture } from "../../src/core/ports.ts";
import type { TableLevel } from "../../src/core/source.ts";
import { wishesOf } from "../../src/app/source.ts";
import { openCapture } from "../../src/postgres/capture.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import type { StreamSettings } from "../../src/postgres/open_stream.ts";
import { readClock } from "../../src/postgres/poll/listing.ts";
import { formatMicros } from "../../src/postgres/poll/micros.ts";
import { planSource, type SourcePlan } from "../../src/postgres/source_plan.ts";
import type { Opened } from "../../src/postgres/stream.ts";
import { openWalSession } from "../../src/postgres/wal/session.ts";
import type { CapturePlan } from "../../src/postgres/ways.ts";
import { eventually } from "./eventually.ts";
import { hooked, type StatementHooks } from "./hooked_database.ts";

/** The hooks are around the statements of the streams' own connections. */
export interface CaptureRunOptions extends StatementHooks {
  /** As the role that driftless runs as. */
  readonly url: string;
  /** `source` of a config, but for the URL and what the options below say. */
  readonly source?: Readonly<Record<string, unknown>>;
  /** `indexes` of a config. */
  readonly indexes: Readonly<Record<string, unknown>>;
  readonly cursor?: string;
  readonly pooler?: "none" | "transaction";
  readonly pageSize?: number;
  readonly intervalMs?: number;
  /** Null: the config's default. */
  readonly marginMs?: number | null;
  readonly settings?: Partial<StreamSettings>;
  readonly alter?: (plan: CapturePlan) => CapturePlan;
}

/** The whole capture over a real database, as `run` would open it. Disposal ends it at once: a crash. */
export interface CaptureRun extends AsyncDisposable {
  readonly capture: ChangeCapture;
  readonly anchor: Anchor;
  readonly plan: SourcePlan;
  readonly levels: readonly TableLevel[];
  readonly events: readonly SyncEvent[];
  readonly changes: readonly Change[];
  /** As `upsert item:1` or `delete item:1`, in order, repetitions included. */
  readonly delivered: readonly string[];
  /** While false, deliveries are kept; turning it true acknowledges them. */
  acknowledge: boolean;
  /** What it confirms, taken to be stored by that: no later run may begin before it. */
  cursor(): string;
  /** Resolves when everything that is committed now is acknowledged, by what it confirms. */
  caughtUp(): Promise<void>;
  /** Resolves when all of these have been delivered since `from` (a length of `delivered`). */
  sees(what: readonly string[], from?: number): Promise<void>;
  /** Resolves when anything has been delivered. */
  delivers(): Promise<void>;
  failure(): unknown;
}

export async function runCapture(options: CaptureRunOptions): Promise<CaptureRun> {
  const { intervalMs = 2, marginMs = 50, pageSize = 1000, pooler = "none" } = options;
  const text = JSON.stringify({
    source: {
      ...options.source,
      url: options.url,
      pooler,
      poll: {
        minInterval: `${intervalMs}ms`,
        maxInterval: `${intervalMs}ms`,
        ...(marginMs === null ? {} : { margin: `${marginMs}ms` }),
        pageSize,
      },
    },
    sinks: { out: { type: "stdout" } },
    indexes: options.indexes,
  });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  ok(config, JSON.stringify(problems));
  const stop = new AbortController();
  const stack = new AsyncDisposableStack();
  const applicationName = `driftless/test-${crypto.randomUUID()}`;
  const open = (maxConnections: number, how: Opened = {}): Database =>
    openDatabase({
      url: options.url,
      pooler,
      rowSecurity: config.source.rowSecurity,
      maxConnections,
      applicationName,
      statementTimeoutMs: 60_000,
      ...how,
    });
  const readers = stack.use(open(2));
  const plan = await planSource(readers, wishesOf(config), stop.signal);
  ok(plan.plans.length > 0, JSON.stringify(plan.problems));
  const events: SyncEvent[] = [];
  const capture = stack.use(openCapture({
    plan: options.alter?.(plan.capture) ?? plan.capture,
    levels: plan.levels,
    readers,
    open: (connections, how) => hooked(open(connections, how), options),
    replicate: (from, signal) =>
      openWalSession({
        url: options.url,
        rowSecurity: config.source.rowSecurity,
        applicationName,
        ...from,
      }, signal),
    applicationName,
    settings: {
      marginMs: config.source.poll.marginMs,
      lagMs: config.source.poll.lagMs,
      once: false,
      ...options.settings,
    },
    pageSize,
    timing: config.source.poll,
    observe: (event) => events.push(event),
  }));
  const changes: Change[] = [];
  const delivered: string[] = [];
  const kept: Delivery<Change>[] = [];
  let acknowledging = true;
  let failure: unknown;
  let anchor: Anchor;
  try {
    anchor = await capture.prepare(options.cursor, false, stop.signal);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  const running = (async () => {
    for await (const delivery of capture.live(stop.signal)) {
      const { op, table, key } = delivery.value;
      changes.push(delivery.value);
      delivered.push(`${op} ${table.name}:${key.join(",")}`);
      if (acknowledging) delivery.ack();
      else kept.push(delivery);
    }
  })().catch((error) => {
    if (!stop.signal.aborted) failure = error;
  });

  return {
    capture,
    anchor,
    plan,
    levels: plan.levels,
    events,
    changes,
    delivered,
    get acknowledge(): boolean {
      return acknowledging;
    },
    set acknowledge(value: boolean) {
      acknowledging = value;
      if (value) { for (const delivery of kept.splice(0)) delivery.ack(); }
    },
    cursor() {
      const { cursor } = capture.confirmed();
      capture.stored(cursor);
      return cursor;
    },
    async caughtUp(): Promise<void> {
      const target = formatMicros((await readClock(readers, stop.signal)).clock);
      await until(
        "what is committed to be acknowledged",
        () => capture.confirmed().through >= target,
      );
    },
    sees: (what, from = 0) =>
      until(`${what.slice(0, 5).join(", ")} to be delivered`, () => {
        const seen = new Set(delivered.slice(from));
        return what.every((each) => seen.has(each));
      }),
    delivers: () => until("anything to be delivered", () => delivered.length > 0),
    failure: () => failure,
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort(new Error("crashed"));
      await running;
      await stack.disposeAsync();
    },
  };

  async function until(what: string, holds: () => boolean): Promise<void> {
    const over = () => failure !== undefined || stop.signal.aborted;
    await eventually(what, () => Promise.resolve(over() || holds()), { everyMs: 2 });
    if (failure !== undefined) throw failure;
    // Nobody waits for it any more.
    if (!holds()) stop.signal.throwIfAborted();
  }
}
