/**
 * deno run -A test/bench/sweep.ts
 *
 * One row sweep of a million rows, with nothing to find and as a full pass, and what others notice of
 * it: point queries with no sweep, with one at full speed, with one at the default duty cycle, in turn.
 */
import process from "node:process";
import postgres from "postgres";
import { runSweeps, stateOf, swept } from "../contract/row_sweep_support.ts";
import { createDatabase, postgresServer } from "../support/postgres.ts";
import { median, quantile } from "./process.ts";

const ROWS = Number(process.env["ROWS"] ?? "1000000");
const ROUNDS = Number(process.env["ROUNDS"] ?? "5");
const never = new AbortController().signal;
const say = (line: string) => process.stdout.write(`${line}\n`);

const server = await postgresServer(18);
await using db = await createDatabase(`
  CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
  CREATE TABLE point (id bigint PRIMARY KEY, name text NOT NULL);
  INSERT INTO item SELECT g, repeat(md5(g::text), 2) FROM generate_series(1, ${ROWS}) g;
  INSERT INTO point SELECT g, md5(g::text) FROM generate_series(1, 100000) g;`);
await db.sql`VACUUM (FREEZE, ANALYZE) item, point`;
const [size] = await db.sql`SELECT pg_relation_size('item') / 8192 AS pages`;
say(`Postgres ${server.version}, ${ROWS} rows in ${size?.["pages"]} pages; ${ROUNDS} rounds`);

/** One sweep; `known`: from a bound, with nothing to find. */
async function sweepOnce(dutyCycle: number, known: boolean) {
  let statements = 0;
  let busyMs = 0;
  let sentAt = 0;
  const startedAt = performance.now();
  await using run = await runSweeps({
    url: db.readerUrl,
    tables: [swept({ everyMs: known ? 0 : 3_600_000, alone: false })],
    dutyCycle,
    ...(known ? { seeded: ["public.item"] } : {}),
    before() {
      statements++;
      sentAt = performance.now();
      return Promise.resolve();
    },
    after(_, rows) {
      busyMs += performance.now() - sentAt;
      return rows;
    },
  });
  await run.stream.settled?.(never);
  const ms = performance.now() - startedAt;
  return { ms, busyMs, statements, found: run.changes.length, blocks: stateOf(run)?.heaps.length };
}

/** Point queries by key, one after another, until `until` resolves; their latencies, ms. */
async function pointQueries(until: Promise<unknown>): Promise<number[]> {
  const sql = postgres(db.readerUrl, { max: 1, onnotice: () => {}, fetch_types: false });
  const latencies: number[] = [];
  let over = false;
  const ended = until.then(() => over = true);
  for (let i = 0; i < 200; i++) await sql`SELECT name FROM point WHERE id = ${i}`;
  while (!over) {
    const id = 1 + Math.floor(Math.random() * 100_000);
    const sentAt = performance.now();
    await sql`SELECT name FROM point WHERE id = ${id}`;
    latencies.push(performance.now() - sentAt);
  }
  await ended;
  await sql.end();
  return latencies;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const cases = [
  { name: "no sweep", dutyCycle: undefined, samples: [] as number[], sweeps: [] as Figure[] },
  { name: "sweep, unthrottled", dutyCycle: 1, samples: [] as number[], sweeps: [] as Figure[] },
  {
    name: "sweep, duty cycle 0.1",
    dutyCycle: 0.1,
    samples: [] as number[],
    sweeps: [] as Figure[],
  },
];
type Figure = Awaited<ReturnType<typeof sweepOnce>>;

await sweepOnce(1, true);
for (let i = 0; i < ROUNDS; i++) {
  for (const each of cases) {
    if (each.dutyCycle === undefined) {
      each.samples.push(...await pointQueries(wait(1500)));
      continue;
    }
    const { dutyCycle } = each;
    // Several, so that there is something to measure: one takes a fraction of a second.
    const repeated = (async () => {
      for (let n = 0; n < (dutyCycle === 1 ? 6 : 1); n++) {
        each.sweeps.push(await sweepOnce(dutyCycle, true));
      }
    })();
    each.samples.push(...await pointQueries(repeated));
  }
}
const results: Record<string, unknown> = { rows: ROWS, pages: Number(size?.["pages"]) };
say("case                     sweep ms  statements ms  statements  query p50 ms  p99 ms  samples");
for (const { name, samples, sweeps } of cases) {
  const figure = (pick: (each: Figure) => number) =>
    sweeps.length === 0 ? "-" : median(sweeps.map(pick)).toFixed(0);
  results[name] = {
    sweepMs: Number(figure((each) => each.ms)),
    statements: Number(figure((each) => each.statements)),
    queryP50Ms: quantile(samples, 0.5),
    queryP99Ms: quantile(samples, 0.99),
  };
  say([
    name.padEnd(23),
    figure((each) => each.ms).padStart(9),
    figure((each) => each.busyMs).padStart(14),
    figure((each) => each.statements).padStart(11),
    quantile(samples, 0.5).toFixed(3).padStart(13),
    quantile(samples, 0.99).toFixed(3).padStart(7),
    String(samples.length).padStart(8),
  ].join(" "));
}
const full = await sweepOnce(1, false);
say(
  `full pass, unthrottled, acknowledged at once: ${full.found} rows in ${full.ms.toFixed(0)} ms, ` +
    `${full.statements} statements of ${full.busyMs.toFixed(0)} ms in all`,
);
say(JSON.stringify({ rowSweep: { ...results, fullPass: { rows: full.found, ms: full.ms } } }));
