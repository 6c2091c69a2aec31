import { ok } from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
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
  /** Share of one core while nothing changes, at the default interval and at the bench's. */
  readonly idleCore: number;
}

/** Follows with the compiled binary and measures single commits, root and child in turn. */
export async function measureLive(
  binary: string,
  database: { readonly admin: string; readonly reader: string },
  openSearch: string,
  options: { readonly interval: string; readonly samples: number; readonly idleMs: number },
): Promise<LiveFigures> {
  const folder = await mkdtemp(join(tmpdir(), "driftless-bench-"));
  const prefix = `live${Math.floor(performance.now() * 1000)}_`;
  const sink = { type: "opensearch", url: openSearch, prefix } as const;
  await writeFile(
    join(folder, "driftless.jsonc"),
    usersConfig(sink, options.interval, options.interval),
  );
  const child = start(binary, ["run", "--log-format", "json"], {
    cwd: folder,
    env: { DATABASE_URL: database.reader },
  });
  const sql = postgres(database.admin, { max: 1, onnotice: () => {} });
  try {
    let log = "";
    await new Promise<void>((resolve, reject) => {
      child.stderr?.setEncoding("utf8").on("data", (text) => {
        log += text;
        if (log.includes('"caughtUp"')) resolve();
      });
      child.on("close", () => reject(new Error(log)));
    });
    const samples = { root: [] as number[], child: [] as number[] };
    for (let i = 0; i < options.samples; i++) {
      // Spread over the poll's phase, so that the wait for it is what it is on average.
      await pause(20 + Math.random() * 80);
      const id = 1 + Math.floor(Math.random() * 20_000);
      const mark = `m${i}_${Date.now()}`;
      await sql`UPDATE users SET name = ${mark}, updated_at = now() WHERE id = ${id}`;
      samples.root.push(await untilSeen(`${openSearch}/${prefix}users/_doc/${id}`, mark));
      await pause(20 + Math.random() * 80);
      const orderMark = `s${i}_${Date.now()}`;
      const [order] = await sql`UPDATE orders SET status = ${orderMark}, updated_at = now()
        WHERE id = (SELECT min(id) FROM orders WHERE user_id = ${id}) RETURNING user_id`;
      ok(order !== undefined);
      samples.child.push(await untilSeen(`${openSearch}/${prefix}users/_doc/${id}`, orderMark));
    }
    await pause(3000);
    const before = await usageOf(child.pid ?? 0);
    await pause(options.idleMs);
    const after = await usageOf(child.pid ?? 0);
    const idle = (after?.cpuSeconds ?? NaN) - (before?.cpuSeconds ?? NaN);
    return {
      root: figure(samples.root),
      child: figure(samples.child),
      idleCore: idle / (options.idleMs / 1000),
    };
  } finally {
    child.removeAllListeners("close");
    child.kill("SIGTERM");
    await sql.end();
    await fetch(`${openSearch}/${prefix}*`, { method: "DELETE" });
    await rm(folder, { recursive: true, force: true });
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
