import { RetryableError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Sink } from "../core/ports.ts";
import { sleep } from "../flow/sleep.ts";
import { routesOf } from "./pipeline.ts";

/** What is waited for: everything committed before `target` (the source's clock, ISO, µs, UTC). */
export interface Barrier {
  readonly plans: readonly IndexPlan[];
  readonly sinks: readonly Sink[];
  readonly target: string;
  readonly timeoutMs: number;
}

/**
 * Waits until the stored checkpoints of every sink have passed the target and every index is seeded
 * (design 3.3, "Barrier"). Resolves with a line for each thing that isn't, [] when all are.
 */
export async function awaitBarrier(
  { plans, sinks, target, timeoutMs }: Barrier,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const behind = await whoIsBehind(sinks, plans, target, signal);
    if (behind.length === 0 || performance.now() >= deadline) return behind;
    await sleep(Math.min(PAUSE_MS, Math.max(1, deadline - performance.now())), signal);
  }
}

const PAUSE_MS = 50;

async function whoIsBehind(
  sinks: readonly Sink[],
  plans: readonly IndexPlan[],
  target: string,
  signal: AbortSignal,
): Promise<string[]> {
  const lines: string[] = [];
  for (const sink of sinks) {
    try {
      lines.push(...await whatIsBehind(sink, plans, target, signal));
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
  plans: readonly IndexPlan[],
  target: string,
  signal: AbortSignal,
): Promise<string[]> {
  const lines: string[] = [];
  const checkpoint = await sink.loadCheckpoint(signal);
  if (checkpoint === undefined) lines.push(`sink "${sink.name}" has no checkpoint yet`);
  else if (checkpoint.confirmedThrough < target) {
    lines.push(`sink "${sink.name}" is at ${checkpoint.confirmedThrough}, before ${target}`);
  }
  for (const plan of plans) {
    if (routesOf(plan, [sink]).length === 0) continue;
    const state = await sink.seedState(plan, signal);
    if (state?.seeded === true) continue;
    lines.push(`index "${plan.name}" in sink "${sink.name}" is not seeded`);
  }
  return lines;
}
