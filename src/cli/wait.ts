import type { ArgsDef } from "citty";
import { confirm } from "../app.ts";
import { visible } from "../observe/visible.ts";
import { booleanFlag, type Command, EXIT, textFlag } from "./command.ts";
import { durationFlag } from "./duration.ts";
import { COMMON_ARGS, loadSettings } from "./settings.ts";

const ARGS: ArgsDef = {
  ...COMMON_ARGS,
  timeout: {
    type: "string",
    description: "How long to wait at most",
    valueHint: "DURATION",
    default: "60s",
  },
  durable: {
    type: "boolean",
    description: "Return when it is durable, without making it visible to searches",
  },
};

/** The barrier of design 3.3: read-your-writes for tests, deployments and cron. */
export const wait: Command = {
  definition: {
    meta: {
      name: "wait",
      description: "Return when everything committed before it was called can be searched",
    },
    args: ARGS,
  },
  args: ARGS,
  examples: ["driftless wait", "driftless wait --timeout 5m --durable"],
  async run(flags, context) {
    const { config } = await loadSettings(flags, context);
    const timeoutMs = durationFlag("timeout", textFlag(flags, "timeout") ?? "60s");
    const searchable = !booleanFlag(flags, "durable");
    // Waiting has nothing to drain: the first signal ends it.
    const signal = AbortSignal.any([context.stop, context.signal]);
    const { target, behind, broken, levels } = await confirm(
      config,
      { timeoutMs, visible: searchable },
      signal,
    );
    if (behind.length > 0) {
      context.stderr(behind.map((line) => `${visible(line)}\n`).join(""));
      const why = broken
        ? "an index is left out, whatever is waited for."
        : `not durable after ${timeoutMs} ms. ` +
          "Check that `driftless run` is running, or raise --timeout.";
      context.stderr(`Cannot confirm what was committed before ${target}: ${why}\n`);
      return EXIT.failed;
    }
    const blind = levels.filter(({ deletes }) => !deletes);
    if (blind.length > 0) {
      const tables = blind.map(({ table }) => table).join(", ");
      context.stderr(
        `Deleted rows are not covered: they are found later or not at all (${visible(tables)}).\n`,
      );
    }
    const late = levels.filter(({ capture }) => capture === "sweep");
    if (late.length > 0) {
      const tables = late.map(({ table, found }) => `${table} ${found.changes}`).join(", ");
      context.stderr(`Nor are changes of tables that are swept alone: ${visible(tables)}.\n`);
    }
    await context.stdout.write(`${JSON.stringify({ through: target })}\n`, signal);
    return EXIT.done;
  },
};
