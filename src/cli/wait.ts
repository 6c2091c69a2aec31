import type { ArgsDef } from "citty";
import { openSinks, openSource, planSourceOf } from "../app.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Sink } from "../core/ports.ts";
import { routesOf } from "../engine/pipeline.ts";
import { sleep } from "../flow/sleep.ts";
import { readClock } from "../postgres/poll/listing.ts";
import { formatMicros } from "../postgres/poll/micros.ts";
import { booleanFlag, type Command, EXIT, textFlag } from "./command.ts";
import { durationFlag } from "./duration.ts";
import { COMMON_ARGS, loadSettings } from "./settings.ts";

const ARGS: ArgsDef = {
  ...COMMON_ARGS,
  timeout: {
    type: "string",
    description: "How long to wait at most",
    valueHint: "DURATION",
    default: "60s",
  },
  durable: {
    type: "boolean",
    description: "Return when it is durable, without making it visible to searches",
  },
};

/** The barrier of design 3.3: read-your-writes for tests, deployments and cron. */
export const wait: Command = {
  definition: {
    meta: {
      name: "wait",
      description: "Return when everything committed before it was called can be searched",
    },
    args: ARGS,
  },
  args: ARGS,
  examples: ["driftless wait", "driftless wait --timeout 5m --durable"],
  async run(flags, context) {
    const { config } = await loadSettings(flags, context);
    const timeoutMs = durationFlag("timeout", textFlag(flags, "timeout") ?? "60s");
    const { signal } = context;
    await using stack = new AsyncDisposableStack();
    const source = stack.use(openSource(config, 1));
    const target = formatMicros((await readClock(source, signal)).clock);
    const { plans, levels } = await planSourceOf(config, source, signal);
    const sinks = openSinks(config, context.stdout).map((sink) => stack.use(sink));
    for (const sink of sinks) await sink.connect(signal);

    const deadline = performance.now() + timeoutMs;
    let behind = await whoIsBehind(sinks, plans, target, signal);
    while (behind.length > 0 && performance.now() < deadline && !context.stop.aborted) {
      await sleep(PAUSE_MS, signal);
      behind = await whoIsBehind(sinks, plans, target, signal);
    }
    if (behind.length > 0) {
      context.stderr(behind.map((line) => `${line}\n`).join(""));
      context.stderr(
        `Cannot confirm what was committed before ${target}: not durable after ${timeoutMs} ms. ` +
          "Check that `driftless run` is running, or raise --timeout.\n",
      );
      return EXIT.failed;
    }
    if (!booleanFlag(flags, "durable")) {
      for (const sink of sinks) {
        const names = plans.filter((p) => routesOf(p, [sink]).length > 0).map(({ name }) => name);
        await sink.refresh(names, signal);
      }
    }
    const blind = levels.filter(({ level }) => level === "L1" || level === "L2");
    if (blind.length > 0) {
      const tables = blind.map(({ table }) => table).join(", ");
      context.stderr(`Deleted rows are not covered: their level doesn't show them (${tables}).\n`);
    }
    await context.stdout.write(`${JSON.stringify({ through: target })}\n`, signal);
    return EXIT.done;
  },
};

const PAUSE_MS = 50;

/** A line for each thing that isn't as far as `target`. */
async function whoIsBehind(
  sinks: readonly Sink[],
  plans: readonly IndexPlan[],
  target: string,
  signal: AbortSignal,
): Promise<string[]> {
  const lines: string[] = [];
  for (const sink of sinks) {
    const checkpoint = await sink.loadCheckpoint(signal);
    if (checkpoint === undefined) lines.push(`sink "${sink.name}" has no checkpoint yet`);
    else if (checkpoint.confirmedThrough < target) {
      lines.push(`sink "${sink.name}" is at ${checkpoint.confirmedThrough}, before ${target}`);
    }
    for (const plan of plans.filter((each) => routesOf(each, [sink]).length > 0)) {
      const state = await sink.seedState(plan, signal);
      if (state?.seeded === true) continue;
      lines.push(`index "${plan.name}" in sink "${sink.name}" is not seeded`);
    }
  }
  return lines;
}
