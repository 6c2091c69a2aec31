export interface PollTiming {
  readonly minIntervalMs: number;
  readonly maxIntervalMs: number;
}

/** How long from the beginning of a poll to the next one's. */
export interface PollInterval {
  next(outcome: "idle" | "data"): number;
}

/** At once after data; then from minInterval, growing by half with each idle poll, with jitter. */
export function pollInterval(
  { minIntervalMs, maxIntervalMs }: PollTiming,
  random: () => number = Math.random,
): PollInterval {
  let idleMs = minIntervalMs;
  return {
    next(outcome: "idle" | "data"): number {
      if (outcome === "data") {
        idleMs = minIntervalMs;
        return 0;
      }
      const jitter = 0.9 + 0.2 * random();
      const waitMs = minIntervalMs === maxIntervalMs
        ? minIntervalMs
        : Math.min(maxIntervalMs, Math.max(minIntervalMs, idleMs * jitter));
      idleMs = Math.min(maxIntervalMs, idleMs * 1.5);
      return waitMs;
    },
  };
}
