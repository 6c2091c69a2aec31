import type { StressOptions, StressReport } from "./run.ts";

/** What the stress asserts, and doesn't find; [] when all is as it should be. */
export function complaints(report: StressReport): readonly string[] {
  return [...wrongs(report), ...unshown(report).values()];
}

/** What must not be in any run. */
export function wrongs({ captures, writers, commits }: StressReport): readonly string[] {
  const wrong: string[] = [];
  if (writers.prepared === 0 || commits === 0) {
    wrong.push("The writers didn't write what they should");
  }
  const ours = captures.filter(({ role }) => role === "ours").length;
  if (ours === 0 || ours === captures.length) {
    wrong.push(`${ours} of ${captures.length} captures were ours: nothing is shown`);
  }
  for (const { name, role, lost, lostKeys, failures } of captures) {
    if (failures.length > 0) wrong.push(`"${name}" failed: ${failures.join("; ")}`);
    if (role === "ours" && lost > 0) {
      wrong.push(`"${name}" lost ${lost} rows: ${lostKeys.join(", ")}`);
    }
  }
  return wrong;
}

/** What this run had no occasion to show, and another seed may: a text for each, by what it is about. */
export function unshown({ scene, captures }: StressReport): ReadonlyMap<string, string> {
  const missing = new Map<string, string>();
  for (const { name, role, lost, crashes, deliveries, commits } of captures) {
    const about = `${scene} ${name}`;
    if (crashes === 0) missing.set(`${about} crashes`, `"${name}" never crashed`);
    if (role === "ours") continue;
    if (lost === 0) {
      missing.set(`${about} loses`, `"${name}" lost nothing: the stress has no teeth for it`);
    } else if (deliveries < commits / 3) {
      const text = `"${name}" lost rows by not running: ${deliveries} deliveries`;
      missing.set(`${about} loses`, text);
    }
  }
  return missing;
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
