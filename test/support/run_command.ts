import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { forget, stopAtExit } from "./janitor.ts";

export interface CommandResult {
  /** 128 + the signal's number when SIGINT, SIGTERM or SIGKILL ended it. */
  readonly code: number;
  readonly seconds: number;
  readonly timedOut: boolean;
}

const running = new Set<ChildProcess>();
let interrupted = false;
const signalNumbers: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/**
 * Runs a command to its end on our terminal. Throws only when it can't be started; after a signal it
 * starts nothing and never returns, as `withCleanUp` is about to end this process.
 */
export async function runCommand(
  command: readonly string[],
  options: { env?: Readonly<Record<string, string>>; timeoutMs?: number } = {},
): Promise<CommandResult> {
  if (interrupted) await new Promise(() => undefined);
  const [program = "", ...args] = command;
  const began = performance.now();
  const child = spawn(program, args, {
    stdio: "inherit",
    env: { ...process.env, ...options.env },
  });
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
    return { code, timedOut, seconds: (performance.now() - began) / 1000 };
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

async function endRunning(signal: NodeJS.Signals | undefined): Promise<void> {
  if (signal !== undefined) {
    for (const child of running) child.kill(signal);
  }
  for (let tries = 0; running.size > 0 && tries < 100; tries++) await pause(100);
  for (const child of running) child.kill("SIGKILL");
}
