import { mappingFor, openSinks, openSource, planSourceOf } from "../app.ts";
import type { LineWriter } from "../app.ts";
import type { Config } from "../config/config.ts";
import { FatalError, messageOf } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { Problem } from "../core/problem.ts";
import type { TableLevel } from "../core/source.ts";
import { tableId } from "../core/table.ts";
import { routesOf } from "../engine/pipeline.ts";
import type { Database } from "../postgres/client.ts";
import { missingIndexes } from "../postgres/documents/missing_indexes.ts";
import { stampsAhead } from "../postgres/poll/stamps_ahead.ts";
import type { SourcePlan } from "../postgres/source_plan.ts";

/** What `check --format json` prints, beside `ok`. */
export interface CheckReport {
  readonly problems: readonly Problem[];
  readonly connections: readonly { readonly to: string; readonly detail: string }[];
  readonly tables: readonly TableLevel[];
  readonly indexes: readonly {
    readonly index: string;
    readonly tables: readonly string[];
    /** By the first OpenSearch sink it goes to; absent when it goes to none. */
    readonly mapping?: JsonObject;
  }[];
  /** Statements that would make it work, faster or more honest. */
  readonly sql: readonly string[];
}

/** Looks at everything a run would use, and changes nothing. */
export async function inspect(
  config: Config,
  stdout: LineWriter,
  signal: AbortSignal,
): Promise<CheckReport> {
  await using stack = new AsyncDisposableStack();
  const problems: Problem[] = [];
  const connections: { to: string; detail: string }[] = [];
  const source = stack.use(openSource(config, 1));
  const plan = await attempt("source.url", problems, async () => {
    const [row] = await source.query({ text: ROLE }, signal);
    connections.push({
      to: "source",
      detail: `Postgres ${row?.[0]} as ${row?.[1]}, ${source.detail}`,
    });
    if (row?.[2] === "true") problems.push(onStandby());
    return await planSourceOf(config, source, signal);
  });
  if (plan !== undefined) {
    problems.push(...plan.problems, ...await slowOrWrong(plan, source, signal));
  }
  for (const sink of openSinks(config, stdout).map((each) => stack.use(each))) {
    await attempt(`sinks.${sink.name}`, problems, async () => {
      connections.push({ to: sink.name, detail: await sink.connect(signal) });
      for (const each of plan?.plans ?? []) {
        if (routesOf(each, [sink]).length > 0) await sink.seedState(each, signal);
      }
    });
  }
  const hints = problems.flatMap(({ hint }) => hint !== undefined && isSql(hint) ? [hint] : []);
  return {
    problems,
    connections,
    tables: plan?.levels ?? [],
    indexes: (plan?.plans ?? []).map((each) => {
      const mapping = mappingFor(config, each);
      return {
        index: each.name,
        tables: each.tables.map(tableId),
        ...(mapping === undefined ? {} : { mapping }),
      };
    }),
    sql: [...new Set([...hints, ...(plan?.levels ?? []).flatMap(({ sql }) => sql)])],
  };
}

/** What would work, but slowly or not as meant. */
async function slowOrWrong(
  plan: SourcePlan,
  source: Database,
  signal: AbortSignal,
): Promise<Problem[]> {
  const missing = missingIndexes(plan.plans).map((each): Problem => ({
    severity: "warning",
    code: "INDEX_MISSING",
    path: `indexes.${each.index}`,
    message:
      `No index on ${each.table} begins with ${each.columns.map((c) => `"${c}"`).join(", ")}` +
      (each.need === "build"
        ? ": building documents reads the whole table for a handful of rows"
        : ": finding the documents of a changed row reads the whole table"),
    hint: each.sql,
  }));
  return [...missing, ...await stampsAhead(source, plan.polled, signal)];
}

/** Runs it; what it throws is a problem of its own. */
async function attempt<T>(
  path: string,
  problems: Problem[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const fatal = error instanceof FatalError;
    problems.push({
      severity: "error",
      code: fatal ? error.code : "UNREACHABLE",
      path,
      message: messageOf(error),
      hint: fatal ? error.hint : "Check that the server runs and that its address is right.",
    });
    return undefined;
  }
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

function isSql(hint: string): boolean {
  return /^(CREATE|ALTER|GRANT) /.test(hint);
}

const ROLE = "SELECT current_setting('server_version'), current_user::text, " +
  "pg_is_in_recovery()::text";
