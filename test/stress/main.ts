/**
 * make stress SEED=… [SECONDS=…] [SCENE=crowd|duel] [CAPTURE=part of a name] [STRESS_JSON=path]:
 * prints what each capture lost. Fails when one of ours lost a row, or another one none.
 */
import process from "node:process";
import { cleanUp } from "../support/janitor.ts";
import { withCleanUp } from "../support/run_command.ts";
import { scenes } from "./run.ts";
import { tableOf } from "./table.ts";
import { runScenes } from "./together.ts";
import { complaints, stressOptions } from "./verdict.ts";

await withCleanUp(async () => {
  const { SCENE = "" } = process.env;
  const options = stressOptions(process.env);
  process.stdout.write(`SEED=${options.seed} SECONDS=${options.seconds}\n`);
  const chosen = scenes.filter((scene) => SCENE === "" || SCENE === scene);
  const reports = await runScenes(options, chosen);
  const wrong = reports.flatMap(complaints);
  for (const text of [...reports.map(tableOf), ...wrong]) process.stdout.write(`${text}\n`);
  return wrong.length === 0 ? 0 : 1;
}, cleanUp);
