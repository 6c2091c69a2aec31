import { RetryableError } from "../core/errors.ts";
import type { SyncEvent } from "../core/events.ts";
import { backoffDelay } from "../flow/backoff.ts";
import { sleep } from "../flow/sleep.ts";
import { run } from "./engine.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import { BACKOFF, exhausted, isPlanned, needsReopening } from "./retrying.ts";

/**
 * Opens the pipeline and runs it; when that fails in a way that may pass, closes everything, waits
 * and starts again from the stored checkpoint. A FatalError ends it. Resolves when a run has ended
 * well or `stop` has aborted.
 */
export async function supervise(
  open: (signal: AbortSignal) => Promise<Pipeline & AsyncDisposable>,
  options: EngineOptions,
  stop: AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  const { observe, retryLimitMs } = options;
  const ended = AbortSignal.any([stop, signal]);
  /** The start of the first failure in a row; undefined while all is well. */
  let awaySince: number | undefined;
  /** That failed since a run last anchored: what is said. `failures` counts on, for the back-off. */
  let attempts = 0;
  let rebase = options.rebase;
  for (let failures = 1; !ended.aborted; failures++) {
    const startedAt = performance.now();
    let anchoredAt: number | undefined;
    try {
      await using pipeline = await open(ended);
      const watched = (event: SyncEvent) => {
        // Anchored and stored: the source is no longer new when this has to start again.
        if (event.type === "anchored") {
          rebase = false;
          anchoredAt = performance.now();
          if (attempts > 0) observe({ type: "recovered", edge: "run", attempts: attempts + 1 });
          attempts = 0;
        }
        observe(event);
      };
      await run(pipeline, { ...options, rebase, observe: watched }, stop, signal);
      return;
    } catch (error) {
      // Stopped while opening: nothing was begun.
      if (stop.aborted && error === stop.reason) return;
      if (signal.aborted || stop.aborted || !(error instanceof RetryableError)) throw error;
      const failedAt = performance.now();
      if (anchoredAt !== undefined && failedAt - anchoredAt > HEALTHY_MS) {
        failures = 1;
        awaySince = undefined;
      }
      awaySince ??= anchoredAt === undefined ? startedAt : failedAt;
      if (failedAt - awaySince > retryLimitMs) {
        throw exhausted("the source or a sink", retryLimitMs, error);
      }
      // Plans that no longer fit are made anew at once; when that doesn't help, not in a busy loop.
      const atOnce = needsReopening(error) && failures === 1;
      const { code, message } = error;
      const planned = isPlanned(error);
      const backoffMs = atOnce ? 0 : backoffDelay(failures, BACKOFF);
      // A migration may change one table after the other, each by itself.
      const delayMs = planned ? Math.min(backoffMs, PLANNED_MS) : backoffMs;
      if (!planned) attempts++;
      const attempt = Math.max(1, attempts);
      const retry = { type: "retry", edge: "run", attempt, delayMs, code, message } as const;
      observe(planned ? { ...retry, planned } : retry);
      await sleep(Math.max(delayMs, MIN_RESTART_MS), ended).catch(() => {});
    }
  }
  signal.throwIfAborted();
}

/** A run that lasted this long starts the back-off afresh. */
const HEALTHY_MS = 60_000;
/** At most, between two plannings. */
const PLANNED_MS = 1_000;
/** Not a busy loop, whatever is wrong. */
const MIN_RESTART_MS = 250;
