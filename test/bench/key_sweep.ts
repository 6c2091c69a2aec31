/**
 * What comparing keys costs: deno run -A test/bench/key_sweep.ts
 * ROWS (1,000,000) in Postgres; DOCUMENTS (300,000) of them in a sqlite file and in OpenSearch.
 * Starts its own servers. Prints a table; asserts nothing about time.
 */
import { ok } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import postgres from "postgres";
import type { IndexDescription } from "../../src/core/description.ts";
import { BUCKETS } from "../../src/core/document.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { Sink } from "../../src/core/ports.ts";
import { keySweep, runningClock } from "../../src/engine/key_sweep.ts";
import type { EngineOptions } from "../../src/engine/pipeline.ts";
import { fence } from "../../src/flow/fence.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { arrayLiteral, openDatabase } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { sourceKeys } from "../../src/postgres/documents/keys.ts";
import { prepareDocuments } from "../../src/postgres/documents/prepare.ts";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { cleanUp } from "../support/janitor.ts";
import { startOpenSearch } from "../support/opensearch.ts";
import { createDatabase } from "../support/postgres.ts";

const ROWS = Number(process.env["ROWS"] ?? "1000000");
const DOCUMENTS = Number(process.env["DOCUMENTS"] ?? "300000");
const SIGNAL = new AbortController().signal;
const EPOCH = { number: 1, timeline: 1, kind: "flush" } as const;
/** Of the first column. */
const WIDTH = 52;
const EVERY = Array.from({ length: BUCKETS }, (_, bucket) => bucket);

