import { tableId, type TableRef } from "../core/table.ts";
import { type ColumnType, loadTypes, typeResolver } from "./catalog_types.ts";
import { arrayLiteral, type Database, type Row } from "./client.ts";

/** What the database says about the tables that a config names, read at one time. */
export interface Catalog {
  /** `server_version_num`: 180000 and so on. */
  readonly version: number;
  /** `current_user`: whom a GRANT would name. */
  readonly role: string;
  /** It replays another server's log: `pg_is_in_recovery()`. */
  readonly standby: boolean;
  /** By `tableId`; a table that doesn't exist is absent. */
  readonly tables: ReadonlyMap<string, CatalogTable>;
  /** Where one that was asked for isn't there: all that are, for the name that was likely meant. */
  readonly others?: readonly TableRef[];
}

export interface CatalogTable {
  readonly ref: TableRef;
  readonly oid: string;
  readonly kind: "table" | "partitioned" | "view" | "materialized" | "foreign";
  /** Digest of a view's definition; "" for others. */
  readonly definition: string;
  /** In the table's own order. */
  readonly columns: readonly CatalogColumn[];
  /** Column names of the primary key, in its order; undefined: there is none. */
  readonly primaryKey: readonly string[] | undefined;
  readonly indexes: readonly CatalogIndex[];
  /**
   * What is read with it: partitions and heirs of any depth, each as its oid and the transaction that
   * attached it. One that was detached and is back may hold what no capture has seen.
   */
  readonly below: readonly string[];
  /** Row-level security is declared on the table. */
  readonly rowSecurity: boolean;
  /** A policy applies to this role: rows may be hidden from it. */
  readonly rowSecurityActive: boolean;
  /** SELECT on the table as a whole; a column's own grant is in `CatalogColumn.canSelect`. */
  readonly canSelect: boolean;
  /** USAGE on its schema, without which no grant on the table helps. */
  readonly schemaUsage: boolean;
  /** Another server fills it: a foreign table or a partition that is one. */
  readonly foreign: boolean;
  /** A logical-replication subscription feeds it; undefined: this role may not know. */
  readonly subscribed: boolean | undefined;
  /** Other tables inherit from it, or are its partitions, and are read with it. */
  readonly hasChildren: boolean;
  /** Blocks of 8 KiB by the last ANALYZE or VACUUM, all partitions together: an estimate. */
  readonly pages: number;
  /** Triggers that may set a column: BEFORE UPDATE, for each row, of the table or of a partition. */
  readonly touches: readonly CatalogTrigger[];
}

export interface CatalogTrigger {
  readonly name: string;
  /** As SQL: the table it is on, which is a partition's where only that has it. */
  readonly on: string;
  /** It fires in ordinary sessions. */
  readonly enabled: boolean;
}

export interface CatalogColumn {
  readonly name: string;
  /** Never reused: another number under the same name is another column. */
  readonly attnum: number;
  readonly type: ColumnType;
  readonly notNull: boolean;
  readonly canSelect: boolean;
  /** The expression of a generated column; "" for others. */
  readonly generated: string;
}

export interface CatalogIndex {
  readonly name: string;
  /** Key columns in order; null is an expression. Included columns are left out. */
  readonly columns: readonly (string | null)[];
  readonly unique: boolean;
  readonly valid: boolean;
  readonly partial: boolean;
  /** btree, hash, … */
  readonly method: string;
}

