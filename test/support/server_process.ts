import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { forget, stopAtExit } from "./janitor.ts";

export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Record<string, string>;
  /** Run as this user; absent: as ours. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Receives both outputs, appended. */
  readonly log: string;
}

export interface ServerProcess {
  readonly pid: number;
  /** How it ended; undefined while it runs. */
  ended(): string | undefined;
  /** Sends the signal and waits for the end; SIGKILL follows after 30 s. No-op once ended. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

/** Starts a server that never outlives this process. Throws when the command can't be started. */
export async function startServerProcess(start: ServerCommand): Promise<ServerProcess> {
  const log = openSync(start.log, "a");
  const child = spawn(start.command, [...start.args], {
    cwd: start.cwd,
    stdio: ["ignore", log, log],
    // A session of its own: Ctrl-C is for the runner, which stops servers when its tests have ended.
    detached: true,
    ...(start.env === undefined ? {} : { env: start.env }),
    ...(start.user ?? {}),
  });
  closeSync(log);
  let how: string | undefined;
  const exit = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      if (child.pid !== undefined) forget(child.pid);
      resolve();
    });
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    if (child.pid !== undefined) resolve(child.pid);
  });
  stopAtExit(pid);
  child.unref();
  return {
    pid,
    ended: () => how,
    async stop(signal) {
      if (how !== undefined) return;
      child.ref();
      child.kill(signal);
      const patience = new AbortController();
      const late = pause(30_000, undefined, { signal: patience.signal })
        .then(() => void child.kill("SIGKILL"), () => undefined);
      await exit;
      patience.abort();
      await late;
    },
  };
}

/** The end of a server's log, for the message of a failed start. */
export function logTail(file: string, lines = 25): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "(no log)";
  }
}
