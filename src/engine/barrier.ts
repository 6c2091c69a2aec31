import type { Checkpoint } from "../core/checkpoint.ts";
import { RetryableError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Sink } from "../core/ports.ts";
import type { SourceIdentity } from "../core/source.ts";
import { sleep } from "../flow/sleep.ts";
import { routesOf } from "./pipeline.ts";
import { isCovered } from "./prepare.ts";

/** What is waited for: everything committed before `target` (the source's clock, ISO, µs, UTC). */
export interface Barrier {
  /** Whose clock `target` was read from. */
  readonly source: SourceIdentity;
  /** All that are configured; one without a plan is followed by nobody. */
  readonly indexes: readonly { readonly name: string }[];
  readonly plans: readonly IndexPlan[];
  readonly sinks: readonly Sink[];
  readonly target: string;
  readonly timeoutMs: number;
}

/**
 * Waits until the stored checkpoints of every sink have passed the target, each on this source and
 * covering every index that goes there as it is planned now, and every index is seeded (design 3.3,
 * "Barrier"). Resolves with a line for each thing that isn't, [] when all are; or at once, with a line
 * for each index without a plan, when there is one: that won't mend itself, and where the sinks are
 * a moment after the question says nothing.
 */
export async function awaitBarrier(
  barrier: Barrier,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const broken = unserved(barrier)
    .map((name) => `index "${name}" can't be served: \`driftless check\` says why`);
  if (broken.length > 0) return broken;
  const deadline = performance.now() + barrier.timeoutMs;
  while (true) {
    const behind = await whoIsBehind(barrier, signal);
    if (behind.length === 0 || performance.now() >= deadline) return behind;
    await sleep(Math.min(PAUSE_MS, Math.max(1, deadline - performance.now())), signal);
  }
}

/** The names of the indexes without a plan. */
export function unserved({ indexes, plans }: Pick<Barrier, "indexes" | "plans">): string[] {
  return indexes.map(({ name }) => name).filter((name) => !plans.some((p) => p.name === name));
}

const PAUSE_MS = 50;

async function whoIsBehind(barrier: Barrier, signal: AbortSignal): Promise<string[]> {
  const lines: string[] = [];
  for (const sink of barrier.sinks) {
    try {
      lines.push(...await whatIsBehind(sink, barrier, signal));
    } catch (error) {
      // It may pass within the time given: the sink restarts, or was prepared a moment ago.
      if (!(error instanceof RetryableError)) throw error;
      lines.push(`sink "${sink.name}" is away: ${error.message} (${error.code})`);
    }
  }
  return lines;
}

async function whatIsBehind(
  sink: Sink,
  { source, plans, target }: Barrier,
  signal: AbortSignal,
): Promise<string[]> {
  const checkpoint = await sink.loadCheckpoint(signal);
  const lines = checkpointLines(sink.name, checkpoint, source, target);
  for (const plan of plans) {
    if (routesOf(plan, [sink]).length === 0) continue;
    const state = await sink.seedState(plan, signal);
    const where = `index "${plan.name}" in sink "${sink.name}"`;
    if (state?.seeded !== true) lines.push(`${where} is not seeded`);
    else if (!isCovered(plan, state.seed, checkpoint?.coverage[plan.name])) {
      // Filled once, and then left out, or planned otherwise: the checkpoint says nothing of it.
      lines.push(`${where} is not followed`);
    }
  }
  return lines;
}

function checkpointLines(
  sink: string,
  checkpoint: Checkpoint | undefined,
  source: SourceIdentity,
  target: string,
): string[] {
  if (checkpoint === undefined) return [`sink "${sink}" has no checkpoint yet`];
  const { identity, confirmedThrough } = checkpoint;
  if (!isSame(identity, source)) {
    return [`sink "${sink}" is at ${nameOf(identity)}, not at ${nameOf(source)}`];
  }
  if (confirmedThrough >= target) return [];
  return [`sink "${sink}" is at ${confirmedThrough}, before ${target}`];
}

/** What an earlier timeline confirmed says nothing of this one: they had part of their past in common. */
function isSame(a: SourceIdentity, b: SourceIdentity): boolean {
  return a.systemId === b.systemId && a.database === b.database && a.timeline === b.timeline;
}

function nameOf({ database, systemId, timeline }: SourceIdentity): string {
  return `database "${database}" of server ${systemId} (timeline ${timeline})`;
}
