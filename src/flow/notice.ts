/** A flag that others wait for: several `raise`s before a `wait` count as one. */
export interface Notice {
  raise(): void;
  /**
   * Resolves true at once when raised since the last `wait` resolved so, or as soon as it is; false
   * after `timeoutMs` without. Rejects with the signal's reason. One waiter at a time.
   */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<boolean>;
}

export function notice(): Notice {
  let raised = false;
  let wake: (() => void) | undefined;

  function wait(signal: AbortSignal, timeoutMs?: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (raised) {
        raised = false;
        return resolve(true);
      }
      const finish = () => {
        wake = undefined;
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = () => {
        finish();
        reject(signal.reason);
      };
      wake = () => {
        finish();
        raised = false;
        resolve(true);
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
        finish();
        resolve(false);
      }, timeoutMs);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  return {
    raise(): void {
      raised = true;
      wake?.();
    },
    wait,
  };
}
