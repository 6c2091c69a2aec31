import type { StressOptions, StressReport } from "./run.ts";

/** What the stress asserts, and doesn't find; [] when all is as it should be. */
export function complaints({ captures, writers, commits }: StressReport): readonly string[] {
  const wrong: string[] = [];
  if (writers.prepared === 0 || commits === 0) {
    wrong.push("The writers didn't write what they should");
  }
  const ours = captures.filter(({ role }) => role === "ours").length;
  if (ours === 0 || ours === captures.length) {
    wrong.push(`${ours} of ${captures.length} captures were ours: nothing is shown`);
  }
  for (const each of captures) {
    const { name, role, lost, lostKeys, failures, crashes, deliveries } = each;
    if (failures.length > 0) wrong.push(`"${name}" failed: ${failures.join("; ")}`);
    if (crashes === 0) wrong.push(`"${name}" never crashed`);
    if (role === "ours") {
      if (lost > 0) wrong.push(`"${name}" lost ${lost} rows: ${lostKeys.join(", ")}`);
    } else if (lost === 0) {
      wrong.push(`"${name}" lost nothing: the stress has no teeth for it`);
    } else if (deliveries < each.commits / 3) {
      wrong.push(`"${name}" lost rows by not running: ${deliveries} deliveries`);
    }
  }
  return wrong;
}

/** SEED (absent: by the clock), SECONDS (60) and CAPTURE, a part of the captures' names. */
export function stressOptions(
  env: Readonly<Record<string, string | undefined>>,
  now: () => number = Date.now,
): Omit<StressOptions, "scene"> {
  const { SEED = "", SECONDS = "", CAPTURE = "" } = env;
  const seed = SEED === "" ? now() % 1_000_000 : Number(SEED);
  const seconds = SECONDS === "" ? 60 : Number(SECONDS);
  if (!Number.isSafeInteger(seed) || !(seconds > 0)) {
    throw new Error(`Cannot run the stress: SEED="${SEED}" SECONDS="${SECONDS}" aren't numbers`);
  }
  return { seed, seconds, ...(CAPTURE === "" ? {} : { only: (name) => name.includes(CAPTURE) }) };
}
