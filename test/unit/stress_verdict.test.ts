import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import type { CaptureReport, StressReport } from "../stress/run.ts";
import { complaints, stressOptions, unshown, wrongs } from "../stress/verdict.ts";

describe("the stress's verdict", () => {
  test("is content when ours lost nothing and every other one something", () => {
    deepEqual(complaints(report({ role: "ours" }, { role: "mutant", lost: 9 })), []);
  });

  const wrong: readonly [string, Partial<CaptureReport>, RegExp][] = [
    ["one of ours that lost a row", { role: "ours", lost: 1, lostKeys: ["7"] }, /lost 1 rows: 7/],
    ["one of ours that failed", { role: "ours", failures: ["no table"] }, /failed: no table/],
    ["one that never crashed", { role: "ours", crashes: 0 }, /never crashed/],
    ["a mutant that lost nothing", { role: "mutant" }, /no teeth/],
    ["a control that lost nothing", { role: "control" }, /no teeth/],
    [
      "a mutant that lost by not running",
      { role: "mutant", lost: 80, deliveries: 3 },
      /not running/,
    ],
    [
      "a mutant that failed",
      { role: "mutant", lost: 9, failures: ["no table"] },
      /failed: no table/,
    ],
  ];
  for (const [what, capture, says] of wrong) {
    test(`names ${what}`, () => {
      // Beside one of each that is as it should be.
      const all = report(capture, { role: "ours" }, { role: "mutant", lost: 9 });
      const [line = "", ...more] = complaints(all);
      equal(says.test(line), true, line);
      deepEqual(more, []);
    });
  }
});

test("the stress's verdict isn't content with nothing", () => {
  equal(complaints(report()).length, 1);
  equal(complaints(report({ role: "ours" })).length, 1);
  equal(complaints(report({ role: "mutant", lost: 9 })).length, 1);
});

test("what ours lost is wrong in any run, what a wrong one didn't lose may be shown by another", () => {
  const lost = report({ role: "ours", lost: 1 }, { role: "mutant", lost: 9 });
  equal(wrongs(lost).length, 1);
  equal(unshown(lost).size, 0);
  const kept = report({ role: "ours" }, { role: "mutant" });
  deepEqual(wrongs(kept), []);
  deepEqual([...unshown(kept).keys()], ["crowd it loses"]);
});

describe("the stress's options", () => {
  test("come from SEED and SECONDS, and have a seed by the clock without", () => {
    deepEqual(stressOptions({ SEED: "7", SECONDS: "5" }), { seed: 7, seconds: 5 });
    deepEqual(stressOptions({}, () => 12_345_678), { seed: 345_678, seconds: 60 });
  });

  test("are refused when they aren't numbers", () => {
    throws(() => stressOptions({ SEED: "x" }), /SEED="x"/);
    throws(() => stressOptions({ SECONDS: "-1" }), /SECONDS="-1"/);
  });
});

function report(...captures: readonly Partial<CaptureReport>[]): StressReport {
  const writers = { writers: 1, transactions: 9, rolledBack: 1, prepared: 1 };
  return {
    scene: "crowd",
    seed: 1,
    seconds: 60,
    writers,
    commits: 100,
    captures: captures.map((capture) => ({
      name: "it",
      role: "ours",
      crashes: 3,
      retries: [],
      failures: [],
      commits: 100,
      deliveries: 100,
      lost: 0,
      lostKeys: [],
      duplicates: 0,
      medianMs: 1,
      p99Ms: 2,
      ...capture,
    })),
  };
}
