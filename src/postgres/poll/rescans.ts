import { lower, older, type RescanRange } from "./position.ts";

/** What D still has to read of one table, and where it goes on (null: from the start). */
export interface Rescan {
  readonly range: RescanRange;
  readonly after: readonly string[] | null;
}

/** By table id: the rescan that goes on, and at most one that waits for it. */
export type Rescans = Readonly<Record<string, readonly Rescan[]>>;

/**
 * Adds ranges to every table's rescans. Ranges that haven't begun are read as one, from the lowest
 * lb to the highest end with the oldest xb: a superset, so that a poll with many stragglers costs one
 * page a table, and rescans can't pile up when each poll sees one more end.
 */
export function addRanges(
  rescans: Rescans,
  tables: readonly string[],
  ranges: readonly RescanRange[],
): Rescans {
  if (ranges.length === 0) return rescans;
  return Object.fromEntries(tables.map((id) => {
    const begun = (rescans[id] ?? []).filter(({ after }) => after !== null);
    const waiting = (rescans[id] ?? []).filter(({ after }) => after === null);
    const range = [...waiting.map((each) => each.range), ...ranges].reduce(joined);
    return [id, [...begun, { range, after: null }]];
  }));
}

/** Without the tables that are no longer followed. */
export function onlyTables(rescans: Rescans, tables: readonly string[]): Rescans {
  return Object.fromEntries(Object.entries(rescans).filter(([id]) => tables.includes(id)));
}

/**
 * From their start, as after a restart: where they had got to was a key, or a block, of the table as it
 * was then.
 */
export function begunAnew(rescans: Rescans): Rescans {
  return Object.fromEntries(
    Object.entries(rescans).map(([id, list]) => [
      id,
      [{ range: list.map(({ range }) => range).reduce(joined), after: null }],
    ]),
  );
}

/** A table's first rescan got as far as `after`; undefined: it is done. */
export function proceeded(
  rescans: Rescans,
  table: string,
  after: readonly string[] | undefined,
): Rescans {
  const [first, ...others] = rescans[table] ?? [];
  if (first === undefined) return rescans;
  const left = after === undefined ? others : [{ range: first.range, after }, ...others];
  const { [table]: _, ...rest } = rescans;
  return left.length === 0 ? rest : { ...rest, [table]: left };
}

export function isDone(rescans: Rescans): boolean {
  return Object.keys(rescans).length === 0;
}

function joined(a: RescanRange, b: RescanRange): RescanRange {
  return { lb: lower(a.lb, b.lb), to: a.to > b.to ? a.to : b.to, xb: older(a.xb, b.xb) };
}
