import type { TableRef } from "../../core/table.ts";
import type { Database } from "../client.ts";

/** What the catalog says of the outbox, and what the role may do with it. */
export interface OutboxFacts {
  /** As in pg_class: r is a plain table, p a partitioned one. */
  readonly kind: string;
  readonly role: string;
  readonly inRecovery: boolean;
  readonly schemaUsage: boolean;
  readonly canSelect: boolean;
  readonly canDelete: boolean;
  readonly columns: ReadonlyMap<string, OutboxColumn>;
  /** Valid btrees. */
  readonly indexes: readonly OutboxIndex[];
}

export interface OutboxColumn {
  /** `typname` through domains. */
  readonly base: string;
  /** As a cast names it. */
  readonly type: string;
  readonly notNull: boolean;
  /** The default's SQL; "" when there is none. */
  readonly byDefault: string;
  readonly canUpdate: boolean;
}

export interface OutboxIndex {
  /** Key columns in order; "" is an expression. */
  readonly columns: readonly string[];
  readonly unique: boolean;
  /** The predicate's SQL; "" for a whole index. */
  readonly where: string;
}

/** Undefined when there is no such table. Needs no privilege. */
export async function loadOutboxFacts(
  database: Database,
  table: TableRef,
  signal: AbortSignal,
): Promise<OutboxFacts | undefined> {
  const params = [table.schema, table.name];
  const [found, columns, indexes] = await database.sequence([
    { text: TABLE, params },
    { text: COLUMNS, params },
    { text: INDEXES, params },
  ], signal);
  const [row] = found ?? [];
  if (row === undefined) return undefined;
  const [kind, role, inRecovery, schemaUsage, canSelect, canDelete] = row;
  return {
    kind: kind ?? "",
    role: role ?? "",
    inRecovery: inRecovery === "t",
    schemaUsage: schemaUsage === "t",
    canSelect: canSelect === "t",
    canDelete: canDelete === "t",
    columns: new Map((columns ?? []).map(([name, base, type, notNull, byDefault, canUpdate]) => [
      name ?? "",
      {
        base: base ?? "",
        type: type ?? "",
        notNull: notNull === "t",
        byDefault: byDefault ?? "",
        canUpdate: canUpdate === "t",
      },
    ])),
    indexes: (indexes ?? []).map(([names, unique, where]) => ({
      columns: JSON.parse(names ?? "[]") as string[],
      unique: unique === "t",
      where: where ?? "",
    })),
  };
}

const FROM = `FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`;
const WHERE = `WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`;

const TABLE = `SELECT c.relkind::text, current_user::text, pg_is_in_recovery(),
 has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'),
 has_table_privilege(c.oid, 'DELETE') ${FROM} ${WHERE}`;

const COLUMNS = `SELECT a.attname::text, b.typname::text, format_type(a.atttypid, -1),
 a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
 has_column_privilege(c.oid, a.attnum, 'UPDATE')
${FROM} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 JOIN pg_type t ON t.oid = a.atttypid
 JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
 LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
${WHERE} ORDER BY a.attnum`;

const INDEXES = `SELECT (SELECT json_agg(coalesce(a.attname::text, '') ORDER BY k.n)
  FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, n)
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
  WHERE k.n <= i.indnkeyatts)::text,
 i.indisunique AND i.indimmediate, coalesce(pg_get_expr(i.indpred, i.indrelid), '')
${FROM} JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid
 JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
${WHERE}`;
