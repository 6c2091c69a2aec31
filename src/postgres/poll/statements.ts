/** The statements of design 3.3, one function each. Their order is the caller's: it is the proof. */
import { quote, type Statement } from "../client.ts";
import { arrayLiteral } from "../client.ts";
import { formatMicros, type Micros, microsSql } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";

/**
 * A: clock, transaction start, snapshot text, its xmax and xmin, postmaster start, in recovery?,
 * WAL flushed (on a standby: replayed).
 * The transaction's start is read before the statement's snapshot is taken, and
 * clock_timestamp() after it: only the first may be called a barrier without another read.
 */
export function clockStatement(): Statement {
  return {
    text: `SELECT ${microsSql("clock_timestamp()")}, ${microsSql("now()")}, s::text,
 pg_snapshot_xmax(s)::text, pg_snapshot_xmin(s)::text, ${
      microsSql("pg_postmaster_start_time()")
    }, pg_is_in_recovery()::text,
 (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
  ELSE pg_current_wal_flush_lsn() END - '0/0')::text
FROM pg_current_snapshot() s`,
  };
}

/**
 * B, first half: [virtualxid, top xid or null] of each transaction open in this database but our own. pg_locks isn't read in one piece: virtualxids first, xids later.
 */
export function runningStatement(
  own: { readonly pids: readonly number[]; readonly applicationName: string },
): Statement {
  return {
    text: `WITH l AS MATERIALIZED (
 SELECT locktype, virtualxid, virtualtransaction, transactionid, pid FROM pg_locks
 WHERE locktype IN ('virtualxid', 'transactionid') AND granted AND mode = 'ExclusiveLock')
SELECT v.virtualxid, (SELECT x.transactionid::text FROM l x
  WHERE x.locktype = 'transactionid' AND x.virtualtransaction = v.virtualtransaction
  ORDER BY age(x.transactionid) DESC LIMIT 1)
FROM l v JOIN pg_stat_activity a USING (pid)
WHERE v.locktype = 'virtualxid' AND a.datname = current_database() AND a.usesysid IS NOT NULL
 AND a.pid <> pg_backend_pid()
 AND NOT (a.pid = ANY($1::int[]) AND a.application_name = $2 AND a.usename = current_user)`,
    params: [arrayLiteral(own.pids.map(String)), own.applicationName],
  };
}

/** B, second half: [xid] of each prepared transaction of this database. */
export function preparedStatement(): Statement {
  return {
    text: "SELECT transaction::text FROM pg_prepared_xacts WHERE database = current_database()",
  };
}

export interface ScanRange {
  /** null is −∞. */
  readonly from: Micros | null;
  readonly to: Micros;
  /** Stamp and key of the last row read, as text; null for the first page. */
  readonly after: readonly string[] | null;
  readonly limit: number;
  /** Marks rows with an xmin not older: only these are wanted, and the last of the page. */
  readonly xb?: number;
}

/**
 * C: a page of [key…, join columns…, xmin, stamp] by stamp and key. D, when `xb` is given: those rows
 * of the page that are wanted, and the last one whatever it is, with [wanted?, rows of the page]
 * behind; the page is unfiltered inside, so that its end is known even when none of it is wanted.
 */
export function scanStatement(table: PolledTable, range: ScanRange): Statement {
  const params: string[] = [
    range.from === null ? "-infinity" : formatMicros(range.from),
    formatMicros(range.to),
  ];
  const stamp = `t.${quote(table.stamp.name)}`;
  const { from, to } = bounds(table);
  const conditions = [
    `${stamp} >= ${from}`,
    `${stamp} < ${to}`,
    ...table.key.filter((k) => k.nullable).map((k) => `t.${quote(k.name)} IS NOT NULL`),
  ];
  const order = [stamp, ...table.key.map((k) => `t.${quote(k.name)}`)];
  if (range.after !== null) {
    const types = [table.stamp.type, ...table.key.map((k) => k.type)];
    const values = range.after.map((value, i) => `$${params.push(value)}::${types[i]}`);
    conditions.push(`(${order.join(", ")}) > (${values.join(", ")})`);
  }
  const page = `SELECT ${columns(table)} FROM ${relation(table)} t
WHERE ${conditions.join(" AND ")} ORDER BY ${order.join(", ")} LIMIT ${range.limit}`;
  if (range.xb === undefined) return { text: page, params };
  return {
    text: `SELECT ${columnNames(table).join(", ")}, wanted, total::text FROM (
 SELECT p.*, ${wanted("p.x")} AS wanted, row_number() OVER () AS n, count(*) OVER () AS total
 FROM (${page}) p) q WHERE wanted OR n = total ORDER BY n`,
    params: [...params, String(range.xb)],
  };

  function wanted(xmin: string): string {
    return `((${xmin}::bigint - $${params.length + 1}::bigint) & 4294967295) < 2147483648`;
  }
}

