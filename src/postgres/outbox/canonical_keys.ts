import type { RowKey } from "../../core/change.ts";
import { FatalError } from "../../core/errors.ts";
import { arrayLiteral, type Database, type Statement } from "../client.ts";
import { blamesRow } from "../errors.ts";

/** The type of a key column. */
export interface KeyType {
  /** With its length or digits: `character(5)`, `numeric(10,2)`. */
  readonly exact: string;
  /** Without: what a text is cast to that mustn't be cut. */
  readonly cast: string;
}

/**
 * Keys as their table prints them, which is what document ids are made of: `007` for an integer is
 * `7`, `ab` for a character(3) is `ab `, `7` for a numeric(10,2) is `7.00`. Undefined for a key that
 * no row can have: a text that isn't of the type, or doesn't fit it. One statement for all keys;
 * before Postgres 16, where a text can't be tried, more when one of them is bad.
 *
 * A type whose equal values print differently (numeric without digits, citext, interval) has no
 * canonical text: such a key has to be written as the row has it.
 */
export async function canonicalKeys(
  database: Database,
  { types, version }: { readonly types: readonly KeyType[]; readonly version: number },
  keys: readonly RowKey[],
  signal: AbortSignal,
): Promise<readonly (RowKey | undefined)[]> {
  if (keys.length === 0) return [];
  const statement = { text: canonicalSql(types, version >= 160_000), params: arrays(types, keys) };
  const rows = await run(database, statement, signal);
  if (rows === undefined) {
    if (keys.length === 1) return [undefined];
    const half = Math.ceil(keys.length / 2);
    const context = { types, version };
    return [
      ...await canonicalKeys(database, context, keys.slice(0, half), signal),
      ...await canonicalKeys(database, context, keys.slice(half), signal),
    ];
  }
  return keys.map((_, i) => {
    const key = (rows[i] ?? []).filter((part) => part !== null);
    return key.length === types.length ? key : undefined;
  });
}

/** Undefined when a value among the parameters fails it. */
async function run(database: Database, statement: Statement, signal: AbortSignal) {
  try {
    return await database.query(statement, signal);
  } catch (error) {
    if (error instanceof FatalError && blamesRow(error.code)) return undefined;
    throw error;
  }
}

/** [a text or NULL for each key column], in the order of the arrays. */
function canonicalSql(types: readonly KeyType[], tries: boolean): string {
  const columns = types.map(({ exact, cast }, i) => {
    const value = `u.k${i}::${exact}`;
    // format() prints as the protocol does: ::text would strip the padding of a character(n).
    const text = `format('%s', ${value})`;
    // A cast cuts what is too long, and rounds.
    const whole = exact === cast ? text : `CASE WHEN u.k${i}::${cast} = ${value} THEN ${text} END`;
    const name = `'${exact.replaceAll("'", "''")}'`;
    return tries ? `CASE WHEN pg_input_is_valid(u.k${i}, ${name}) THEN ${whole} END` : whole;
  });
  const names = types.map((_, i) => `k${i}`);
  const params = types.map((_, i) => `$${i + 1}::text[]`);
  return `SELECT ${columns.join(", ")}
FROM unnest(${params.join(", ")}) WITH ORDINALITY u(${names.join(", ")}, n) ORDER BY u.n`;
}

function arrays(types: readonly KeyType[], keys: readonly RowKey[]): string[] {
  return types.map((_, i) => arrayLiteral(keys.map((key) => key[i] ?? null)));
}
