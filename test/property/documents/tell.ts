/** A failing history in words that can be tried by hand. */
import { ddlOf, indexesOf } from "./config.ts";
import type { Failure } from "./run.ts";
import type { World } from "./world.ts";

export function told(world: World, failure: Failure): string {
  const steps = world.steps.flatMap(({ offline, transactions }, at) => [
    `-- step ${at}${offline ? ", while driftless is down" : ""}`,
    ...transactions.map((statements) => `BEGIN; ${statements.join("; ")}; COMMIT;`),
  ]);
  const captures = world.tables.map(({ name, capture }) => `${name}: ${capture}`).join(", ");
  return [
    `After step ${failure.step}: ${failure.text}`,
    `-- sink ${world.sink}, ${JSON.stringify(world.engine)}; ${captures}`,
    ddlOf(world.tables),
    ...world.initial.map((statement) => `${statement};`),
    ...steps,
    JSON.stringify(indexesOf(world, "public"), null, 1),
  ].join("\n");
}
