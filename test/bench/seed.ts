import { ok } from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BenchSink, usersConfig } from "./shop.ts";
import { finish } from "./process.ts";

export interface SeedFigure {
  /** Documents a second, from the first row read until the index is searchable. */
  readonly perSecond: number;
  readonly peakMiB: number;
  readonly cpuSeconds: number;
}

/** Seeds once with the compiled binary; a fresh folder and a fresh prefix each time. */
export async function seedOnce(
  binary: string,
  url: string,
  sink: { readonly type: "sqlite" } | { readonly type: "opensearch"; readonly url: string },
  configOf: (sink: BenchSink) => string = usersConfig,
): Promise<SeedFigure> {
  const folder = await mkdtemp(join(tmpdir(), "driftless-bench-"));
  try {
    const prefix = `bench${Math.floor(performance.now() * 1000)}_`;
    const target: BenchSink = sink.type === "sqlite"
      ? { type: "sqlite", path: join(folder, "bench.db") }
      : { type: "opensearch", url: sink.url, prefix };
    await writeFile(join(folder, "driftless.jsonc"), configOf(target));
    const env = { DATABASE_URL: url };
    const args = ["sync", "--log-format", "json"];
    const result = await finish(binary, args, { cwd: folder, env });
    ok(result.code === 0, result.stderr);
    const seeded = result.stderr.split("\n").find((line) => line.includes('"seedFinished"'));
    ok(seeded !== undefined, result.stderr);
    const { rows, ms } = JSON.parse(seeded) as { rows: number; ms: number };
    if (sink.type === "opensearch") {
      await fetch(`${sink.url}/${prefix}*`, { method: "DELETE" });
    }
    const { peakMiB, cpuSeconds } = result;
    return { perSecond: Math.round(rows / (ms / 1000)), peakMiB: Math.round(peakMiB), cpuSeconds };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
