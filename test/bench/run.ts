/**
 * deno run -A test/bench/run.ts [part…]: `make bench`. Runs the parts one after another, each in a
 * process and on servers of its own, and prints what they found as one line of JSON at the end. Ends
 * with 1 when a part failed.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { stopAtExit } from "../support/janitor.ts";
import { root } from "../support/toolchain.ts";

/** By name: the scripts. A line of theirs that is a JSON object is a result. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  /** Throughput beside the machine's ceiling, latency and idle CPU of the compiled binary. */
  whole: ["whole.ts"],
  /** Commit → capture → durable, for each way of following a table. */
  levels: ["levels.ts"],
  /** Building and seeding documents of one, two and three levels of tables. */
  documents: ["documents.ts"],
  /** A hundred tables and nothing to do. */
  idle: ["idle.ts"],
  /** A million rows by their versions, and by their keys. */
  sweeps: ["sweep.ts", "key_sweep.ts"],
  /** The compiled binary on the write-ahead log: latency, a burst, an outage, an idle slot. */
  wal: ["wal.ts"],
  /** What following costs the writers: needs pgbench, runs when it is named. */
  writes: ["write_overhead.ts"],
};
const UNASKED = ["whole", "levels", "documents", "idle", "sweeps", "wal"];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  const known = Object.keys(PARTS).join(", ");
  process.stderr.write(`Cannot run part "${unknown.join(", ")}": the parts are ${known}\n`);
  process.exit(2);
}
const results: Record<string, unknown> = {};
let failed = 0;
for (const name of asked.length === 0 ? UNASKED : asked) {
  for (const script of PARTS[name] ?? []) {
    process.stdout.write(`\n${name}: test/bench/${script}\n`);
    const code = await runScript(script);
    if (code === 0) continue;
    failed++;
    process.stderr.write(`${script} ended with ${code}\n`);
  }
}
process.stdout.write(`\n${JSON.stringify(results)}\n`);
process.exitCode = failed === 0 ? 0 : 1;

/** Passes its lines on, and keeps its results. */
async function runScript(script: string): Promise<number> {
  const path = join(root, "test", "bench", script);
  const child = spawn(process.execPath, ["run", "-A", "--no-check", path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.pid !== undefined) stopAtExit(child.pid);
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("{")) Object.assign(results, JSON.parse(line));
    else process.stdout.write(`${line}\n`);
  }
  return await ended;
}
