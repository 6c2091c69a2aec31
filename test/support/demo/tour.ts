import type postgres from "postgres";
import { type BinaryResult, runBinary } from "../binary.ts";
import { pollInterval } from "./config.ts";
import { type Arrival, measureArrival } from "./measure.ts";
import { page } from "./page.ts";
import type { SinkView } from "./sink_view.ts";
import { type Step, steps } from "./steps.ts";
import { startTool } from "./tool.ts";

/** What the tour works with: a folder with a driftless.jsonc, and both ends of the pipe. */
export interface Place {
  readonly cwd: string;
  /** What the config reads from the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What a reader of the milliseconds should know of the sink. */
  readonly note?: string;
  /** Called once there is something in the sink. */
  openView(): SinkView;
  /** Of the shop's owner. */
  readonly sql: postgres.Sql;
  /** What is to be undone at the end, whatever ends the tour. */
  readonly undo: (() => PromiseLike<unknown>)[];
}

/** Shows the tool's commands at work, one after another; resolves with the demo's exit code. */
export async function showTool(place: Place): Promise<number> {
  await showCheck(place);

  page.command("driftless run");
  const tool = startTool(["run", "--log-format", "pretty"], place);
  place.undo.push(() => tool.stop());
  // Whatever the tool prints while it seeds comes before what follows.
  await driftless(place, ["wait"], tool.ended);
  await showSearch(place, tool.ended);

  page.heading(`Changes, while it polls every ${pollInterval} (by default every 250ms to 5s)`);
  const view = place.openView();
  place.undo.push(() => view[Symbol.asyncDispose]());
  const shown: [Step, Arrival][] = [];
  for (const prepare of steps) {
    const step = await prepare(place.sql);
    const arrival = await showStep(step, view, tool.ended);
    shown.push([step, arrival]);
    if (arrival.searchableMs === undefined) return 1;
  }

  await showWait(place, tool.ended);
  page.command("kill -TERM $(pidof driftless)");
  const code = await tool.stop();
  if (code === 0) page.good("exit code 0: everything in flight was finished and acknowledged");
  else page.bad(`exit code ${code} instead of 0`);

  page.heading("Milliseconds from commit until the change was");
  page.table([
    ["", "documents", "durable", "searchable"],
    ...shown.map(([{ title, expected }, { durableMs, searchableMs }]) => [
      title,
      String(expected.ids.length),
      milliseconds(durableMs),
      milliseconds(searchableMs),
    ]),
  ]);
  if (place.note !== undefined) page.faint(place.note);
  page.heading("Where to go next");
  for (const [what, why] of nextSteps) page.detail(`${what.padEnd(24)}${why}`);
  return code === 0 ? 0 : 1;
}

const nextSteps = [
  ["README.md", "what it guarantees under which conditions, and how to run it on your database"],
  ["config.example.jsonc", "every key of the config, explained; it fits this shop"],
  ["dist/driftless --help", "the commands; each has --help with examples"],
] as const;

/** What is missing of a check's report here is shown by `run` when it starts. */
async function showCheck(place: Place): Promise<void> {
  page.command("driftless check");
  const { stdout } = await driftless(place, ["check", "--format", "json"]);
  const report = JSON.parse(stdout) as {
    readonly problems: readonly { readonly severity: string; readonly message: string }[];
    readonly tables: readonly { readonly level: string }[];
    readonly indexes: readonly { readonly index: string }[];
  };
  for (const { severity, message } of report.problems) page.detail(`${severity}: ${message}`);
  const levels = [...new Set(report.tables.map(({ level }) => level))].join(", ");
  const indexes = report.indexes.map(({ index }) => index).join(", ");
  page.good(
    `database, sink and config fit: ${report.tables.length} tables at level ${levels}, ` +
      `indexes ${indexes}`,
  );
}

async function showSearch(place: Place, ended: AbortSignal): Promise<void> {
  page.command('driftless search products "golden tea" --limit 3');
  const { stdout } = await driftless(
    place,
    ["search", "products", "golden tea", "--limit=3"],
    ended,
  );
  const hits = stdout.trimEnd().split("\n").filter((line) => line !== "");
  if (hits.length === 0) throw new Error("Cannot go on: the search found nothing");
  for (const hit of hits) {
    page.detail([...hit].length > LINE ? `${[...hit].slice(0, LINE - 1).join("")}…` : hit);
  }
}

async function showStep(step: Step, view: SinkView, ended: AbortSignal): Promise<Arrival> {
  const { title, shown, then, expected } = step;
  page.line();
  page.title(title);
  page.faint(`  ${shown}`);
  const options = { timeoutMs: TIMEOUT_MS, signal: ended };
  const arrival = await measureArrival(() => step.commit(), expected, view, options);
  const { durableMs, searchableMs } = arrival;
  if (searchableMs !== undefined) {
    page.good(`arrived: ${then}`);
    page.faint(
      `  ${milliseconds(durableMs)} ms after the commit durable, ` +
        `after ${milliseconds(searchableMs)} ms searchable`,
    );
  } else {
    const state = durableMs === undefined ? "not durable" : "durable, but not searchable";
    page.bad(`${state} ${TIMEOUT_MS / 1000} s after the commit: ${then}`);
  }
  return arrival;
}

async function showWait(place: Place, ended: AbortSignal): Promise<void> {
  page.command("driftless wait");
  const { stdout, stderr } = await driftless(place, ["wait"], ended);
  for (const line of `${stdout}${stderr}`.trimEnd().split("\n")) page.detail(line);
}

/**
 * A command of the binary, run to its end; cut short when the running tool has ended. Throws with
 * what it has written unless it ends with 0.
 */
async function driftless(
  { cwd, env }: Place,
  args: readonly string[],
  ended?: AbortSignal,
): Promise<BinaryResult> {
  const cut = new Promise<never>((_, reject) => {
    if (ended?.aborted) reject(ended.reason);
    ended?.addEventListener("abort", () => reject(ended.reason), { once: true });
  });
  const run = runBinary(args, { cwd, env, config: "driftless.jsonc" });
  const result = await Promise.race([run, cut]);
  if (result.code === 0) return result;
  const output = `${result.stdout}${result.stderr}`;
  throw new Error(`Cannot go on: \`driftless ${args[0]}\` ended with ${result.code}\n${output}`);
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? "never" : String(Math.round(value));
}

/** A change that hasn't arrived by then counts as lost. */
const TIMEOUT_MS = 60_000;
/** Longer lines of output are cut. */
const LINE = 96;
