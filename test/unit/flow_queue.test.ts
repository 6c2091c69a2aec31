import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { batchingQueue } from "../../src/flow/queue.ts";

const NEVER = new AbortController().signal;
interface Item {
  readonly n: number;
  readonly closes: boolean;
}
const queueOf = (capacity: number, maxItems: number, maxDelayMs = 1_000_000) =>
  batchingQueue<Item>(capacity, { maxItems, maxDelayMs }, ({ closes }) => closes);
const item = (n: number, closes = false): Item => ({ n, closes });

describe("the batching queue", () => {
  test("hands out everything once and in order, in batches within their limits, whatever the pace", async () => {
    const run = fc.asyncProperty(
      fc.array(fc.boolean(), { maxLength: 60 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      fc.scheduler(),
      async (closers, capacity, maxItems, scheduler) => {
        const queue = queueOf(capacity, maxItems, 0);
        let inside = 0;
        let most = 0;
        const produce = async () => {
          for (const [n, closes] of closers.entries()) {
            const full = queue.push(item(n, closes), NEVER);
            most = Math.max(most, ++inside);
            if (full !== undefined) await full;
            await scheduler.schedule(Promise.resolve());
          }
          queue.close();
        };
        const got: number[] = [];
        const consume = async () => {
          for await (const batch of queue.batches(NEVER)) {
            inside -= batch.length;
            ok(batch.length > 0 && batch.length <= Math.min(capacity, maxItems));
            got.push(...batch.map(({ n }) => n));
            await scheduler.schedule(Promise.resolve());
          }
        };
        await Promise.all([produce(), consume(), drain(scheduler)]);
        deepEqual(got, closers.map((_, n) => n));
        ok(most <= capacity, `${most} were inside a queue of ${capacity}`);
      },
    );
    await fc.assert(run, { numRuns: 100, verbose: true });
  });

  test("closes a batch at once at an item with nothing behind it", async () => {
    const queue = queueOf(100, 100);
    queue.push(item(1), NEVER);
    queue.push(item(2, true), NEVER);
    deepEqual(await first(queue.batches(NEVER)), [item(1), item(2, true)]);
  });

  test("closes a batch when it is full, though more could come", async () => {
    const queue = queueOf(100, 2);
    for (const n of [1, 2, 3]) queue.push(item(n), NEVER);
    deepEqual(await first(queue.batches(NEVER)), [item(1), item(2)]);
  });

  test("closes a batch when its time is over", async () => {
    const queue = queueOf(100, 100, 5);
    queue.push(item(1), NEVER);
    deepEqual(await first(queue.batches(NEVER)), [item(1)]);
  });

  test("blocks the producer while it is full, and lets it go on when a batch was taken", async () => {
    const queue = queueOf(2, 2);
    equal(queue.push(item(1), NEVER), undefined);
    const full = queue.push(item(2), NEVER);
    ok(full !== undefined);
    let room = false;
    full.then(() => room = true);
    await turn();
    equal(room, false);
    await first(queue.batches(NEVER));
    await full;
    equal(room, true);
  });

  test("a producer that waits for room is freed by its signal", async () => {
    const queue = queueOf(1, 1);
    const abort = new AbortController();
    const full = queue.push(item(1), abort.signal);
    ok(full !== undefined);
    const reason = new Error("enough");
    abort.abort(reason);
    await rejects(full, reason);
  });

  test("once closed hands out what is inside, then ends or throws what it was closed with", async () => {
    const ending = queueOf(10, 10);
    ending.push(item(1), NEVER);
    ending.close();
    deepEqual(await all(ending.batches(NEVER)), [[item(1)]]);
    throws(() => ending.push(item(2), NEVER), /it is closed/);

    const failing = queueOf(10, 10);
    const error = new Error("broken");
    failing.push(item(1), NEVER);
    failing.close(error);
    failing.close();
    const batches = failing.batches(NEVER)[Symbol.asyncIterator]();
    deepEqual((await batches.next()).value, [item(1)]);
    await rejects(Promise.resolve(batches.next()), error);
    throws(() => failing.push(item(2), NEVER), error);
  });

  test("a consumer that waits is freed by its signal", async () => {
    const queue = queueOf(10, 10);
    const abort = new AbortController();
    const waiting = first(queue.batches(abort.signal));
    const reason = new Error("enough");
    abort.abort(reason);
    await rejects(waiting, reason);
  });
});

/** Lets every scheduled step happen, in the order that fast-check has chosen, until none is left. */
async function drain(scheduler: fc.Scheduler): Promise<void> {
  for (let idle = 0; idle < 3; await turn()) {
    if (scheduler.count() === 0) idle++;
    else {
      idle = 0;
      await scheduler.waitOne();
    }
  }
}

async function first<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  for await (const each of items) return each;
  return undefined;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const each of items) list.push(each);
  return list;
}

/** A turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
