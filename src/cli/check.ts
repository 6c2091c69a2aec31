import type { ArgsDef } from "citty";
import { inspect, type Inspection } from "../app/inspect.ts";
import { loadConfig } from "../config/load.ts";
import type { Config, SweepsConfig } from "../config/config.ts";
import type { Problem } from "../core/problem.ts";
import type { TableLevel } from "../core/source.ts";
import { visible } from "../observe/visible.ts";
import { booleanFlag, type Command, EXIT, textFlag } from "./command.ts";
import { indexLines } from "./index_text.ts";
import { levelLines, sweepLines } from "./level_text.ts";
import { countProblems, formatProblems } from "./problems.ts";
import { COMMON_ARGS } from "./settings.ts";
import { wrapped } from "./wrapped.ts";

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
      ? { problems: [], tables: [], wal: [], notes: [], indexes: [], connections: [] }
      : await inspect(loaded.config, AbortSignal.any([context.stop, context.signal]));
    const problems = [...loaded.problems, ...found.problems.map((each) => loaded.locate(each))];
    const report: Report = {
      ...found,
      ...(loaded.config === undefined ? {} : {
        sweeps: sweepsOf(loaded.config),
        maxIntervalMs: loaded.config.source.poll.maxIntervalMs,
      }),
      problems,
      sql: sqlOf(problems, found.tables),
    };
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

/** As they are done: no keys are compared where a policy may hide rows. */
function sweepsOf({ source: { sweeps, rowSecurity } }: Config): SweepsConfig {
  return rowSecurity === "allow" ? { ...sweeps, keysMs: undefined } : sweeps;
}

/** What `--format json` prints, beside `ok`. */
interface Report extends Inspection {
  readonly sweeps?: SweepsConfig;
  readonly maxIntervalMs?: number;
  /** Statements that would make it work, faster or more honest; commands as comments. */
  readonly sql: readonly string[];
}

/** Each once, however many tables it would help; commands last. */
function sqlOf(problems: readonly Problem[], levels: readonly TableLevel[]): readonly string[] {
  const hints = problems.flatMap(({ hint }) => hint !== undefined && isSql(hint) ? [hint] : []);
  const statements = hints.flatMap((hint) => hint.split(/(?<=;)\n(?=CREATE|ALTER|GRANT|DO|--)/))
    .filter(isSql).map((each) => each.endsWith(";") ? each : `${each};`);
  const all = [...new Set([...statements, ...levels.flatMap(({ sql }) => sql)])];
  return [...all.filter(isSql), ...all.filter((each) => !isSql(each))];
}

function isSql(hint: string): boolean {
  return /^(CREATE|ALTER|GRANT|DO) /.test(hint);
}

function textOf(report: Report, path: string, ok: boolean): string {
  const { tables, sweeps, wal, notes } = report;
  const problems = report.problems.map((problem) =>
    problem.hint !== undefined && isSql(problem.hint)
      ? { ...problem, hint: `See "${SQL}" above.` }
      : problem
  );
  const sections = [
    section("connections", report.connections.map(({ to, detail }) => `${to}: ${detail}`)),
    section("how changes are found", levelLines(tables, report.maxIntervalMs ?? 0)),
    section("sweeps", sweeps === undefined ? [] : sweepLines(sweeps, tables)),
    section("write-ahead log", wal.flatMap(linesOf).flatMap((line) => wrapped(line, ""))),
    section("changelog", notes),
    ...report.indexes.map((each) => section(`index "${each.index}"`, indexLines(each))),
    section(SQL, report.sql.flatMap(linesOf)),
    problemSection(problems, path),
  ];
  return `${sections.join("")}${ok ? "ok" : "not ok"}: ${countProblems(report.problems)}\n`;
}

const SQL = "SQL that would help";

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return `${visible(title)}\n${
    lines.map((line) => `${`  ${visible(line)}`.trimEnd()}\n`).join("")
  }\n`;
}

function linesOf(text: string): readonly string[] {
  return text.split("\n");
}

function problemSection(problems: readonly Problem[], path: string): string {
  return problems.length === 0 ? "" : `problems\n${formatProblems(problems, path)}\n`;
}