/**
 * D for a transaction that was open at the very first listing, over a plain table: rows with an
 * xmin not older than `xb`, in blocks [from, to), in physical order. Columns as of C.
 */
export function blockScanStatement(
  table: PolledTable,
  blocks: { readonly from: number; readonly to: number },
  xb: number,
): Statement {
  return {
    text: `SELECT ${columns(table)} FROM ${relation(table)} t
WHERE t.ctid >= $1::tid AND t.ctid < $2::tid${
      table.key.filter((k) => k.nullable).map((k) => ` AND t.${quote(k.name)} IS NOT NULL`).join("")
    }
 AND ((t.xmin::text::bigint - $3::bigint) & 4294967295) < 2147483648`,
    params: [`(${blocks.from},0)`, `(${blocks.to},0)`, String(xb)],
  };
}

/** [blocks, file] of a plain table's heap: another file means that the table was rewritten. */
export function heapStatement(table: PolledTable): Statement {
  return {
    text: `SELECT (pg_relation_size(r) / current_setting('block_size')::bigint)::text,
 pg_relation_filenode(r)::text FROM (SELECT $1::regclass AS r) q`,
    params: [relation(table)],
  };
}

/**
 * For each table [the earliest stamp from `from` on, as a moment]; null when there is none. What is
 * stamped after the year 9999 isn't waited for.
 */
export function nextStampsStatement(
  tables: readonly { readonly table: PolledTable; readonly from: Micros }[],
): Statement {
  const each = tables.map(({ table }, i) => {
    const stamp = `t.${quote(table.stamp.name)}`;
    const earliest = table.stamp.type === "timestamptz" ? "m" : `(m AT TIME ZONE ${zone(table)})`;
    return `(SELECT ${microsSql(earliest)} FROM (SELECT min(${stamp}) AS m FROM ${relation(table)} t
 WHERE ${stamp} >= ${moment(table, `$${i + 1}`)} AND ${stamp} < '9999-12-30') q)`;
  });
  return {
    text: `SELECT ${each.join(",\n ")}`,
    params: tables.map(({ from }) => formatMicros(from)),
  };
}

function relation(table: PolledTable): string {
  return `${quote(table.table.schema)}.${quote(table.table.name)}`;
}

function moment(table: PolledTable, parameter: string): string {
  const at = `${parameter}::timestamptz`;
  return table.stamp.type === "timestamptz" ? at : `(${at} AT TIME ZONE ${zone(table)})`;
}

/**
 * The range [$1, $2) in the stamp's own type. Local time isn't monotone: when clocks are set back
 * (by at most 3 h, anywhere) it repeats itself. A moment after `from` shows a local time below that of
 * `from` only within 3 h, and then by just what the clocks are set back; likewise before `to`.
 */
function bounds(table: PolledTable): { readonly from: string; readonly to: string } {
  const [from, to] = [moment(table, "$1"), moment(table, "$2")];
  if (table.stamp.type === "timestamptz" || table.stamp.zone === "UTC") return { from, to };
  const [later, earlier] = [
    moment(table, "($1::timestamptz + interval '3 hours')"),
    moment(table, "($2::timestamptz - interval '3 hours')"),
  ];
  return {
    from: `LEAST(${from}, ${later} - interval '3 hours')`,
    to: `GREATEST(${to}, ${earlier} + interval '3 hours')`,
  };
}

function zone(table: PolledTable): string {
  return `'${table.stamp.zone.replaceAll("'", "''")}'`;
}

/** Keys as the protocol prints them: `::text` would strip a char(n)'s padding and spell out a bool.
 * k0… the key, j0… the join columns, x the xmin, s the stamp; never a column's own name, by which
 * ORDER BY would sort the text. */
function columns(table: PolledTable): string {
  const sources = [
    ...table.key.map((k) => `t.${quote(k.name)}`),
    ...table.joinColumns.map((column) => `t.${quote(column)}`),
    "t.xmin::text",
    `t.${quote(table.stamp.name)}::text`,
  ];
  const names = columnNames(table);
  return sources.map((source, i) => `${source} AS ${names[i]}`).join(", ");
}

function columnNames(table: PolledTable): string[] {
  return [
    ...table.key.map((_, i) => `k${i}`),
    ...table.joinColumns.map((_, i) => `j${i}`),
    "x",
    "s",
  ];
}
