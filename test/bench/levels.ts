/**
 * deno run -A test/bench/levels.ts
 *
 * How long after a row is committed it is delivered by the capture, and durable in each sink, for
 * each way of following its table, at a 50 ms poll. The streams, the engine and the sinks are put
 * together as `run` does, in this process; SQLite and OpenSearch are written beside each other. A
 * sample begins when the one statement that changes the row and commits is sent (so it is a little too
 * long), and SAMPLES (300) of them are sent at random times, whether or not earlier ones have arrived.
 *
 * The lag (L1) is on a primary, by a plan altered to take it. Sweeps alone are at their own pace, a minute,
 * beside the others: rows are committed all through one pause. Starts its own servers.
 */
import { equal, ok } from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { NO_OUTPUT, openSinks } from "../../src/app/sinks.ts";
import { openReplication, openSource, watchSchema, wishesOf } from "../../src/app/source.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { ChangeCapture, Sink } from "../../src/core/ports.ts";
import { run } from "../../src/engine/engine.ts";
import { openCapture } from "../../src/postgres/capture.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { planSource } from "../../src/postgres/source_plan.ts";
import type { CapturePlan, Way } from "../../src/postgres/ways.ts";
import { installChangelog } from "../support/changelog.ts";
import { eventually } from "../support/eventually.ts";
import { cleanUp, removeAtExit } from "../support/janitor.ts";
import { openSearchServer } from "../support/opensearch.ts";
import { createDatabase, postgresServer, type TestDatabase } from "../support/postgres.ts";
import { withCleanUp } from "../support/run_command.ts";
import { allowWal } from "../support/wal.ts";
import { quantile } from "./process.ts";

const SAMPLES = Number(process.env["SAMPLES"] ?? "300");
const ROWS = 5_000;
const POLL = "50ms";
/** Mean of the pauses between two commits, ms: they are even from 0 to twice that. */
const GAP_MS = 40;
/** The pause between two sweeps of a table that nothing else follows, nearly. */
const SWEEP_MS = 58_000;

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL);
CREATE INDEX ON item (updated_at, id);
INSERT INTO item SELECT g, 'note ' || g, now() - interval '1 day' FROM generate_series(1, ${ROWS}) g;`;
const OUTBOX_DDL = `
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL,
 row_key text NOT NULL, tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
 created_at timestamptz NOT NULL DEFAULT now(), done timestamptz);
