import { tableId, type TableRef } from "../../core/table.ts";
import { arrayLiteral, CAST_TYPE, type Database } from "../client.ts";

/** What the catalog says of a table, as far as following its stamp needs it. */
export interface TableFacts {
  readonly id: string;
  readonly kind: "table" | "partitioned" | "view" | "materialized view" | "foreign table";
  readonly columns: ReadonlyMap<string, ColumnFacts>;
  /** Column names of each valid, whole btree index, in order; an expression is "". */
  readonly indexes: readonly (readonly string[])[];
  /** Fed by a logical-replication subscription. */
  readonly subscribed: boolean;
  /** Other tables inherit from it, and are read with it. */
  readonly hasChildren: boolean;
}

export interface ColumnFacts {
  /** What a key's text is cast to: the type without a length. */
  readonly exactType: string;
  /** Set for the types a stamp may have, through domains. */
  readonly stampType?: "timestamptz" | "timestamp";
  readonly notNull: boolean;
  /** Digits of a second; 6 unless declared lower. */
  readonly precision: number;
}

/** Facts by `tableId`, in two statements whatever the number of tables. Missing tables are absent. */
export async function loadTableFacts(
  database: Database,
  tables: readonly TableRef[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, TableFacts>> {
  const params = [
    arrayLiteral(tables.map((t) => t.schema)),
    arrayLiteral(tables.map((t) => t.name)),
  ];
  const [columns, indexes] = await database.sequence([
    { text: COLUMNS, params },
    { text: INDEXES, params },
  ], signal);
  const facts = new Map<string, Mutable>();
  for (const row of columns ?? []) {
    const [schema, name, kind, subscribed, inherited, column, type, stampType, notNull, precision] =
      row.map((value) => value ?? "");
    const id = tableId({ schema: schema ?? "", name: name ?? "" });
    let table = facts.get(id);
    if (table === undefined) {
      table = {
        id,
        kind: KINDS[kind ?? ""] ?? "view",
        columns: new Map(),
        indexes: [],
        subscribed: subscribed === "true",
        hasChildren: inherited === "true",
      };
      facts.set(id, table);
    }
    table.columns.set(column ?? "", {
      exactType: type ?? "",
      ...(stampType === "timestamptz" || stampType === "timestamp" ? { stampType } : {}),
      notNull: notNull === "true",
      precision: Number(precision),
    });
  }
  for (const row of indexes ?? []) {
    const id = tableId({ schema: String(row[0]), name: String(row[1]) });
    facts.get(id)?.indexes.push(JSON.parse(row[2] ?? "[]") as string[]);
  }
  return facts;
}

type Mutable = TableFacts & {
  readonly columns: Map<string, ColumnFacts>;
  readonly indexes: (readonly string[])[];
};

const KINDS: Readonly<Record<string, TableFacts["kind"]>> = {
  r: "table",
  p: "partitioned",
  v: "view",
  m: "materialized view",
  f: "foreign table",
};

const WANTED = `unnest($1::text[], $2::text[]) AS w(schema, name)
 JOIN pg_namespace n ON n.nspname = w.schema
 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name`;

const COLUMNS = `SELECT w.schema, w.name, c.relkind::text,
 EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid
  OR s.srrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))::text,
 EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)::text, a.attname::text,
 ${CAST_TYPE},
 CASE coalesce(nullif(t.typbasetype, 0), t.oid)
  WHEN 'timestamptz'::regtype THEN 'timestamptz' WHEN 'timestamp'::regtype THEN 'timestamp' END,
 a.attnotnull::text,
 (CASE WHEN greatest(a.atttypmod, t.typtypmod) BETWEEN 0 AND 6
  THEN greatest(a.atttypmod, t.typtypmod) ELSE 6 END)::text
FROM ${WANTED}
 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 JOIN pg_type t ON t.oid = a.atttypid
ORDER BY c.oid, a.attnum`;

const INDEXES = `SELECT w.schema, w.name,
 (SELECT json_agg(coalesce(a.attname::text, '') ORDER BY k.n)
  FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, n)
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0)::text
FROM ${WANTED}
 JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
 JOIN pg_class x ON x.oid = i.indexrelid
 JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'`;
