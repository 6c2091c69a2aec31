import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { loadCatalog } from "../../src/postgres/catalog.ts";
import { openDatabase } from "../../src/postgres/client.ts";
import { sweepable, unreadableColumns } from "../../src/postgres/sweep/sweepable.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { eventually } from "../support/eventually.ts";
import { DDL, ids, isPage, ITEM, runSweeps, sweeps, swept } from "./row_sweep_support.ts";

const never = new AbortController().signal;
const HOUR = 3_600_000;
const PARTITIONED = `
CREATE TABLE item (id bigint, pad text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE item_1 PARTITION OF item FOR VALUES FROM (0) TO (100);
CREATE TABLE item_2 PARTITION OF item FOR VALUES FROM (100) TO (200);
INSERT INTO item SELECT g FROM generate_series(1, 199) g;`;

async function firstSweep(db: TestDatabase, tables = [swept({ everyMs: HOUR })]) {
  await using run = await runSweeps({ url: db.readerUrl, tables });
  await run.stream.settled?.(never);
  return { ids: ids(run), stored: run.cursor() };
}

for (const major of [18, 15] as const) {
  test(`a table that is compacted during its sweep is read again from its start (${major})`, async () => {
    await using db = await createDatabase(DDL, major);
    await db.sql`INSERT INTO item SELECT g, repeat('x', 7000) FROM generate_series(1, 400) g`;
    const { stored } = await firstSweep(db);
    // Behind the first pages once they are compacted.
    await db.sql`UPDATE item SET pad = repeat('y', 7000) WHERE id BETWEEN 200 AND 240`;
    await db.sql`DELETE FROM item WHERE id < 200`;
    let pages = 0;
    await using run = await runSweeps({
      url: db.readerUrl,
      pageSize: 10,
      stored,
      tables: [swept({ everyMs: 0 })],
      async before(statement) {
        if (isPage(statement) && ++pages === 3) await db.sql`VACUUM FULL item`;
      },
    });
    await sweeps(run);
    for (let id = 200; id <= 240; id++) ok(ids(run).includes(String(id)), `row ${id}`);
  });

  test(`every partition is swept, rows of one that is attached whatever their age (${major})`, async () => {
    await using db = await createDatabase(PARTITIONED, major);
    await db.sql.unsafe(
      "CREATE TABLE item_3 (id bigint PRIMARY KEY, pad text); INSERT INTO item_3 VALUES (250)",
    );
    const first = await firstSweep(db);
    equal(first.ids.length, 199);
    await db.sql`ALTER TABLE item ATTACH PARTITION item_3 FOR VALUES FROM (200) TO (300)`;
    await db.sql`UPDATE item SET pad = 'x' WHERE id = 5`;
    await using run = await runSweeps({ url: db.readerUrl, stored: first.stored });
    await sweeps(run);
    deepEqual([...new Set(ids(run))].sort(), ["250", "5"]);
  });

  test(`a partition that was detached and attached again is read as a whole (${major})`, async () => {
    await using db = await createDatabase(PARTITIONED, major);
    const first = await firstSweep(db);
    await db.sql`ALTER TABLE item DETACH PARTITION item_2`;
    await db.sql`ALTER TABLE item ATTACH PARTITION item_2 FOR VALUES FROM (100) TO (200)`;
    await using run = await runSweeps({ url: db.readerUrl, stored: first.stored });
    await sweeps(run);
    equal(new Set(ids(run)).size, 100);
  });

  test(`partitions are swept through their parent where only that is granted (${major})`, async () => {
    await using db = await createDatabase(PARTITIONED, major);
    await db.sql.unsafe(`REVOKE SELECT ON item_1, item_2 FROM ${db.readerRole}`);
    const first = await firstSweep(db);
    equal(new Set(first.ids).size, 199);
    equal(first.ids.length, 199);
  });

  test(`inheriting children are swept with their parent, each once (${major})`, async () => {
    await using db = await createDatabase(
      `${DDL} CREATE TABLE item_old (PRIMARY KEY (id)) INHERITS (item);
       INSERT INTO item VALUES (1); INSERT INTO item_old VALUES (2);`,
      major,
    );
    deepEqual((await firstSweep(db)).ids.sort(), ["1", "2"]);
  });
}

test("a statement that times out is halved until it passes, and keeps its place", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item SELECT g, repeat('x', 7000) FROM generate_series(1, 300) g`;
  const asked: number[] = [];
  await using run = await runSweeps({
    url: db.readerUrl,
    tables: [swept({ everyMs: HOUR })],
    before(statement) {
      if (!isPage(statement)) return Promise.resolve();
      const [from = 0, to = 0] = (statement.params ?? []).map((p) =>
        Number(/\d+/.exec(p ?? "")?.[0])
      );
      asked.push(to - from);
      if (to - from <= 40) return Promise.resolve();
      return Promise.reject(new RetryableError("57014", "canceling statement due to timeout"));
    },
  });
  await run.stream.settled?.(never);
  deepEqual(asked.slice(0, 4), [300, 150, 75, 37]);
  equal(ids(run).length, 300, "each once");
});

test("one block that can't be read in time ends the run with what to do", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item VALUES (1)`;
  await using run = await runSweeps({
    url: db.readerUrl,
    before: (statement) =>
      isPage(statement)
        ? Promise.reject(new RetryableError("57014", "canceling statement due to timeout"))
        : Promise.resolve(),
  });
  const failure = await eventually(
    "the failure",
    () => Promise.resolve(run.failure() as FatalError),
  );
  equal(failure.code, "SWEEP_STUCK");
  ok(failure.hint.includes("locks"));
});

