import type { RowKey } from "../../core/change.ts";
import { FatalError } from "../../core/errors.ts";
import { arrayLiteral, type Database } from "../client.ts";
import { blamesRow } from "../errors.ts";
import type { PlannedIndex } from "./plan.ts";

/**
 * Whether no row can have this key, because its text is none of the columns' types: `abc` for a
 * bigint, under which somebody put a document by hand. False as soon as a column's type isn't the
 * planned one: then the text may be a key, and the plan is what is wrong. (Through a domain the
 * types never compare equal: such a key counts as possible.)
 */
export async function cannotBeKey(
  database: Database,
  { bound }: PlannedIndex,
  key: RowKey,
  signal: AbortSignal,
): Promise<boolean> {
  const casts = bound.key.map(({ type }, at) => `$${at + 1}::${type.cast}`);
  const params = bound.key.map((_, at) => key[at] ?? null);
  try {
    await database.query({ text: `SELECT ${casts.join(", ")}`, params }, signal);
    return false;
  } catch (error) {
    if (!(error instanceof FatalError) || !blamesRow(error.code)) throw error;
  }
  const types = arrayLiteral(bound.key.map(({ type }) => type.cast));
  const names = arrayLiteral(bound.key.map(({ name }) => name));
  const found = await database.query({
    text: TYPES,
    params: [bound.root.table.oid, names, types],
  }, signal);
  return found[0]?.[0] === String(bound.key.length);
}

const TYPES = `SELECT count(*)::text FROM unnest($2::text[], $3::text[]) AS k(name, type)
 JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attname = k.name AND NOT a.attisdropped
 AND format_type(a.atttypid, -1) = k.type`;
