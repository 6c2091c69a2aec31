/** Work that others may have to wait for, without holding back what begins later. */
export interface Fence {
  /** Call the result when the work has ended, well or not. Idempotent. */
  enter(): () => void;
  /**
   * Resolves when all that had entered before this call have left; at once when nobody is inside.
   * Rejects with the signal's reason.
   */
  passed(signal: AbortSignal): Promise<void>;
}

export function fence(): Fence {
  const inside = new Set<Promise<void>>();

  return {
    enter(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      inside.add(promise);
      return () => {
        inside.delete(promise);
        resolve();
      };
    },
    async passed(signal: AbortSignal): Promise<void> {
      signal.throwIfAborted();
      if (inside.size === 0) return;
      const aborted = Promise.withResolvers<never>();
      const onAbort = () => aborted.reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await Promise.race([Promise.all([...inside]), aborted.promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}
