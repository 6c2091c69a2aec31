import type { SweepsConfig } from "../config/config.ts";
import { durationText } from "../core/duration_text.ts";
import type { TableLevel } from "../core/source.ts";
import { foundBy } from "../observe/found_by.ts";
import { width, wrapped } from "./wrapped.ts";

/** How every table is followed, as lines for a person: a table, and then what it means, each thing once. */
export function levelLines(
  levels: readonly TableLevel[],
  maxIntervalMs: number,
): readonly string[] {
  if (levels.length === 0) return [];
  const rows = [
    ["TABLE", "LEVEL", "FOLLOWED BY", "INSERTS, UPDATES FOUND", "DELETES FOUND"],
    ...levels.map((each) => {
      const { table, level, found } = each;
      return [table, level, foundBy(each), found.changes, found.deletes];
    }),
  ];
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => width(row[i] ?? ""))));
  const lines = rows.map((row) =>
    row.map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - width(cell))).join("  ").trimEnd()
  );
  const meant = grouped(levels, (each) => [each.level, foundBy(each), each.claim])
    .flatMap(([first, ...rest]) => [
      "",
      ...wrapped(`${names([first, ...rest])}:`, ""),
      ...wrapped(`${first.level} by ${foundBy(first)}: ${first.claim}.`, "  "),
      ...grouped([first, ...rest], ({ why }) => why).flatMap((group) => {
        const whose = group.length === rest.length + 1 ? "" : ` for ${names(group)}`;
        return wrapped(`Why this way${whose}: ${group[0].why}.`, "  ");
      }),
    ]);
  const soon = [
    ...(levels.some(({ level }) => level !== "L5")
      ? [`at once = by the next poll, which comes within ${durationText(maxIntervalMs)}.`]
      : []),
    ...(levels.some(({ level }) => level === "L5")
      ? ["at once, at L5 = as the server sends it, without a poll."]
      : []),
  ];
  return [...lines, ...meant, "", ...meanings(levels), ...soon];
}

type Group = readonly [TableLevel, ...TableLevel[]];

/** Those of the same key together, in the order of the first of each. */
function grouped(
  levels: readonly TableLevel[],
  keyOf: (level: TableLevel) => unknown,
): readonly Group[] {
  const groups = new Map<string, [TableLevel, ...TableLevel[]]>();
  for (const level of levels) {
    const key = JSON.stringify(keyOf(level));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [level]);
    else group.push(level);
  }
  return [...groups.values()];
}

function names(group: readonly TableLevel[]): string {
  return group.map(({ table }) => table).join(", ");
}

/** What is looked for on a schedule, whatever captures show. */
export function sweepLines(
  { keysMs, rowsMs, dutyCycle }: SweepsConfig,
  levels: readonly TableLevel[],
): readonly string[] {
  if (levels.length === 0) return [];
  const share = `at most ${Math.round(dutyCycle * 1000) / 10} % of the time`;
  const keys = keysMs === undefined
    ? "off: deleted rows are found only where the capture shows them"
    : `every ${
      durationText(keysMs)
    }, the keys of each index are compared with its table: documents of ` +
      "deleted rows are taken out (not by the stdout sink, which can't be asked)";
  const rows = rowsMs === undefined
    ? "off: a row that no stamp shows is not found"
    : `every ${
      durationText(rowsMs)
    }, tables that are followed by a stamp are read for rows that it ` +
      `didn't show; every ${
        durationText(Math.max(rowsMs, DAY_MS))
      } those at L4 and L5; over and over those ` +
      `that are swept alone; each reads for ${share}`;
  return [...wrapped(`keys: ${keys}.`, ""), ...wrapped(`rows: ${rows}.`, "")];
}

const DAY_MS = 86_400_000;

/** The levels that occur, lowest first. */
function meanings(levels: readonly TableLevel[]): readonly string[] {
  const occurring = new Set(levels.map(({ level }) => level));
  return Object.entries(MEANINGS).filter(([level]) => occurring.has(level as TableLevel["level"]))
    .flatMap(([level, meaning]) => wrapped(`${level} = ${meaning}`, ""));
}

const MEANINGS: Readonly<Record<TableLevel["level"], string>> = {
  L1: "a row that commits long after it was stamped may be missed, or found late.",
  L2: "no insert or update is missed on the condition named; deleted rows are not seen.",
  L3:
    "no insert or update is missed; sweeps find late what nothing else shows, and documents of deleted rows.",
  L4:
    "every insert, update and delete is found as it happens, if triggers fire or the outbox is told.",
  L5: "every insert, update and delete is found as it happens, past triggers too.",
};
