import { ok } from "node:assert/strict";
import { wishesOf } from "../../src/app/source.ts";
import { loadConfig } from "../../src/config/load.ts";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { ChangeCapture, Sink } from "../../src/core/ports.ts";
import { run } from "../../src/engine/engine.ts";
import type { EngineOptions, Pipeline } from "../../src/engine/pipeline.ts";
import { supervise } from "../../src/engine/supervise.ts";
import { sleep } from "../../src/flow/sleep.ts";
import { openCapture } from "../../src/postgres/capture.ts";
import { type Database, openDatabase, type Statement } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { planSource } from "../../src/postgres/source_plan.ts";
import type { Opened } from "../../src/postgres/stream.ts";
import { openWalSession } from "../../src/postgres/wal/session.ts";
import { PEOPLE_INDEX } from "./people.ts";

export interface EngineSetup {
  /** The source, as a reader. */
  readonly url: string;
  readonly sinks: readonly Sink[];
  /** As in a config; default: the people index, called users. */
  readonly indexes?: Readonly<Record<string, unknown>>;
  /** More of the config's source section. */
  readonly source?: Readonly<Record<string, unknown>>;
  /** Default: the options' own; small batches, chunks and queues make boundaries frequent. */
  readonly options?: Partial<EngineOptions>;
  /** Stands between the engine and the real capture. */
  readonly wrap?: (capture: ChangeCapture) => ChangeCapture;
  /** Opens everything again after a failure that may pass, as `driftless run` does. */
  readonly supervised?: boolean;
  /** Sees each statement that the builder sends. */
  readonly sent?: (statement: Statement) => void;
  /** Between two looks at the schema; default 100. */
  readonly watchMs?: number;
}

/** The engine over a real capture and builder, in this process. Ended on disposal. */
export interface EngineRun extends AsyncDisposable {
  readonly events: readonly SyncEvent[];
  /** The first event of that type for which `predicate` holds, so far or later. */
  waitFor<T extends SyncEvent["type"]>(
    type: T,
    predicate?: (event: Extract<SyncEvent, { type: T }>) => boolean,
  ): Promise<Extract<SyncEvent, { type: T }>>;
  /** It is over, well or not: `outcome` says how. */
  ended(): boolean;
  /** Drains and ends, as the first signal does. */
  stop(): Promise<void>;
  /** Ends at once, as far as a process can do that to itself. */
  crash(): Promise<void>;
  /** How it ended: what it threw, or undefined when it ended well. Throws when it goes on for 60 s. */
  outcome(): Promise<unknown>;
}

/** What hangs, on a machine that is as busy as can be. */
const limitMs = 60_000;

export function startEngine(setup: EngineSetup): EngineRun {
  const stop = new AbortController();
  const end = new AbortController();
  const events: SyncEvent[] = [];
  const watchers = new Set<() => void>();
  const options: EngineOptions = {
    batch: { maxChanges: 100, maxDelayMs: 20 },
    queue: { capacity: 1000 },
    seed: { parallel: 2, chunk: 50 },
    once: false,
    skipBackfill: false,
    rebase: false,
    retryLimitMs: Infinity,
    ...setup.options,
    observe: (event) => {
      events.push(event);
      for (const watcher of [...watchers]) watcher();
    },
  };
  const crashed = new Error("crashed");
  let over = false;
  const running = setup.supervised
    ? supervise(
      (signal) => openTestPipeline(setup, options, signal),
      options,
      stop.signal,
      end.signal,
    )
    : (async () => {
      await using pipeline = await openTestPipeline(setup, options, end.signal);
      await run(pipeline, options, stop.signal, end.signal);
    })();
  const ended = running.then(() => undefined, (error: unknown) => error).then((error) => {
    over = true;
    for (const watcher of [...watchers]) watcher();
    return error;
  });

  return {
    events,
    ended: () => over,
    outcome: () => within("the end of the run", ended),
    waitFor(type, predicate = () => true) {
      return new Promise((resolve, reject) => {
        let looked = 0;
        const finish = () => {
          clearTimeout(timer);
          watchers.delete(look);
        };
        const look = () => {
          while (looked < events.length) {
            const event = events[looked++];
            if (event?.type !== type) continue;
            const found = event as Extract<SyncEvent, { type: typeof type }>;
            if (!predicate(found)) continue;
            finish();
            return resolve(found);
          }
          if (!over) return;
          finish();
          ended.then((error) =>
            reject(new Error(`Cannot see event ${type}: the run ended`, { cause: error }))
          );
        };
        const timer = setTimeout(() => {
          finish();
          reject(new Error(`Cannot see event ${type} within 60 s`));
        }, limitMs);
        watchers.add(look);
        look();
      });
    },
    async stop() {
      stop.abort(new Error("stopped"));
      const error = await within("the end of the run", ended);
      if (error !== undefined) throw error;
    },
    async crash() {
      end.abort(crashed);
      await ended;
    },
    async [Symbol.asyncDispose]() {
      end.abort(crashed);
      await ended;
    },
  };
}

