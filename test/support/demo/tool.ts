import { spawn } from "node:child_process";
import process from "node:process";
import { programPath } from "../binary.ts";
import { forget, stopAtExit } from "../janitor.ts";

/** `driftless run` beside the demo, writing to the demo's own output as a person would see it. */
export interface RunningTool {
  /** Aborted when it has ended without being told to. */
  readonly ended: AbortSignal;
  /** SIGTERM; resolves with the exit code, also when it had ended before. */
  stop(): Promise<number>;
}

export function startTool(
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): RunningTool {
  const child = spawn(programPath(), [...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    // Its log on our stdout: one order of lines, and a terminal is one for it too.
    stdio: ["ignore", "ignore", process.stdout.fd],
  });
  const { pid } = child;
  if (pid !== undefined) stopAtExit(pid);
  const gone = new AbortController();
  let stopping = false;
  let over = false;
  const exited = new Promise<number>((resolve) => {
    const end = (code: number, how: string) => {
      over = true;
      if (pid !== undefined) forget(pid);
      if (!stopping) gone.abort(new Error(`Cannot go on: \`driftless run\` ${how}`));
      resolve(code);
    };
    child.once("error", (error) => end(1, `can't be started: ${error.message}`));
    child.once("exit", (code, signal) => end(code ?? 1, `has ended with ${code ?? signal}`));
  });
  return {
    ended: gone.signal,
    stop() {
      stopping = true;
      // Deno's `child.kill` would report the signal in place of the exit code.
      if (pid !== undefined && !over) process.kill(pid, "SIGTERM");
      return exited;
    },
  };
}
