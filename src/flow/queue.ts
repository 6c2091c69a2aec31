import { notice } from "./notice.ts";

export interface BatchLimits {
  readonly maxItems: number;
  /** A batch waits no longer than this for more, counted from its first item. */
  readonly maxDelayMs: number;
}

/** One producer, one consumer; its fullness blocks the producer. */
export interface Queue<T> {
  /**
   * Undefined when there is room for more, else a promise to wait for before the next push. Throws
   * what the queue was closed with.
   */
  push(item: T, signal: AbortSignal): Promise<void> | undefined;
  /** No more will come: what is inside is still handed out, then `error` is thrown or the end. */
  close(error?: unknown): void;
  /**
   * Batches close at min(maxItems, capacity), after maxDelayMs, at once when `closes` says that an
   * item has nothing right behind it, or when the queue is closed. Ends with the queue; throws the
   * signal's reason when it aborts. For one consumer.
   */
  batches(signal: AbortSignal): AsyncIterable<readonly T[]>;
}

/**
 * A bounded queue that batches inside, so that nothing races a timer against a `next()`: a
 * `for await` can't interrupt one that is pending.
 */
export function batchingQueue<T>(
  capacity: number,
  { maxItems, maxDelayMs }: BatchLimits,
  closes: (item: T) => boolean,
): Queue<T> {
  const limit = Math.min(maxItems, capacity);
  let items: T[] = [];
  /** Items inside that close a batch. */
  let closers = 0;
  let closed = false;
  let failure: unknown;
  const arrived = notice();
  const left = notice();

  async function* batches(signal: AbortSignal): AsyncGenerator<readonly T[]> {
    while (true) {
      while (items.length === 0) {
        if (closed) {
          if (failure !== undefined) throw failure;
          return;
        }
        await arrived.wait(signal);
      }
      const deadline = performance.now() + maxDelayMs;
      while (items.length < limit && closers === 0 && !closed) {
        const remaining = deadline - performance.now();
        if (remaining <= 0 || !await arrived.wait(signal, remaining)) break;
      }
      const batch = items.slice(0, limit);
      items = items.slice(limit);
      for (const item of batch) if (closes(item)) closers--;
      left.raise();
      yield batch;
      signal.throwIfAborted();
    }
  }

  return {
    push(item: T, signal: AbortSignal): Promise<void> | undefined {
      if (closed) throw failure ?? new Error("Cannot push to a queue: it is closed");
      items.push(item);
      if (closes(item)) closers++;
      if (items.length >= limit || items.length === 1 || closers > 0) arrived.raise();
      if (items.length < capacity) return undefined;
      return roomAgain(signal);
    },
    close(error?: unknown): void {
      if (closed) return;
      closed = true;
      failure = error;
      arrived.raise();
    },
    batches,
  };

  async function roomAgain(signal: AbortSignal): Promise<void> {
    while (items.length >= capacity) await left.wait(signal);
  }
}
