import { arrayLiteral, type Database } from "../client.ts";
import type { ReplicatedTable } from "../ways.ts";

/**
 * Whose changes a relation's are, by its oid: of the followed table itself, and of each that it is a
 * partition of, at any depth. One statement; locks nothing.
 */
export async function loadRelations(
  database: Database,
  tables: readonly ReplicatedTable[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, readonly ReplicatedTable[]>> {
  const byOid = new Map(tables.map((table) => [table.oid, table]));
  const rows = await database.query(
    { text: BELOW, params: [arrayLiteral([...byOid.keys()])] },
    signal,
  );
  const relations = new Map<number, ReplicatedTable[]>();
  for (const [oid, root] of rows) {
    const table = byOid.get(root ?? "");
    if (table === undefined) continue;
    const known = relations.get(Number(oid));
    if (known === undefined) relations.set(Number(oid), [table]);
    else known.push(table);
  }
  return relations;
}

/**
 * The same of one relation that is first met while streaming: a partition made later. [] when it is
 * nobody's; also of one that was detached or dropped again before its changes were read, which shows
 * as a change of the table's partitions.
 */
export async function relationsOf(
  database: Database,
  oid: number,
  tables: readonly ReplicatedTable[],
  signal: AbortSignal,
): Promise<readonly ReplicatedTable[]> {
  const rows = await database.query({ text: ABOVE, params: [String(oid)] }, signal);
  const above = new Set(rows.map(([each]) => each));
  return tables.filter((table) => above.has(table.oid));
}

const BELOW = `
WITH RECURSIVE below(root, oid) AS (
  SELECT r, r FROM unnest($1::oid[]) r
  UNION SELECT below.root, c.oid FROM below
  JOIN pg_inherits h ON h.inhparent = below.oid JOIN pg_class c ON c.oid = h.inhrelid AND c.relispartition)
SELECT oid::text, root::text FROM below`;

const ABOVE = `
WITH RECURSIVE above(oid) AS (
  SELECT $1::oid
  UNION SELECT h.inhparent FROM above
  JOIN pg_class c ON c.oid = above.oid AND c.relispartition JOIN pg_inherits h ON h.inhrelid = above.oid)
SELECT oid::text FROM above`;