/** Reads the catalog in a fixed number of statements, as a role that needs no privilege for it. */
export async function loadCatalog(
  database: Database,
  tables: readonly TableRef[],
  signal: AbortSignal,
): Promise<Catalog> {
  const relations = await database.query({
    text: RELATIONS,
    params: [arrayLiteral(tables.map((t) => t.schema)), arrayLiteral(tables.map((t) => t.name))],
  }, signal);
  const found = relations.filter((row) => row[2] !== null);
  const oids = [...new Set(found.map((row) => text(row, 2)))];
  const leavesOf = (row: Row) => JSON.parse(text(row, 8)) as { oid: string; kind: string }[];
  const fed = [...oids, ...found.flatMap((row) => leavesOf(row).map((leaf) => leaf.oid))];
  const [columns, indexes, touches, subscriptions] = await Promise.all([
    database.query({ text: COLUMNS, params: [arrayLiteral(oids)] }, signal),
    database.query({ text: INDEXES, params: [arrayLiteral(oids)] }, signal),
    database.query({ text: TOUCHES, params: [arrayLiteral(oids)] }, signal),
    relations[0]?.[10] === "t"
      ? database.query({ text: SUBSCRIPTIONS, params: [arrayLiteral(fed)] }, signal)
      : undefined,
  ]);
  const types = await loadTypes(database, columns.map((row) => text(row, 3)), signal);
  const typeOf = typeResolver(types);
  const columnsOf = groupByOid(columns, (row): CatalogColumn => ({
    name: text(row, 1),
    attnum: Number(row[2]),
    type: { ...typeOf(text(row, 3), Number(row[4])), looseCollation: row[8] === "t" },
    notNull: row[5] === "t",
    canSelect: row[6] === "t",
    generated: row[7] ?? "",
  }));
  const indexesOf = groupByOid(indexes, (row) => ({
    primary: row[2] === "t",
    index: {
      name: text(row, 1),
      columns: JSON.parse(text(row, 7)) as (string | null)[],
      unique: row[3] === "t",
      valid: row[4] === "t",
      partial: row[5] === "t",
      method: text(row, 6),
    } satisfies CatalogIndex,
  }));
  const touchesOf = groupByOid(touches, (row): CatalogTrigger => ({
    name: text(row, 1),
    on: text(row, 2),
    enabled: row[3] === "t",
  }));
  const subscribed = subscriptions && new Set(subscriptions.map((row) => text(row, 0)));

  const result = new Map<string, CatalogTable>();
  for (const row of found) {
    const ref = { schema: text(row, 0), name: text(row, 1) };
    const oid = text(row, 2);
    const own = indexesOf.get(oid) ?? [];
    const primary = own.find((entry) => entry.primary);
    const leaves = leavesOf(row);
    result.set(tableId(ref), {
      ref,
      oid,
      kind: KINDS[text(row, 3)] ?? "table",
      definition: text(row, 4),
      columns: columnsOf.get(oid) ?? [],
      primaryKey: primary?.index.columns.filter((name) => name !== null),
      indexes: own.map((entry) => entry.index),
      below: JSON.parse(text(row, 16)) as string[],
      rowSecurity: row[5] === "t",
      rowSecurityActive: row[6] === "t",
      canSelect: row[7] === "t",
      schemaUsage: row[11] === "t",
      foreign: row[3] === "f" || leaves.some((leaf) => leaf.kind === "f"),
      subscribed: subscribed &&
        [oid, ...leaves.map((leaf) => leaf.oid)].some((each) => subscribed.has(each)),
      hasChildren: row[13] === "t",
      pages: Number(row[14]),
      touches: touchesOf.get(oid) ?? [],
    });
  }
  const [first] = relations;
  const others = result.size < new Set(tables.map(tableId)).size
    ? await database.query({ text: OTHERS }, signal)
    : undefined;
  return {
    version: Number(first?.[9] ?? 0),
    role: first?.[12] ?? "",
    standby: first?.[15] === "t",
    tables: result,
    ...(others && { others: others.map((row) => ({ schema: text(row, 0), name: text(row, 1) })) }),
  };
}

/** A column by its verbatim name. */
export function columnOf(table: CatalogTable, name: string): CatalogColumn | undefined {
  return table.columns.find((column) => column.name === name);
}

/**
 * Columns that tell a row from all others and are never null: the primary key, else the shortest
 * unique index over columns that are NOT NULL; undefined when there is none.
 */
export function rowKeyOf(table: CatalogTable): readonly string[] | undefined {
  if (table.primaryKey !== undefined) return table.primaryKey;
  const keys = uniqueKeysOf(table)
    .filter((names) => names.every((name) => columnOf(table, name)?.notNull === true))
    .sort((a, b) => a.length - b.length || (a.join("\0") < b.join("\0") ? -1 : 1));
  return keys[0];
}

/** Whether at most one row has given values in these columns (nulls apart). */
export function isUnique(table: CatalogTable, columns: readonly string[]): boolean {
  return uniqueKeysOf(table).some((key) => key.every((name) => columns.includes(name)));
}

