import { FatalError, RetryableError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Sink } from "../core/ports.ts";
import type { Epoch } from "../core/source.ts";
import type { Fence } from "../flow/fence.ts";
import { sleep } from "../flow/sleep.ts";
import { type Compared, compareKeys } from "./key_compare.ts";
import { type EngineOptions, type Pipeline, routesOf } from "./pipeline.ts";
import { retrying } from "./retrying.ts";

export interface KeySweepOptions {
  readonly pipeline: Pipeline;
  readonly epoch: Epoch;
  /** Repairs enter it before they build and leave it when they are written. */
  readonly filling: Fence;
  readonly engine: EngineOptions;
  /** From the end of one comparison of an index to the next. */
  readonly intervalMs: number;
  /** Share of wall time, over 0 to 1; the builder has its own for its statements. */
  readonly dutyCycle: number;
  readonly massDeletes: boolean;
  /** Why nothing may be compared: rows may be hidden from us. Said once. */
  readonly refused?: string;
  /** By index: `Checkpoint.keysCompared` of the run before. */
  readonly compared: Readonly<Record<string, string>>;
  /** The source's clock: ISO 8601, µs, UTC. */
  readonly clock: () => string;
}

/**
 * Finds what no capture showed (design 3.6): documents whose row is gone and rows without a document,
 * index by index, in every sink that can list what it holds. An index is compared in a sink once it
 * is seeded there; what a seed is filling is left to it.
 */
export interface KeySweep {
  /** Compares each index whenever it is due. Ends by throwing: the signal's reason, or an error. */
  follow(signal: AbortSignal): Promise<void>;
  /**
   * Compares what is due now. Throws FatalError MASS_DELETE_REFUSED, after all indexes, when one has
   * more orphans than are deleted without being told to; what was missing has been written by then.
   */
  once(signal: AbortSignal): Promise<void>;
  /** When each index was last compared: for the checkpoint. */
  compared(): Readonly<Record<string, string>>;
}

export function keySweep(options: KeySweepOptions): KeySweep {
  const { pipeline: { builder, sinks }, engine, intervalMs, refused } = options;
  const compared: Record<string, string> = { ...options.compared };
  /** By our own clock: when an index may be tried again, one that failed isn't due at once. */
  const notBefore = new Map<string, number>();
  /** By our own clock: when a sink's index was compared, while another sink's couldn't be. */
  const sweptAt = new Map<string, number>();
  let saidRefused = false;

  function dueIn({ name }: IndexPlan): number {
    const last = compared[name];
    const sinceMs = last === undefined ? Infinity : Date.parse(options.clock()) - Date.parse(last);
    // A clock that was set back says nothing of how long ago it was.
    const restMs = sinceMs < 0 ? 0 : Math.max(0, intervalMs - sinceMs);
    return Math.max(restMs, (notBefore.get(name) ?? 0) - performance.now());
  }

  function isRefused(): boolean {
    if (refused === undefined) return false;
    if (!saidRefused) warn("KEY_SWEEP_REFUSED", `Keys aren't compared: ${refused}`);
    saidRefused = true;
    return true;
  }

  function warn(code: string, message: string): void {
    engine.observe({ type: "warning", code, message });
  }

  /** Compares an index in its sinks; the orphans that were too many, by a line for each sink. */
  async function sweepIndex(plan: IndexPlan, signal: AbortSignal): Promise<readonly string[]> {
    const policy = { observe: engine.observe, limitMs: engine.retryLimitMs };
    const refusals: string[] = [];
    let seen = true;
    for (const sink of routesOf(plan, sinks)) {
      const place = JSON.stringify([plan.name, sink.name]);
      const lastMs = sweptAt.get(place);
      if (sink.keys === undefined) continue;
      if (lastMs !== undefined && performance.now() - lastMs < intervalMs) continue;
      const ask = () => sink.seedState(plan, signal);
      if ((await retrying(sink.name, ask, policy, signal))?.seeded !== true) {
        seen = false;
        continue;
      }
      const startedAt = performance.now();
      try {
        const found = await compareKeys({ ...options, plan, sink }, signal);
        const { missing, orphans } = found;
        const ms = performance.now() - startedAt;
        engine.observe({ type: "swept", index: plan.name, sink: sink.name, missing, orphans, ms });
        refusals.push(...report(plan, sink, found));
        sweptAt.set(place, performance.now());
      } catch (error) {
        if (!(error instanceof RetryableError) || error.code !== "KEYS_NOT_COMPARED") throw error;
        seen = false;
        warn(error.code, `Keys of ${plan.name} aren't compared: ${error.message}`);
        notBefore.set(plan.name, performance.now() + intervalMs);
      }
    }
    if (!seen && dueIn(plan) <= 0) notBefore.set(plan.name, performance.now() + UNSEEDED_MS);
    if (!seen) return refusals;
    compared[plan.name] = options.clock();
    for (const sink of sinks) sweptAt.delete(JSON.stringify([plan.name, sink.name]));
    return refusals;
  }

  function report(plan: IndexPlan, sink: Sink, found: Compared): string[] {
    const where = `index "${plan.name}" in sink "${sink.name}"`;
    if (found.unknown > 0) {
      warn(
        "ORPHANS_UNKNOWN",
        `${found.unknown} documents of ${where} have no row under their id's digest, and are left: ` +
          "an id that is a digest doesn't show the key to look for. Fill the index anew to remove them",
      );
    }
    if (found.left > 0) {
      warn(
        "REPAIR_REFUSED",
        `${found.left} documents of ${where} differ after their repair: the sink holds versions ` +
          "above the source's, written by hand. Delete those by hand, or fill the index anew",
      );
    }
    if (found.refused === 0) return [];
    const refusal = `${found.refused} documents of ${where} have no row any more`;
    warn("MASS_DELETE_REFUSED", `Not deleting: ${refusal}. ${REMEDY}`);
    return [refusal];
  }

  async function sweepDue(signal: AbortSignal): Promise<readonly string[]> {
    const refusals: string[] = [];
    for (const plan of builder.plans) {
      if (dueIn(plan) <= 0) refusals.push(...await sweepIndex(plan, signal));
    }
    return refusals;
  }

  return {
    async follow(signal) {
      while (true) {
        const plans = isRefused() ? [] : builder.plans;
        if (plans.length > 0) await sweepDue(signal);
        const pauses = plans.map(dueIn);
        await sleep(Math.max(MIN_PAUSE_MS, Math.min(MAX_PAUSE_MS, ...pauses)), signal);
      }
    },
    async once(signal) {
      if (isRefused()) return;
      const refusals = await sweepDue(signal);
      if (refusals.length === 0) return;
      throw new FatalError(
        "MASS_DELETE_REFUSED",
        `Cannot delete what the tables no longer hold: ${refusals.join("; ")}`,
        REMEDY,
      );
    },
    compared: () => ({ ...compared }),
  };
}

/** The source's clock from now on, by what it was a moment ago and this process's monotonic one. */
export function runningClock(now: string): () => string {
  const from = Date.parse(now);
  const startedAt = performance.now();
  return () => {
    const ms = from + (performance.now() - startedAt);
    return new Date(ms).toISOString().replace("Z", "000Z");
  };
}

const REMEDY = "If that is right, run once with --allow-mass-delete, or set " +
  '"source": { "sweeps": { "massDeletes": true } }; if not, look at the table first.';
/** An index that isn't seeded yet is looked at again after this. */
const UNSEEDED_MS = 1_000;
const MIN_PAUSE_MS = 50;
const MAX_PAUSE_MS = 60_000;
