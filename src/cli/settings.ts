import type { ArgsDef } from "citty";
import type { Config } from "../config/config.ts";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { FatalError } from "../core/errors.ts";
import type { Observer } from "../core/events.ts";
import { createObserver } from "../observe/log.ts";
import { type Context, type Flags, textFlag } from "./command.ts";
import { formatProblems } from "./problems.ts";

/** The flags that most commands take. */
export const COMMON_ARGS: ArgsDef = {
  config: {
    type: "string",
    description: "The config file",
    valueHint: "FILE",
    default: "driftless.jsonc",
  },
  "log-level": {
    type: "enum",
    description: "How much to say (default: the config's, else info)",
    options: ["debug", "info", "warn", "error"],
  },
  "log-format": {
    type: "enum",
    description: "auto: pretty on a terminal, JSON lines otherwise",
    options: ["auto", "pretty", "json"],
  },
};

export interface Settings {
  readonly path: string;
  readonly config: Config;
  readonly loaded: LoadedConfig;
}

/** Loads the config, says everything that is wrong with it, and goes on only when it can be used. */
export async function loadSettings(flags: Flags, context: Context): Promise<Settings> {
  const path = textFlag(flags, "config") ?? "driftless.jsonc";
  const loaded = await loadConfig(path, context.env);
  context.stderr(formatProblems(loaded.problems, path));
  if (loaded.config === undefined) {
    throw new FatalError(
      "CONFIG_INVALID",
      `Cannot use ${path}: it has the errors above`,
      "Nothing was changed. `driftless schema > driftless.schema.json` gives editors the schema.",
    );
  }
  return { path, config: loaded.config, loaded };
}

/** The observer that logs to stderr, problems with their place in the config file. */
export function openLog(
  { config, loaded }: Settings,
  flags: Flags,
  context: Context,
): { readonly observe: Observer; close(): void } {
  const level = textFlag(flags, "log-level") ?? config.log.level;
  const format = textFlag(flags, "log-format") ?? config.log.format;
  const log = createObserver({
    level: level as Config["log"]["level"],
    format: format as Config["log"]["format"],
    isTty: context.isTty,
    ...((context.env["NO_COLOR"] ?? "") === "" ? {} : { color: false }),
    columns: () => context.columns(),
    write: (text) => context.stderr(text),
  });
  return {
    observe: (event) =>
      log.observe(
        event.type === "problem" ? { ...event, problem: loaded.locate(event.problem) } : event,
      ),
    close: () => log.close(),
  };
}
