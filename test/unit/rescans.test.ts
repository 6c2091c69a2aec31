import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import {
  addRanges,
  isDone,
  onlyTables,
  proceeded,
  type Rescans,
} from "../../src/postgres/poll/rescans.ts";

const range = (lb: bigint | null, to: bigint, xb: number) => ({ lb, to, xb });

test("ranges that haven't begun are read as one that holds them all", () => {
  const first = addRanges({}, ["a", "b"], [range(5n, 9n, 700), range(3n, 9n, 800)]);
  const second = addRanges(first, ["a", "b"], [range(9n, 12n, 650)]);
  deepEqual(second["a"], [{ range: range(3n, 12n, 650), after: null }]);
  deepEqual(second["b"], second["a"]);
  deepEqual(addRanges(second, ["a"], [range(null, 12n, 900)])["a"]?.[0]?.range.lb, null);
});

test("a range that has begun goes on, and one waits behind it", () => {
  let rescans: Rescans = addRanges({}, ["a"], [range(1n, 5n, 700)]);
  rescans = proceeded(rescans, "a", ["x", "1"]);
  for (let i = 0n; i < 10n; i++) rescans = addRanges(rescans, ["a"], [range(5n + i, 6n + i, 710)]);
  deepEqual(rescans["a"], [
    { range: range(1n, 5n, 700), after: ["x", "1"] },
    { range: range(5n, 15n, 710), after: null },
  ]);
  rescans = proceeded(rescans, "a", undefined);
  deepEqual(rescans["a"], [{ range: range(5n, 15n, 710), after: null }]);
  equal(isDone(rescans), false);
  equal(isDone(proceeded(rescans, "a", undefined)), true);
});

test("a table that left takes its rescans along", () => {
  const rescans = addRanges({}, ["a", "b"], [range(1n, 5n, 700)]);
  deepEqual(Object.keys(onlyTables(rescans, ["b"])), ["b"]);
});

test("without ranges nothing changes", () => {
  const rescans = addRanges({}, ["a"], [range(1n, 5n, 700)]);
  equal(addRanges(rescans, ["a", "b"], []), rescans);
});
