/** The statements of the row sweep. Their order is the caller's: it is bounds.ts's proof. */
import { arrayLiteral, quote, type Row, type Statement } from "../client.ts";
import { microsSql, parseMicros } from "../poll/micros.ts";
import type { Micros } from "../poll/micros.ts";
import type { SweptTable } from "../ways.ts";
import type { StartFacts, Xid8 } from "./bounds.ts";
import type { Place } from "./cursor.ts";

export interface SweepStart extends StartFacts {
  readonly next: Xid8;
  readonly clock: Micros;
}

/**
 * A sweep's start. Each part depends on the one before: first the snapshot, then where the WAL is
 * written, a rest of that many ms, then where it is flushed: all of one backend, so that no crash can
 * have come between.
 */
export function startStatement(restMs: number): Statement {
  return {
    text: `WITH a AS MATERIALIZED (
 SELECT s, CASE WHEN pg_is_in_recovery() THEN '0/0' ELSE pg_current_wal_insert_lsn() END AS inserted
 FROM pg_current_snapshot() s),
b AS MATERIALIZED (SELECT a.*, pg_sleep($1::float8 / 1000) AS slept FROM a),
c AS MATERIALIZED (SELECT b.*, CASE WHEN pg_is_in_recovery() OR b.slept IS NULL THEN b.inserted
 ELSE pg_current_wal_flush_lsn() END AS flushed FROM b)
SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text, (inserted - '0/0')::text,
 (flushed - '0/0')::text, (SELECT next_xid FROM pg_control_checkpoint()), ${
      microsSql("clock_timestamp()")
    } FROM c`,
    params: [String(restMs)],
  };
}

export function startOf(row: Row | undefined): SweepStart {
  const [xmin, next, inserted, flushed, checkpointed, clock] = texts(row, 6);
  // epoch:xid
  const [epoch = "0", xid = "0"] = String(checkpointed).split(":");
  return {
    xmin: BigInt(String(xmin)),
    next: BigInt(String(next)),
    inserted: BigInt(String(inserted)),
    flushed: BigInt(String(flushed)),
    checkpointed: (BigInt(epoch) << 32n) + BigInt(xid),
    clock: parseMicros(String(clock)),
  };
}

/** One of the table's heaps: itself, a leaf partition or an inheriting child. */
export interface Heap {
  /**
   * Its oid, and the xmin of its entry in pg_inherits, and its parents': one that was detached and
   * attached again is another.
   */
  readonly id: string;
  readonly oid: string;
  /** Quoted, with its schema. */
  readonly name: string;
  readonly file: string;
  readonly blocks: number;
  /** May be read by its own name; else only through the table, whose grants and policies cover it. */
  readonly direct: boolean;
}

/** The table's heaps with their files and blocks. */
export function heapsStatement({ table }: SweptTable): Statement {
  return {
    text: `WITH RECURSIVE below(oid, path) AS (
 SELECT $1::regclass::oid, '' UNION
 SELECT i.inhrelid, b.path || '.' || i.xmin::text FROM below b JOIN pg_inherits i ON i.inhparent = b.oid)
SELECT c.oid::text || string_agg(b.path, '' ORDER BY b.path), c.oid::text,
 format('%I.%I', n.nspname, c.relname), pg_relation_filenode(c.oid)::text,
 (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::text,
 (c.oid = $1::regclass OR (has_schema_privilege(n.oid, 'USAGE')
  AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)))::text
FROM below b JOIN pg_class c ON c.oid = b.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' GROUP BY c.oid, n.oid, n.nspname, c.relname ORDER BY c.oid`,
    params: [relation(table)],
  };
}

/** By `Heap.id`. */
export function heapsOf(rows: readonly Row[]): ReadonlyMap<string, Heap> {
  const heaps = rows.flatMap(([id, oid, name, file, blocks, direct]): Heap[] => {
    if (!id || !oid || !name) return [];
    // Dropped while it was looked up.
    if (!file || !blocks) return [];
    return [{ id, oid, name, file, blocks: Number(blocks), direct: direct === "true" }];
  });
  return new Map(heaps.map((heap) => [heap.id, heap]));
}

