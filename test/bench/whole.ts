/**
 * deno run -A test/bench/whole.ts
 *
 * This machine's ceiling and the compiled binary's figures, in turn, in one run. BENCH_DIR names the
 * folder with the ceilings' scripts (schema.sql, document.sql, bare.mjs). Starts its own servers.
 */
import { ok } from "node:assert/strict";
import { copyFile, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createDatabase } from "../support/postgres.ts";
import { startOpenSearch } from "../support/opensearch.ts";
import { root } from "../support/toolchain.ts";
import { measureLive } from "./latency.ts";
import { finish, median } from "./process.ts";
import { seedOnce } from "./seed.ts";
import { loadUsers } from "./shop.ts";

const benchDir = process.env["BENCH_DIR"] ?? join(root, "..", "shared", "bench");
const rounds = Number(process.env["ROUNDS"] ?? "5");
const binary = join(root, "dist", "driftless");
const say = (line: string) => process.stdout.write(`${line}\n`);

await using big = await createDatabase();
await using small = await createDatabase();
const search = await startOpenSearch({ heap: "2g" });
const scripts = await mkdtemp(join(tmpdir(), "driftless-bench-"));
try {
  await loadUsers(big.url, benchDir, 300_000);
  await loadUsers(small.url, benchDir, 30_000);
  for (const name of ["bare.mjs", "document.sql"]) {
    await copyFile(join(benchDir, name), join(scripts, name));
  }
  await symlink(join(root, "node_modules"), join(scripts, "node_modules"));
  const port = new URL(search.url).port;
  const bare = async () => {
    const bun = join(root, ".tools", "node_modules", ".bin", "bun");
    const result = await finish(bun, [join(scripts, "bare.mjs"), big.url, port]);
    ok(result.code === 0, result.stderr);
    return (JSON.parse(result.stdout) as { docs_s: number }).docs_s;
  };
  const ours = () => seedOnce(binary, big.readerUrl, { type: "opensearch", url: search.url });

  say(`warming up, then ${rounds} rounds in turn: bare.mjs, driftless`);
  await bare();
  await ours();
  const bares: number[] = [];
  const seeds = [];
  for (let i = 0; i < rounds; i++) {
    bares.push(await bare());
    seeds.push(await ours());
    say(`  bare ${bares[i]}/s   driftless ${seeds[i]?.perSecond}/s`);
  }
  const figures = seeds.map((each) => each.perSecond);
  const ratios = figures.map((each, i) => each / (bares[i] ?? NaN));
  say(
    `seed 300,000 into OpenSearch: median ${median(figures)}/s; bare.mjs ${median(bares)}/s; ` +
      `ratio pair by pair ${median(ratios).toFixed(2)}`,
  );
  say(
    `  peak memory ${median(seeds.map((each) => each.peakMiB))} MiB, ` +
      `CPU ${median(seeds.map((each) => each.cpuSeconds)).toFixed(1)} s`,
  );

  const few = [];
  for (let i = 0; i < 3; i++) {
    few.push(await seedOnce(binary, small.readerUrl, { type: "opensearch", url: search.url }));
  }
  say(
    `seed 30,000 into OpenSearch: median ${median(few.map((f) => f.perSecond))}/s, ` +
      `peak memory ${median(few.map((f) => f.peakMiB))} MiB`,
  );

  const files = [];
  for (let i = 0; i < 3; i++) files.push(await seedOnce(binary, big.readerUrl, { type: "sqlite" }));
  say(
    `seed 300,000 into sqlite: median ${median(files.map((f) => f.perSecond))}/s, ` +
      `peak memory ${median(files.map((f) => f.peakMiB))} MiB`,
  );

  const database = { admin: small.url, reader: small.readerUrl };
  const live = await measureLive(binary, database, search.url, {
    interval: "50ms",
    samples: 200,
    idleMs: 10_000,
  });
  for (const kind of ["root", "child"] as const) {
    const { p50, p99, samples } = live[kind];
    say(`commit → durable, ${kind}, 50 ms poll: p50 ${p50} ms, p99 ${p99} ms (${samples} samples)`);
  }
  say(`idle at a 50 ms poll: ${(live.idleCore * 100).toFixed(2)} % of a core`);
  const calm = await measureLive(binary, database, search.url, {
    interval: "5s",
    samples: 0,
    idleMs: 20_000,
  });
  say(
    `idle at a 5 s poll (the default's longest): ${(calm.idleCore * 100).toFixed(2)} % of a core`,
  );

  const starts = [];
  for (let i = 0; i < 9; i++) starts.push((await finish(binary, ["--version"])).ms);
  const { size } = await stat(binary);
  say(JSON.stringify({
    whole: {
      seedPerSecond: median(figures),
      ratioToBare: median(ratios),
      peakMiB: median(seeds.map((each) => each.peakMiB)),
      sqlitePerSecond: median(files.map((f) => f.perSecond)),
      live,
      idleCoreAt5s: calm.idleCore,
      startMs: median(starts),
    },
  }));
  say(`binary ${(size / 1048576).toFixed(0)} MiB, --version in ${median(starts).toFixed(0)} ms`);
} finally {
  await search.stop();
  await rm(scripts, { recursive: true, force: true });
}
