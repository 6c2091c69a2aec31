import { deepEqual } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { tableOf } from "./table.ts";
import { runScenes } from "./together.ts";
import { complaints, stressOptions } from "./verdict.ts";

test("every capture of ours loses nothing under writers that make every other one lose rows", async () => {
  const options = stressOptions(process.env);
  process.stdout.write(`make stress SEED=${options.seed} SECONDS=${options.seconds}\n`);
  const reports = await runScenes(options);
  for (const report of reports) process.stdout.write(`${tableOf(report)}\n`);
  deepEqual(reports.flatMap(complaints), []);
});
