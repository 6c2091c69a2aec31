import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { forget, stopAtExit } from "./janitor.ts";

export interface CommandResult {
  /** 128 + the signal's number when SIGINT, SIGTERM or SIGKILL ended it. */
  readonly code: number;
  readonly seconds: number;
  readonly timedOut: boolean;
  /** The end of what it printed, where `keepOutput` asked for it; else empty. */
  readonly output: string;
}

const keptLength = 1 << 20;

const running = new Set<ChildProcess>();
let interrupted = false;
const signalNumbers: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/**
 * Runs a command to its end on our terminal. Throws only when it can't be started; after a signal it
 * starts nothing and never returns, as `withCleanUp` is about to end this process.
 */
export async function runCommand(
  command: readonly string[],
  options: {
    env?: Readonly<Record<string, string>>;
    timeoutMs?: number;
    keepOutput?: boolean;
  } = {},
): Promise<CommandResult> {
  if (interrupted) await new Promise(() => undefined);
  const [program = "", ...args] = command;
  const began = performance.now();
  const child = spawn(program, args, {
    stdio: options.keepOutput === true ? ["inherit", "pipe", "pipe"] : "inherit",
    env: { ...process.env, ...options.env },
  });
  let output = "";
  const keep = (text: string) => {
    output += text;
    if (output.length > 2 * keptLength) output = output.slice(-keptLength);
  };
  const drained = Promise.all([
    passOn(child.stdout, process.stdout, keep),
    passOn(child.stderr, process.stderr, keep),
  ]);
  running.add(child);
  const { pid } = child;
  if (pid !== undefined) stopAtExit(pid);
  let timedOut = false;
  const limit = options.timeoutMs === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, options.timeoutMs);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", (error) => {
        reject(new Error(`Cannot run "${program}": ${error.message}`));
      });
      child.once("exit", (code, signal) => {
        resolve(code ?? 128 + (signalNumbers[signal ?? ""] ?? 0));
      });
    });
    const seconds = (performance.now() - began) / 1000;
    // What it left running may hold its end of the pipes.
    await Promise.race([drained, pause(2_000, undefined, { ref: false })]);
    return { code, timedOut, seconds, output };
  } finally {
    clearTimeout(limit);
    running.delete(child);
    if (pid !== undefined) forget(pid);
  }
}

/**
 * Runs `main`, then `clean`, always: SIGINT and SIGTERM end the commands that `runCommand` runs, and
 * then come here too. Ends this process with main's code, or with the signal's.
 */
export async function withCleanUp(
  main: () => Promise<number>,
  clean: () => Promise<void>,
): Promise<never> {
  let interrupt: (code: number) => void = () => undefined;
  const interruption = new Promise<number>((resolve) => interrupt = resolve);
  const onSignal = async (signal: NodeJS.Signals) => {
    interrupted = true;
    // A terminal's Ctrl-C has reached the commands already.
    await endRunning(signal === "SIGINT" && process.stdin.isTTY ? undefined : signal);
    interrupt(128 + (signalNumbers[signal] ?? 0));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  let code = 1;
  try {
    // Racing: a server that is still starting would be waited for.
    code = await Promise.race([interruption, main()]);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
  await clean();
  process.exit(code);
}

async function passOn(
  from: Readable | null,
  to: NodeJS.WritableStream,
  keep: (text: string) => void,
): Promise<void> {
  if (from === null) return;
  from.setEncoding("utf8");
  from.on("data", (text: string) => {
    to.write(text);
    keep(text);
  });
  await new Promise<void>((resolve) => from.once("close", resolve));
}

async function endRunning(signal: NodeJS.Signals | undefined): Promise<void> {
  if (signal !== undefined) {
    for (const child of running) child.kill(signal);
  }
  for (let tries = 0; running.size > 0 && tries < 100; tries++) await pause(100);
  for (const child of running) child.kill("SIGKILL");
}
