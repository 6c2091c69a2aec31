/** The statements of an outbox that is claimed. `t` is its table. */
import { arrayLiteral, quote, type Statement } from "../client.ts";
import type { OutboxSettings } from "../ways.ts";

/** What all of them need to know. */
export interface Claimed {
  readonly settings: OutboxSettings;
  readonly positionType: string;
  /** The role may lock its rows: it may update one of its columns. */
  readonly locks: boolean;
  /** What the table column may hold for a row to be ours. */
  readonly names: readonly string[];
}

/** A row that is claimed: this version of it, no other. */
export interface Version {
  readonly position: string;
  readonly xmin: string;
}

/**
 * [position, xmin, name, key] of the first rows of ours that wait, in the position's order, from
 * after one position up to and with another.
 */
export function waitingStatement(
  claimed: Claimed,
  range: { readonly after?: string; readonly to?: string; readonly limit: number },
): Statement {
  const { settings: { columns }, positionType } = claimed;
  const position = `t.${quote(columns.position)}`;
  const params = [arrayLiteral(claimed.names)];
  const conditions = waiting(claimed);
  if (range.after !== undefined) {
    conditions.push(`${position} > $${params.push(range.after)}::${positionType}`);
  }
  if (range.to !== undefined) {
    conditions.push(`${position} <= $${params.push(range.to)}::${positionType}`);
  }
  return {
    text: `SELECT ${position} AS p, t.xmin::text AS x, ${name(claimed)} AS n, t.${
      quote(columns.key)
    } AS k
FROM ${relation(claimed)} t WHERE ${conditions.join(" AND ")}
ORDER BY ${position} LIMIT ${range.limit}`,
    params,
  };
}

/** [the highest position of a row of ours that waits]. */
export function highestStatement(claimed: Claimed): Statement {
  const position = `t.${quote(claimed.settings.columns.position)}`;
  return {
    text: `SELECT ${position} AS p FROM ${relation(claimed)} t
WHERE ${waiting(claimed).join(" AND ")} ORDER BY ${position} DESC LIMIT 1`,
    params: [arrayLiteral(claimed.names)],
  };
}

/** [name, rows of it] among the first rows that wait and aren't ours. */
export function strangersStatement(claimed: Claimed): Statement {
  const [, ...rest] = waiting(claimed);
  const conditions = [`(${name(claimed)} = ANY($1::text[])) IS NOT TRUE`, ...rest];
  return {
    text: `SELECT q.n, count(*)::text FROM (SELECT ${name(claimed)} AS n FROM ${
      relation(claimed)
    } t WHERE ${conditions.join(" AND ")} LIMIT 1000) q GROUP BY q.n`,
    params: [arrayLiteral(claimed.names)],
  };
}

/**
 * Deals with rows, and returns the positions of those that it dealt with. A row that was changed
 * since it was read has another xmin, and waits on. Rows that somebody holds locked are passed over;
 * a role that has the right to DELETE alone can't see that, and waits for them up to lock_timeout.
 */
export function dealtStatement(claimed: Claimed, versions: readonly Version[]): Statement {
  const { settings: { mode, columns }, positionType, locks } = claimed;
  const position = `t.${quote(columns.position)}`;
  const table = relation(claimed);
  const processed = `${quote(columns.processed ?? "")}`;
  const mine = `WITH mine AS MATERIALIZED (SELECT u.p, u.x FROM ${table} t
 JOIN unnest($1::${positionType}[], $2::text[]) AS u(p, x) ON ${position} = u.p AND t.xmin::text = u.x${
    mode === "mark" ? ` WHERE t.${processed} IS NULL` : ""
  }${locks ? " FOR UPDATE OF t SKIP LOCKED" : ""})`;
  const verb = mode === "mark"
    ? `UPDATE ${table} t SET ${processed} = now() FROM mine`
    : `DELETE FROM ${table} t USING mine`;
  return {
    // The xmin once more: who waited for a lock looks at the row again as it is then.
    text: `${mine}
${verb} WHERE ${position} = mine.p AND t.xmin::text = mine.x RETURNING ${position}`,
    params: [
      arrayLiteral(versions.map((version) => version.position)),
      arrayLiteral(versions.map((version) => version.xmin)),
    ],
  };
}

/** $1 is the array of names. */
function waiting(claimed: Claimed): string[] {
  const { mode, columns } = claimed.settings;
  return [
    `${name(claimed)} = ANY($1::text[])`,
    ...(mode === "mark" ? [`t.${quote(columns.processed ?? "")} IS NULL`] : []),
  ];
}

/** As text, whatever its type: an enum, a regclass, a name. */
function name({ settings }: Claimed): string {
  return `t.${quote(settings.columns.table)}::text`;
}

function relation({ settings: { table } }: Claimed): string {
  return `${quote(table.schema)}.${quote(table.name)}`;
}
