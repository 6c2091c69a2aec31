import assert from "node:assert/strict";
import { test } from "node:test";
import { count, seconds } from "../../src/observe/figures.ts";
import { advance, figuresText, type Progress, seedFigures } from "../../src/observe/progress.ts";

function begun(estimate: number, rows = 0, at = 0): Progress {
  return advance(new Map(), { type: "seedStarted", index: "a", sinks: [], estimate, rows }, at);
}

function after(progress: Progress, rows: number, at: number): Progress {
  return advance(progress, { type: "seedProgress", index: "a", rows }, at);
}

function seedOf(progress: Progress) {
  const seed = progress.get("a");
  assert.ok(seed);
  return seed;
}

test("a resumed seed's rate counts only the rows of this run", () => {
  const seed = seedOf(after(begun(1000, 900), 950, 1000));
  assert.deepEqual(seedFigures(seed, 1000), { fraction: 0.95, rate: 50, secondsLeft: 1 });
});

test("the rate is that of the last ten seconds", () => {
  let progress = begun(1_000_000);
  for (let s = 1; s <= 20; s++) progress = after(progress, s * 100, s * 1000);
  for (let s = 21; s <= 40; s++) progress = after(progress, 2000 + (s - 20) * 1000, s * 1000);
  const seed = seedOf(progress);
  assert.equal(seedFigures(seed, 40_000).rate, 1000);
  assert.ok(seed.samples.length <= 12, "old samples are dropped");
});

test("the rate sinks while nothing comes", () => {
  const seed = seedOf(after(begun(1000), 100, 1000));
  assert.equal(seedFigures(seed, 1000).rate, 100);
  assert.equal(seedFigures(seed, 10_000).rate, 10);
});

test("a seed isn't at 100 % before it is finished, and has no time left past its estimate", () => {
  const seed = seedOf(after(begun(100), 500, 1000));
  assert.deepEqual(seedFigures(seed, 1000), { fraction: 0.99, rate: 500 });
  assert.equal(
    advance(begun(100), { type: "seedFinished", index: "a", rows: 5, ms: 1 }, 1).size,
    0,
  );
});

test("a seed of unknown size has a rate and no fraction", () => {
  for (const estimate of [-1, 0]) {
    const seed = seedOf(after(begun(estimate), 5000, 1000));
    assert.deepEqual(seedFigures(seed, 1000), { rate: 5000 });
    assert.equal(figuresText(seed, 1000), "5,000 rows  5,000/s");
  }
});

test("progress of an index that wasn't begun changes nothing", () => {
  assert.equal(after(new Map(), 5, 5).size, 0);
});

test("counts and spans of time are short", () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
  assert.deepEqual([0.04, 9.94, 9.96, 59.6, 200, 7500].map(seconds), [
    "0.0 s",
    "9.9 s",
    "10 s",
    "1 m 0 s",
    "3 m 20 s",
    "2 h 5 m",
  ]);
});
