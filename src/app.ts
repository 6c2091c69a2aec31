/** The composition root: the only file that names backends. */
import type { Config, SinkConfig } from "./config/config.ts";
import { FatalError, RetryableError } from "./core/errors.ts";
import type { Observer } from "./core/events.ts";
import type { JsonObject } from "./core/json.ts";
import type { IndexPlan } from "./core/plan.ts";
import type { Searchable, Sink } from "./core/ports.ts";
import type { Pipeline } from "./engine/pipeline.ts";
import { sleep } from "./flow/sleep.ts";
import { mappingOf } from "./opensearch/mapping.ts";
import { openSearchSink } from "./opensearch/sink.ts";
import { type Database, openDatabase } from "./postgres/client.ts";
import { openDocumentBuilder } from "./postgres/documents/build.ts";
import { captureUpdatedAt } from "./postgres/poll/updated_at.ts";
import { planSource, type SourcePlan } from "./postgres/source_plan.ts";
import { sqliteSink } from "./sqlite/sink.ts";
import { type LineWriter, stdoutSink } from "./stdout/sink.ts";

export type { LineWriter };

/** What an app needs of its surroundings. */
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
export async function openPipeline(
  config: Config,
  { stdout, strict, observe }: Surroundings,
  signal: AbortSignal,
): Promise<Pipeline & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  try {
    const readers = stack.use(openSource(config, config.pipeline.seed.parallel + 2));
    const [row] = await readers.query({ text: SERVER }, signal);
    observe({
      type: "connected",
      to: "source",
      detail: `Postgres ${row?.[0]} as ${row?.[1]}, ${readers.detail}`,
    });
    const sinks = openSinks(config, stdout).map((sink) => stack.use(sink));
    for (const sink of sinks) {
      observe({ type: "connected", to: sink.name, detail: await sink.connect(signal) });
    }
    const plan = await planSourceOf(config, readers, signal);
    for (const problem of plan.problems) observe({ type: "problem", problem });
    refuseBroken(config, plan, strict);
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
export function openSource(config: Config, maxConnections: number): Database {
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

export function planSourceOf(
  config: Config,
  database: Database,
  signal: AbortSignal,
): Promise<SourcePlan> {
  const { source: { rowSecurity, tables, poll }, indexes } = config;
  return planSource(database, { indexes, rowSecurity, tables, stamps: poll }, signal);
}

/** Opens the configured sinks; nothing connects before `connect`. */
export function openSinks(
  config: Config,
  stdout: LineWriter,
): readonly (Sink & Partial<Searchable>)[] {
  return config.sinks.map((sink) => openSink(sink, stdout));
}

/** The mapping that the first OpenSearch sink of an index derives; undefined when it goes to none. */
export function mappingFor(config: Config, plan: IndexPlan): JsonObject | undefined {
  const search = config.sinks.some(({ type, name }) =>
    type === "opensearch" && (plan.sinks?.includes(name) ?? true)
  );
  return search ? mappingOf(plan) : undefined;
}

function openSink(sink: SinkConfig, stdout: LineWriter): Sink & Partial<Searchable> {
  if (sink.type === "sqlite") return sqliteSink(sink);
  if (sink.type === "stdout") {
    const statePath = `driftless.${sink.name}.state.json`;
    return stdoutSink({ name: sink.name, out: stdout, statePath });
  }
  const { auth, ...rest } = sink;
  if (auth === undefined) return openSearchSink(rest);
  if (auth.kind === "basic") {
    const { kind, username, password } = auth;
    return openSearchSink({ ...rest, auth: { kind, username, password: password.reveal() } });
  }
  if (auth.kind === "apiKey") {
    return openSearchSink({ ...rest, auth: { kind: auth.kind, value: auth.value.reveal() } });
  }
  return openSearchSink({ ...rest, auth: { kind: auth.kind, token: auth.token.reveal() } });
}

function refuseBroken(config: Config, { plans }: SourcePlan, strict: boolean): void {
  const broken = config.indexes.filter(({ name }) => !plans.some((plan) => plan.name === name));
  if (broken.length === 0 || (!strict && plans.length > 0)) return;
  throw new FatalError(
    "CONFIG_INVALID",
    `Cannot serve ${broken.map(({ name }) => `"${name}"`).join(", ")}`,
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
    const plan = await planSourceOf(config, database, signal);
    if (plan.digest === digest) continue;
    throw new RetryableError(
      "SCHEMA_CHANGED",
      "Cannot go on with the plans made at the start: the schema has changed since",
    );
  }
}

const SCHEMA_INTERVAL_MS = 60_000;
/** A guest's statements end. */
const STATEMENT_TIMEOUT_MS = 60_000;
const SERVER = "SELECT current_setting('server_version'), current_user::text";
