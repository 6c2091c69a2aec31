import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";

export interface Finished {
  readonly code: number;
  readonly ms: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Highest resident memory seen, MiB (sampled every 20 ms), and CPU seconds used. */
  readonly peakMiB: number;
  readonly cpuSeconds: number;
}

/** Runs a command to its end, and watches its memory. */
export async function finish(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Promise<Finished> {
  const startedAt = performance.now();
  const child = start(command, args, options);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr?.setEncoding("utf8").on("data", (text) => stderr += text);
  let cpuSeconds = 0;
  let peakMiB = 0;
  const timer = setInterval(async () => {
    const usage = await usageOf(child.pid ?? 0);
    if (usage === undefined) return;
    peakMiB = Math.max(peakMiB, usage.peakMiB);
    cpuSeconds = usage.cpuSeconds;
  }, 20);
  const code = await new Promise<number>((resolve) => child.on("close", (c) => resolve(c ?? -1)));
  clearInterval(timer);
  return { code, ms: performance.now() - startedAt, stdout, stderr, peakMiB, cpuSeconds };
}

export function start(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): ChildProcess {
  return spawn(command, [...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Of a running process. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Resident memory: now, and the most so far. */
  readonly nowMiB: number;
  readonly peakMiB: number;
}

/** Undefined when it is gone. */
export async function usageOf(pid: number): Promise<Usage | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const sizeOf = (name: string) =>
      Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
      nowMiB: sizeOf("VmRSS"),
      peakMiB: sizeOf("VmHWM"),
    };
  } catch {
    return undefined;
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}
