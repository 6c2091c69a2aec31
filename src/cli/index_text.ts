import type { IndexStanding, InspectedIndex } from "../app/inspect.ts";
import type { IndexDifference } from "../core/index_report.ts";
import { wrapped } from "./wrapped.ts";

/** What `check` says of one index, as lines for a person. */
export function indexLines({ tables, mapping, notes, standing }: InspectedIndex): string[] {
  return [
    ...wrapped(`tables: ${tables.join(", ")}`, ""),
    ...notes.flatMap((note) => wrapped(`note: ${note}`, "")),
    ...standing.flatMap(standingLines),
    ...(mapping === undefined ? [] : [
      "mapping:",
      ...JSON.stringify(mapping, null, 2).split("\n").map((line) => `  ${line}`),
    ]),
  ];
}

function standingLines({ sink, fate, physical, served, differences }: IndexStanding): string[] {
  const place = `in "${sink}": `;
  const seen = served ? "searches see it" : "it isn't filled yet";
  if (fate === "made" || physical === undefined) {
    return wrapped(
      `${place}there is none yet: run makes it, and searches see it when it is full`,
      "",
    );
  }
  if (fate === "kept") {
    const first = `${place}${physical} is as it is to be (${seen}): run goes on with it`;
    if (differences === undefined || differences.length === 0) return wrapped(first, "");
    return [
      ...wrapped(`${first}. What was changed by hand stays as it is:`, ""),
      ...differences.flatMap((each) => wrapped(nameOf(each), "  ")),
    ];
  }
  const next = served
    ? `run fills another index beside it from the tables, which takes its place when it is full. ` +
      `Until then searches see ${physical} as it was`
    : "run fills another index from the tables, and searches see that when it is full";
  const first = `${place}${physical} is not as it is to be (${seen}): ${next}.`;
  if (differences === undefined) return wrapped(`${first} ${DESCRIBED_OTHERWISE}`, "");
  if (differences.length === 0) return wrapped(`${first} ${BUILT_OTHERWISE}`, "");
  const [additive, other] = [true, false].map((kind) =>
    differences.filter((each) => each.additive === kind)
  );
  return [
    ...wrapped(first, ""),
    ...group("differences that only another index can have:", other ?? []),
    ...group(
      "additive differences (OpenSearch could take them in place, run doesn't):",
      additive ?? [],
    ),
  ];
}

const BUILT_OTHERWISE =
  "Its mapping and settings are right, but its documents are built otherwise now (a field's column " +
  "or sql, a filter, the order of fields).";
const DESCRIBED_OTHERWISE =
  "It was filled by another description (its fields, their columns or sql, a filter, a setting).";

function group(title: string, differences: readonly IndexDifference[]): readonly string[] {
  if (differences.length === 0) return [];
  return [`  ${title}`, ...differences.flatMap((each) => wrapped(nameOf(each), "    "))];
}

function nameOf({ part, path, change }: IndexDifference): string {
  const whole = part === "mapping" ? "the mapping as a whole" : "settings";
  return `${path === "" ? whole : path}: ${change}`;
}
