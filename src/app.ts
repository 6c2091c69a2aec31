/** The composition root: with app/ the only place that names backends. */
import type { Config } from "./config/config.ts";
import type { TableLevel } from "./core/source.ts";
import { openPipeline, type Surroundings } from "./app/pipeline.ts";
import { NO_OUTPUT, openSinks } from "./app/sinks.ts";
import { openSource, wishesOf } from "./app/source.ts";
import { awaitBarrier, unserved } from "./engine/barrier.ts";
import { type EngineOptions, routesOf } from "./engine/pipeline.ts";
import { supervise } from "./engine/supervise.ts";
import { readIdentity } from "./postgres/identity.ts";
import { readClock } from "./postgres/poll/listing.ts";
import { formatMicros } from "./postgres/poll/micros.ts";
import { planSource } from "./postgres/source_plan.ts";

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
      const pipeline = await openPipeline(config, surroundings, { begun, once: how.once }, signal);
      begun = true;
      return pipeline;
    },
    { ...config.pipeline, ...how, ...keysOf(config), observe: surroundings.observe },
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
  /** An index can't be served, so that nothing was waited for. */
  readonly broken: boolean;
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
  return { target, behind, broken: unserved(barrier).length > 0, levels };
}

/** Rows that a policy hides would look like deletes. */
function keysOf({ source: { sweeps, rowSecurity } }: Config): Pick<EngineOptions, "keys"> {
  const { keysMs, dutyCycle, massDeletes } = sweeps;
  if (keysMs === undefined) return {};
  const refused = rowSecurity === "allow"
    ? { refused: 'with "rowSecurity": "allow" a hidden row would look like a deleted one' }
    : {};
  return { keys: { intervalMs: keysMs, dutyCycle, massDeletes, ...refused } };
}
