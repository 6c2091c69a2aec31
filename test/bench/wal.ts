/**
 * deno run -A test/bench/wal.ts
 *
 * Following by the write-ahead log, as a user would run it: the compiled binary, users with their
 * orders, OpenSearch. PHASES ("latency burst outage idle") names what is measured, each on a database
 * of its own:
 *
 * - latency: commit → durable of SAMPLES (200) single commits, root and child in turn; orders with the
 *   default replica identity (their users are looked up in the sink) and with FULL.
 * - burst: TRANSACTIONS (20,000) of one row each by four clients; from the last commit until all is
 *   durable, ROUNDS (3) times. "procedures": loops in the server, so that hardly anything is done by
 *   then; "clients": a round trip each, while OpenSearch and the binary share the machine. Then all
 *   documents are compared with the tables.
 * - outage: OpenSearch is stopped (SIGSTOP) for STOPPED (60) s while four clients write LOAD (1,000)
 *   transactions a second; the binary's resident memory, and how long it takes afterwards.
 * - idle: nothing is written to the users, and RATE (200) transactions a second to another database,
 *   for MINUTES (3), with a bulk of some 100 MB of WAL in their midst; what the slot retains.
 *
 * Needs BENCH_DIR as whole.ts does; DRIFTLESS_BINARY is another binary. Starts its own servers, without
 * fsync. Prints figures; asserts nothing about time.
 */
