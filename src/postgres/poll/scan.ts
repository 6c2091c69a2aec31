import type { Change } from "../../core/change.ts";
import type { Row, Statement } from "../client.ts";
import type { Micros } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";
import type { RescanRange } from "./position.ts";
import type { Rescan } from "./rescans.ts";
import { blockScanStatement, heapStatement, scanStatement } from "./statements.ts";

/** A row that a scan found. */
export interface Found {
  readonly change: Change;
  /** Names the row's version: table, key, xmin. */
  readonly version: string;
}

/** What a row's meaning depends on. */
export type FoundIn = Pick<PolledTable, "table" | "id" | "key" | "joinColumns">;

/** A page of rows, and where the next one begins; `after` undefined: there is none. */
export interface Page {
  readonly found: readonly Found[];
  readonly after: readonly string[] | undefined;
}

/** C's bounds for one table: its own margin may be wider than the cursor's. */
export function hotRange(
  table: PolledTable,
  t: Micros,
  clock: Micros,
  baseMarginMs: number,
): { readonly from: Micros; readonly to: Micros } {
  return { from: t - extra(table, baseMarginMs), to: clock + BigInt(table.marginMs) * 1000n };
}

/** C: the statement of one page. */
export function hotStatement(
  table: PolledTable,
  range: { readonly from: Micros; readonly to: Micros },
  after: readonly string[] | null,
  limit: number,
): Statement {
  return scanStatement(table, { ...range, after, limit });
}

/** C: what its rows mean. */
export function hotPage(table: PolledTable, rows: readonly Row[], limit: number): Page {
  return {
    found: rows.map((row) => foundOf(table, row)),
    after: rows.length < limit ? undefined : afterOf(table, rows[rows.length - 1]),
  };
}

/**
 * D: the statements of one page of a table's rescan. A transaction of the very first listing (lb −∞)
 * is looked for in physical order, since by stamp it would be the whole index: `after` is then the
 * block to go on with and the file it is a block of. That needs a plain table.
 */
export function rescanStatements(
  table: PolledTable,
  { range, after }: Rescan,
  { limit, baseMarginMs }: RescanOptions,
): readonly Statement[] {
  if (inBlocks(table, range)) {
    const from = Number(after?.[0] ?? 0);
    const page = blockScanStatement(table, { from, to: from + BLOCKS_PER_PAGE }, range.xb);
    return [heapStatement(table), page, heapStatement(table)];
  }
  const shift = extra(table, baseMarginMs);
  const from = range.lb === null ? null : range.lb - shift;
  return [scanStatement(table, { from, to: range.to - shift, after, limit, xb: range.xb })];
}

export interface RescanOptions {
  readonly limit: number;
  readonly baseMarginMs: number;
}

/** D: what those statements returned. */
export function rescanPage(
  table: PolledTable,
  { range, after }: Rescan,
  results: readonly (readonly Row[])[],
  { limit }: RescanOptions,
): Page {
  if (inBlocks(table, range)) return blockPage(table, after, results);
  const rows = results[0] ?? [];
  const last = rows[rows.length - 1];
  const width = table.key.length + table.joinColumns.length + 2;
  const full = Number(last?.[width + 1] ?? 0) >= limit;
  return {
    found: rows.filter((row) => row[width] === "t").map((row) => foundOf(table, row)),
    after: full ? afterOf(table, last) : undefined,
  };
}

function blockPage(
  table: PolledTable,
  after: readonly string[] | null,
  [before = [], rows = [], behind = []]: readonly (readonly Row[])[],
): Page {
  const found = rows.map((row) => foundOf(table, row));
  const file = before[0]?.[1] ?? "";
  const [blocks, fileNow] = behind[0] ?? [];
  // Rewritten (VACUUM FULL, CLUSTER): its rows are in other blocks now, with the xmin they had.
  if (fileNow !== file || (after !== null && after[1] !== "" && after[1] !== file)) {
    return { found, after: ["0", ""] };
  }
  const to = Number(after?.[0] ?? 0) + BLOCKS_PER_PAGE;
  // Rows that were moved behind the end meanwhile carry a newer stamp.
  return { found, after: to >= Number(blocks ?? 0) ? undefined : [String(to), file] };
}

function inBlocks(table: PolledTable, range: RescanRange): boolean {
  return range.lb === null && table.heap;
}

/** 16 MB of heap: some ten milliseconds when cached. */
const BLOCKS_PER_PAGE = 2048;

function extra(table: PolledTable, baseMarginMs: number): Micros {
  return BigInt(table.marginMs - baseMarginMs) * 1000n;
}

/** A row of [key…, join columns…, xmin, …]. */
export function foundOf(table: FoundIn, row: Row): Found {
  const width = table.key.length;
  const key = row.slice(0, width).map((part) => part ?? "");
  const xmin = row[width + table.joinColumns.length];
  const change: Change = table.joinColumns.length === 0
    ? { table: table.table, op: "upsert", key }
    : {
      table: table.table,
      op: "upsert",
      key,
      after: Object.fromEntries(
        table.joinColumns.map((name, i) => [name, row[width + i] ?? null]),
      ),
    };
  return { change, version: `${table.id}\0${key.join("\0")}\0${xmin}` };
}

/** Stamp and key of a row: where the next page begins. */
function afterOf(table: PolledTable, row: Row | undefined): string[] | undefined {
  if (row === undefined) return undefined;
  const width = table.key.length;
  const stamp = row[width + table.joinColumns.length + 1] ?? "";
  return [stamp, ...row.slice(0, width).map((part) => part ?? "")];
}
