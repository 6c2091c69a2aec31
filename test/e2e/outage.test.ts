import { deepEqual, equal, match, ok } from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { type LogLine, runBinary, startBinary } from "../support/binary.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import {
  openSearchServer,
  type PrivateOpenSearch,
  startOpenSearch,
  uniquePrefix,
} from "../support/opensearch.ts";
import {
  addPeople,
  equalsTables,
  openSearchDocuments,
  PEOPLE_DDL,
  PEOPLE_INDEX,
  startWriter,
} from "../support/people.ts";
import {
  at,
  createDatabase,
  type PrivatePostgres,
  startPostgres,
  type TestDatabase,
} from "../support/postgres.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";

/** How long a server is away. */
const AWAY_MS = 1000 * Number(process.env["DRIFTLESS_TEST_AWAY_SECONDS"] ?? 10);
const USERS = 500;

function config(source: string, node: string, indexPrefix: string) {
  return {
    source: { url: source, poll: { minInterval: "20ms", maxInterval: "200ms" } },
    sinks: { search: { type: "opensearch", nodes: [node], indexPrefix } },
    indexes: { users: PEOPLE_INDEX },
  };
}

describe("OpenSearch away", () => {
  let db: TestDatabase;
  let url: string;
  let proxy: Proxy;
  before(async () => {
    db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, USERS);
    url = (await openSearchServer()).url;
    proxy = await startProxy(url);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  for (const kind of ["cut", "blackhole"] as const) {
    test(
      `run waits, says so louder and louder, and loses nothing (${kind})`,
      inFolder(async (cwd) => {
        const prefix = uniquePrefix();
        const options = { config: config(db.readerUrl, proxy.url, prefix), cwd };
        await using run = startBinary(["run"], options);
        await run.waitFor("caughtUp");
        await using writer = startWriter(db.sql, USERS);
        await writer.wrote(50);
        proxy[kind]();
        await lasting(kind === "cut" ? AWAY_MS : 2_000);
        proxy.pass();
        await run.waitFor("recovered", ({ edge }) => edge === "search", 120_000);
        await writer.wrote(50);
        await writer.stop();
        const waited = await runBinary(["wait", "--timeout", "120s"], options);
        equal(waited.code, 0, waited.stderr);
        await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
        equal(await run.stop(), 0);
        const retries = untilRecovered(run.events, "search");
        ok(retries.length >= 1);
        deepEqual(retries.map(levelOf), retries.map(levelOf).toSorted());
        if (kind === "cut") match(String(retries.at(-1)?.["code"]), /^ECONN|NO_NODE|EPIPE/);
      }),
    );
  }

  test(
    "a slow network is waited for without a retry",
    inFolder(async (cwd) => {
      const prefix = uniquePrefix();
      const options = { config: config(db.readerUrl, proxy.url, prefix), cwd };
      proxy.delay(200);
      await using run = startBinary(["run"], options);
      await run.waitFor("caughtUp", undefined, 120_000);
      await using writer = startWriter(db.sql, USERS);
      await writer.wrote(200);
      await writer.stop();
      const waited = await runBinary(["wait", "--timeout", "120s"], options);
      equal(waited.code, 0, waited.stderr);
      proxy.pass();
      await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
      equal(await run.stop(), 0);
      ok(!run.events.some(({ event }) => event === "retry"));
    }),
  );

  test(
    "at start: run waits and then goes on, sync gives up after --wait with 1",
    inFolder(async (cwd) => {
      const prefix = uniquePrefix();
      const options = { config: config(db.readerUrl, proxy.url, prefix), cwd };
      proxy.cut();
      await using run = startBinary(["run"], options);
      await run.waitFor("retry");
      const sync = await runBinary(["sync", "--wait", "2s"], options);
      equal(sync.code, 1);
      match(sync.stderr, /was away for 2 s/);
      match(sync.stderr, /Nothing was lost/);
      proxy.pass();
      await run.waitFor("caughtUp", undefined, 120_000);
      equal(await run.stop(), 0);
      await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
    }),
  );

  test(
    "SIGTERM meanwhile ends the process within the deadline, and the next start loses nothing",
    inFolder(async (cwd) => {
      const prefix = uniquePrefix();
      const options = { config: config(db.readerUrl, proxy.url, prefix), cwd };
      await using run = startBinary(["run"], options);
      await run.waitFor("caughtUp");
      proxy.cut();
      await db.sql`UPDATE users SET name = 'Away' WHERE id <= 50`;
      await run.waitFor("retry", ({ edge }) => edge === "search");
      const began = performance.now();
      equal(await run.stop(), 1);
      const seconds = (performance.now() - began) / 1000;
      ok(seconds < 34, `it took ${seconds} s`);
      match(run.stderr(), /Cannot drain within 25 s/);
      proxy.pass();
      const sync = await runBinary(["sync"], options);
      equal(sync.code, 0, sync.stderr);
      ok(!sync.events.some(({ event }) => event === "seedStarted"));
      await equalsTables(db.sql, openSearchDocuments(url, `${prefix}users`));
    }),
  );
});

describe("a server killed in the middle of run", () => {
  let pg: PrivatePostgres;
  let search: PrivateOpenSearch;
  let sql: postgres.Sql;
  before(async () => {
    [pg, search] = await Promise.all([startPostgres({ major: 18 }), startOpenSearch()]);
    sql = postgres(pg.url, { max: 2, onnotice: () => undefined });
    await sql.unsafe(`${PEOPLE_DDL}
      CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`).simple();
    await addPeople(sql, 1, USERS);
  });
  after(async () => {
    await sql.end({ timeout: 1 });
    await Promise.all([pg.stop("SIGQUIT"), search.stop("SIGKILL")]);
  });

  const options = (cwd: string, prefix: string) => ({
    config: config(at(pg.url, { user: "reader" }), search.url, prefix),
    cwd,
  });

  test(
    "OpenSearch, by SIGKILL, and started again on its data: nothing is lost",
    inFolder(async (cwd) => {
      const prefix = uniquePrefix();
      await using run = startBinary(["run"], options(cwd, prefix));
      await run.waitFor("caughtUp");
      await using writer = startWriter(sql, USERS);
      await writer.wrote(20);
      await search.stop("SIGKILL");
      await run.waitFor("retry", ({ edge }) => edge === "search", 120_000);
      await search.restart();
      await run.waitFor("recovered", ({ edge }) => edge === "search", 120_000);
      await writer.wrote(20);
      await writer.stop();
      const waited = await runBinary(["wait", "--timeout", "120s"], options(cwd, prefix));
      equal(waited.code, 0, waited.stderr);
      await equalsTables(sql, openSearchDocuments(search.url, `${prefix}users`));
      equal(await run.stop(), 0);
    }),
  );

  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    test(
      `Postgres, by ${signal}, and started again: nothing is lost`,
      inFolder(async (cwd) => {
        const prefix = uniquePrefix();
        await using run = startBinary(["run"], options(cwd, prefix));
        await run.waitFor("caughtUp");
        const writer = startWriter(sql, USERS);
        await writer.wrote(20);
        await writer.stop();
        await pg.stop(signal);
        await run.waitFor("retry");
        await lasting(signal === "SIGINT" ? AWAY_MS : 1_000);
        await pg.restart();
        await using again = startWriter(sql, USERS);
        await again.wrote(20);
        await again.stop();
        await run.waitFor("recovered", undefined, 120_000);
        const waited = await runBinary(["wait", "--timeout", "120s"], options(cwd, prefix));
        equal(waited.code, 0, waited.stderr);
        await equalsTables(sql, openSearchDocuments(search.url, `${prefix}users`));
        equal(run.events.filter(({ event }) => event === "seedStarted").length, 1);
        equal(await run.stop(), 0);
        const retries = untilRecovered(run.events, "run");
        deepEqual(retries.map(levelOf), retries.map(levelOf).toSorted());
      }),
    );
  }
});

async function lasting(ms: number): Promise<void> {
  const began = performance.now();
  await eventually("the outage's end", async () => performance.now() - began >= ms, {
    timeoutMs: ms + 5_000,
    everyMs: 100,
  });
}

function untilRecovered(events: readonly LogLine[], edge: string): readonly LogLine[] {
  const end = events.findIndex((line) => line.event === "recovered" && line["edge"] === edge);
  return events.slice(0, end).filter((line) => line.event === "retry" && line["edge"] === edge);
}

const LEVELS = ["debug", "info", "warn", "error"];
function levelOf({ level }: LogLine): number {
  return LEVELS.indexOf(level);
}
