import type { Database } from "../client.ts";
import type { Clock } from "./listing.ts";
import { type Micros, parseMicros } from "./micros.ts";
import type { PolledTable } from "./polled_table.ts";
import { nextStampStatement } from "./statements.ts";

/**
 * When the clock reaches the first row that C leaves out because it is stamped in the future;
 * undefined: there is none. One index look-up a table, in one round trip.
 */
export async function earliestAhead(
  database: Database,
  tables: readonly PolledTable[],
  { clock }: Clock,
  signal: AbortSignal,
): Promise<Micros | undefined> {
  const margin = (table: PolledTable) => BigInt(table.marginMs) * 1000n;
  const results = await database.sequence(
    tables.map((table) => nextStampStatement(table, clock + margin(table))),
    signal,
  );
  const moments = tables.flatMap((table, i) => {
    const next = results[i]?.[0]?.[0];
    // C reads up to its margin ahead of the clock.
    return next === undefined || next === null ? [] : [parseMicros(next) - margin(table)];
  });
  return moments.reduce<Micros | undefined>(
    (first, at) => first === undefined || at < first ? at : first,
    undefined,
  );
}
