import { deepEqual } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { tableOf } from "./table.ts";
import { runScenes } from "./together.ts";
import { stressOptions, unshown, wrongs } from "./verdict.ts";

test("every capture of ours loses nothing under writers that make every other one lose rows", async () => {
  const options = stressOptions(process.env);
  /** By all runs so far. */
  let missing: ReadonlyMap<string, string> | undefined;
  // A wrong capture loses by chance, on a busy machine by less: what one seed doesn't show, another may.
  for (let run = 0; run < RUNS && missing?.size !== 0; run++) {
    const seed = options.seed + run;
    process.stdout.write(`make stress SEED=${seed} SECONDS=${options.seconds}\n`);
    const reports = await runScenes({ ...options, seed });
    for (const report of reports) process.stdout.write(`${tableOf(report)}\n`);
    deepEqual(reports.flatMap(wrongs), []);
    const now = new Map(reports.flatMap((report) => [...unshown(report)]));
    missing = new Map([...now].filter(([about]) => missing?.has(about) ?? true));
  }
  deepEqual([...missing?.values() ?? []], []);
});

const RUNS = 3;