import { deepEqual, ok } from "node:assert/strict";
import { loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { eventually } from "../support/eventually.ts";
import { cleanUp } from "../support/janitor.ts";
import { startOpenSearch } from "../support/opensearch.ts";
import { createDatabase, postgresServer, type TestDatabase } from "../support/postgres.ts";
import { withCleanUp } from "../support/run_command.ts";
import { root } from "../support/toolchain.ts";
import { allowWal, slotOf } from "../support/wal.ts";
import { type Following, followUsers, measureLive } from "./latency.ts";
import { median, usageOf } from "./process.ts";
import { loadUsers } from "./shop.ts";

const number = (name: string, usual: number) => Number(process.env[name] ?? usual);
const SAMPLES = number("SAMPLES", 200);
const TRANSACTIONS = number("TRANSACTIONS", 20_000);
const ROUNDS = number("ROUNDS", 3);
const STOPPED = number("STOPPED", 60);
const LOAD = number("LOAD", 1_000);
const RATE = number("RATE", 200);
const MINUTES = number("MINUTES", 3);
const PHASES = (process.env["PHASES"] ?? "latency burst outage idle").split(" ");
const USERS = 30_000;
const CLIENTS = 4;
const MIB = 1024 * 1024;
const SOURCE = { capture: "wal", sweeps: false } as const;
const benchDir = process.env["BENCH_DIR"] ?? join(root, "..", "shared", "bench");
const binary = process.env["DRIFTLESS_BINARY"] ?? join(root, "dist", "driftless");

/**
 * One of four rows is an order. The first users are spared: each of them is written to once, last, so
 * that its document shows it only when all that was committed before has been read. (A document
 * is built from its row as it is by then: one that was written to earlier too would tell too soon.)
 */
const WRITERS = `
CREATE PROCEDURE write_much(many int, mark text) LANGUAGE plpgsql AS $$
DECLARE picked bigint;
BEGIN
  FOR i IN 1..many LOOP
    picked := ${CLIENTS} + 1 + floor(random() * ${USERS - CLIENTS});
    IF i % 4 = 0 THEN UPDATE orders SET status = mark || i WHERE id = picked;
    ELSE UPDATE users SET name = mark || i WHERE id = picked;
    END IF;
    COMMIT;
  END LOOP;
END $$;`;

const rows: string[][] = [];
const results: Record<string, unknown> = {};
const say = (line: string) => process.stdout.write(`${line}\n`);

await withCleanUp(async () => {
  const [server, search] = await Promise.all([
    postgresServer(18),
    startOpenSearch({ heap: "2g" }),
  ]);
  const versions = `Postgres ${server.version}, OpenSearch ${search.version}`;
  say(`warming up; then ${PHASES.join(", ")}`);
  await latency(search.url, "DEFAULT", 20);
  if (PHASES.includes("latency")) {
    for (const identity of ["DEFAULT", "FULL"] as const) {
      tellLatency(identity, await latency(search.url, identity, SAMPLES));
    }
  }
  if (PHASES.includes("burst")) {
    for (const identity of ["DEFAULT", "FULL"] as const) await burst(search.url, identity);
  }
  if (PHASES.includes("outage")) await outage(search.url);
  if (PHASES.includes("idle")) await idle(search.url);
  say(`\n${versions}, load ${loadavg().map((each) => each.toFixed(1)).join(" ")}`);
  for (const [what = "", figure = "", goal = ""] of rows) {
    say(`${what.padEnd(52)}${figure.padEnd(44)}${goal}`);
  }
  say(JSON.stringify({ wal: results }));
  return 0;
}, cleanUp);

/** A line of the table that is printed at the end. */
function tell(what: string, figure: string, goal: string, result: unknown): void {
  rows.push([what, figure, goal]);
  results[what] = result;
  say(`  ${what}: ${figure}`);
}

type Identity = "DEFAULT" | "FULL";

async function shop(identity: Identity): Promise<TestDatabase> {
  const db = await createDatabase();
  await loadUsers(db.url, benchDir, USERS);
  await db.sql.unsafe(`ALTER TABLE orders REPLICA IDENTITY ${identity}; ${WRITERS}`).simple();
  await allowWal(db);
  return db;
}

function follow(db: TestDatabase, openSearch: string): Promise<Following> {
  return followUsers(binary, { reader: db.readerUrl, openSearch, source: SOURCE });
}

async function latency(openSearch: string, identity: Identity, samples: number) {
  await using db = await shop(identity);
  const database = { admin: db.url, reader: db.readerUrl };
  return await measureLive(binary, database, openSearch, {
    source: SOURCE,
    samples,
    idleMs: samples < SAMPLES ? 0 : 10_000,
  });
}

function tellLatency(identity: Identity, live: Awaited<ReturnType<typeof latency>>): void {
  for (const kind of ["root", "child"] as const) {
    const { p50, p99, samples } = live[kind];
    tell(
      `commit → durable, ${kind} (orders' identity ${identity})`,
      `p50 ${p50} ms, p99 ${p99} ms (${samples})`,
      kind === "root" ? "15 ms" : "30 ms",
      live[kind],
    );
  }
  const share = (live.idleCore * 100).toFixed(2);
  tell(`idle (orders' identity ${identity})`, `${share} % of a core`, "", live.idleCore);
}

async function burst(openSearch: string, identity: Identity): Promise<void> {
  await using db = await shop(identity);
  await using following = await follow(db, openSearch);
  for (const how of ["procedures", "clients"] as const) {
    const drained: number[] = [];
    const perSecond: number[] = [];
    let late = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const mark = `${how}${round}_`;
      const startedAt = performance.now();
      const many = TRANSACTIONS / CLIENTS;
      await writers(db, `${mark}end`, async (sql) => {
        if (how === "procedures") await sql`CALL write_much(${many}, ${mark})`;
        else await singly(sql, many, mark);
      });
      const committedAt = performance.now();
      perSecond.push(TRANSACTIONS / ((committedAt - startedAt) / 1000));
      await lastSeen(following, `${mark}end`);
      drained.push(performance.now() - committedAt);
      late += await compare(db, following);
    }
    const seconds = drained.map((ms) => (ms / 1000).toFixed(2)).join(", ");
    tell(
      `${TRANSACTIONS} by ${how}, ${identity}: drained after`,
      `${(median(drained) / 1000).toFixed(2)} s (${seconds}; ${median(perSecond).toFixed(0)}/s)`,
      "1 s",
      { drainedMs: drained, perSecond, late },
    );
    tell(`  documents that came later than that`, `${late}`, "0", late);
  }
}

