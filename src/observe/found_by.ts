import type { TableLevel } from "../core/source.ts";

/** How a table's changes are found, in a few words: `updated_at`, `changelog`, `sweeps alone`. */
export function foundBy({ capture, stamp, level }: TableLevel): string {
  if (capture === "updated_at") {
    const name = stamp ?? capture;
    return level === "L1" ? `${name} with a lag` : name;
  }
  return capture === "sweep" ? "sweeps alone" : capture;
}