export interface RowRange {
  readonly heap: Heap;
  /** Behind this ctid… */
  readonly after: Place;
  /** …and before this block. */
  readonly to: number;
  /** Rows with an xmin from here on; undefined: all. */
  readonly bound: Xid8 | undefined;
  readonly limit: number;
}

/**
 * [key…, join columns…, xmin, ctid] of rows of a heap in ctid order. The order is asked for: a small
 * heap may be read by a sequential scan, which begins anywhere.
 */
export function rowsStatement(table: SweptTable, range: RowRange): Statement {
  const { heap, after, to, bound, limit } = range;
  const params = [`(${after.block},${after.offset})`, `(${to},0)`];
  const conditions = [
    "t.ctid > $1::tid",
    "t.ctid < $2::tid",
    // A row with a NULL in its key names nothing.
    ...table.key.filter((k) => k.nullable).map((k) => `t.${quote(k.name)} IS NOT NULL`),
  ];
  if (!heap.direct) conditions.push(`t.tableoid = $${params.push(heap.oid)}::oid`);
  if (bound !== undefined) {
    // Not by way of text: that fails past 2^32.
    const oldest = `age($${params.push(String(bound))}::xid8::xid)`;
    conditions.push(`age(t.xmin) BETWEEN 0 AND ${oldest}`);
  }
  return {
    text: `SELECT ${columns(table)} FROM ${
      heap.direct ? `ONLY ${heap.name}` : relation(table.table)
    } t WHERE ${conditions.join(" AND ")} ORDER BY t.ctid LIMIT ${limit}`,
    params,
  };
}

/** The same columns, of the rows that are in these places of any of its heaps. */
export function rowsAtStatement(table: SweptTable, ctids: readonly string[]): Statement {
  return {
    text: `SELECT ${columns(table)} FROM ${relation(table.table)} t WHERE t.ctid = ANY($1::tid[])`,
    params: [arrayLiteral(ctids)],
  };
}

/** Keys as the protocol prints them, never cast to text; never under a column's own name. */
function columns(table: SweptTable): string {
  return [
    ...table.key.map((k, i) => `t.${quote(k.name)} AS k${i}`),
    ...table.joinColumns.map((name, i) => `t.${quote(name)} AS j${i}`),
    "t.xmin::text AS x",
    "t.ctid::text AS c",
  ].join(", ");
}

/** The ctid at the end of such a row. */
export function placeOf(row: Row | undefined): Place {
  const [, block, offset] = /^\((\d+),(\d+)\)$/.exec(row?.at(-1) ?? "") ?? [];
  if (block === undefined || offset === undefined) {
    throw new TypeError("Cannot read a row's place: it has no ctid");
  }
  return { block: Number(block), offset: Number(offset) };
}

/**
 * Behind the rows: [the file that was read, the next xid]. The file that is under the name now, if that
 * is what was read by; null when the table or the heap isn't there any more.
 */
export function afterStatement(table: SweptTable, heap: Heap): Statement {
  const file = heap.direct
    ? "pg_relation_filenode(to_regclass($1))"
    // Through the table only its own partitions are seen.
    : `(WITH RECURSIVE below(oid) AS (SELECT to_regclass($1)::oid UNION
   SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.oid)
  SELECT pg_relation_filenode(oid) FROM below WHERE oid = $2::oid)`;
  return {
    text: `SELECT ${file}::text, pg_snapshot_xmax(pg_current_snapshot())::text`,
    params: heap.direct ? [heap.name] : [relation(table.table), heap.oid],
  };
}

/** For which of these tables (oids) the role may read the columns named, which a column's grant may not cover. */
export function systemColumnsStatement(
  oids: readonly string[],
  columns: readonly string[],
): Statement {
  const may = columns.map((name) => `has_column_privilege(oid, '${name}', 'SELECT')`);
  return {
    text: `SELECT oid::text, (${may.join(" AND ")})::text FROM unnest($1::oid[]) AS oid`,
    params: [arrayLiteral(oids)],
  };
}

function relation(table: SweptTable["table"]): string {
  return `${quote(table.schema)}.${quote(table.name)}`;
}

function texts(row: Row | undefined, count: number): readonly string[] {
  if (row === undefined || row.length < count || row.includes(null)) {
    throw new TypeError("Cannot start a sweep: the server's answer is incomplete");
  }
  return row.map(String);
}
