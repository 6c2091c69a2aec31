/** The composition root: the only file that names backends. */
import type { Config, SinkConfig } from "./config/config.ts";
import { FatalError, RetryableError } from "./core/errors.ts";
import type { Observer } from "./core/events.ts";
import type { JsonObject } from "./core/json.ts";
import type { IndexPlan } from "./core/plan.ts";
import type { Searchable, Sink } from "./core/ports.ts";
import type { Problem } from "./core/problem.ts";
import type { TableLevel } from "./core/source.ts";
import { tableId } from "./core/table.ts";
import { awaitBarrier } from "./engine/barrier.ts";
import { type EngineOptions, type Pipeline, routesOf } from "./engine/pipeline.ts";
import { supervise } from "./engine/supervise.ts";
import { attempt } from "./flow/attempt.ts";
import { sleep } from "./flow/sleep.ts";
import { mappingOf } from "./opensearch/mapping.ts";
import { openSearchSink } from "./opensearch/sink.ts";
import { type Database, openDatabase } from "./postgres/client.ts";
import { openDocumentBuilder } from "./postgres/documents/build.ts";
import { readIdentity } from "./postgres/identity.ts";
import { describeServer, inspectSource } from "./postgres/inspect.ts";
import { readClock } from "./postgres/poll/listing.ts";
import { formatMicros } from "./postgres/poll/micros.ts";
import { captureUpdatedAt } from "./postgres/poll/updated_at.ts";
import { planSource, type SourcePlan, type SourceWishes } from "./postgres/source_plan.ts";
import { sqliteSink } from "./sqlite/sink.ts";
import { type LineWriter, stdoutSink } from "./stdout/sink.ts";

export type { LineWriter };

/** `run` and `sync`: follows until stopped, or once. Throws FatalError when waiting won't help. */
export function follow(
  config: Config,
  surroundings: Surroundings,
  how: Pick<EngineOptions, "once" | "skipBackfill" | "rebase" | "retryLimitMs">,
  stop: AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  let begun = false;
  return supervise(
    async (signal) => {
      const pipeline = await openPipeline(config, surroundings, begun, signal);
      begun = true;
      return pipeline;
    },
    { ...config.pipeline, ...how, observe: surroundings.observe },
    stop,
    signal,
  );
}

/** What `wait` found. */
export interface Confirmation {
  /** The source's clock when it was asked: ISO, µs, UTC. */
  readonly target: string;
  /** A line for each thing that isn't as far; [] when everything is. */
  readonly behind: readonly string[];
  readonly levels: readonly TableLevel[];
}

/** `wait`: reads the source's clock and waits until all before it is durable, and visible if asked. */
export async function confirm(
  config: Config,
  how: { readonly timeoutMs: number; readonly visible: boolean },
  signal: AbortSignal,
): Promise<Confirmation> {
  await using stack = new AsyncDisposableStack();
  const source = stack.use(openSource(config, 1));
  const target = formatMicros((await readClock(source, signal)).clock);
  const { plans, levels } = await planSource(source, wishesOf(config), signal);
  const sinks = openSinks(config, NO_OUTPUT).map((sink) => stack.use(sink));
  for (const sink of sinks) await sink.connect(signal);
  const wanted = { source: await readIdentity(source, signal), indexes: config.indexes };
  const barrier = { ...wanted, plans, sinks, target, timeoutMs: how.timeoutMs };
  const behind = await awaitBarrier(barrier, signal);
  if (behind.length === 0 && how.visible) {
    for (const sink of sinks) {
      const routed = plans.filter((plan) => routesOf(plan, [sink]).length > 0);
      await sink.refresh(routed.map(({ name }) => name), signal);
    }
  }
  return { target, behind, levels };
}

/** What `check` found beyond the config file. */
export interface Inspection {
  readonly problems: readonly Problem[];
  readonly connections: readonly { readonly to: string; readonly detail: string }[];
  readonly tables: readonly TableLevel[];
  readonly indexes: readonly {
    readonly index: string;
    readonly tables: readonly string[];
    /** By the first OpenSearch sink it goes to; absent when it goes to none. */
    readonly mapping?: JsonObject;
  }[];
}

/** `check`: looks at everything a run would use, and changes nothing. */
export async function inspect(config: Config, signal: AbortSignal): Promise<Inspection> {
  await using stack = new AsyncDisposableStack();
  const problems: Problem[] = [];
  const connections: { to: string; detail: string }[] = [];
  const source = stack.use(openSource(config, 1));
  const plan = await attempt("source.url", problems, signal, async () => {
    connections.push({ to: "source", detail: await describeServer(source, signal) });
    return await inspectSource(source, wishesOf(config), signal);
  });
  problems.push(...plan?.problems ?? []);
  for (const sink of openSinks(config, NO_OUTPUT).map((each) => stack.use(each))) {
    await attempt(`sinks.${sink.name}`, problems, signal, async () => {
      connections.push({ to: sink.name, detail: await sink.connect(signal) });
      for (const each of plan?.plans ?? []) {
        if (routesOf(each, [sink]).length > 0) await sink.inspect?.(each, signal);
      }
    });
  }
  return {
    problems,
    connections,
    tables: plan?.levels ?? [],
    indexes: (plan?.plans ?? []).map((each) => ({
      index: each.name,
      tables: each.tables.map(tableId),
      ...mappingFor(config, each),
    })),
  };
}

/** What following needs of its surroundings. */
export interface Surroundings {
  readonly stdout: LineWriter;
  /** One broken index ends the start instead of being left out. */
  readonly strict: boolean;
  readonly observe: Observer;
}

