import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { backoffDelay } from "../../src/flow/backoff.ts";
import { notice } from "../../src/flow/notice.ts";
import { sleep } from "../../src/flow/sleep.ts";
import { together } from "../../src/flow/together.ts";
import { watermark } from "../../src/flow/watermark.ts";

const NEVER = new AbortController().signal;
const REASON = new Error("enough");

describe("the watermark", () => {
  test("stands at the last of the done ones that has none undone before it, in any order", () => {
    const order = fc.integer({ min: 0, max: 3000 }).chain((n) =>
      fc.shuffledSubarray(Array.from({ length: n }, (_, i) => i), { minLength: 0 })
    );
    fc.assert(
      fc.property(order, fc.integer({ min: 0, max: 3000 }), (doneInOrder, extra) => {
        const total = doneInOrder.reduce((highest, i) => Math.max(highest, i + 1), extra);
        const advances: number[] = [];
        const marks = watermark<number>((value) => advances.push(value));
        const dones = Array.from({ length: total }, (_, i) => marks.enter(i));
        const done = new Set<number>();
        let expected: number | undefined;
        for (const i of doneInOrder) {
          dones[i]?.();
          dones[i]?.();
          done.add(i);
          while (done.has(expected === undefined ? 0 : expected + 1)) {
            expected = expected === undefined ? 0 : expected + 1;
          }
          if (marks.reached !== expected) return false;
        }
        const rising = advances.every((value, i) => i === 0 || value > (advances[i - 1] ?? -1));
        return rising && advances.at(-1) === expected &&
          marks.pending === total - (expected === undefined ? 0 : expected + 1);
      }),
      { numRuns: 60, verbose: true },
    );
  });

  test("goes on being exact when it has dropped what is behind it", () => {
    const marks = watermark<number>();
    for (let i = 0; i < 10_000; i++) marks.enter(i)();
    const late = marks.enter(10_000);
    marks.enter(10_001)();
    equal(marks.reached, 9_999);
    equal(marks.pending, 2);
    late();
    equal(marks.reached, 10_001);
    equal(marks.pending, 0);
  });

  test("what passes, done as it comes, is one entry in a row, however much comes behind an undone one", () => {
    const advances: number[] = [];
    const marks = watermark<number>((value) => advances.push(value));
    marks.pass(1);
    marks.pass(2);
    const first = marks.enter(2);
    for (let i = 3; i < 10_000; i++) marks.pass(i);
    const second = marks.enter(9_999);
    marks.pass(10_000);
    equal(marks.pending, 4);
    equal(marks.reached, 2);
    second();
    equal(marks.reached, 2);
    first();
    deepEqual(advances, [1, 2, 10_000]);
    marks.pass(10_001);
    deepEqual([marks.reached, marks.pending], [10_001, 0]);
  });
});

describe("the notice", () => {
  test("several raises before a wait count as one", async () => {
    const flag = notice();
    flag.raise();
    flag.raise();
    equal(await flag.wait(NEVER), true);
    equal(await flag.wait(NEVER, 1), false);
  });

  test("wakes who waits, and leaves nothing behind", async () => {
    const flag = notice();
    const waiting = flag.wait(NEVER);
    flag.raise();
    equal(await waiting, true);
    equal(await flag.wait(NEVER, 1), false);
  });

  test("a wait that timed out takes no later raise with it", async () => {
    const flag = notice();
    equal(await flag.wait(NEVER, 1), false);
    flag.raise();
    equal(await flag.wait(NEVER, 1), true);
  });

  test("rejects with the signal's reason, before or while waiting, and keeps the raise", async () => {
    const flag = notice();
    const abort = new AbortController();
    const waiting = flag.wait(abort.signal);
    abort.abort(REASON);
    await rejects(waiting, REASON);
    flag.raise();
    await rejects(flag.wait(abort.signal), REASON);
    equal(await flag.wait(NEVER, 1), true);
  });
});

describe("sleep", () => {
  test("ends with its time, or at once with its signal", async () => {
    await sleep(1, NEVER);
    const abort = new AbortController();
    const long = sleep(1_000_000, abort.signal);
    abort.abort(REASON);
    await rejects(long, REASON);
    await rejects(sleep(1, abort.signal), REASON);
  });
});

describe("together", () => {
  test("ends when all have ended", async () => {
    const ended: number[] = [];
    await together(
      [1, 2, 3].map((ms) => async (signal) => {
        await sleep(ms, signal);
        ended.push(ms);
      }),
      NEVER,
    );
    deepEqual(ended.sort(), [1, 2, 3]);
  });

  test("the first failure aborts the others, and is thrown when the last has ended", async () => {
    let tidied = false;
    const failing = together([
      async () => {
        throw REASON;
      },
      async (signal) => {
        try {
          await sleep(1_000_000, signal);
        } finally {
          await sleep(5, NEVER);
          tidied = true;
        }
      },
    ], NEVER);
    await rejects(failing, REASON);
    ok(tidied, "no task is left running");
  });

  test("a failure that isn't an error counts too", async () => {
    const failed = await together([() => Promise.reject(undefined)], NEVER).then(
      () => "resolved",
      () => "rejected",
    );
    equal(failed, "rejected");
  });

  test("the parent's abort reaches the tasks, also when it came before", async () => {
    const abort = new AbortController();
    const waiting = together([(signal) => sleep(1_000_000, signal)], abort.signal);
    abort.abort(REASON);
    await rejects(waiting, REASON);
    await rejects(together([(signal) => sleep(1_000_000, signal)], abort.signal), REASON);
  });
});

describe("the back-off", () => {
  test("is a random part of a capped power of two, never more", () => {
    const options = { baseMs: 200, capMs: 30_000 };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000 }),
        fc.double({ min: 0, max: 0.999999999, noNaN: true }),
        (attempt, random) => {
          const delay = backoffDelay(attempt, options, () => random);
          const ceiling = Math.min(30_000, 200 * 2 ** (attempt - 1));
          return delay >= 0 && delay <= ceiling && Number.isInteger(delay) &&
            Math.abs(delay - ceiling * random) <= 0.5;
        },
      ),
      { verbose: true },
    );
  });
});