const results: Record<string, string> = {};
const say = (what: string, figure: string) => {
  results[what] = figure;
  process.stdout.write(`${what.padEnd(WIDTH)}  ${figure}\n`);
};
const timed = async <T>(work: () => Promise<T>): Promise<[number, T]> => {
  const startedAt = performance.now();
  const result = await work();
  return [performance.now() - startedAt, result];
};
const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
const quantile = (values: readonly number[], q: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0;

const field = (name: string, type: "keyword" | "text" | "date" = "keyword") => ({
  kind: "scalar" as const,
  name,
  type,
  from: { kind: "column" as const, column: name },
  transforms: [],
});
const describe = (name: string): IndexDescription => ({
  name,
  table: { schema: "public", name },
  where: [],
  softDelete: { kind: "column", column: "deleted_at" },
  fields: [field("email"), field("name", "text"), field("tier"), field("created_at", "date")],
  onRejected: "stop",
});

const folder = await mkdtemp(join(tmpdir(), "driftless-bench-"));
const db = await createDatabase(`
  CREATE TABLE users (id bigint PRIMARY KEY, email text, name text, tier text,
    created_at timestamptz DEFAULT now(), deleted_at timestamptz);
  INSERT INTO users SELECT g, 'user' || g || '@example.org', 'User Number ' || g, 'pro'
    FROM generate_series(1, ${ROWS}) g;
  CREATE TABLE people (LIKE users INCLUDING ALL);
  INSERT INTO people SELECT * FROM users WHERE id <= ${DOCUMENTS};`);
try {
  await bench();
} finally {
  await db[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}
process.stdout.write(`${JSON.stringify({ keySweep: results })}\n`);
await cleanUp();

async function bench(): Promise<void> {
  await db.sql.unsafe("VACUUM ANALYZE users");
  await db.sql.unsafe("VACUUM ANALYZE people");
  await using database = openDatabase({
    url: db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 3,
    applicationName: "driftless/bench",
    statementTimeoutMs: 60_000,
  });
  const { plans, catalog } = await prepareDocuments(
    database,
    [describe("users"), describe("people")],
    { rowSecurity: "refuse" },
    SIGNAL,
  );
  const builder = openDocumentBuilder({ database, plans, catalog, maxDocumentBytes: 10 << 20 });

  await measureBuild();
  await measureSource();
  await measureSink("sqlite", sqliteSink({ name: "file", path: join(folder, "bench.db") }));
  const search = await startOpenSearch({ heap: "1g" });
  try {
    const bulk = { maxBytes: 8 << 20, maxDocuments: 5_000, writers: 2, gzip: false };
    const sink = openSearchSink({ name: "search", nodes: [search.url], indexPrefix: "b_", bulk });
    await measureSink("OpenSearch", sink);
  } finally {
    await search.stop();
  }

  /** A batch of 1,000 by the statement as it is, and without the mark, in turn. */
  async function measureBuild(): Promise<void> {
    const statement = plans[0]?.statement;
    ok(statement !== undefined);
    const marked = statement.text;
    const plain = marked.replace(", q.m FROM", " FROM")
      .replace(/, \(hashtextextended\([^\n]* AS m FROM/, " FROM");
    ok(!plain.includes("hashtext") && marked.includes("hashtext"));
    const figures: Record<"plain" | "marked", number[]> = { plain: [], marked: [] };
    for (let n = 0; n < 120; n++) {
      const from = 1 + (n * 7919) % (ROWS - 1000);
      const keys = arrayLiteral(Array.from({ length: 1000 }, (_, at) => String(from + at)));
      for (const [name, text] of [["plain", plain], ["marked", marked]] as const) {
        const params = [keys, ...statement.values, "10000000"];
        const [took] = await timed(() => database.query({ text, params }, SIGNAL));
        if (n >= 20) figures[name].push(took);
      }
    }
    const of = (name: "plain" | "marked") =>
      `p50 ${ms(quantile(figures[name], 0.5))}, p90 ${ms(quantile(figures[name], 0.9))}`;
    say("build of 1,000 documents, without marks", of("plain"));
    say("build of 1,000 documents, with marks", of("marked"));
  }

  async function measureSource(): Promise<void> {
    const alone = await latencies(() => new Promise((resolve) => setTimeout(resolve, 3_000)));
    say("point queries alone", alone.text);
    for (const dutyCycle of [1, 0.1]) {
      const keys = sourceKeys({ database, plans, dutyCycle });
      const { tookMs, text } = await latencies(() => keys.keySums("users", SIGNAL));
      const name = `sums of ${ROWS} rows in Postgres, duty cycle ${dutyCycle}`;
      say(name, ms(tookMs));
      say(`  point queries meanwhile, duty cycle ${dutyCycle}`, text);
    }
    const keys = sourceKeys({ database, plans, dutyCycle: 1 });
    const [few] = await timed(() => Array.fromAsync(keys.idsIn("users", [17], SIGNAL)));
    say(`ids of 1 bucket of ${ROWS} rows in Postgres`, ms(few));
    const [all] = await timed(() => Array.fromAsync(keys.idsIn("users", EVERY, SIGNAL)));
    say(`ids of all buckets of ${ROWS} rows in Postgres`, ms(all));
  }

  /** Point queries on a connection of their own while `work` goes on. */
  async function latencies(
    work: () => Promise<unknown>,
  ): Promise<{ readonly tookMs: number; readonly text: string }> {
    const sql = postgres(db.readerUrl, { max: 1 });
    const found: number[] = [];
    let going = true;
    const asking = (async () => {
      while (going) {
        const id = 1 + Math.floor(Math.random() * ROWS);
        const [took] = await timed(async () => await sql`SELECT * FROM users WHERE id = ${id}`);
        found.push(took);
      }
    })();
    const [tookMs] = await timed(work);
    going = false;
    await asking;
    await sql.end();
    const figures = `p50 ${ms(quantile(found, 0.5))}, p99 ${ms(quantile(found, 0.99))}`;
    return { tookMs, text: `${figures} (${found.length})` };
  }

  async function measureSink(name: string, sink: Sink): Promise<void> {
    await using _ = sink;
    const plan = plans[1];
    const { keys } = sink;
    ok(plan !== undefined && keys !== undefined);
    await sink.connect(SIGNAL);
    await sink.ensure(plan, "bench", SIGNAL);
    const [fillMs] = await timed(async () => {
      for await (const page of builder.idsIn("people", EVERY, SIGNAL)) {
        for (let at = 0; at < page.length; at += 2_000) {
          const { documents } = await builder.build(page.slice(at, at + 2_000), EPOCH, SIGNAL);
          await sink.write(documents, "fill", SIGNAL);
        }
      }
      await sink.markSeeded("people", SIGNAL);
    });
    say(`${name}: filling ${DOCUMENTS}`, ms(fillMs));
    const sums: number[] = [];
    for (let n = 0; n < 5; n++) {
      sums.push((await timed(() => keys.keySums("people", SIGNAL)))[0]);
    }
    say(
      `${name}: sums of ${DOCUMENTS}`,
      `first ${ms(sums[0] ?? 0)}, p50 ${ms(quantile(sums, 0.5))}`,
    );
    const [few] = await timed(() => Array.fromAsync(keys.idsIn("people", [17], SIGNAL)));
    say(`${name}: ids of 1 bucket`, ms(few));
    const [all] = await timed(() => Array.fromAsync(keys.idsIn("people", EVERY, SIGNAL)));
    say(`${name}: ids of all buckets`, ms(all));
    await db.sql`DELETE FROM people WHERE id % ${Math.floor(DOCUMENTS / 100)} = 1`;
    for (const what of ["with 100 rows gone", "with nothing wrong"]) {
      const events: SyncEvent[] = [];
      const engine = { retryLimitMs: 10_000, observe: (event: SyncEvent) => events.push(event) };
      const sweep = keySweep({
        filling: fence(),
        pipeline: {
          builder: { ...builder, plans: [plan] },
          sinks: [sink],
          capture: {} as never,
          watch: () => Promise.resolve(),
        },
        epoch: EPOCH,
        engine: engine as unknown as EngineOptions,
        intervalMs: 1,
        dutyCycle: 1,
        massDeletes: false,
        compared: {},
        clock: runningClock(new Date().toISOString()),
      });
      const [took] = await timed(() => sweep.once(SIGNAL));
      const swept = events.find(({ type }) => type === "swept");
      const orphans = swept?.type === "swept" ? swept.orphans : -1;
      say(`${name}: a whole comparison ${what}`, `${ms(took)} (${orphans} deleted)`);
    }
    await db.sql`INSERT INTO people SELECT * FROM users WHERE id <= ${DOCUMENTS}
      ON CONFLICT DO NOTHING`;
  }
}
