import { notice } from "./notice.ts";

/**
 * What several endless sources yield, as it comes, each source in its own order. A few items of each
 * are taken ahead. The first failure ends the others, which have ended when it is thrown; so does
 * leaving the loop. A source that ends leaves the others running.
 */
export async function* merged<T>(
  sources: readonly ((signal: AbortSignal) => AsyncIterable<T>)[],
  parent: AbortSignal,
): AsyncGenerator<T> {
  const scope = new AbortController();
  const onAbort = () => scope.abort(parent.reason);
  if (parent.aborted) onAbort();
  parent.addEventListener("abort", onAbort, { once: true });
  const arrived = notice();
  let buffer: T[] = [];
  let waiting: (() => void)[] = [];
  let running = sources.length;
  let failure: { readonly error: unknown } | undefined;

  const pumps = sources.map(async (source) => {
    try {
      for await (const item of source(scope.signal)) {
        buffer.push(item);
        arrived.raise();
        while (buffer.length >= CAPACITY && !scope.signal.aborted) {
          await new Promise<void>((resolve) => waiting.push(resolve));
        }
      }
    } catch (error) {
      failure ??= { error };
    }
    running--;
    arrived.raise();
  });

  try {
    while (true) {
      const items = buffer;
      buffer = [];
      release();
      yield* items;
      if (buffer.length > 0) continue;
      if (failure !== undefined) throw failure.error;
      if (running === 0) return;
      await arrived.wait(parent);
    }
  } finally {
    parent.removeEventListener("abort", onAbort);
    scope.abort(new Error("Cannot go on: nobody reads any more"));
    release();
    await Promise.all(pumps);
  }

  function release(): void {
    const all = waiting;
    waiting = [];
    for (const go of all) go();
  }
}

/** Enough that a source needn't wait for each item to be taken. */
const CAPACITY = 256;
