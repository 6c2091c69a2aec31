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

/** A running process's CPU seconds and highest memory so far; undefined when it is gone. */
export async function usageOf(
  pid: number,
): Promise<{ readonly cpuSeconds: number; readonly peakMiB: number } | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const peak = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
      peakMiB: Number(peak ?? 0) / 1024,
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
