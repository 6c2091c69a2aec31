import type { SlotHolder, SlotState } from "./facts.ts";

/** Who reads it: `pid 7 (driftless/1, 10.0.0.1)`. */
export function holderText({ pid, application, address }: SlotHolder): string {
  const named = [application, address].filter((each) => each !== "").join(", ");
  return `pid ${pid}${named === "" ? "" : ` (${named})`}`;
}

/** Why it can't be ours, as in "it …"; undefined: it can. `database` is the one that is followed. */
export function foreignText(
  { plugin, temporary, database: its }: SlotState,
  database: string,
): string | undefined {
  if (plugin === "physical") return "is a physical one";
  if (temporary) return "is another session's temporary one";
  if (its !== database) return `belongs to database ${its ?? "(none)"}`;
  return plugin === "pgoutput" ? undefined : `is of the plugin ${plugin}, not pgoutput`;
}
