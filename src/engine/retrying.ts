import { FatalError, RetryableError } from "../core/errors.ts";
import type { Observer } from "../core/events.ts";
import { backoffDelay } from "../flow/backoff.ts";
import { sleep } from "../flow/sleep.ts";

export interface RetryPolicy {
  readonly observe: Observer;
  /** Give up when an edge has been away for this long; Infinity: never. */
  readonly limitMs: number;
}

/**
 * Tries until it works: capped exponential back-off with full jitter. A failure that isn't
 * retryable, or that asks for everything to be opened again, is thrown at once.
 */
export async function retrying<T>(
  edge: string,
  attempt: () => Promise<T>,
  { observe, limitMs }: RetryPolicy,
  signal: AbortSignal,
): Promise<T> {
  const startedAt = performance.now();
  for (let failures = 1;; failures++) {
    try {
      const result = await attempt();
      if (failures > 1) observe({ type: "recovered", edge, attempts: failures });
      return result;
    } catch (error) {
      if (!(error instanceof RetryableError) || needsReopening(error)) throw error;
      signal.throwIfAborted();
      const delayMs = backoffDelay(failures, BACKOFF);
      if (performance.now() - startedAt + delayMs > limitMs) throw exhausted(edge, limitMs, error);
      const { code, message } = error;
      observe({ type: "retry", edge, attempt: failures, delayMs, code, message });
      await sleep(delayMs, signal);
    }
  }
}

/** Whether waiting at this edge is no use: the plans or the position are no longer what they were. */
export function needsReopening(error: RetryableError): boolean {
  return REOPEN.has(error.code);
}

/** Whether the tables were changed while all worked: what is opened again then is no failed attempt. */
export function isPlanned(error: RetryableError): boolean {
  return PLANNED.has(error.code);
}

export function exhausted(edge: string, limitMs: number, cause: RetryableError): FatalError {
  return new FatalError(
    "RETRIES_EXHAUSTED",
    `Cannot go on: ${edge} was away for ${Math.round(limitMs / 1000)} s. ${cause.message}`,
    "Nothing was lost: run it again when the server answers, or let `driftless run` wait for it.",
    { cause },
  );
}

export const BACKOFF: { readonly baseMs: number; readonly capMs: number } = {
  baseMs: 200,
  capMs: 30_000,
};

const PLANNED = new Set(["SCHEMA_CHANGED", "TABLE_TRUNCATED"]);
const REOPEN = new Set([
  "SCHEMA_CHANGED",
  "EPOCH_CHANGED",
  "SOURCE_RESTARTED",
  "TABLE_TRUNCATED",
  "CHANGELOG_TRIMMED",
  "SLOT_LOST",
  "SLOT_MISSING",
  "SLOT_DROPPED",
  "PUBLICATION_CHANGED",
]);
