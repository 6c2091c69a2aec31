import { durationText } from "../core/duration_text.ts";
import type { Problem } from "../core/problem.ts";
import { type Database, quote } from "./client.ts";

/** Who reads a changelog, a line each, and an alarm for whom it is kept in vain. */
export async function inspectConsumers(
  database: Database,
  schema: string,
  signal: AbortSignal,
): Promise<{ readonly lines: readonly string[]; readonly problems: readonly Problem[] }> {
  const rows = await database.query({
    text: `SELECT name, (extract(epoch FROM clock_timestamp() - seen_at) * 1000)::bigint::text
 FROM ${quote(schema)}.consumers ORDER BY name`,
  }, signal);
  const consumers = rows.map(([name, ms]) => ({ name: name ?? "", ms: Math.max(0, Number(ms)) }));
  return {
    lines: consumers.length === 0
      ? [`nobody has read the changelog in schema "${schema}" yet`]
      : consumers.map(({ name, ms }) => `consumer "${name}": last seen ${durationText(ms)} ago`),
    problems: consumers.filter(({ ms }) => ms > DAY_MS).map(({ name, ms }) => ({
      severity: "warning",
      code: "CHANGELOG_CONSUMER_AWAY",
      path: "source.changelog",
      message: `Consumer "${name}" of the changelog in schema "${schema}" was last seen ` +
        `${durationText(ms)} ago: all changes since are kept for it`,
      hint: `If it won't come back: driftless changelog forget ${JSON.stringify(name)} --apply`,
    })),
  };
}

const DAY_MS = 86_400_000;
