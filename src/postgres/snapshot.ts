import type { Change } from "../core/change.ts";
import type { RowKey } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import { RetryableError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import { tableId, type TableRef } from "../core/table.ts";
import { CAST_TYPE, type Database, quote } from "./client.ts";

/**
 * Keys of a root table's rows in key order, strictly after `after`: one short statement a chunk.
 * The last of each chunk is `drained`. Rows that come and go meanwhile are live capture's.
 */
export async function* snapshotKeys(
  database: Database,
  plan: IndexPlan,
  { after, chunk }: { readonly after?: RowKey; readonly chunk: number },
  signal: AbortSignal,
): AsyncGenerator<Delivery<Change>> {
  const types = await keyTypes(database, plan, signal);
  const columns = plan.key.map((name) => `t.${quote(name)}`);
  const select = `SELECT ${columns.map((c, i) => `${c} AS k${i}`).join(", ")} FROM ${
    quote(plan.root.schema)
  }.${quote(plan.root.name)} t`;
  const order = `ORDER BY ${columns.join(", ")} LIMIT ${chunk}`;
  const values = types.map((type, i) => `$${i + 1}::${type}`).join(", ");
  // A row with a NULL in its key names no document.
  const named = columns.map((c) => `${c} IS NOT NULL`).join(" AND ");
  const first = `${select} WHERE ${named} ${order}`;
  const next = `${select} WHERE ${named} AND (${columns.join(", ")}) > (${values}) ${order}`;

  let last = after;
  while (!signal.aborted) {
    const rows = await database.query(
      last === undefined ? { text: first } : { text: next, params: last },
      signal,
    );
    for (const [i, row] of rows.entries()) {
      const key = row.map((part) => part ?? "");
      const value: Change = { table: plan.root, op: "upsert", key };
      last = key;
      yield i === rows.length - 1 ? { value, ack, drained: true } : { value, ack };
    }
    if (rows.length < chunk) return;
  }
}

/** The planner's row count of a table, partitions included; 0 when it was never analysed. */
export async function estimateRows(
  database: Database,
  table: TableRef,
  signal: AbortSignal,
): Promise<number> {
  const [row] = await database.query(
    { text: ESTIMATE, params: [table.schema, table.name] },
    signal,
  );
  return Math.max(0, Number(row?.[0] ?? 0));
}

/** A snapshot has nothing of its own to move: the sink keeps its progress. */
function ack(): void {}

async function keyTypes(
  database: Database,
  plan: IndexPlan,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const rows = await database.query({
    text: KEY_TYPES,
    params: [plan.root.schema, plan.root.name],
  }, signal);
  const types = new Map(rows.map((row) => [row[0], row[1]]));
  return plan.key.map((name) => {
    const type = types.get(name);
    if (type === undefined || type === null) {
      throw new RetryableError(
        "SCHEMA_CHANGED",
        `Cannot read ${tableId(plan.root)}: it has no column "${name}" any more`,
      );
    }
    return type;
  });
}

const KEY_TYPES = `SELECT a.attname::text, ${CAST_TYPE}
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped`;

const ESTIMATE = `WITH RECURSIVE parts AS (
 SELECT c.oid, c.reltuples, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2
 UNION ALL
 SELECT c.oid, c.reltuples, c.relkind FROM parts p JOIN pg_inherits i ON i.inhparent = p.oid
 JOIN pg_class c ON c.oid = i.inhrelid)
SELECT coalesce(sum(reltuples) FILTER (WHERE relkind <> 'p' AND reltuples > 0), 0)::bigint::text
FROM parts`;
