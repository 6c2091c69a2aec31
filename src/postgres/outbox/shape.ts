import { RetryableError } from "../../core/errors.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import { arrayLiteral, CAST_TYPE, type Database } from "../client.ts";
import type { HintedTable, OutboxSettings } from "../ways.ts";
import type { KeyType } from "./canonical_keys.ts";
import type { KeyForm } from "./hint_key.ts";

/** What the catalog says of the outbox and of the keys it hints at. */
export interface OutboxShape {
  /** `server_version_num`. */
  readonly version: number;
  readonly keyForm: KeyForm;
  /** What the position's text is cast to. */
  readonly positionType: string;
  /** Types of the key columns of each hinted table, in order, by `tableId`. */
  readonly keyTypes: ReadonlyMap<string, readonly KeyType[]>;
  /** The stamp's type through domains; undefined: no stamp, or no timestamp. */
  readonly stampType: "timestamptz" | "timestamp" | undefined;
  /** The role may update a column of the outbox, which locking its rows needs. */
  readonly canLock: boolean;
  /** A plain table without children. */
  readonly heap: boolean;
}

/**
 * One statement, whatever the number of tables. Throws RetryableError SCHEMA_CHANGED for a table or
 * a column that isn't there: planning again says what is wrong.
 */
export async function loadShape(
  database: Database,
  settings: OutboxSettings,
  tables: readonly HintedTable[],
  signal: AbortSignal,
): Promise<OutboxShape> {
  const refs = [settings.table, ...tables.map(({ table }) => table)];
  const rows = await database.query({
    text: COLUMNS,
    params: [arrayLiteral(refs.map((t) => t.schema)), arrayLiteral(refs.map((t) => t.name))],
  }, signal);
  const columns = new Map(
    rows.map(([schema, name, column, cast, exact, base, form, heap, lock, version]) => [
      `${tableId({ schema: schema ?? "", name: name ?? "" })}\0${column}`,
      { cast: cast ?? "", exact: exact ?? "", base, form, heap, lock, version },
    ]),
  );
  const at = (table: TableRef, column: string) => {
    const found = columns.get(`${tableId(table)}\0${column}`);
    if (found !== undefined) return found;
    throw new RetryableError(
      "SCHEMA_CHANGED",
      `Cannot read the outbox: ${tableId(table)} has no column "${column}" any more`,
    );
  };
  const key = at(settings.table, settings.columns.key);
  const { stamp } = settings.columns;
  const stampType = stamp === undefined ? undefined : at(settings.table, stamp).base;
  return {
    version: Number(key.version),
    keyForm: key.form === "json" || key.form === "array" ? key.form : "scalar",
    positionType: at(settings.table, settings.columns.position).cast,
    keyTypes: new Map(tables.map(({ id, table, key }) => [
      id,
      key.map((column) => at(table, column)).map(({ cast, exact }) => ({ cast, exact })),
    ])),
    stampType: stampType === "timestamptz" || stampType === "timestamp" ? stampType : undefined,
    canLock: key.lock === "t",
    heap: key.heap === "t",
  };
}

const COLUMNS = `SELECT w.schema, w.name, a.attname::text, ${CAST_TYPE},
 format_type(a.atttypid, a.atttypmod), b.typname::text,
 CASE WHEN b.typname IN ('json', 'jsonb') THEN 'json' WHEN b.typcategory = 'A' THEN 'array' END,
 c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid),
 has_any_column_privilege(c.oid, 'UPDATE'), current_setting('server_version_num')
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
 JOIN pg_namespace n ON n.nspname = w.schema
 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 JOIN pg_type t ON t.oid = a.atttypid
 JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)`;