CREATE INDEX ON outbox (tx, id);
CREATE INDEX ON outbox (created_at, id);
CREATE INDEX ON outbox (id) WHERE done IS NULL;`;
const HINTS = { table: "kind", key: "row_key", position: "id" };

interface Subject {
  readonly name: string;
  readonly kind: Way["kind"];
  /** `source` of the config. */
  readonly source: Readonly<Record<string, unknown>>;
  readonly install?: (db: TestDatabase) => Promise<unknown>;
  readonly hints?: boolean;
}

const outbox = (mode: string, section: object): Subject => ({
  name: `outbox, ${mode}`,
  kind: "outbox",
  hints: true,
  source: {
    capture: "outbox",
    sweeps: false,
    outbox: { table: "outbox", tables: { item: "Item" }, ...section },
  },
  install: ({ sql, readerRole }) =>
    sql.unsafe(`${OUTBOX_DDL} GRANT UPDATE (done), DELETE ON outbox TO ${readerRole};`).simple(),
});
const SUBJECTS: readonly Subject[] = [
  {
    name: "updated_at (L2)",
    kind: "updated_at",
    source: { capture: "updated_at", sweeps: false },
  },
  { name: "lag (L1)", kind: "lag", source: { capture: "updated_at", sweeps: false } },
  {
    name: "changelog",
    kind: "changelog",
    source: { capture: "changelog", sweeps: false },
    install: (db) => installChangelog(db, [{ table: "item" }]),
  },
  outbox("xid", { mode: "read", columns: { ...HINTS, xid: "tx" } }),
  outbox("stamp", { mode: "read", columns: { ...HINTS, stamp: "created_at" } }),
  outbox("mark", { mode: "claim", columns: { ...HINTS, processed: "done" } }),
  outbox("delete", { mode: "claim", delete: true, columns: HINTS }),
  {
    name: "WAL (L5)",
    kind: "wal",
    source: { capture: "wal", sweeps: false },
    install: allowWal,
  },
];
const ALONE: Subject = {
  name: "sweeps alone",
  kind: "sweep",
  source: { capture: "sweep", sweeps: { keys: false } },
};

interface Sample {
  readonly sentAt: number;
  deliveredAt?: number;
  /** By sink. */
  readonly durableAt: Map<string, number>;
}

interface Figure {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

await withCleanUp(async () => {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const [server, search] = await Promise.all([postgresServer(18), openSearchServer()]);
  const folder = await mkdtemp(join(tmpdir(), "driftless-bench-"));
  removeAtExit(folder);
  say(
    `commit → capture → durable, ms: Postgres ${server.version}, OpenSearch ${search.version}, ` +
      `${POLL} poll, ${SAMPLES} commits each (goals: capture p50 ≤ 35, durable p50 ≤ 45)`,
  );
  say(`${"".padEnd(18)}${["capture", "SQLite", "OpenSearch"].map((c) => c.padStart(24)).join("")}`);
  say(`${"".padEnd(18)}${"p50     p99     max".padStart(24).repeat(3)}`);
  const [warm] = SUBJECTS;
  ok(warm);
  await follow(warm, search.url, folder, { samples: 100 });
  const alone = follow(ALONE, search.url, folder, {
    gapMs: SWEEP_MS / SAMPLES,
    timeoutMs: 2 * SWEEP_MS,
  });
  // Its failure is met below; until then nobody may be waiting for it.
  alone.catch(() => {});
  const results: Record<string, unknown> = {};
  const tell = (subject: Subject, figures: readonly Figure[], scale: number, digits: number) => {
    const [capture, sqlite, openSearch] = figures;
    results[subject.name] = { capture, sqlite, openSearch };
    const cells = figures.map(({ p50, p99, max }) =>
      [p50, p99, max].map((ms) => (ms / scale).toFixed(digits).padStart(8)).join("")
    );
    say(`${subject.name.padEnd(18)}${cells.join("")}${scale === 1 ? "" : "  seconds"}`);
  };
  for (const subject of SUBJECTS) tell(subject, await follow(subject, search.url, folder), 1, 1);
  tell(ALONE, await alone, 1000, 1);
  say(JSON.stringify({ levels: results }));
  return 0;
}, cleanUp);

/** Follows one table, commits to it, and returns the figures: capture, SQLite, OpenSearch. */
async function follow(
  subject: Subject,
  openSearch: string,
  folder: string,
  how: { readonly samples?: number; readonly gapMs?: number; readonly timeoutMs?: number } = {},
): Promise<readonly Figure[]> {
  const { samples: count = SAMPLES, gapMs = GAP_MS, timeoutMs = 15_000 } = how;
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await createDatabase(DDL));
  await subject.install?.(db);
  await db.sql`VACUUM ANALYZE`;
  const prefix = `${db.name}_`;
  const text = JSON.stringify({
    source: {
      ...subject.source,
      url: db.readerUrl,
      poll: { minInterval: POLL, maxInterval: POLL },
    },
    sinks: {
      sqlite: { type: "sqlite", path: join(folder, `${db.name}.db`) },
      openSearch: { type: "opensearch", nodes: [openSearch], indexPrefix: prefix },
    },
    indexes: { items: { table: "item", fields: { note: "text" } } },
  });
  const { config, problems } = await loadConfig("bench.jsonc", {}, () => Promise.resolve(text));
  ok(config, JSON.stringify(problems));

  const samples = new Map<string, Sample>();
  const never = new AbortController().signal;
  const applicationName = `driftless/${crypto.randomUUID()}`;
  const { parallel } = config.pipeline.seed;
  const readers = stack.use(openSource(config, parallel + 2, { applicationName }));
  const plan = await planSource(readers, wishesOf(config), never);
  const chosen = subject.kind === "lag" ? lagged(plan.capture) : plan.capture;
  equal(chosen.ways.get("public.item")?.[0].kind, subject.kind, JSON.stringify(plan.problems));
  const sinks = openSinks(config, NO_OUTPUT).map((sink) => stack.use(sink));
  for (const sink of sinks) await sink.connect(never);
  const { poll } = config.source;
  const observed = Promise.withResolvers<void>();
  const capture = stack.use(openCapture({
    plan: chosen,
    levels: plan.levels,
    readers,
    open: (connections, how) => openSource(config, connections, { ...how, applicationName }),
    replicate: (from, signal) => openReplication(config, applicationName, from, signal),
    applicationName,
    settings: { marginMs: poll.marginMs, lagMs: poll.lagMs, once: false },
    pageSize: poll.pageSize,
    timing: poll,
    observe: () => {},
  }));
  const stop = new AbortController();
  const running = run(
    {
      capture: watched(capture, samples),
      builder: openDocumentBuilder({
        database: readers,
        plans: plan.plans,
        catalog: plan.catalog,
        maxDocumentBytes: config.maxDocumentBytes,
      }),
      sinks: sinks.map((sink) => timed(sink, samples)),
      watch: (signal) => watchSchema(config, readers, plan.digest, signal),
    },
    {
      ...config.pipeline,
      once: false,
      skipBackfill: false,
      rebase: false,
      retryLimitMs: 10_000,
      observe: ({ type }) => {
        if (type === "caughtUp") observed.resolve();
      },
    },
    stop.signal,
    never,
  );
  running.catch(observed.reject);
  try {
    await observed.promise;
    await commit(db.url, subject, samples, { count, gapMs });
    await eventually(
      "all rows to be durable",
      () => Promise.resolve([...samples.values()].every(({ durableAt }) => durableAt.size === 2)),
      { timeoutMs },
    );
  } finally {
    stop.abort(new Error("measured"));
    await running;
    await fetch(`${openSearch}/${prefix}*`, { method: "DELETE" });
  }
  const all = [...samples.values()];
  const figure = (end: (sample: Sample) => number | undefined): Figure => {
    const ms = all.map((each) => (end(each) ?? NaN) - each.sentAt);
    const rounded = (value: number) => Math.round(value * 10) / 10;
    return {
      p50: rounded(quantile(ms, 0.5)),
      p99: rounded(quantile(ms, 0.99)),
      max: rounded(Math.max(...ms)),
    };
  };
  return [
    figure(({ deliveredAt }) => deliveredAt),
    figure(({ durableAt }) => durableAt.get("sqlite")),
    figure(({ durableAt }) => durableAt.get("openSearch")),
  ];
}

/** The plan with each table followed by the lag. */
function lagged(plan: CapturePlan): CapturePlan {
  const ways = [...plan.ways].map(([id, all]): [string, readonly [Way]] => {
    const way = all.find(({ kind }) => kind === "lag");
    ok(way, `${id} can't be followed by a lag`);
    return [id, [way]];
  });
  return { ...plan, ways: new Map(ways) };
}

