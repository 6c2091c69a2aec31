import type { Config } from "../config/config.ts";
import { FatalError, RetryableError } from "../core/errors.ts";
import type { Observer } from "../core/events.ts";
import type { Pipeline } from "../engine/pipeline.ts";
import { openCapture } from "../postgres/capture.ts";
import { openDocumentBuilder } from "../postgres/documents/build.ts";
import { describeServer } from "../postgres/inspect.ts";
import { planSource, type SourcePlan } from "../postgres/source_plan.ts";
import { type LineWriter, openSinks } from "./sinks.ts";
import { openReplication, openSource, uniqueName, watchSchema, wishesOf } from "./source.ts";

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
export async function openPipeline(
  config: Config,
  { stdout, strict, observe }: Surroundings,
  how: { readonly begun: boolean; readonly once: boolean },
  signal: AbortSignal,
): Promise<Pipeline & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  try {
    const applicationName = uniqueName();
    const readers = stack.use(
      openSource(config, config.pipeline.seed.parallel + 2, { applicationName }),
    );
    observe({ type: "connected", to: "source", detail: await describeServer(readers, signal) });
    const sinks = openSinks(config, stdout).map((sink) => stack.use(sink));
    for (const sink of sinks) {
      observe({ type: "connected", to: sink.name, detail: await sink.connect(signal) });
    }
    const plan = await planSource(readers, wishesOf(config), signal);
    for (const problem of plan.problems) observe({ type: "problem", problem });
    refuseBroken(config, plan, { strict, begun: how.begun, observe });
    for (const level of plan.levels) observe({ type: "table", level });

    const builder = openDocumentBuilder({
      database: readers,
      plans: plan.plans,
      catalog: plan.catalog,
      maxDocumentBytes: config.maxDocumentBytes,
      maxRefs: config.maxRefs,
      dutyCycle: config.source.sweeps.dutyCycle,
    });
    const { poll } = config.source;
    const capture = stack.use(openCapture({
      plan: plan.capture,
      levels: plan.levels,
      readers,
      open: (connections, how) => openSource(config, connections, { ...how, applicationName }),
      replicate: (from, signal) => openReplication(config, applicationName, from, signal),
      applicationName,
      settings: { marginMs: poll.marginMs, lagMs: poll.lagMs, once: how.once },
      pageSize: poll.pageSize,
      timing: poll,
      observe,
    }));
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