/**
 * Connects everything and plans the indexes: what one run of the engine works with. Says what it
 * connected to, what is wrong and how each table is followed. Throws FatalError CONFIG_INVALID when
 * no index can be served, or with `strict` when one can't.
 */
async function openPipeline(
  config: Config,
  { stdout, strict, observe }: Surroundings,
  begun: boolean,
  signal: AbortSignal,
): Promise<Pipeline & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  try {
    const readers = stack.use(openSource(config, config.pipeline.seed.parallel + 2));
    observe({ type: "connected", to: "source", detail: await describeServer(readers, signal) });
    const sinks = openSinks(config, stdout).map((sink) => stack.use(sink));
    for (const sink of sinks) {
      observe({ type: "connected", to: sink.name, detail: await sink.connect(signal) });
    }
    const plan = await planSource(readers, wishesOf(config), signal);
    for (const problem of plan.problems) observe({ type: "problem", problem });
    refuseBroken(config, plan, { strict, begun, observe });
    for (const level of plan.levels) observe({ type: "table", level });

    const builder = openDocumentBuilder({
      database: readers,
      plans: plan.plans,
      catalog: plan.catalog,
      maxDocumentBytes: config.maxDocumentBytes,
    });
    const { poll } = config.source;
    const capture = captureUpdatedAt({
      database: stack.use(openSource(config, 1)),
      readers,
      tables: plan.polled,
      levels: plan.levels,
      timing: poll,
      marginMs: poll.marginMs,
      pageSize: poll.pageSize,
      observe,
    });
    return {
      capture,
      builder,
      sinks,
      watch: (signal) => watchSchema(config, readers, plan.digest, signal),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Opens the source for reading; nothing connects before the first statement. */
function openSource(config: Config, maxConnections: number): Database {
  const { url, tls, pooler, rowSecurity } = config.source;
  return openDatabase({
    url: url.reveal(),
    ...(tls === undefined ? {} : { tls }),
    pooler,
    rowSecurity,
    maxConnections,
    applicationName: `driftless/${crypto.randomUUID()}`,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
}

function wishesOf({ source: { rowSecurity, tables, poll }, indexes }: Config): SourceWishes {
  return { indexes, rowSecurity, tables, stamps: poll };
}

/** Opens the configured sinks; nothing connects before `connect`. */
export function openSinks(
  config: Config,
  stdout: LineWriter,
): readonly (Sink & Partial<Searchable>)[] {
  return config.sinks.map((sink) => openSink(sink, stdout));
}

function mappingFor(config: Config, plan: IndexPlan): { readonly mapping?: JsonObject } {
  const search = config.sinks.some(({ type, name }) =>
    type === "opensearch" && (plan.sinks?.includes(name) ?? true)
  );
  return search ? { mapping: mappingOf(plan) } : {};
}

function openSink(sink: SinkConfig, stdout: LineWriter): Sink & Partial<Searchable> {
  if (sink.type === "sqlite") return sqliteSink(sink);
  if (sink.type === "stdout") return stdoutSink({ ...sink, out: stdout });
  const { auth, ...rest } = sink;
  if (auth === undefined) return openSearchSink(rest);
  if (auth.kind === "basic") {
    return openSearchSink({ ...rest, auth: { ...auth, password: auth.password.reveal() } });
  }
  if (auth.kind === "apiKey") {
    return openSearchSink({ ...rest, auth: { kind: auth.kind, value: auth.value.reveal() } });
  }
  return openSearchSink({ ...rest, auth: { kind: auth.kind, token: auth.token.reveal() } });
}

/** `begun`: it could be served before, so it may be again: then that is waited for. */
function refuseBroken(
  config: Config,
  { plans }: SourcePlan,
  { strict, begun, observe }: Omit<Surroundings, "stdout"> & { readonly begun: boolean },
): void {
  const broken = config.indexes.filter(({ name }) => !plans.some((plan) => plan.name === name));
  if (broken.length === 0) return;
  const names = broken.map(({ name }) => `"${name}"`).join(", ");
  if (!strict && plans.length > 0) {
    const message =
      `Going on without ${names}: see the problems above; looked at again every minute`;
    return observe({ type: "warning", code: "INDEX_LEFT_OUT", message });
  }
  if (begun && !strict) {
    throw new RetryableError("NOTHING_SERVED", `Cannot serve ${names}: see the problems above`);
  }
  throw new FatalError(
    "CONFIG_INVALID",
    `Cannot serve ${names}`,
    "Mend the problems named above; `driftless check` lists them again.",
  );
}

/** 3.8: a schema that no longer is what was planned for is planned for anew. */
async function watchSchema(
  config: Config,
  database: Database,
  digest: string,
  signal: AbortSignal,
): Promise<void> {
  while (true) {
    await sleep(SCHEMA_INTERVAL_MS, signal);
    const plan = await planSource(database, wishesOf(config), signal).catch((error) => {
      // The stream itself finds out when the source is away.
      if (error instanceof RetryableError) return undefined;
      throw error;
    });
    if (plan === undefined || plan.digest === digest) continue;
    throw new RetryableError(
      "SCHEMA_CHANGED",
      "Cannot go on with the plans made at the start: the schema has changed since",
    );
  }
}

const SCHEMA_INTERVAL_MS = 60_000;
/** For commands that write no documents. */
const NO_OUTPUT: LineWriter = {
  write: () => Promise.reject(new Error("Cannot write documents: this command only reads")),
};
/** A guest's statements end. */
const STATEMENT_TIMEOUT_MS = 60_000;
