import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import {
  dueAt,
  durableBound,
  halved,
  mustReadAll,
  nextChunk,
  restMs,
  widened,
  WRAP_DISTANCE,
} from "../../src/postgres/sweep/bounds.ts";
import { formatSweeps, parseSweeps, type SweepState } from "../../src/postgres/sweep/cursor.ts";
import { countRescues } from "../../src/postgres/sweep/rescues.ts";
import { seenVersions } from "../../src/postgres/poll/seen_versions.ts";

test("a bound that is unknown, ahead of the server or near wrapping means reading all", () => {
  ok(mustReadAll(undefined, 5n));
  ok(mustReadAll(6n, 5n));
  ok(!mustReadAll(5n, 5n));
  const past = 2n ** 32n - 1000n;
  ok(!mustReadAll(past, 2n ** 32n + 1000n), "crossing 2^32 alone is nothing");
  ok(!mustReadAll(past, past + WRAP_DISTANCE - 1n));
  ok(mustReadAll(past, past + WRAP_DISTANCE));
  ok(mustReadAll(past, past + 2n ** 32n + 5n), "nor does a whole turn look like a short way");
});

test("what isn't ruled out by mustReadAll compares rightly as 32-bit ages, on both sides of 2^32", () => {
  const age = (xid: bigint, now: bigint) => BigInt.asIntN(32, now - xid);
  for (const next of [1000n, 2n ** 31n + 7n, 2n ** 32n - 3n, 2n ** 32n + 3n, 3n * 2n ** 32n]) {
    for (const distance of [0n, 1n, 900n, 2n ** 20n, WRAP_DISTANCE - 1n]) {
      const bound = next - distance;
      if (bound < 0n) continue;
      ok(!mustReadAll(bound, next));
      for (const xid of [bound - 1n, bound, bound + 1n, next - 1n]) {
        if (xid >= next || xid < 0n) continue;
        const found = age(xid, next) >= 0n && age(xid, next) <= age(bound, next);
        equal(found, xid >= bound, `${xid} from ${bound} at ${next}`);
      }
    }
  }
});

test("a bound is exact when the WAL up to it is flushed, else it is the last checkpoint's", () => {
  const facts = { xmin: 100n, inserted: 5000n, flushed: 5000n, checkpointed: 90n };
  deepEqual(durableBound(facts), { bound: 100n, exact: true });
  deepEqual(durableBound({ ...facts, flushed: 4999n }), { bound: 90n, exact: false });
  deepEqual(durableBound({ ...facts, flushed: 4999n, checkpointed: 100n }), {
    bound: 100n,
    exact: true,
  });
  // An idle server after a segment was switched.
  const idle = { ...facts, flushed: 8192n * 9n, inserted: 8192n * 9n + 40n };
  deepEqual(durableBound(idle), { bound: 100n, exact: true });
  deepEqual(durableBound({ ...idle, inserted: idle.inserted + 1n }), { bound: 90n, exact: false });
});

test("a row's xmin gets the epoch in which it isn't in the future", () => {
  equal(widened(5, 10n), 5n);
  equal(widened(5, 2n ** 32n + 10n), 2n ** 32n + 5n);
  equal(widened(2 ** 32 - 1, 2n ** 32n + 10n), 2n ** 32n - 1n);
});

test("a table is due its interval after its last sweep, at once if there was none, and a clock set back doesn't put it off", () => {
  equal(dueAt(undefined, 1000, 7n), 7n);
  equal(dueAt(5n, 1000, 7n), 1_000_005n);
  equal(dueAt(9_000_000_000n, 1000, 7n), 1_000_007n);
});

test("chunks grow and shrink towards 50 ms, and to what fills a page", () => {
  equal(nextChunk(2000, { asked: 2000, covered: 2000, ms: 10 }), 4000);
  equal(nextChunk(2000, { asked: 2000, covered: 2000, ms: 200 }), 1000);
  equal(nextChunk(2000, { asked: 2000, covered: 2000, ms: 50 }), 2000);
  equal(nextChunk(2000, { asked: 2000, covered: 9, ms: 50 }), 9);
  equal(
    nextChunk(2000, { asked: 100, covered: 100, ms: 1 }),
    2000,
    "a heap's end isn't a short chunk",
  );
  equal(nextChunk(1, { asked: 1, covered: 1, ms: 500 }), 1);
  ok(nextChunk(131_072, { asked: 131_072, covered: 131_072, ms: 1 }) <= 131_072);
  equal(halved(2000), 1000);
  equal(halved(1), undefined);
});

test("a sweep rests so long that its statements are their share of the time", () => {
  equal(restMs(50, 0.1), 450);
  equal(restMs(50, 1), 0);
});

test("a stored sweep is read as it was written, and anything else is refused", () => {
  const state: SweepState = {
    bound: 2n ** 40n,
    heaps: ["16384", "16390.742"],
    finishedAt: 1_700_000_000_000_001n,
    current: {
      bound: 2n ** 41n,
      full: false,
      heaps: ["16384", "16390.742"],
      left: ["16390.742"],
      heap: { id: "16384", file: "16999", end: 12, after: { block: 3, offset: 7 } },
    },
  };
  const never: SweepState = { bound: undefined, heaps: [], finishedAt: undefined };
  const states = new Map([["public.a", state], ["public.b", never]]);
  deepEqual(parseSweeps(JSON.parse(JSON.stringify(formatSweeps(states)))), states);
  throws(() => parseSweeps({ tables: { a: { bound: "x" } } }), { code: "CURSOR_UNREADABLE" });
});

test("a rescue counts only what began in our time, ended before the sweep, and nobody delivered since", () => {
  const seen = seenVersions(3);
  const rescues = countRescues(seen, 100n);
  const row = (version: string, xid: bigint) => ({ version, ctid: `(0,${xid})`, xid, bound: 200n });
  ok(!rescues.note("t", row("before us", 99n)));
  ok(!rescues.note("t", row("not over", 200n)));
  ok(rescues.note("t", row("lost", 150n)));
  ok(rescues.note("t", row("late", 151n)));
  seen.polled(["t"]);
  deepEqual(rescues.judge("t", 210n), [], "a poll that ends may have begun before");
  seen.addAll(["late"]);
  seen.polled(["t"]);
  deepEqual(rescues.judge("t", 210n), [{ version: "lost", ctid: "(0,150)" }]);
  deepEqual(rescues.judge("t", 210n), [], "once");
  rescues.note("t", row("lost too", 160n));
  seen.addAll(["a", "b", "c"]);
  seen.polled(["t"]);
  seen.polled(["t"]);
  deepEqual(rescues.judge("t", 220n), [], "what was forgotten may have been delivered");
  ok(!rescues.note("t", row("unknown", 219n)));
});