async function outage(openSearch: string): Promise<void> {
  await using db = await shop("DEFAULT");
  await using following = await follow(db, openSearch);
  // Without what filling the index took.
  await following.restart();
  await pause(5_000);
  const memory = async () => (await usageOf(following.pid))?.nowMiB ?? NaN;
  const before = await memory();
  const search = await processOf(openSearch);
  let peak = 0;
  let stoppedPeak = NaN;
  let written = 0;
  let drainedMs: number;
  const watching = setInterval(async () => peak = Math.max(peak, await memory()), 100);
  try {
    process.kill(search, "SIGSTOP");
    const mark = "outage_";
    try {
      await writers(db, `${mark}end`, async (sql) => {
        const until = performance.now() + STOPPED * 1000;
        for (let round = 0; performance.now() < until; round++) {
          const startedAt = performance.now();
          const many = Math.ceil(LOAD / CLIENTS);
          await sql`CALL write_much(${many}, ${mark + round})`;
          written += many;
          await pause(Math.max(0, 1000 - (performance.now() - startedAt)));
        }
      });
    } finally {
      stoppedPeak = peak;
      process.kill(search, "SIGCONT");
    }
    const goesOnAt = performance.now();
    await lastSeen(following, `${mark}end`);
    drainedMs = performance.now() - goesOnAt;
  } finally {
    clearInterval(watching);
  }
  const late = await compare(db, following);
  const slot = await slotOf(db);
  tell(
    `OpenSearch stopped for ${STOPPED} s, ${written} transactions`,
    `memory ${before.toFixed(0)} MiB, at most ${stoppedPeak.toFixed(0)} MiB`,
    "",
    { before, stoppedPeak, written },
  );
  tell(
    "  drained after it went on",
    `${(drainedMs / 1000).toFixed(1)} s, at most ${peak.toFixed(0)} MiB, ${late} documents later`,
    "",
    { drainedMs, peak, late, slot: slot?.status },
  );
}

async function idle(openSearch: string): Promise<void> {
  await using db = await shop("DEFAULT");
  await using elsewhere = await createDatabase(
    `CREATE TABLE other (id int PRIMARY KEY, n int NOT NULL, note text);
     INSERT INTO other SELECT g, 0, repeat('x', 100) FROM generate_series(1, 10000) g;
     CREATE TABLE bulk (id bigint, note text);`,
  );
  await using following = await follow(db, openSearch);
  await pause(3_000);
  const seconds = MINUTES * 60;
  const cpuBefore = (await usageOf(following.pid))?.cpuSeconds ?? NaN;
  const from = await position(db);
  const startedAt = performance.now();
  const end = startedAt + seconds * 1000;
  let transactions = 0;
  let inBulk = false;
  let steadyMax = 0;
  let bulkMax = 0;
  let bulkBytes = 0;
  let bulkSeconds = 0;
  const steady = async () => {
    for (let second = 0; performance.now() < end; second++) {
      const due = startedAt + (second + 1) * 1000;
      for (let i = 0; i < RATE; i++) {
        await elsewhere.sql`UPDATE other SET n = n + 1 WHERE id = ${1 + transactions++ % 10_000}`;
      }
      await pause(Math.max(0, due - performance.now()));
    }
  };
  const bulk = async () => {
    await pause(seconds * 500);
    const before = await position(db);
    const began = performance.now();
    inBulk = true;
    const sql = postgres(elsewhere.url, { max: 1, onnotice: () => {} });
    for (let i = 0; i < 10; i++) {
      await sql`INSERT INTO bulk SELECT g, repeat('y', 200) FROM generate_series(1, 40000) g`;
    }
    await sql.end();
    bulkBytes = await position(db) - before;
    await eventually("the slot to go on", async () => {
      const retained = (await slotOf(db))?.retained;
      return retained !== undefined && retained < 16 * MIB;
    }, { timeoutMs: 600_000, everyMs: 100 });
    bulkSeconds = (performance.now() - began) / 1000;
    inBulk = false;
  };
  const watch = async () => {
    while (performance.now() < end) {
      const retained = (await slotOf(db))?.retained ?? NaN;
      if (inBulk) bulkMax = Math.max(bulkMax, retained);
      else steadyMax = Math.max(steadyMax, retained);
      await pause(500);
    }
  };
  await Promise.all([steady(), bulk(), watch()]);
  const written = await position(db) - from;
  const cpu = ((await usageOf(following.pid))?.cpuSeconds ?? NaN) - cpuBefore;
  const core = cpu / ((performance.now() - startedAt) / 1000);
  const perSecond = (written - bulkBytes) / seconds;
  const figures = { transactions, written, steadyMax, bulkBytes, bulkMax, bulkSeconds, core };
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
  tell(
    `idle slot, ${MINUTES} min, ${transactions} transactions elsewhere`,
    `keeps ≤ ${mib(steadyMax)} of ${mib(written - bulkBytes)}: ${
      (steadyMax / perSecond).toFixed(0)
    } s of it`,
    "16 MB",
    figures,
  );
  tell(
    `  a bulk of ${mib(bulkBytes)} elsewhere`,
    `keeps ≤ ${mib(bulkMax)}, below 16 after ${bulkSeconds.toFixed(0)} s`,
    "",
    {},
  );
  tell("  CPU meanwhile", `${(core * 100).toFixed(2)} % of a core`, "", core);
}

