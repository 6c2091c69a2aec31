import { ok } from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { stopAtExit } from "../support/janitor.ts";
import { quantile, start, usageOf } from "./process.ts";
import { usersConfig } from "./shop.ts";

export interface LatencyFigure {
  readonly p50: number;
  readonly p99: number;
  readonly samples: number;
}

export interface LiveFigures {
  /** ms from COMMIT's return until a realtime GET shows the change. */
  readonly root: LatencyFigure;
  readonly child: LatencyFigure;
  /** Share of one core while nothing changes, at the bench's interval. */
  readonly idleCore: number;
}

export interface LiveOptions {
  /** Of the polls; the defaults when absent. */
  readonly interval?: string;
  /** More of the config's `source`. */
  readonly source?: Readonly<Record<string, unknown>>;
  readonly samples: number;
  readonly idleMs: number;
}

/** The compiled binary, following users into an index of its own, which goes with it. */
export interface Following extends AsyncDisposable {
  readonly pid: number;
  /** Of the index, without a slash at its end. */
  readonly url: string;
  /** The log so far, JSON lines. */
  log(): string;
  /** Ends it by SIGTERM and starts it again; resolves when it has caught up. */
  restart(): Promise<void>;
}

export interface FollowOptions {
  readonly reader: string;
  readonly openSearch: string;
  readonly source: Readonly<Record<string, unknown>>;
}

/** Resolves when the index is filled and the capture has caught up. */
export async function followUsers(
  binary: string,
  { reader, openSearch, source }: FollowOptions,
): Promise<Following> {
  const folder = await mkdtemp(join(tmpdir(), "driftless-bench-"));
  const prefix = `live${Math.floor(performance.now() * 1000)}_`;
  const sink = { type: "opensearch", url: openSearch, prefix } as const;
  await writeFile(join(folder, "driftless.jsonc"), usersConfig(sink, source));
  let log = "";
  const run = async (): Promise<ChildProcess> => {
    const child = start(binary, ["run", "--log-format", "json"], {
      cwd: folder,
      env: { DATABASE_URL: reader },
    });
    if (child.pid !== undefined) stopAtExit(child.pid);
    child.stdout?.resume();
    log = "";
    await new Promise<void>((resolve, reject) => {
      child.stderr?.setEncoding("utf8").on("data", (text) => {
        log += text;
        if (log.includes('"caughtUp"')) resolve();
      });
      child.on("close", () => reject(new Error(log)));
    });
    return child;
  };
  let child = await run();
  return {
    get pid(): number {
      return child.pid ?? 0;
    },
    url: `${openSearch}/${prefix}users`,
    log: () => log,
    async restart() {
      await ended(child);
      child = await run();
    },
    async [Symbol.asyncDispose]() {
      await ended(child);
      await fetch(`${openSearch}/${prefix}*`, { method: "DELETE" });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Follows with the compiled binary and measures single commits, root and child in turn. */
export async function measureLive(
  binary: string,
  database: { readonly admin: string; readonly reader: string },
  openSearch: string,
  { interval, source, samples: count, idleMs }: LiveOptions,
): Promise<LiveFigures> {
  const poll = interval === undefined ? {} : { minInterval: interval, maxInterval: interval };
  await using following = await followUsers(binary, {
    reader: database.reader,
    openSearch,
    source: { poll, ...source },
  });
  const { pid, url } = following;
  const sql = postgres(database.admin, { max: 1, onnotice: () => {} });
  try {
    const samples = { root: [] as number[], child: [] as number[] };
    for (let i = 0; i < count; i++) {
      // Spread over the poll's phase, so that the wait for it is what it is on average.
      await pause(20 + Math.random() * 80);
      const id = 1 + Math.floor(Math.random() * 20_000);
      const mark = `m${i}_${Date.now()}`;
      await sql`UPDATE users SET name = ${mark}, updated_at = now() WHERE id = ${id}`;
      samples.root.push(await untilSeen(`${url}/_doc/${id}`, mark));
      await pause(20 + Math.random() * 80);
      const orderMark = `s${i}_${Date.now()}`;
      const [order] = await sql`UPDATE orders SET status = ${orderMark}, updated_at = now()
        WHERE id = (SELECT min(id) FROM orders WHERE user_id = ${id}) RETURNING user_id`;
      ok(order !== undefined);
      samples.child.push(await untilSeen(`${url}/_doc/${id}`, orderMark));
    }
    await pause(3000);
    const before = await usageOf(pid);
    await pause(idleMs);
    const after = await usageOf(pid);
    const idle = (after?.cpuSeconds ?? NaN) - (before?.cpuSeconds ?? NaN);
    return {
      root: figure(samples.root),
      child: figure(samples.child),
      idleCore: idle / (idleMs / 1000),
    };
  } finally {
    await sql.end();
  }
}

/** ms until a realtime GET of the document shows the mark. */
async function untilSeen(url: string, mark: string): Promise<number> {
  const startedAt = performance.now();
  while (performance.now() - startedAt < 30_000) {
    const text = await (await fetch(url)).text();
    if (text.includes(mark)) return performance.now() - startedAt;
    await pause(1);
  }
  throw new Error(`Cannot see ${mark} at ${url} after 30 s`);
}

function figure(samples: readonly number[]): LatencyFigure {
  return {
    p50: Math.round(quantile(samples, 0.5)),
    p99: Math.round(quantile(samples, 0.99)),
    samples: samples.length,
  };
}

/** By SIGTERM; by SIGKILL when that takes long. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 35_000);
  await exit;
  clearTimeout(late);
}