test("statements take no more than the duty cycle of the time", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item SELECT g, repeat('x', 700) FROM generate_series(1, 20000) g`;
  const pages: { readonly from: number; readonly to: number }[] = [];
  let sentAt = 0;
  await using run = await runSweeps({
    url: db.readerUrl,
    tables: [swept({ everyMs: HOUR })],
    dutyCycle: 0.2,
    pageSize: 2000,
    before: () => Promise.resolve(void (sentAt = performance.now())),
    after(statement, rows) {
      if (isPage(statement)) pages.push({ from: sentAt, to: performance.now() });
      return rows;
    },
  });
  await run.stream.settled?.(never);
  ok(pages.length > 5, `${pages.length} pages`);
  // One by one: how long a statement takes is the machine's affair, the rest behind it is ours.
  for (const [at, { from, to }] of pages.entries()) {
    const next = pages[at + 1];
    if (next === undefined) continue;
    const rest = next.from - to;
    ok(rest >= 3.9 * (to - from) - 2, `${rest} ms of rest after ${to - from} ms`);
  }
});

test("a table that somebody has locked doesn't end the run, and others are swept meanwhile", async () => {
  await using db = await createDatabase(`${DDL} CREATE TABLE other (id bigint PRIMARY KEY);
    INSERT INTO item VALUES (1); INSERT INTO other VALUES (1);`);
  const other = swept({
    table: { schema: "public", name: "other" },
    id: "public.other",
    everyMs: 0,
  });
  const locker = await db.sql.reserve();
  await locker`BEGIN`;
  await locker`LOCK TABLE item`;
  await using run = await runSweeps({ url: db.readerUrl, tables: [swept(), other] });
  // lock_timeout is 5 s.
  await eventually(
    "the warning",
    () =>
      Promise.resolve(run.events.some((e) => e.type === "warning" && e.code === "SWEEP_LOCKED")),
  );
  await run.delivers("upsert other:1");
  await sweeps(run, "public.other");
  equal(run.failure(), undefined);
  await locker`ROLLBACK`;
  locker.release();
});

test("a grant that is lost while sweeping is a reason to plan again", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item VALUES (1)`;
  await using run = await runSweeps({ url: db.readerUrl, seeded: [ITEM] });
  await db.sql.unsafe(`REVOKE SELECT ON item FROM ${db.readerRole}`);
  const failure = await eventually(
    "the failure",
    () => Promise.resolve(run.failure() as RetryableError),
  );
  ok(failure instanceof RetryableError);
  equal(failure.code, "SCHEMA_CHANGED");
});

test("views, foreign tables, hidden rows and column grants are refused in words", async () => {
  await using db = await createDatabase(`${DDL}
    CREATE VIEW v AS SELECT * FROM item; CREATE MATERIALIZED VIEW m AS SELECT * FROM item;
    CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
    CREATE TABLE partly (id int PRIMARY KEY); CREATE TABLE enough (id int PRIMARY KEY);`);
  await db.sql.unsafe(`REVOKE SELECT ON partly, enough FROM ${db.readerRole};
    GRANT SELECT (id) ON partly TO ${db.readerRole};
    GRANT SELECT (id, xmin, ctid, tableoid) ON enough TO ${db.readerRole};`);
  await using database = openDatabase({
    url: db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName: "driftless/test",
    statementTimeoutMs: 60_000,
  });
  const names = ["item", "v", "m", "hidden", "partly", "enough"];
  const refs = names.map((name) => ({ schema: "public", name }));
  const { tables, role } = await loadCatalog(database, refs, never);
  const codes = names.map((name) => {
    const table = tables.get(`public.${name}`);
    return table && sweepable(table)?.code;
  });
  deepEqual(codes, [
    undefined,
    "SWEEP_NOT_A_TABLE",
    "SWEEP_NOT_A_TABLE",
    "SWEEP_ROW_SECURITY",
    undefined,
    undefined,
  ]);
  const problems = await unreadableColumns(database, [...tables.values()], role, never);
  deepEqual(problems.map((p) => [p.code, p.path]), [[
    "SWEEP_COLUMNS_UNREADABLE",
    "source.tables.public.partly",
  ]]);
  ok(problems[0]?.hint?.includes("GRANT SELECT (xmin, ctid, tableoid) ON public.partly"));
  // What the hint says is enough.
  await using run = await runSweeps({
    url: db.readerUrl,
    tables: [
      swept({ table: { schema: "public", name: "enough" }, id: "public.enough", everyMs: HOUR }),
    ],
  });
  await db.sql`INSERT INTO enough VALUES (1)`;
  await run.stream.settled?.(never);
  equal(run.failure(), undefined);
});
