import type { ArgsDef } from "citty";
import { inspect, type Inspection } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import type { Problem } from "../core/problem.ts";
import type { TableLevel } from "../core/source.ts";
import { visible } from "../observe/visible.ts";
import { booleanFlag, type Command, EXIT, textFlag } from "./command.ts";
import { countProblems, formatProblems } from "./problems.ts";
import { COMMON_ARGS } from "./settings.ts";

const ARGS: ArgsDef = {
  ...COMMON_ARGS,
  offline: { type: "boolean", description: "Look at the config file alone" },
  strict: { type: "boolean", description: "Warnings count as errors" },
  format: {
    type: "enum",
    description: "text for people, json for programs",
    options: ["text", "json"],
    default: "text",
  },
};

/** Validates config, database and sinks, and prints what each table's capture may claim. */
export const check: Command = {
  definition: {
    meta: {
      name: "check",
      description: "Validate the config, the database and the sinks; print levels and mappings",
    },
    args: ARGS,
  },
  args: ARGS,
  examples: ["driftless check", "driftless check --offline --format json"],
  async run(flags, context) {
    const path = textFlag(flags, "config") ?? "driftless.jsonc";
    const loaded = await loadConfig(path, context.env);
    const found = loaded.config === undefined || booleanFlag(flags, "offline")
      ? { problems: [], tables: [], indexes: [], connections: [] }
      : await inspect(loaded.config, AbortSignal.any([context.stop, context.signal]));
    const problems = [...loaded.problems, ...found.problems.map((each) => loaded.locate(each))];
    const report: Report = { ...found, problems, sql: sqlOf(problems, found.tables) };
    const against = report.problems.filter(({ severity }) =>
      severity === "error" || booleanFlag(flags, "strict")
    );
    const ok = against.length === 0;
    const text = textFlag(flags, "format") === "json"
      ? `${JSON.stringify({ ok, ...report }, null, 2)}\n`
      : textOf(report, path, ok);
    await context.stdout.write(text, context.signal);
    if (ok) return EXIT.done;
    // A server that is away would not stop `run`: it says nothing about the config.
    return against.every(({ code }) => code === "UNREACHABLE") ? EXIT.failed : EXIT.usage;
  },
};

/** What `--format json` prints, beside `ok`. */
interface Report extends Inspection {
  /** Statements that would make it work, faster or more honest. */
  readonly sql: readonly string[];
}

function sqlOf(problems: readonly Problem[], levels: readonly TableLevel[]): readonly string[] {
  const hints = problems.flatMap(({ hint }) => hint === undefined ? [] : [hint]);
  const statements = hints.filter((hint) => /^(CREATE|ALTER|GRANT) /.test(hint));
  return [...new Set([...statements, ...levels.flatMap(({ sql }) => sql)])];
}

function textOf(report: Report, path: string, ok: boolean): string {
  const sections = [
    section("connections", report.connections.map(({ to, detail }) => `${to}: ${detail}`)),
    section(
      "tables",
      report.tables.map(({ table, level, stamp, claim }, i) => {
        const by = stamp === undefined ? "" : ` by "${stamp}"`;
        const same = report.tables[i - 1]?.claim === claim;
        return `${table}  ${level}${by}: ${same ? "as above" : claim}`;
      }),
    ),
    ...report.indexes.map(({ index, tables, mapping }) =>
      section(`index "${index}"`, [
        `tables: ${tables.join(", ")}`,
        ...(mapping === undefined
          ? []
          : ["mapping:", ...linesOf(JSON.stringify(mapping, null, 2)).map((line) => `  ${line}`)]),
      ])
    ),
    section("SQL that would help", report.sql.flatMap(linesOf)),
    problemSection(report.problems, path),
  ];
  return `${sections.join("")}${ok ? "ok" : "not ok"}: ${countProblems(report.problems)}\n`;
}

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return `${visible(title)}\n${lines.map((line) => `  ${visible(line)}\n`).join("")}\n`;
}

function linesOf(text: string): readonly string[] {
  return text.split("\n");
}

function problemSection(problems: readonly Problem[], path: string): string {
  return problems.length === 0 ? "" : `problems\n${formatProblems(problems, path)}\n`;
}
