/**
 * deno run -A test/support/run_tests.ts [part…]: builds the binary, starts the servers the parts
 * need, runs the parts one after another, says what ran for how long, and stops the servers.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { cleanUp, removeAtExit } from "./janitor.ts";
import {
  countTests,
  failureLines,
  lastLines,
  listFailures,
  type TestCounts,
  type TestFailure,
  uncaughtErrors,
} from "./junit.ts";
import { runCommand, withCleanUp } from "./run_command.ts";
import { type ServerName, serverNames, type StartedServer, startServers } from "./server_set.ts";
import { pgBouncerProgram, requireOpenSearchTools, root } from "./toolchain.ts";

interface Part {
  readonly name: string;
  readonly runtime: "deno" | "bun";
  readonly folders: readonly string[];
  readonly servers: readonly ServerName[];
}

interface PartResult {
  readonly counts: TestCounts;
  readonly seconds: number;
  /** What failed besides tests. */
  readonly notes: readonly string[];
  /** The tests that failed, and the notes with what is known of them. */
  readonly failed: readonly TestFailure[];
}

const parts: readonly Part[] = [
  { name: "unit", runtime: "deno", folders: ["test/unit"], servers: [] },
  { name: "bun", runtime: "bun", folders: ["test/unit"], servers: [] },
  { name: "contract", runtime: "deno", folders: ["test/contract"], servers: serverNames },
  { name: "property", runtime: "deno", folders: ["test/property"], servers: serverNames },
  { name: "fault", runtime: "deno", folders: ["test/fault"], servers: serverNames },
  { name: "stress", runtime: "deno", folders: ["test/stress"], servers: [] },
  { name: "e2e", runtime: "deno", folders: ["test/e2e"], servers: serverNames },
];

/** A part that takes longer than this hangs. */
const limitMs = 20 * 60_000;
/** Of failures; with make's own last line they fit into a log's last 20. */
const shownLines = 18;

process.chdir(root);
await withCleanUp(() => main(process.argv.slice(2)), cleanUp);

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !parts.some((part) => part.name === name));
  if (unknown.length > 0) {
    const known = parts.map((part) => part.name).join(", ");
    throw new Error(`Cannot run part "${unknown.join(", ")}": the parts are ${known}`);
  }
  const chosen = parts.filter((part) => names.length === 0 || names.includes(part.name));
  const needed = serverNames.filter((name) => chosen.some((part) => part.servers.includes(name)));
  if (needed.includes("opensearch")) await requireOpenSearchTools();
  if (needed.includes("pg18")) await pgBouncerProgram();

  const report: string[] = [];
  const build = await runCommand(["make", "--no-print-directory", "build"]);
  if (build.code !== 0) return build.code;
  report.push(line("build", build.seconds));

  const began = performance.now();
  const servers = await startServers(needed, { started: (server) => say(server.line) });
  report.push(line("servers", (performance.now() - began) / 1000));

  const failures: TestFailure[] = [];
  let noted = 0;
  const total = { passed: 0, failed: 0 };
  for (const part of chosen) {
    say(`\n== ${part.name}: ${part.folders.join(", ")} under ${part.runtime}`);
    const { counts, seconds, notes, failed } = await runPart(part, environment(servers));
    total.passed += counts.passed;
    total.failed += counts.failed;
    noted += notes.length;
    failures.push(...failed.map((each) => ({ ...each, name: `${part.name}: ${each.name}` })));
    const summary = `${counts.passed} passed, ${counts.failed} failed`;
    report.push(line(part.name, seconds, [summary, ...notes].join("; ")));
  }
  say(`\nran against: ${servers.map((server) => server.label).join(", ") || "no server"}`);
  for (const text of report) say(text);
  say(`${total.passed} passed, ${total.failed} failed`);
  // Last, as the end of a log is what is read first, or all that is kept.
  for (const text of failureLines(failures, shownLines)) say(text);
  return noted + total.failed === 0 ? 0 : 1;
}

async function runPart(
  part: Part,
  env: Readonly<Record<string, string>>,
): Promise<PartResult> {
  const folder = mkdtempSync(join(tmpdir(), "driftless-report-"));
  removeAtExit(folder);
  const file = join(folder, "junit.xml");
  const files = part.folders.filter((folder) => existsSync(folder)).flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".test.ts")).map((name) => `./${join(folder, name)}`)
  );
  // Types are `make check`'s business.
  const command = part.runtime === "deno"
    ? ["deno", "test", "-A", "--no-check", `--junit-path=${file}`, ...files]
    : [
      "bun",
      "test",
      "--timeout=120000",
      "--reporter=junit",
      `--reporter-outfile=${file}`,
      ...files,
    ];
  if (files.length === 0) {
    const none = "there is no test in it";
    return {
      counts: countTests(""),
      seconds: 0,
      notes: [`FAILED: ${none}`],
      failed: [{ name: none, message: [] }],
    };
  }
  const { code, seconds, timedOut, output } = await runCommand(command, {
    env,
    timeoutMs: limitMs,
    keepOutput: true,
  });
  const report = existsSync(file) ? readFileSync(file, "utf8") : "";
  const counts = countTests(report);
  const outside = uncaughtErrors(output);
  const failed = [...listFailures(report), ...outside];
  const notes: string[] = [];
  const note = (name: string, message: readonly string[] = []) => {
    notes.push(`FAILED: ${name}`);
    failed.push({ name, message });
  };
  if (timedOut) note(`cut off after ${limitMs / 60_000} min`, lastLines(output));
  else if (outside.length > 0) {
    notes.push(`FAILED: ${outside.length} errors outside of tests`);
  } else if (code !== 0 && counts.failed === 0) {
    note(`${part.runtime} ended with ${code}`, lastLines(output));
  } else if (counts.passed + counts.failed === 0) note("no test ran");
  if (counts.skipped > 0) note(`${counts.skipped} skipped`);
  return { counts, seconds, notes, failed };
}

function environment(servers: readonly StartedServer[]): Record<string, string> {
  const chinook = resolve(root, "../shared/data/chinook");
  const env: Record<string, string> = existsSync(chinook) ? { CHINOOK_DIR: chinook } : {};
  if (process.env["CHINOOK_DIR"] !== undefined) env["CHINOOK_DIR"] = process.env["CHINOOK_DIR"];
  return Object.assign(env, ...servers.map((server) => server.env));
}

function line(name: string, seconds: number, note = ""): string {
  return `${name.padEnd(10)}${seconds.toFixed(1).padStart(7)} s  ${note}`.trimEnd();
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