function uniqueKeysOf(table: CatalogTable): readonly string[][] {
  return table.indexes
    .filter((index) => index.unique && index.valid && !index.partial)
    .map((index) => index.columns)
    .filter((names): names is string[] => names.every((name) => name !== null));
}

const KINDS: Readonly<Record<string, CatalogTable["kind"]>> = {
  r: "table",
  p: "partitioned",
  v: "view",
  m: "materialized",
  f: "foreign",
};

function text(row: Row, at: number): string {
  return row[at] ?? "";
}

function groupByOid<T>(rows: readonly Row[], read: (row: Row) => T): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const oid = text(row, 0);
    const group = groups.get(oid);
    if (group === undefined) groups.set(oid, [read(row)]);
    else group.push(read(row));
  }
  return groups;
}

/** One row at least, whatever exists: the server's facts stand in columns 9, 10, 12 and 15. */
const RELATIONS = `
SELECT w.s, w.n, c.oid, c.relkind,
  CASE WHEN c.relkind IN ('v', 'm') THEN md5(pg_get_viewdef(c.oid)) ELSE '' END,
  c.relrowsecurity, row_security_active(c.oid), has_table_privilege(c.oid, 'SELECT'),
  CASE WHEN c.relkind = 'p' THEN (
    SELECT coalesce(json_agg(json_build_object('oid', l.oid::text, 'kind', l.relkind) ORDER BY l.oid), '[]')::text
    FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf
  ) ELSE '[]' END,
  current_setting('server_version_num'),
  has_table_privilege('pg_catalog.pg_subscription_rel', 'SELECT'),
  has_schema_privilege(n.oid, 'USAGE'), current_user,
  EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid),
  (WITH RECURSIVE below(oid) AS (
     SELECT c.oid UNION SELECT h.inhrelid FROM below JOIN pg_inherits h ON h.inhparent = below.oid)
   SELECT coalesce(sum(greatest(p.relpages, 0)), 0) FROM below JOIN pg_class p ON p.oid = below.oid),
  pg_is_in_recovery(),
  coalesce((WITH RECURSIVE below(oid, link) AS (
     SELECT c.oid, NULL UNION
     SELECT h.inhrelid, h.xmin::text FROM below JOIN pg_inherits h ON h.inhparent = below.oid)
   SELECT json_agg(concat(oid, ':', link) ORDER BY oid, link)::text FROM below WHERE link <> ''), '[]')
FROM (SELECT 1) AS always
LEFT JOIN unnest($1::text[], $2::text[]) AS w(s, n) ON true
LEFT JOIN pg_namespace n ON n.nspname = w.s
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.n AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`;

const OTHERS = `
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname`;

const COLUMNS = `
SELECT a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull,
  has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
  CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
  EXISTS (SELECT FROM pg_collation o WHERE o.oid = a.attcollation AND NOT o.collisdeterministic)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`;

const INDEXES = `
SELECT i.indrelid, c.relname, i.indisprimary, i.indisunique, i.indisvalid, i.indpred IS NOT NULL,
  m.amname,
  (SELECT json_agg(a.attname ORDER BY k.at)::text
   FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, at)
   LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
   WHERE k.at <= i.indnkeyatts)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = ANY ($1::oid[])
ORDER BY i.indrelid, c.relname`;

/** tgtype: 1 for each row, 2 before, 16 on update. A partition's copy of a parent's is the parent's. */
const TOUCHES = `
WITH RECURSIVE below(root, oid) AS (
  SELECT r, r FROM unnest($1::oid[]) r
  UNION SELECT below.root, h.inhrelid FROM below JOIN pg_inherits h ON h.inhparent = below.oid)
SELECT below.root, t.tgname, format('%I.%I', n.nspname, c.relname), t.tgenabled IN ('O', 'A')
FROM below JOIN pg_trigger t ON t.tgrelid = below.oid
JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgtype & 19 = 19 AND NOT t.tgisinternal AND (t.tgparentid = 0
  OR t.tgenabled = 'D' AND EXISTS (
    SELECT FROM pg_trigger p WHERE p.oid = t.tgparentid AND p.tgenabled <> 'D'))
ORDER BY below.root, t.tgrelid, t.tgname`;

const SUBSCRIPTIONS =
  `SELECT DISTINCT srrelid FROM pg_catalog.pg_subscription_rel WHERE srrelid = ANY ($1::oid[])`;
