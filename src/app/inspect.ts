import type { Config } from "../config/config.ts";
import type { IndexReport } from "../core/index_report.ts";
import type { JsonObject } from "../core/json.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Sink } from "../core/ports.ts";
import type { Problem } from "../core/problem.ts";
import type { TableLevel } from "../core/source.ts";
import { tableId } from "../core/table.ts";
import { routesOf } from "../engine/pipeline.ts";
import { attempt } from "../flow/attempt.ts";
import { mappingOf } from "../opensearch/mapping.ts";
import { PLANNER } from "../postgres/documents/explain.ts";
import { describeServer, inspectSource } from "../postgres/inspect.ts";
import { NO_OUTPUT, openSinks } from "./sinks.ts";
import { openSource, wishesOf } from "./source.ts";

/** What `check` found beyond the config file. */
export interface Inspection {
  readonly problems: readonly Problem[];
  readonly connections: readonly { readonly to: string; readonly detail: string }[];
  readonly tables: readonly TableLevel[];
  /** Facts about the write-ahead log in a line each. */
  readonly wal: readonly string[];
  /** Facts about the changelog in a line each. */
  readonly notes: readonly string[];
  readonly indexes: readonly InspectedIndex[];
}

export interface InspectedIndex {
  readonly index: string;
  readonly tables: readonly string[];
  /** By the first OpenSearch sink it goes to; absent when it goes to none. */
  readonly mapping?: JsonObject;
  /** What is worth knowing and is no problem, in a sentence or two each. */
  readonly notes: readonly string[];
  /** How it stands in each sink that can tell. */
  readonly standing: readonly IndexStanding[];
}

/** How an index stands in one sink. */
export interface IndexStanding extends IndexReport {
  readonly sink: string;
}

/** `check`: looks at everything a run would use, and changes nothing. */
export async function inspect(config: Config, signal: AbortSignal): Promise<Inspection> {
  await using stack = new AsyncDisposableStack();
  const problems: Problem[] = [];
  const connections: { to: string; detail: string }[] = [];
  const source = stack.use(openSource(config, 1));
  const planner = stack.use(openSource(config, 1, { settings: PLANNER }));
  const plan = await attempt("source.url", problems, signal, async () => {
    connections.push({ to: "source", detail: await describeServer(source, signal) });
    return await inspectSource(source, planner, wishesOf(config), signal);
  });
  problems.push(...plan?.problems ?? []);
  const plans = plan?.plans ?? [];
  const standing = new Map(plans.map(({ name }): [string, IndexStanding[]] => [name, []]));
  const counts = new Map(plans.map(({ name }): [string, string[]] => [name, []]));
  for (const sink of openSinks(config, NO_OUTPUT).map((each) => stack.use(each))) {
    await attempt(`sinks.${sink.name}`, problems, signal, async () => {
      connections.push({ to: sink.name, detail: await sink.connect(signal) });
      for (const each of plans) {
        if (routesOf(each, [sink]).length === 0) continue;
        const report = await sink.inspect?.(each, signal);
        if (report !== undefined) standing.get(each.name)?.push({ sink: sink.name, ...report });
        counts.get(each.name)?.push(...await refsNotes(sink, each, signal));
      }
    });
  }
  return {
    problems,
    connections,
    tables: plan?.levels ?? [],
    wal: plan?.walNotes ?? [],
    notes: plan?.notes ?? [],
    indexes: plans.map((each) => ({
      index: each.name,
      tables: each.tables.map(tableId),
      ...mappingFor(config, each),
      notes: [...plan?.indexNotes.get(each.name) ?? [], ...counts.get(each.name) ?? []],
      standing: standing.get(each.name) ?? [],
    })),
  };
}

/** Which documents a row of another table leaves unseen, for a sink that they are looked for in. */
async function refsNotes(
  sink: Sink,
  plan: IndexPlan,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (plan.refs.length === 0) return [];
  const tables = plan.refs.join(", ");
  if (sink.refs === undefined) {
    return [
      `Sink "${sink.name}" can't be asked which documents show a row: those that a row of ` +
      `${tables} leaves, by moving to another parent, are not written again there.`,
    ];
  }
  if ((await sink.seedState(plan, signal))?.seeded !== true) return [];
  const over = await sink.refs.over(plan.name, signal);
  if (over === 0) return [];
  const documents = over === 1 ? "document shows" : "documents show";
  return [
    `In sink "${sink.name}" ${over} ${documents} too many rows of ${tables} to list them: such a row ` +
    `that moves to another parent stays in them until they are touched.`,
  ];
}

function mappingFor(config: Config, plan: IndexPlan): { readonly mapping?: JsonObject } {
  const search = config.sinks.some(({ type, name }) =>
    type === "opensearch" && (plan.sinks?.includes(name) ?? true)
  );
  return search ? { mapping: mappingOf(plan) } : {};
}
