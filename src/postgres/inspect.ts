import { FatalError } from "../core/errors.ts";
import type { Problem } from "../core/problem.ts";
import type { Database } from "./client.ts";
import { inspectConsumers } from "./inspect_changelog.ts";
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

/** What a plan says, and what else a person wants to know. */
export interface SourceInspection extends SourcePlan {
  /** Facts in a line each: who reads the changelog. */
  readonly notes: readonly string[];
}

/** Plans as a run would, and adds what would work, but slowly or not as meant. Changes nothing. */
export async function inspectSource(
  database: Database,
  wishes: SourceWishes,
  signal: AbortSignal,
): Promise<SourceInspection> {
  const plan = await planSource(database, wishes, signal);
  const first = [...plan.capture.ways.values()].map(([way]) => way);
  const polled = first.flatMap((way) =>
    way.kind === "updated_at" || way.kind === "lag" ? [way.table] : []
  );
  const consumers = plan.changelogSchema === undefined
    ? { lines: [], problems: [] }
    : await inspectConsumers(database, plan.changelogSchema, signal);
  return {
    ...plan,
    notes: consumers.lines,
    problems: [
      ...(plan.catalog.standby ? [onStandby(wishes)] : []),
      ...plan.problems,
      ...consumers.problems,
      ...missing(plan),
      ...await stampsAhead(database, polled, signal),
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

function onStandby({ lagMs }: SourceWishes): Problem {
  const lag = lagMs === 0
    ? "can't be followed (source.poll.lag is off)"
    : "are read with a lag (L1)";
  return {
    severity: "warning",
    code: "STANDBY",
    path: "source.url",
    message:
      "This is a standby, where the primary's open transactions can't be seen: tables that " +
      `only have a stamp ${lag}`,
    hint: "Point source.url to the primary, or install the changelog there: it is read from a " +
      "standby without loss, as late as the oldest open transaction.",
  };
}

const SERVER = "SELECT current_setting('server_version'), current_user::text, " +
  "current_setting('server_version_num')";
