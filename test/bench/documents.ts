/**
 * deno run -A test/bench/documents.ts
 *
 * Documents of one, two and three levels of tables (users, their orders, their lines): one batch of
 * 1,000 beside the same SQL by hand, in turn; resolving 1,000 changed lines; and what a seed by the
 * compiled binary makes of each, into SQLite and OpenSearch. USERS (100,000), three orders each with
 * two lines. Starts its own servers. Prints figures; asserts nothing about time.
 */
import { equal, ok } from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import type { Change } from "../../src/core/change.ts";
import { arrayLiteral, openDatabase } from "../../src/postgres/client.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { prepareDocuments } from "../../src/postgres/documents/prepare.ts";
import { cleanUp } from "../support/janitor.ts";
import { startOpenSearch } from "../support/opensearch.ts";
import { createDatabase } from "../support/postgres.ts";
import { root } from "../support/toolchain.ts";
import { median, quantile } from "./process.ts";
import { seedOnce } from "./seed.ts";
import { byDepth, describeDepth, HANDWRITTEN, LEVELS_DDL } from "./three_levels.ts";

const USERS = Number(process.env["USERS"] ?? "100000");
const ROUNDS = Number(process.env["ROUNDS"] ?? "3");
const BATCHES = 60;
const WARM = 10;
const SIGNAL = new AbortController().signal;
const EPOCH = { number: 1, timeline: 1, kind: "flush" } as const;
const results: Record<string, unknown> = {};
const say = (line: string) => process.stdout.write(`${line}\n`);

const db = await createDatabase(LEVELS_DDL(USERS));
try {
  await db.sql.unsafe("VACUUM ANALYZE users");
  await db.sql.unsafe("VACUUM ANALYZE orders");
  await db.sql.unsafe("VACUUM ANALYZE lines");
  await measureBatches();
  await measureSeeds();
} finally {
  await db[Symbol.asyncDispose]();
}
say(JSON.stringify({ documents: results }));
await cleanUp();

async function measureBatches(): Promise<void> {
  await using database = openDatabase({
    url: db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 2,
    applicationName: "driftless/bench",
    statementTimeoutMs: 60_000,
  });
  const descriptions = [1, 2, 3].map(describeDepth);
  const { plans, catalog, problems } = await prepareDocuments(
    database,
    descriptions,
    { rowSecurity: "refuse" },
    SIGNAL,
  );
  equal(plans.length, 3, JSON.stringify(problems));
  const builder = openDocumentBuilder({ database, plans, catalog, maxDocumentBytes: 10 << 20 });
  const keysFrom = (batch: number) => {
    const from = 1 + (batch * 7919) % Math.max(1, USERS - 1000);
    return Array.from({ length: 1000 }, (_, at) => String(from + at));
  };

  for (const depth of [1, 2, 3] as const) {
    const byHand: number[] = [];
    const ours: number[] = [];
    for (let batch = 0; batch < BATCHES + WARM; batch++) {
      const keys = keysFrom(batch);
      const ids = keys.map((key) => ({ index: `depth${depth}`, id: key, key: [key] }));
      const hand = async () => {
        const params = [arrayLiteral(keys)];
        const startedAt = performance.now();
        const rows = await database.query({ text: HANDWRITTEN[depth], params }, SIGNAL);
        const took = performance.now() - startedAt;
        equal(rows.length, 1000);
        if (batch >= WARM) byHand.push(took);
      };
      const own = async () => {
        const startedAt = performance.now();
        const { documents } = await builder.build(ids, EPOCH, SIGNAL);
        const took = performance.now() - startedAt;
        equal(documents.length, 1000);
        if (batch >= WARM) ours.push(took);
      };
      // In turn: neither always finds the pages that the other has read.
      for (const each of batch % 2 === 0 ? [hand, own] : [own, hand]) await each();
    }
    const ratio = median(ours) / median(byHand);
    say(
      `depth ${depth}: 1,000 documents by hand ${figures(byHand)}, built ${figures(ours)}: ` +
        `${ratio.toFixed(2)} times`,
    );
    results[`batch${depth}`] = { byHand: median(byHand), built: median(ours), ratio };
  }

  const resolving: number[] = [];
  for (let batch = 0; batch < BATCHES + WARM; batch++) {
    const changes = keysFrom(batch).map((key): Change => ({
      table: { schema: "public", name: "lines" },
      op: "upsert",
      key: [key],
      after: { order_id: key },
      sawBefore: true,
    }));
    const startedAt = performance.now();
    const { ids } = await builder.resolve(changes, SIGNAL);
    if (batch >= WARM) resolving.push(performance.now() - startedAt);
    ok(ids.length > 0);
  }
  say(`1,000 changed lines resolved to users in ${figures(resolving)}`);
  results["resolve"] = median(resolving);
}

async function measureSeeds(): Promise<void> {
  const binary = join(root, "dist", "driftless");
  const search = await startOpenSearch({ heap: "2g" });
  try {
    const sinks = [{ type: "sqlite" }, { type: "opensearch", url: search.url }] as const;
    // Once unmeasured: the first filling after a start is half as fast.
    await seedOnce(binary, db.readerUrl, sinks[1], byDepth(3));
    for (const sink of sinks) {
      const found: Record<number, number[]> = { 1: [], 2: [], 3: [] };
      for (let round = 0; round < ROUNDS; round++) {
        for (const depth of [1, 2, 3] as const) {
          const { perSecond } = await seedOnce(binary, db.readerUrl, sink, byDepth(depth));
          found[depth]?.push(perSecond);
        }
      }
      for (const depth of [1, 2, 3] as const) {
        const perSecond = median(found[depth] ?? []);
        say(`seed of ${USERS} at depth ${depth} into ${sink.type}: median ${perSecond}/s`);
        results[`${sink.type}${depth}`] = perSecond;
      }
    }
  } finally {
    await search.stop();
  }
}

function figures(values: readonly number[]): string {
  return `p50 ${quantile(values, 0.5).toFixed(1)} ms, p90 ${quantile(values, 0.9).toFixed(1)} ms`;
}