/** The clients, each on a connection of its own, and then their last commits, by this name. */
async function writers(
  { url }: TestDatabase,
  last: string,
  write: (sql: postgres.Sql) => Promise<void>,
): Promise<void> {
  const clients = Array.from({ length: CLIENTS }, () => postgres(url, { max: 1 }));
  try {
    await Promise.all(clients.map((sql) => sql`SELECT 1`));
    await Promise.all(clients.map(write));
    await Promise.all(
      clients.map((sql, at) => sql`UPDATE users SET name = ${last} WHERE id = ${at + 1}`),
    );
  } finally {
    await Promise.all(clients.map((sql) => sql.end({ timeout: 1 })));
  }
}

/** The same as `write_much`, a round trip each. */
async function singly(sql: postgres.Sql, many: number, mark: string): Promise<void> {
  for (let i = 1; i <= many; i++) {
    const picked = CLIENTS + 1 + Math.floor(Math.random() * (USERS - CLIENTS));
    if (i % 4 === 0) await sql`UPDATE orders SET status = ${mark + i} WHERE id = ${picked}`;
    else await sql`UPDATE users SET name = ${mark + i} WHERE id = ${picked}`;
  }
}

/** What the clients committed last is durable, and so is what came before. */
async function lastSeen({ url, log }: Following, name: string): Promise<void> {
  for (let client = 1; client <= CLIENTS; client++) {
    await eventually(`${name} of client ${client} (${log().slice(-2000)})`, async () => {
      const answer = await fetch(`${url}/_doc/${client}`, { signal: AbortSignal.timeout(10_000) });
      return (await answer.text()).includes(`"${name}"`);
    }, { timeoutMs: 600_000, everyMs: 3 });
  }
}

/** How many documents weren't equal to the tables at first; resolves when all are. */
async function compare(db: TestDatabase, { url }: Following): Promise<number> {
  const expected = await db.sql<{ id: string; text: string }[]>`
    SELECT u.id, concat(u.name, ' ', string_agg(o.status, ' ' ORDER BY o.id)) AS text
    FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id`;
  const tables = new Map(expected.map(({ id, text }) => [id, text]));
  const differing = async () => {
    const documents = await allDocuments(url);
    ok(documents.size === tables.size, `${documents.size} documents`);
    return [...tables].filter(([id, text]) => documents.get(id) !== text);
  };
  const late = (await differing()).length;
  await eventually("documents equal to the tables", async () => {
    deepEqual(await differing(), []);
    return true;
  }, { everyMs: 200 });
  return late;
}

interface Page {
  readonly hits: {
    readonly hits: readonly {
      readonly _source: {
        readonly id: number;
        readonly name: string;
        readonly orders: readonly { readonly id: number; readonly status: string }[];
      };
    }[];
  };
}

async function allDocuments(url: string): Promise<ReadonlyMap<string, string>> {
  await (await fetch(`${url}/_refresh`, { method: "POST" })).body?.cancel();
  const documents = new Map<string, string>();
  for (let last = 0;;) {
    const answer = await fetch(`${url}/_search`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        size: 10_000,
        sort: [{ id: "asc" }],
        search_after: [last],
        _source: ["id", "name", "orders.id", "orders.status"],
      }),
    });
    const { hits: { hits } } = await answer.json() as Page;
    for (const { _source: { id, name, orders } } of hits) {
      const statuses = orders.toSorted((a, b) => a.id - b.id).map(({ status }) => status);
      documents.set(String(id), `${name} ${statuses.join(" ")}`);
      last = id;
    }
    if (hits.length === 0) return documents;
  }
}

async function processOf(openSearch: string): Promise<number> {
  const answer = await fetch(`${openSearch}/_nodes/_local/process`);
  const { nodes } = await answer.json() as {
    nodes: Record<string, { readonly process: { readonly id: number } }>;
  };
  const [node] = Object.values(nodes);
  ok(node, "no node tells its process");
  return node.process.id;
}

/** Bytes of WAL ever written. */
async function position({ sql }: TestDatabase): Promise<number> {
  const [row] = await sql`SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS at`;
  return Number(row?.["at"]);
}
