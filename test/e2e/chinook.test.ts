/**
 * A real record shop through the compiled binary: eleven tables, a role with SELECT alone, and every
 * document compared with what hand-written SQL says, after the seed and after each change.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type BinaryOptions, type LogLine, runBinary, startBinary } from "../support/binary.ts";
import { eventually } from "../support/eventually.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import {
  assertSameDocuments,
  compareDocuments,
  type Documents,
  openSearchDocuments,
  sqliteDocuments,
} from "../support/truth.ts";
import { CHANGES, type ShopChange, WHILE_DOWN, WHILE_DOWN_AGAIN } from "./chinook/changes.ts";
import { chinookConfig, MARGIN_MS } from "./chinook/config.ts";
import { expectedDocuments, INDEXES, type IndexName } from "./chinook/expected.ts";
import { chinookFolder, loadChinook, stampTheRest, UNSTAMPED } from "./chinook/load.ts";

describe("the Chinook record shop through the compiled binary", { timeout: 180_000 }, () => {
  const prefix = uniquePrefix();
  let database: TestDatabase;
  let openSearch: string;
  let folder: string;
  let options: BinaryOptions;

  before(async () => {
    const data = await chinookFolder();
    openSearch = (await openSearchServer()).url;
    folder = await mkdtemp(join(tmpdir(), "driftless-chinook-"));
    database = await createDatabase();
    await loadChinook(database.sql, data);
    options = {
      config: chinookConfig({
        openSearch: { url: openSearch, prefix },
        sqlitePath: "shop.db",
      }),
      cwd: folder,
      env: { DATABASE_URL: database.readerUrl },
    };
  });

  after(async () => {
    await database?.[Symbol.asyncDispose]();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  test("the data is the shop's and the role can do nothing but read it", async () => {
    const { sql, readerRole } = database;
    const [facts] = await sql`SELECT
      (SELECT count(DISTINCT artist_id)::int FROM album) AS artists,
      (SELECT sum(total)::text FROM invoice) AS total,
      (SELECT count(*)::int FROM playlist_track WHERE playlist_id = 1) AS tracks`;
    assert.deepEqual({ ...facts }, { artists: 204, total: "2328.60", tracks: 3290 });
    const [rights] = await sql`
      SELECT count(*)::int AS tables,
        bool_and(has_table_privilege(${readerRole}, oid, 'SELECT')) AS reads,
        bool_or(has_table_privilege(${readerRole}, oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER'))
          AS writes
      FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`;
    assert.deepEqual({ ...rights }, { tables: 11, reads: true, writes: false });
  });

  test("check refuses each table without a stamp and says how to add one", async () => {
    const result = await runBinary(["check", "--format", "json"], options);
    assert.equal(result.code, 2, result.stderr.slice(-2_000));
    const report = JSON.parse(result.stdout) as {
      readonly ok: boolean;
      readonly problems: readonly Record<string, string>[];
      readonly tables: readonly { readonly table: string; readonly level: string }[];
      readonly indexes: readonly { readonly index: string }[];
    };
    assert.equal(report.ok, false);
    const errors = report.problems.filter(({ severity }) => severity === "error");
    assert.deepEqual(
      errors.map(({ code, path }) => `${code} ${path}`).sort(),
      Object.keys(UNSTAMPED).map((table) => `STAMP_MISSING source.tables.public.${table}`).sort(),
    );
    for (const table of Object.keys(UNSTAMPED)) {
      const error = errors.find(({ path }) => path === `source.tables.public.${table}`);
      assert.match(error?.["message"] ?? "", new RegExp(`public\\.${table}\\b`));
      const sql = `ALTER TABLE public.${table} ADD COLUMN updated_at timestamptz`;
      assert.ok(error?.["hint"]?.includes(sql), `no remedy for ${table}: ${error?.["hint"]}`);
    }
    assert.deepEqual(report.indexes.map(({ index }) => index), ["albums", "artists"]);
    assert.deepEqual(report.tables.map(({ table, level }) => `${table} ${level}`).sort(), [
      "public.album L3",
      "public.artist L3",
      "public.track L3",
    ]);

    const text = await runBinary(["check"], options);
    assert.equal(text.code, 2);
    for (const table of Object.keys(UNSTAMPED)) {
      assert.ok(text.stdout.includes(`ALTER TABLE public.${table} ADD COLUMN updated_at`));
    }
  });

  test("run --strict refuses to start, and nothing is written", async () => {
    const result = await runBinary(["run", "--strict"], options);
    assert.equal(result.code, 2, result.stderr.slice(-2_000));
    assert.match(result.stderr, /Cannot serve "customers", "employees", "tracks"/);
    assert.deepEqual(namedProblems(result.events), unstampedPaths());
    assert.deepEqual(await physicalIndexes(), []);
  });

  test("run serves the indexes whose tables have stamps and names the others", async () => {
    await using running = startBinary(["run"], options);
    await running.waitFor("caughtUp");
    assert.deepEqual(namedProblems(running.events), unstampedPaths());
    assert.deepEqual(seeded(running.events), ["albums", "artists"]);
    await database.sql`UPDATE album SET title = 'Balls to the wall' WHERE album_id = 2`;
    // `wait` can't confirm what isn't served, and says which.
    const waited = await runBinary(["wait", "--timeout", "10s"], options);
    assert.equal(waited.code, 1, waited.stderr);
    assert.match(waited.stderr, /^index "customers" can't be served/m);
    assert.doesNotMatch(waited.stderr, /^sink |--timeout/m);
    const soon = () => Promise.resolve();
    await eventually(
      "the change",
      () => compareAll(["albums", "artists"], "a change", soon).catch(() => undefined),
    );
    const there = (await physicalIndexes()).map((name) => name.replace(/_[0-9a-f]+_1$/, ""));
    assert.deepEqual(there, ["albums", "artists", "driftless"]);
    assert.equal(await running.stop(), 0, running.stderr().slice(-2_000));
  });

  test("with stamps on all tables every document of every index is what SQL says, and stays so through changes of each table", async () => {
    await stampTheRest(database.sql);
    const check = await runBinary(["check"], options);
    assert.equal(check.code, 0, check.stdout);

    await using running = startBinary(["run"], options);
    await running.waitFor("caughtUp");
    const anchored = await running.waitFor("anchored");
    assert.equal(anchored["fresh"], false);
    // What was filled before is followed on; the rest is filled in both sinks at once.
    assert.deepEqual(seeded(running.events), ["customers", "employees", "tracks"]);
    for (const { sinks } of running.events.filter(({ event }) => event === "seedStarted")) {
      assert.deepEqual(sinks, ["search", "local"]);
    }
    let expected = await compareAll(INDEXES);
    assertFacts(expected);

    for (const change of CHANGES) {
      await database.sql.unsafe(change.sql).simple();
      const changed = await compareAll(INDEXES, change.name);
      assert.deepEqual(
        altered(expected, changed),
        change.alters,
        `the test itself: ${change.name}`,
      );
      expected = changed;
    }
    assert.deepEqual(
      running.events.filter(({ level }) => level === "warn" || level === "error"),
      [],
    );
    assert.equal(await running.stop(), 0, running.stderr().slice(-2_000));
  });

  test("a change made while it was down arrives after a restart, without a seed", async () => {
    const expected = await expectedDocuments(database.sql);
    await changeLongAgo(WHILE_DOWN);
    await using running = startBinary(["run"], options);
    const changed = await compareAll(INDEXES, WHILE_DOWN.name);
    assert.deepEqual(altered(expected, changed), WHILE_DOWN.alters);
    assert.equal((await running.waitFor("anchored"))["fresh"], false);
    assert.deepEqual(seeded(running.events), []);
    assert.equal(await running.stop(), 0, running.stderr().slice(-2_000));
  });

  test("sync ends with 0 when it has caught up, and a second one has nothing to seed", async () => {
    const expected = await expectedDocuments(database.sql);
    await changeLongAgo(WHILE_DOWN_AGAIN);
    const follows = await runBinary(["sync"], options);
    assert.equal(follows.code, 0, follows.stderr);
    assert.deepEqual(seeded(follows.events), []);
    const changed = await compareAll(INDEXES, WHILE_DOWN_AGAIN.name, refresh);
    assert.deepEqual(altered(expected, changed), WHILE_DOWN_AGAIN.alters);

    const elsewhere = { ...options, config: chinookConfig({ sqlitePath: "cron.db" }) };
    const first = await runBinary(["sync"], elsewhere);
    assert.equal(first.code, 0, first.stderr);
    assert.deepEqual(seeded(first.events), [...INDEXES]);
    const second = await runBinary(["sync"], elsewhere);
    assert.equal(second.code, 0, second.stderr);
    assert.deepEqual(seeded(second.events), []);
    assert.ok(second.events.some(({ event }) => event === "caughtUp"));
    for (const index of INDEXES) {
      const found = sqliteDocuments(join(folder, "cron.db"), index);
      assertSameDocuments(found, changed[index], `${index} in cron.db`);
    }
  });

  /** Its stamps are then out of the margin: only a cursor from before it leads to its rows. */
  async function changeLongAgo({ sql }: ShopChange): Promise<void> {
    await database.sql.unsafe(sql).simple();
    const [made] = await database.sql`SELECT clock_timestamp()::text AS at`;
    await eventually("the margin pass", async () => {
      const [now] = await database.sql`SELECT clock_timestamp() >
        ${made?.["at"]}::timestamptz + ${10 * MARGIN_MS} * interval '1 ms' AS passed`;
      return now?.["passed"] === true;
    });
  }

  /** All that is in OpenSearch under the test's prefix, sorted, without the prefix. */
  async function physicalIndexes(): Promise<readonly string[]> {
    const response = await fetch(`${openSearch}/_cat/indices/${prefix}*?h=index`);
    const names = (await response.text()).split("\n").filter((name) => name !== "");
    return names.map((name) => name.trim().slice(prefix.length)).sort();
  }

  /** After `sync` all is durable; nobody waits for OpenSearch's next refresh. */
  async function refresh(): Promise<void> {
    const response = await fetch(`${openSearch}/${prefix}*/_refresh`, { method: "POST" });
    await response.body?.cancel();
    assert.ok(response.ok);
  }

  /** The barrier of design 3.3. */
  async function waitFor(): Promise<void> {
    const result = await runBinary(["wait", "--timeout", "120s"], options);
    assert.equal(result.code, 0, result.stderr.slice(-2_000));
  }

  /**
   * Compares every document of the named indexes in both sinks with SQL's, once the barrier is
   * passed; gives SQL's of all.
   */
  async function compareAll(
    indexes: readonly IndexName[],
    what = "the seed",
    barrier: () => Promise<void> = waitFor,
  ): Promise<Readonly<Record<IndexName, Documents>>> {
    const [expected] = await Promise.all([expectedDocuments(database.sql), barrier()]);
    for (const index of indexes) {
      const { [index]: should } = expected;
      const found = await openSearchDocuments(openSearch, prefix + index);
      assertSameDocuments(found, should, `${index} in OpenSearch after ${what}`);
      const local = sqliteDocuments(join(folder, "shop.db"), index);
      assertSameDocuments(local, should, `${index} in sqlite after ${what}`);
    }
    return expected;
  }
});

