import { FatalError } from "../core/errors.ts";
import type { Problem } from "../core/problem.ts";
import type { Database } from "./client.ts";
import { inspectConsumers } from "./inspect_changelog.ts";
import { inspectWal } from "./inspect_wal.ts";
import { indexNotes } from "./documents/index_notes.ts";
import type { LookupNeed } from "./documents/lookups.ts";
import { type MissingIndex, missingIndexes } from "./documents/missing_indexes.ts";
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
  /** Facts in a line each: who reads the WAL, or why nobody does. */
  readonly walNotes: readonly string[];
  /** Facts in a line each: who reads the changelog. */
  readonly notes: readonly string[];
  /** By index: what is worth knowing of it, in a sentence or two each. */
  readonly indexNotes: ReadonlyMap<string, readonly string[]>;
}

/**
 * Plans as a run would, and adds what would work, but slowly or not as meant. Changes nothing.
 * `planner` is another Database, with the `PLANNER` settings (documents/explain.ts).
 */
export async function inspectSource(
  database: Database,
  planner: Database,
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
  const replicated = [...plan.capture.ways].filter(([, [{ kind }]]) => kind === "wal");
  const wal = inspectWal(plan.wal, replicated.map(([id]) => id), plan.problems);
  return {
    ...plan,
    walNotes: wal.lines,
    notes: consumers.lines,
    indexNotes: await indexNotes(database, plan.plans, signal),
    problems: [
      ...(plan.catalog.standby ? [onStandby(wishes)] : []),
      ...plan.problems,
      ...wal.problems,
      ...consumers.problems,
      ...(await missingIndexes(planner, plan.plans, plan.catalog, signal)).map(problemOf),
      ...await stampsAhead(database, polled, signal),
    ],
  };
}

/** A statement is a hint that `check` lists with the others; else it says what to do. */
function problemOf({ table, columns, why, needs, sql }: MissingIndex): Problem {
  const named = columns.map((name) => `"${name}"`).join(", ");
  return {
    severity: "warning",
    code: "INDEX_MISSING",
    path: `indexes.${needs[0]?.index}`,
    message: `${STATES[why](table, named)}: the whole table is read for a handful of rows when ` +
      needsText(needs),
    hint: sql ?? HINTS[why],
  };
}

const STATES: Readonly<Record<MissingIndex["why"], (table: string, columns: string) => string>> = {
  none: (table, columns) => `No index on ${table} begins with ${columns}`,
  types: (table, columns) =>
    `The index on ${columns} of ${table} can't be used: it is compared with a column of another type`,
  view: (table, columns) => `No index helps to find rows of the view ${table} by ${columns}`,
};

const HINTS: Readonly<Record<MissingIndex["why"], string>> = {
  none: "Create an index that begins with these columns.",
  types:
    "Give both columns the same type, or create an index on the column cast to the other's type.",
  view:
    "Create an index on the columns that the view shows under these names, in the tables behind it.",
};

/** `documents of "users" are built ("orders", "spent"), and when …` */
function needsText(needs: readonly LookupNeed[]): string {
  const texts = ACTS.flatMap(({ what, says }) => {
    const indexes = [...new Set(needs.filter((each) => each.what === what).map((n) => n.index))];
    return indexes.map((index) => {
      const fields = needs.filter((each) => each.what === what && each.index === index)
        .map(({ field }) => field).filter((field) => field !== "");
      const named = [...new Set(fields)].map((field) => `"${field}"`).join(", ");
      return `${says(index)}${named === "" ? "" : ` (${named})`}`;
    });
  });
  return texts.join(", and when ");
}

const ACTS: readonly {
  readonly what: LookupNeed["what"];
  readonly says: (index: string) => string;
}[] = [
  { what: "build", says: (index) => `documents of "${index}" are built` },
  {
    what: "resolve",
    says: (index) => `a changed row is followed to the documents of "${index}" that show it`,
  },
];

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