/** The promise's value; throws when it takes longer than 60 s. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`Cannot see ${what} within 60 s`)),
    limitMs,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** What app.ts composes, with sinks that are given and a schema that is looked at all the time. */
async function openTestPipeline(
  setup: EngineSetup,
  options: EngineOptions,
  signal: AbortSignal,
): Promise<Pipeline & AsyncDisposable> {
  const text = JSON.stringify({
    source: {
      url: setup.url,
      poll: { minInterval: "5ms", maxInterval: "20ms", margin: "50ms", pageSize: 500 },
      ...setup.source,
    },
    indexes: setup.indexes ?? { users: PEOPLE_INDEX },
  });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  ok(config, JSON.stringify(problems));
  const { rowSecurity, poll } = config.source;
  const applicationName = `driftless/${crypto.randomUUID()}`;
  const open = (maxConnections: number, how: Opened = {}) =>
    openDatabase({
      url: setup.url,
      pooler: "none",
      rowSecurity,
      maxConnections,
      applicationName,
      ...how,
      statementTimeoutMs: 60_000,
    });
  const stack = new AsyncDisposableStack();
  try {
    const readers = stack.use(open(4));
    const wishes = wishesOf(config);
    const plan = await planSource(readers, wishes, signal);
    for (const problem of plan.problems) options.observe({ type: "problem", problem });
    if (plan.plans.length === 0) {
      throw new FatalError(
        "CONFIG_INVALID",
        "Cannot serve any index",
        JSON.stringify(plan.problems),
      );
    }
    for (const level of plan.levels) options.observe({ type: "table", level });
    const capture = stack.use(openCapture({
      plan: plan.capture,
      levels: plan.levels,
      readers,
      open,
      replicate: (from, scope) =>
        openWalSession({ url: setup.url, rowSecurity, applicationName, ...from }, scope),
      applicationName,
      settings: {
        marginMs: poll.marginMs,
        lagMs: poll.lagMs,
        once: options.once,
        aloneMs: ALONE_MS,
      },
      pageSize: poll.pageSize,
      timing: poll,
      observe: options.observe,
    }));
    return {
      capture: setup.wrap?.(capture) ?? capture,
      builder: openDocumentBuilder({
        database: overheard(readers, setup.sent),
        plans: plan.plans,
        catalog: plan.catalog,
        maxDocumentBytes: config.maxDocumentBytes,
        dutyCycle: config.source.sweeps.dutyCycle,
      }),
      sinks: setup.sinks,
      async watch(scope) {
        while (true) {
          await sleep(setup.watchMs ?? 100, scope);
          const now = await planSource(readers, wishes, scope);
          if (now.digest !== plan.digest) {
            throw new RetryableError("SCHEMA_CHANGED", "Cannot go on: the schema has changed");
          }
        }
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function overheard(database: Database, sent: EngineSetup["sent"]): Database {
  if (sent === undefined) return database;
  return {
    ...database,
    query(statement, signal) {
      sent(statement);
      return database.query(statement, signal);
    },
    sequence(statements, signal) {
      for (const each of statements) sent(each);
      return database.sequence(statements, signal);
    },
  };
}

/** A table that is swept alone doesn't keep a test waiting for a minute. */
const ALONE_MS = 200;
