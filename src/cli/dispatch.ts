import { parseArgs, renderUsage } from "citty";
import { nearest } from "../core/nearest.ts";
import { FatalError, messageOf, RetryableError } from "../core/errors.ts";
import { visible } from "../observe/visible.ts";
import { checkArgs } from "./args.ts";
import { changelog } from "./changelog.ts";
import { check } from "./check.ts";
import { type Command, type Context, EXIT } from "./command.ts";
import { formatProblems } from "./problems.ts";
import { run } from "./run.ts";
import { schema } from "./schema.ts";
import { search } from "./search.ts";
import { sync } from "./sync.ts";
import { VERSION } from "./version.ts";
import { wait } from "./wait.ts";
import { wal } from "./wal.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  run,
  sync,
  wait,
  check,
  search,
  changelog,
  wal,
  schema,
};

/** Runs one command line; resolves with the exit code. Never throws. */
export async function dispatch(argv: readonly string[], context: Context): Promise<number> {
  try {
    return await runLine(argv, context);
  } catch (error) {
    return failed(error, context);
  }
}

async function runLine([name, ...rest]: readonly string[], context: Context): Promise<number> {
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    await context.stdout.write(overview(), context.signal);
    return name === undefined ? EXIT.usage : EXIT.done;
  }
  if (name === "--version" || name === "-v") {
    await context.stdout.write(`driftless ${VERSION}\n`, context.signal);
    return EXIT.done;
  }
  // Its own keys alone: every object has a toString.
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    if (LATER.includes(name)) {
      context.stderr(`Cannot run "${name}": it is not supported yet\n`);
      return EXIT.usage;
    }
    const near = nearest(name, Object.keys(COMMANDS));
    const hint = near === undefined ? "See `driftless --help`." : `Did you mean "${near}"?`;
    context.stderr(`Cannot run "${visible(name)}": it is not a command. ${hint}\n`);
    return EXIT.usage;
  }
  const checked = checkArgs(command.args, rest, context.env);
  if (checked.help) {
    const text = await help(command);
    await context.stdout.write(context.stdoutIsTty ? text : plain(text), context.signal);
    return EXIT.done;
  }
  if (checked.problems.length > 0) {
    context.stderr(formatProblems(checked.problems, undefined));
    return EXIT.usage;
  }
  return await command.run(parseArgs([...checked.args], command.args), context);
}

/** Commands that are planned. */
const LATER: readonly string[] = [
  "init",
  "plan",
  "backfill",
  "verify",
  "reindex",
  "status",
  "dead-letters",
  "types",
];

/** Says what ended the command, and what the reader can do. */
function failed(error: unknown, { stderr, stop, signal }: Context): number {
  if (error instanceof FatalError) {
    const hint = error.hint.split("\n").map((line) => `  ${visible(line)}\n`).join("");
    stderr(`${visible(error.message)}\n${hint}`);
    return error.code === "CONFIG_INVALID" || error.code === "USAGE" ? EXIT.usage : EXIT.failed;
  }
  if (error instanceof RetryableError) {
    stderr(
      `${visible(error.message)}\n  It may pass: check that the server runs, and try again.\n`,
    );
    return EXIT.failed;
  }
  if (signal.aborted || stop.aborted) {
    stderr(`${visible(messageOf(signal.aborted ? signal.reason : stop.reason))}\n`);
    return EXIT.failed;
  }
  const stack = error instanceof Error ? error.stack ?? error.message : String(error);
  const lines = stack.split("\n").map((line) => `${visible(line)}\n`).join("");
  stderr(`Cannot go on: a defect of driftless. Please report this.\n${lines}`);
  return EXIT.failed;
}

async function help(command: Command): Promise<string> {
  const usage = await renderUsage(command.definition, { meta: { name: "driftless" } });
  const examples = command.examples.map((line) => `  ${line}\n`).join("");
  return `${usage}\nEXAMPLES\n\n${examples}`;
}

/** citty colours by the environment, and pads with spaces, wherever the text goes. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/\x1b\[[0-9;]*m/g, "").replaceAll(/ +$/gm, "");
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { definition }]) => {
    const meta = definition.meta as { readonly description?: string };
    return `  ${name.padEnd(9)} ${meta.description ?? ""}\n`;
  });
  return `driftless ${VERSION}: keeps OpenSearch in step with Postgres

USAGE driftless <command> [flags]

${lines.join("")}
Each flag can be given as a variable too: --log-level is DRIFTLESS_LOG_LEVEL.
\`driftless <command> --help\` shows a command's flags and examples.
`;
}
