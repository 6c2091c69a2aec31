/**
 * deno run -A test/bench/write_overhead.ts [rounds] [seconds] [clients] [fsync on|off]
 *
 * What following a table costs its writers: updates by key of one table shape, by pgbench, against
 * no triggers, the changelog's triggers, and an index on updated_at, in turns, on a server of its own.
 * With fsync off all of the cost shows: it is the processor's. On a machine with other work many
 * short turns say most, and the fastest transactions of one client (the best tenth's bound), which
 * nothing has disturbed. Last, one statement that updates all rows. Needs pgbench in PATH or Debian's.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { installChangelog } from "../support/changelog.ts";
import { cleanUp, removeAtExit } from "../support/janitor.ts";
import { createDatabase, startPostgres } from "../support/postgres.ts";
import { withCleanUp } from "../support/run_command.ts";

const ROWS = 100_000;
const VARIANTS = ["plain", "changelog", "unmapped", "stamp_index"] as const;
type Variant = typeof VARIANTS[number];
const BULK_ROUNDS = 4;

const [rounds = 6, seconds = 5, clients = 2] = process.argv.slice(2, 5).map(Number);
const fsync = process.argv[5] ?? "off";

await withCleanUp(async () => {
  const server = await startPostgres({ major: 18, settings: { fsync, shared_buffers: "256MB" } });
  process.env["DRIFTLESS_TEST_PG18"] = server.url;
  await using db = await createDatabase(VARIANTS.map(tableOf).join(";"));
  const columns = ["name", "price", "stock", "updated_at"];
  await installChangelog(db, [
    { table: "changelog", columns, joins: [] },
    { table: "unmapped", columns: ["name", "price"], joins: [] },
  ]);
  await db.sql.unsafe("VACUUM ANALYZE");
  const folder = await mkdtemp(join(tmpdir(), "driftless-overhead-"));
  removeAtExit(folder);
  const found = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
  const single = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
  const hots = new Map<Variant, number>();
  const bulk = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another one: what the machine does beside us falls on all of them.
    for (let i = 0; i < VARIANTS.length; i++) {
      const variant = VARIANTS[(i + round) % VARIANTS.length] ?? "plain";
      const { tps } = await measure(db.url, folder, variant, clients);
      found.get(variant)?.push(tps);
      const { micros } = await measure(db.url, folder, variant, 1);
      for (const each of micros) single.get(variant)?.push(each);
      await db.sql.unsafe("TRUNCATE driftless.log; CHECKPOINT").simple();
    }
  }
  for (const variant of VARIANTS) {
    const [row] = await db.sql`SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
      WHERE relname = ${variant}`;
    hots.set(variant, Number(row?.["n_tup_hot_upd"]) / Number(row?.["n_tup_upd"]));
  }
  for (let round = 0; round < BULK_ROUNDS; round++) {
    for (const variant of VARIANTS) {
      await db.sql.unsafe(`VACUUM ${variant}`);
      const began = performance.now();
      await db.sql.unsafe(`UPDATE ${variant} SET stock = stock + 1, updated_at = now()`);
      bulk.get(variant)?.push((performance.now() - began) * 1000 / ROWS);
      await db.sql.unsafe("TRUNCATE driftless.log; CHECKPOINT").simple();
    }
  }
  process.stdout.write(
    `${clients} clients, fsync ${fsync}, load ${
      loadavg().map((each) => each.toFixed(1)).join(" ")
    }\n`,
  );
  const base = found.get("plain") ?? [];
  for (const variant of VARIANTS) {
    const tps = found.get(variant) ?? [];
    const one = (single.get(variant) ?? []).sort((a, b) => a - b);
    const ratio = median(tps.map((each, i) => each / (base[i] ?? NaN)));
    process.stdout.write(
      `${variant.padEnd(12)} median ${median(tps).toFixed(0).padStart(6)} tps  ` +
        `${((ratio - 1) * 100).toFixed(1).padStart(6)} % (median of the rounds' ratios)  ` +
        `one client: min ${one[0]} µs, best tenth ${one[Math.floor(one.length / 10)]} µs  ` +
        `all rows: ${Math.min(...bulk.get(variant) ?? []).toFixed(1)} µs a row  ` +
        `HOT ${((hots.get(variant) ?? NaN) * 100).toFixed(1)} %  [${
          tps.map((each) => each.toFixed(0)).join(" ")
        }]\n`,
    );
  }
  return 0;
}, cleanUp);

/** `unmapped`: the triggers are there, and find that nothing they record has changed. */
function tableOf(variant: Variant): string {
  return `CREATE TABLE ${variant} (id bigint PRIMARY KEY, name text NOT NULL, price numeric NOT NULL,
      stock int NOT NULL, note text, updated_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 80);
    INSERT INTO ${variant} SELECT g, 'item ' || g, g / 100.0, g % 1000, repeat('x', 60)
      FROM generate_series(1, ${ROWS}) g
    ${variant === "stamp_index" ? `; CREATE INDEX ON ${variant} (updated_at, id)` : ""}`;
}

async function measure(
  url: string,
  folder: string,
  variant: Variant,
  sessions: number,
): Promise<{ readonly tps: number; readonly micros: readonly number[] }> {
  const script = join(folder, `${variant}.sql`);
  await writeFile(
    script,
    `\\set id random(1, ${ROWS})\n\\set stock random(1, 1000000)\n` +
      `UPDATE ${variant} SET stock = :stock, updated_at = now() WHERE id = :id;\n`,
  );
  const { hostname, port, pathname, username } = new URL(url);
  const { stdout } = await promisify(execFile)(pgbench(), [
    ...["-n", "-M", "prepared", "-c", String(sessions), "-j", String(Math.min(2, sessions))],
    ...["-T", String(seconds), "-l", "--log-prefix", join(folder, "log")],
    ...["-f", script, "-h", hostname, "-p", port, "-U", username, pathname.slice(1)],
  ]);
  const micros: number[] = [];
  for (const name of (await readdir(folder)).filter((each) => each.startsWith("log."))) {
    const text = await readFile(join(folder, name), "utf8");
    for (const line of text.trimEnd().split("\n")) micros.push(Number(line.split(" ")[2]));
    await rm(join(folder, name));
  }
  return { tps: Number(/tps = ([\d.]+)/.exec(stdout)?.[1]), micros };
}

function pgbench(): string {
  const debian = "/usr/lib/postgresql/15/bin/pgbench";
  return existsSync(debian) ? debian : "pgbench";
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const low = sorted[sorted.length % 2 === 0 ? middle - 1 : middle] ?? NaN;
  return (low + (sorted[middle] ?? NaN)) / 2;
}
