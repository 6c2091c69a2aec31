import { FatalError } from "../core/errors.ts";
import type { Problem } from "../core/problem.ts";
import type { Database } from "./client.ts";
import { missingIndexes } from "./documents/missing_indexes.ts";
import { stampsAhead } from "./poll/stamps_ahead.ts";
import { planSource, type SourcePlan, type SourceWishes } from "./source_plan.ts";

/**
 * `Postgres 18.4 as reader, reader@host:5432/db`; throws when it can't be reached or is too old for
 * the statements that follow changes.
 */
export async function describeServer(database: Database, signal: AbortSignal): Promise<string> {
  const [row] = await database.query({ text: SERVER }, signal);
  if (Number(row?.[2]) < 140_000) {
    throw new FatalError(
      "SERVER_TOO_OLD",
      `Cannot follow Postgres ${row?.[0]}: it is older than 14`,
      "Point source.url to Postgres 14 or newer.",
    );
  }
  return `Postgres ${row?.[0]} as ${row?.[1]}, ${database.detail}`;
}

/** Plans as a run would, and adds what would work, but slowly or not as meant. Changes nothing. */
export async function inspectSource(
  database: Database,
  wishes: SourceWishes,
  signal: AbortSignal,
): Promise<SourcePlan> {
  const plan = await planSource(database, wishes, signal);
  const [row] = await database.query({ text: "SELECT pg_is_in_recovery()::text" }, signal);
  return {
    ...plan,
    problems: [
      ...(row?.[0] === "true" ? [onStandby()] : []),
      ...plan.problems,
      ...missing(plan),
      ...await stampsAhead(database, plan.polled, signal),
    ],
  };
}

function missing({ plans }: SourcePlan): Problem[] {
  return missingIndexes(plans).map(({ index, table, columns, need, sql }) => ({
    severity: "warning",
    code: "INDEX_MISSING",
    path: `indexes.${index}`,
    message: `No index on ${table} begins with ${columns.map((c) => `"${c}"`).join(", ")}: ` +
      (need === "build"
        ? "building documents reads the whole table for a handful of rows"
        : "finding the documents of a changed row reads the whole table"),
    hint: sql,
  }));
}

function onStandby(): Problem {
  return {
    severity: "error",
    code: "STANDBY",
    path: "source.url",
    message: "This is a standby: the primary's open transactions aren't visible there",
    hint: "Point source.url to the primary; following a standby is not supported yet.",
  };
}

const SERVER = "SELECT current_setting('server_version'), current_user::text, " +
  "current_setting('server_version_num')";