/** Commits to one row after the other, each at its time, each row once. */
async function commit(
  url: string,
  { hints = false }: Subject,
  samples: Map<string, Sample>,
  { count, gapMs }: { readonly count: number; readonly gapMs: number },
): Promise<void> {
  const sql = postgres(url, { max: 4, onnotice: () => {} });
  await Promise.all(Array.from({ length: 4 }, () => sql`SELECT pg_sleep(0.05)`));
  const sent: Promise<unknown>[] = [];
  let at = performance.now();
  for (let id = 1; id <= count; id++) {
    at += Math.random() * 2 * gapMs;
    const waitMs = at - performance.now();
    if (waitMs > 0) await pause(waitMs);
    samples.set(String(id), { sentAt: performance.now(), durableAt: new Map() });
    sent.push(
      hints
        ? sql`WITH changed AS (UPDATE item SET note = 'changed' WHERE id = ${id} RETURNING id)
            INSERT INTO outbox (kind, row_key) SELECT 'Item', id::text FROM changed`.execute()
        : sql`UPDATE item SET note = 'changed', updated_at = now() WHERE id = ${id}`.execute(),
    );
  }
  await Promise.all(sent);
  await sql.end();
}

/** Notes when a row is delivered for the first time since it was committed. */
function watched(capture: ChangeCapture, samples: ReadonlyMap<string, Sample>): ChangeCapture {
  return {
    ...capture,
    async *live(signal) {
      for await (const delivery of capture.live(signal)) {
        const sample = samples.get(delivery.value.key[0] ?? "");
        if (sample !== undefined) sample.deliveredAt ??= performance.now();
        yield delivery;
      }
    },
  };
}

/** Notes when the sink has said that a document is durable which was built after its delivery. */
function timed(sink: Sink, samples: ReadonlyMap<string, Sample>): Sink {
  return {
    ...sink,
    async write(documents, mode, signal) {
      const rejections = await sink.write(documents, mode, signal);
      const now = performance.now();
      for (const { id } of documents) {
        const sample = samples.get(id);
        if (sample?.deliveredAt === undefined || sample.durableAt.has(sink.name)) continue;
        sample.durableAt.set(sink.name, now);
      }
      return rejections;
    },
  };
}
