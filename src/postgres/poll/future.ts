import type { Database } from "../client.ts";
import type { Clock } from "./listing.ts";
import { type Micros, parseMicros } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";
import { nextStampsStatement } from "./statements.ts";

/**
 * When the clock reaches the first row that C leaves out because it is stamped in the future;
 * undefined: there is none. One index look-up a table, many in a statement, in one round trip.
 */
export async function earliestAhead(
  database: Database,
  tables: readonly PolledTable[],
  { clock }: Clock,
  signal: AbortSignal,
): Promise<Micros | undefined> {
  const margin = (table: PolledTable) => BigInt(table.marginMs) * 1000n;
  const groups = grouped(tables);
  const results = await database.sequence(
    groups.map((group) =>
      nextStampsStatement(group.map((table) => ({ table, from: clock + margin(table) })))
    ),
    signal,
  );
  const moments = groups.flatMap((group, i) =>
    group.flatMap((table, j) => {
      const next = results[i]?.[0]?.[j];
      // C reads up to its margin ahead of the clock.
      return next === undefined || next === null ? [] : [parseMicros(next) - margin(table)];
    })
  );
  return moments.reduce<Micros | undefined>(
    (first, at) => first === undefined || at < first ? at : first,
    undefined,
  );
}

/** A statement locks all it reads: what has partitions, which may be many, is looked at alone. */
function grouped(tables: readonly PolledTable[]): readonly (readonly PolledTable[])[] {
  const plain = tables.filter(({ heap }) => heap);
  const groups = tables.filter(({ heap }) => !heap).map((table) => [table]);
  for (let at = 0; at < plain.length; at += TABLES_A_STATEMENT) {
    groups.push(plain.slice(at, at + TABLES_A_STATEMENT));
  }
  return groups;
}

const TABLES_A_STATEMENT = 25;
