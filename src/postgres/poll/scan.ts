import type { Change } from "../../core/change.ts";
import type { Database, Row, Statement } from "../client.ts";
import type { Micros } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";
import type { RescanRange } from "./position.ts";
import { blockCountStatement, blockScanStatement, scanStatement } from "./statements.ts";

/** A row that a scan found. */
export interface Found {
  readonly change: Change;
  /** Names the row's version: table, key, xmin. */
  readonly version: string;
}

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
 * D: one page of a rescan of one table. A transaction of the very first listing (lb −∞) is looked
 * for in physical order, `after` being the block to go on with: by stamp it would be the whole
 * index. That needs a plain table.
 */
export async function rescanPage(
  database: Database,
  table: PolledTable,
  range: RescanRange,
  after: readonly string[] | null,
  options: { readonly limit: number; readonly baseMarginMs: number },
  signal: AbortSignal,
): Promise<Page> {
  if (range.lb === null && table.heap) {
    return await blockPage(database, table, range, after, signal);
  }
  const shift = extra(table, options.baseMarginMs);
  const rows = await database.query(
    scanStatement(table, {
      from: range.lb === null ? null : range.lb - shift,
      to: range.to - shift,
      after,
      limit: options.limit,
      xb: range.xb,
    }),
    signal,
  );
  const last = rows[rows.length - 1];
  // The page's last row is always returned: one more page, empty at the end, settles whether it was
  // full without counting.
  return {
    found: rows.filter((row) => row[row.length - 1] === "t").map((row) => foundOf(table, row)),
    after: last === undefined ? undefined : afterOf(table, last),
  };
}

async function blockPage(
  database: Database,
  table: PolledTable,
  range: RescanRange,
  after: readonly string[] | null,
  signal: AbortSignal,
): Promise<Page> {
  // Counted at each page: rows that were moved behind the end meanwhile carry a newer stamp.
  const [count] = await database.query(blockCountStatement(table), signal);
  const blocks = Number(count?.[0] ?? 0);
  const from = after === null ? 0 : Number(after[0]);
  const to = from + BLOCKS_PER_PAGE;
  const rows = await database.query(blockScanStatement(table, { from, to }, range.xb), signal);
  return {
    found: rows.map((row) => foundOf(table, row)),
    after: to >= blocks ? undefined : [String(to)],
  };
}

/** 16 MB of heap: some ten milliseconds when cached. */
const BLOCKS_PER_PAGE = 2048;

function extra(table: PolledTable, baseMarginMs: number): Micros {
  return BigInt(table.marginMs - baseMarginMs) * 1000n;
}

function foundOf(table: PolledTable, row: Row): Found {
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