/** Facts of the data's README, by the documents alone. */
function assertFacts({ artists, customers, tracks }: Readonly<Record<IndexName, Documents>>): void {
  const all = (documents: Documents) =>
    [...documents.values()].map((text) => JSON.parse(text) as Record<string, unknown>);
  assert.equal(all(artists).filter(({ albumCount }) => albumCount !== 0).length, 204);
  const cents = all(customers).map(({ spent }) => Math.round(Number(spent) * 100));
  assert.equal(cents.reduce((sum, each) => sum + each, 0), 232_860);
  const onFirst = all(tracks).filter(({ playlistIds }) => (playlistIds as number[]).includes(1));
  assert.equal(onFirst.length, 3_290);
  assert.deepEqual([artists.size, customers.size, tracks.size], [275, 59, 3_503]);
}

function altered(
  before: Readonly<Record<IndexName, Documents>>,
  now: Readonly<Record<IndexName, Documents>>,
): readonly IndexName[] {
  return INDEXES.filter((index) => {
    const { missing, extra, different } = compareDocuments(now[index], before[index]);
    return missing.length + extra.length + different.length > 0;
  });
}

/** The indexes that were begun to be filled. */
function seeded(events: readonly LogLine[]): readonly string[] {
  return events.filter(({ event }) => event === "seedStarted").map(({ index }) => String(index));
}

function namedProblems(events: readonly LogLine[]): readonly string[] {
  return events.filter(({ event, code }) => event === "problem" && code === "STAMP_MISSING")
    .map(({ path }) => String(path)).sort();
}

function unstampedPaths(): readonly string[] {
  return Object.keys(UNSTAMPED).map((table) => `source.tables.public.${table}`).sort();
}
