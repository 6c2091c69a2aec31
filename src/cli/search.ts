import type { ArgsDef } from "citty";
import { openSinks } from "../app/sinks.ts";
import { FatalError } from "../core/errors.ts";
import type { Hit, Searchable, Sink } from "../core/ports.ts";
import { type Command, EXIT, textFlag } from "./command.ts";
import { COMMON_ARGS, loadSettings } from "./settings.ts";

const ARGS: ArgsDef = {
  index: { type: "positional", description: "The index, as the config names it", required: true },
  query: { type: "positional", description: "Words to look for", required: true },
  ...COMMON_ARGS,
  sink: {
    type: "string",
    description: "Which sink to ask (default: the first that can search)",
    valueHint: "NAME",
  },
  limit: { type: "string", description: "How many hits", valueHint: "N", default: "10" },
};

/** A quick look at what is indexed. */
export const search: Command = {
  definition: {
    meta: { name: "search", description: "Look at what is indexed: one line of JSON a hit" },
    args: ARGS,
  },
  args: ARGS,
  examples: ['driftless search products "green tea"', "driftless search orders paid --limit 3"],
  async run(flags, context) {
    const { config } = await loadSettings(flags, context);
    const index = textFlag(flags, "index") ?? "";
    const limit = limitOf(textFlag(flags, "limit") ?? "10");
    if (!config.indexes.some(({ name }) => name === index)) {
      const names = config.indexes.map(({ name }) => name).join(", ");
      throw new FatalError(
        "USAGE",
        `Cannot search "${index}": the config has no such index`,
        `It has: ${names}.`,
      );
    }
    const wanted = textFlag(flags, "sink");
    await using stack = new AsyncDisposableStack();
    const sinks = openSinks(config, context.stdout).map((sink) => stack.use(sink));
    const sink = sinks.find((each): each is Sink & Searchable =>
      each.search !== undefined && (wanted === undefined || each.name === wanted)
    );
    if (sink === undefined) {
      const names = sinks.filter((each) => each.search !== undefined).map(({ name }) => name);
      throw new FatalError(
        "USAGE",
        wanted === undefined
          ? "Cannot search: no sink of the config can"
          : `Cannot search "${wanted}": no such sink can`,
        names.length === 0
          ? "Configure an opensearch or sqlite sink."
          : `Can: ${names.join(", ")}.`,
      );
    }
    // Searching has nothing to drain: the first signal ends it.
    const signal = AbortSignal.any([context.stop, context.signal]);
    await sink.connect(signal);
    const query = textFlag(flags, "query") ?? "";
    const hits = await sink.search(index, query, limit, signal);
    for (const hit of hits) await context.stdout.write(lineOf(hit), signal);
    context.stderr(hits.length === 0 ? "no hits\n" : "");
    return EXIT.done;
  },
};

function lineOf({ id, score, body }: Hit): string {
  const rank = score === undefined ? "" : `"score":${score.toFixed(3)},`;
  return `{"id":${JSON.stringify(id)},${rank}"document":${body}}\n`;
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit > 0 && limit <= 10_000) return limit;
  throw new FatalError(
    "USAGE",
    `Cannot read --limit: "${text}" is no whole number from 1 to 10000`,
    "Write it as --limit 10.",
  );
}
