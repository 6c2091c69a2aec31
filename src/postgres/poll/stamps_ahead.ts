import type { Problem } from "../../core/problem.ts";
import { type Database, quote } from "../client.ts";
import type { PolledTable } from "./polled_table.ts";

/**
 * Tables whose newest stamp lies in the future by the database's clock: rows stamped so are followed
 * when their time comes. It also finds a wrong time zone. One index look-up a table.
 */
export async function stampsAhead(
  database: Database,
  tables: readonly PolledTable[],
  signal: AbortSignal,
): Promise<Problem[]> {
  if (tables.length === 0) return [];
  const rows = await database.sequence(
    tables.map(({ table, stamp }) => {
      const zone = `'${stamp.zone.replaceAll("'", "''")}'`;
      const clock = stamp.type === "timestamptz"
        ? "clock_timestamp()"
        : `(clock_timestamp() AT TIME ZONE ${zone})`;
      const newest = `(SELECT max(t.${quote(stamp.name)}) FROM ${quote(table.schema)}.${
        quote(table.name)
      } t)`;
      return {
        text:
          `SELECT m::text, (m > ${clock} + interval '1 minute')::text FROM (SELECT ${newest} AS m) n`,
      };
    }),
    signal,
  );
  return tables.flatMap((table, i): Problem[] => {
    const [newest, ahead] = rows[i]?.[0] ?? [];
    if (ahead !== "true") return [];
    return [{
      severity: "warning",
      code: "STAMP_AHEAD",
      path: `source.tables.${table.id}`,
      message: `The newest "${table.stamp.name}" of ${table.id} lies in the future (${newest})`,
      hint: table.stamp.type === "timestamp"
        ? `Check stampTimezone: it is ${table.stamp.zone}.`
        : "Rows stamped in the future are followed when their time comes; mend what stamps them.",
    }];
  });
}
