import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { forget, removeAtExit, stopAtExit } from "./janitor.ts";
import { root } from "./toolchain.ts";

export interface BinaryOptions {
  /** The path of a config file, or what is written into one: `driftless.jsonc` in `cwd`. */
  readonly config: string | object;
  /** Variables beside PATH, HOME, TMPDIR and TZ: nothing else of ours reaches it. */
  readonly env?: Readonly<Record<string, string>>;
  /** Absent: a temporary folder, removed with the process. */
  readonly cwd?: string;
}

/** A line of the log: an event's `type` is `event`, its facts are the other keys. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly message: string;
  readonly [key: string]: unknown;
}

export interface RunningBinary extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly cwd: string;
  /** What it has logged so far, in order; lines that aren't JSON are in `stderr()` alone. */
  readonly events: readonly LogLine[];
  /**
   * The first logged event of this name that satisfies the predicate, logged already or to come.
   * Throws with the log's end when the process ends or the time runs out before.
   */
  waitFor(
    event: string,
    predicate?: (line: LogLine) => boolean,
    timeoutMs?: number,
  ): Promise<LogLine>;
  stdout(): string;
  stderr(): string;
  /** SIGTERM; resolves with the exit code. Throws when it takes more than 35 s. */
  stop(): Promise<number>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** The exit code, 128 + the signal's number after a signal; both outputs are complete by then. */
  readonly exited: Promise<number>;
}

/**
 * Starts the compiled binary with JSON logs. It never outlives this process; `await using` kills it
 * at the end of the test's block. DRIFTLESS_TEST_BINARY names another binary than dist/driftless,
 * for seeing a test fail on a broken one.
 */
export function startBinary(args: readonly string[], options: BinaryOptions): RunningBinary {
  const program = programPath();
  const cwd = options.cwd ?? temporaryFolder();
  const child = spawn(program, [...args], {
    cwd,
    env: { ...inherited(), ...options.env, ...flagsFor(args, options.config, cwd) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { pid } = child;
  if (pid !== undefined) stopAtExit(pid);

  const events: LogLine[] = [];
  const watchers = new Set<() => void>();
  const wake = () => watchers.forEach((watcher) => watcher());
  let stdout = "";
  let stderr = "";
  let unfinished = "";
  let code: number | undefined;
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    const lines = (unfinished + text).split("\n");
    unfinished = lines.pop() ?? "";
    for (const line of lines) {
      const event = parseLine(line);
      if (event !== undefined) events.push(event);
    }
    wake();
  });
  const exited = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      code = status ?? 128 + (SIGNALS[signal ?? ""] ?? 0);
      if (pid !== undefined) forget(pid);
      wake();
      resolve(code);
    });
  });
  // Whoever awaits it is told; nobody has to.
  exited.catch(() => undefined);
  // Not child.kill: after it Deno reports the signal as the end, whatever the exit code was.
  let gone = pid === undefined;
  child.once("exit", () => gone = true);
  const send = (signal: NodeJS.Signals) => {
    if (pid !== undefined && !gone) process.kill(pid, signal);
  };

  const seen = () => `It has written:\n${stderr.slice(-4_000)}`;
  const self: RunningBinary = {
    process: child,
    cwd,
    events,
    exited,
    stdout: () => stdout,
    stderr: () => stderr,
    waitFor(event, predicate = () => true, timeoutMs = 120_000) {
      return new Promise((resolve, reject) => {
        let looked = 0;
        const end = () => {
          clearTimeout(limit);
          watchers.delete(look);
        };
        const look = () => {
          for (; looked < events.length; looked++) {
            const line = events[looked];
            if (line === undefined || line.event !== event || !predicate(line)) continue;
            end();
            return resolve(line);
          }
          if (code === undefined) return;
          end();
          reject(new Error(`Cannot see event "${event}": it ended with ${code}. ${seen()}`));
        };
        const limit = setTimeout(() => {
          end();
          reject(new Error(`Cannot see event "${event}" within ${timeoutMs} ms. ${seen()}`));
        }, timeoutMs);
        watchers.add(look);
        look();
      });
    },
    async stop() {
      send("SIGTERM");
      let late = false;
      const limit = setTimeout(() => {
        late = true;
        send("SIGKILL");
      }, STOP_MS);
      const status = await exited;
      clearTimeout(limit);
      if (late) throw new Error(`Cannot stop it by SIGTERM within ${STOP_MS} ms. ${seen()}`);
      return status;
    },
    async kill() {
      send("SIGKILL");
      await exited;
    },
    async [Symbol.asyncDispose]() {
      await self.kill();
      if (options.cwd === undefined) rmSync(cwd, { recursive: true, force: true });
    },
  };
  return self;
}

export interface BinaryResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly LogLine[];
}

/** Runs a command of the compiled binary to its end; SIGKILL after `timeoutMs`, and an error. */
export async function runBinary(
  args: readonly string[],
  options: BinaryOptions & { readonly timeoutMs?: number },
): Promise<BinaryResult> {
  const { timeoutMs = 180_000 } = options;
  await using binary = startBinary(args, options);
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    binary.process.kill("SIGKILL");
  }, timeoutMs);
  const code = await binary.exited.finally(() => clearTimeout(limit));
  const [stdout, stderr] = [binary.stdout(), binary.stderr()];
  if (late) {
    const what = args.join(" ");
    throw new Error(`Cannot finish "${what}" within ${timeoutMs} ms. It has written:\n${stderr}`);
  }
  return { code, stdout, stderr, events: binary.events };
}

const STOP_MS = 35_000;
const SIGNALS: Readonly<Record<string, number>> = {
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGTERM: 15,
};

/** The compiled binary; throws when it was never built. */
export function programPath(): string {
  const named = process.env["DRIFTLESS_TEST_BINARY"];
  const program = named === undefined || named === ""
    ? join(root, "dist/driftless")
    : resolve(root, named);
  if (existsSync(program)) return program;
  throw new Error(`Cannot run ${program}: it isn't there. Run \`make build\`.`);
}

/** As variables: not every command has the flags, and a flag that the test gives wins. */
function flagsFor(
  args: readonly string[],
  config: string | object,
  cwd: string,
): Record<string, string> {
  const given = (flag: string) => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`));
  let path = config;
  if (typeof path !== "string") {
    path = join(cwd, "driftless.jsonc");
    writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`);
  }
  return {
    ...(given("--config") ? {} : { DRIFTLESS_CONFIG: resolve(cwd, path) }),
    ...(given("--log-format") ? {} : { DRIFTLESS_LOG_FORMAT: "json" }),
  };
}

function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "TZ"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }));
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "driftless-binary-"));
  removeAtExit(folder);
  return folder;
}

function parseLine(line: string): LogLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined;
  }
}
