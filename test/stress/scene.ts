/** One scene, as a process of its own: its name and options come by environment; prints its report as JSON. */
import process from "node:process";
import { runStress, scenes } from "./run.ts";
import { stressOptions } from "./verdict.ts";

const scene = scenes.find((name) => name === process.env["SCENE"]);
if (scene === undefined) throw new Error(`Cannot run: SCENE is none of ${scenes.join(", ")}`);
const report = await runStress({ scene, ...stressOptions(process.env) });
process.stdout.write(JSON.stringify(report));
