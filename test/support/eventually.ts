import { setTimeout as pause } from "node:timers/promises";

export interface EventuallyOptions {
  /** How long to wait in all; 60,000 when absent. */
  readonly timeoutMs?: number;
  /** Between two probes; 25 when absent. */
  readonly everyMs?: number;
}

/**
 * Probes until the answer is neither undefined nor false, and returns it. A probe that throws counts
 * as "not yet"; the last error is shown when time runs out.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  options: EventuallyOptions = {},
): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 25 } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      const why = last instanceof Error ? `: ${last.message}` : "";
      throw new Error(`Cannot see ${what} within ${timeoutMs} ms${why}`, { cause: last });
    }
    await pause(everyMs);
  }
}
