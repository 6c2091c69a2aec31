import type { ArgsDef } from "citty";
import { nearest } from "../core/nearest.ts";
import type { Problem } from "../core/problem.ts";

/** A command's arguments, ready for citty. */
export interface CheckedArgs {
  /** The arguments given, and those that DRIFTLESS_* variables add; for citty to parse. */
  readonly args: readonly string[];
  /** What is wrong with them: bad usage, exit code 2. [] when nothing is. */
  readonly problems: readonly Problem[];
  /** `--help` or `-h` is among them: nothing else matters. */
  readonly help: boolean;
}

/**
 * Checks what was given to a command against its definition, because citty takes unknown flags,
 * flags without their value and stray words without a word; and adds the flags that the environment
 * sets: `--log-level` is DRIFTLESS_LOG_LEVEL. A flag that is given wins over its variable.
 */
export function checkArgs(
  definition: ArgsDef,
  rawArgs: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CheckedArgs {
  const flags = flagsOf(definition);
  const given = new Set<string>();
  const problems: Problem[] = [];
  const words: string[] = [];
  let help = false;
  let end = rawArgs.indexOf("--");
  if (end === -1) end = rawArgs.length;

  for (let i = 0; i < end; i++) {
    const arg = rawArgs[i] ?? "";
    if (arg === "--help" || arg === "-h") help = true;
    if (!arg.startsWith("-") || arg === "-") {
      words.push(arg);
      continue;
    }
    if (arg === "--help" || arg === "-h") continue;
    const [name = "", inline] = arg.split(/=(.*)/s, 2);
    const found = find(flags, name);
    if (found === undefined) {
      problems.push(unknownFlag(name, flags));
      continue;
    }
    const { flag, negated } = found;
    if (given.has(flag.name)) {
      problems.push(usage(name, "is given twice", "Keep one."));
    }
    given.add(flag.name);
    if (flag.type === "boolean") {
      if (inline !== undefined) {
        const hint = negated ? `Write ${name}.` : `Write ${name} or --no-${flag.name}.`;
        problems.push(usage(name, "takes no value", hint));
      }
      continue;
    }
    const next = rawArgs[i + 1];
    const separate = inline === undefined && i + 1 < end && next !== undefined &&
      (!next.startsWith("-") || next === "-");
    if (separate) i++;
    problems.push(...valueProblems(name, flag, inline ?? (separate ? next : undefined)));
  }
  words.push(...rawArgs.slice(end + 1));
  problems.push(...wordProblems(definition, words));
  const added = fromEnvironment(flags, given, env, problems);
  for (const { name, required } of flags) {
    if (!required || given.has(name) || added.some((arg) => arg.startsWith(`--${name}=`))) continue;
    problems.push(usage(`--${name}`, "is missing", `Give it, or set ${variableOf(name)}.`));
  }
  return {
    args: [...rawArgs.slice(0, end), ...added, ...rawArgs.slice(end)],
    problems,
    help,
  };
}

interface Flag {
  /** As it is written, without dashes: `log-level`. */
  readonly name: string;
  readonly type: "boolean" | "string" | "enum";
  readonly aliases: readonly string[];
  readonly options: readonly string[];
  readonly required: boolean;
}

function flagsOf(definition: ArgsDef): readonly Flag[] {
  return Object.entries(definition).flatMap(([key, arg]): readonly Flag[] => {
    if (arg.type === "positional") return [];
    const alias = "alias" in arg ? arg.alias ?? [] : [];
    return [{
      name: kebab(key),
      type: arg.type ?? "string",
      aliases: typeof alias === "string" ? [alias] : alias,
      options: "options" in arg ? arg.options ?? [] : [],
      required: arg.required === true && arg.default === undefined,
    }];
  });
}

function find(
  flags: readonly Flag[],
  written: string,
): { readonly flag: Flag; readonly negated: boolean } | undefined {
  const name = written.replace(/^--?/, "");
  if (!written.startsWith("--")) {
    const flag = flags.find(({ aliases }) => aliases.includes(name));
    return flag === undefined ? undefined : { flag, negated: false };
  }
  for (const flag of flags) {
    if (flag.name === name || flag.aliases.includes(name)) return { flag, negated: false };
    if (flag.type === "boolean" && `no-${flag.name}` === name) return { flag, negated: true };
  }
  return undefined;
}

function valueProblems(written: string, flag: Flag, value: string | undefined): readonly Problem[] {
  if (value === undefined || value === "") {
    const example = flag.options.length > 0 ? flag.options.join("|") : "VALUE";
    return [usage(written, "needs a value", `Write ${written} ${example}.`)];
  }
  if (flag.type !== "enum" || flag.options.includes(value)) return [];
  const near = nearest(value, flag.options);
  const hint = near === undefined
    ? `Use one of ${flag.options.join(", ")}.`
    : `Did you mean ${near}?`;
  return [usage(written, `can't be "${value}"`, hint)];
}

function wordProblems(definition: ArgsDef, words: readonly string[]): readonly Problem[] {
  const places = Object.entries(definition).filter(([, { type }]) => type === "positional");
  const problems = words.slice(places.length).map((word) =>
    usage(word, "has no place here", places.length > 0 ? "Quote words that belong together." : "")
  );
  for (const [name, { required, default: byDefault }] of places.slice(words.length)) {
    if (required === false || byDefault !== undefined) continue;
    problems.push(usage(`<${name}>`, "is missing", `Name the ${name}.`));
  }
  return problems;
}

/** The arguments that variables stand for; what can't be one is added to `problems`. */
function fromEnvironment(
  flags: readonly Flag[],
  given: ReadonlySet<string>,
  env: Readonly<Record<string, string | undefined>>,
  problems: Problem[],
): readonly string[] {
  return flags.flatMap((flag) => {
    const variable = variableOf(flag.name);
    const value = env[variable];
    if (given.has(flag.name) || value === undefined || value === "") return [];
    if (flag.type === "boolean") {
      if (TRUE.has(value.toLowerCase())) return [`--${flag.name}`];
      if (FALSE.has(value.toLowerCase())) return [`--no-${flag.name}`];
      problems.push(usage(variable, `can't be "${value}"`, "Use true or false."));
      return [];
    }
    problems.push(...valueProblems(variable, flag, value));
    return [`--${flag.name}=${value}`];
  });
}

/** The variable that stands for a flag: `log-level` is DRIFTLESS_LOG_LEVEL. */
export function variableOf(flag: string): string {
  return `DRIFTLESS_${kebab(flag).replaceAll("-", "_").toUpperCase()}`;
}

function unknownFlag(written: string, flags: readonly Flag[]): Problem {
  const known = [...flags.map(({ name }) => name), "help"];
  const near = nearest(written.replace(/^--?(no-)?/, ""), known);
  const hint = near === undefined
    ? `The flags here are ${known.map((name) => `--${name}`).join(", ")}.`
    : `Did you mean --${near}?`;
  return usage(written, "is not a flag of this command", hint);
}

function usage(what: string, state: string, hint: string): Problem {
  return {
    severity: "error",
    code: "USAGE",
    path: "",
    message: `${what} ${state}`,
    ...(hint === "" ? {} : { hint }),
  };
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

const TRUE: ReadonlySet<string> = new Set(["1", "true", "yes", "on"]);
const FALSE: ReadonlySet<string> = new Set(["0", "false", "no", "off"]);
