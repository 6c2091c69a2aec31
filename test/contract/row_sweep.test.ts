import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { StreamContext } from "../../src/postgres/stream.ts";
import { createDatabase } from "../support/postgres.ts";
import { eventually } from "../support/eventually.ts";
import { DDL, ids, isPage, ITEM, runSweeps, stateOf, sweeps, swept } from "./row_sweep_support.ts";

const never = new AbortController().signal;

for (const major of [18, 15] as const) {
  test(`rows stamped NULL, in the past, in the future or not at all are found within one sweep (${major})`, async () => {
    await using db = await createDatabase(DDL, major);
    await db.sql`INSERT INTO item SELECT g FROM generate_series(1, 1000) g`;
    await using run = await runSweeps({ url: db.readerUrl, seeded: [ITEM] });
    await db
      .sql`INSERT INTO item VALUES (2001, '', NULL), (2002, '', '1970-01-01'), (2003, '', 'infinity')`;
    await db.sql`UPDATE item SET pad = 'x' WHERE id = 7`;
    await sweeps(run);
    deepEqual([...new Set(ids(run))].sort(), ["2001", "2002", "2003", "7"]);
  });

  test(`a transaction that was open when a sweep began is found by the next one (${major})`, async () => {
    await using db = await createDatabase(DDL, major);
    await db.sql`INSERT INTO item VALUES (1), (2)`;
    const late = await db.sql.reserve();
    await using run = await runSweeps({ url: db.readerUrl, seeded: [ITEM] });
    await late`BEGIN`;
    await late`UPDATE item SET pad = 'late' WHERE id = 1`;
    await db.sql`UPDATE item SET pad = 'soon' WHERE id = 2`;
    await sweeps(run);
    await sweeps(run);
    ok(!ids(run).includes("1"), "it isn't visible yet");
    await late`COMMIT`;
    late.release();
    await run.delivers("upsert item:1");
  });

  test(`what a released subtransaction wrote isn't taken for read while its parent runs (${major})`, async () => {
    await using db = await createDatabase(DDL, major);
    await db.sql`INSERT INTO item VALUES (1), (2)`;
    await using run = await runSweeps({ url: db.readerUrl, seeded: [ITEM] });
    const late = await db.sql.reserve();
    await late`BEGIN`;
    await late`SAVEPOINT a`;
    await late`UPDATE item SET pad = 'sub' WHERE id = 1`;
    await late`RELEASE a`;
    await sweeps(run);
    await db.sql`UPDATE item SET pad = 'x' WHERE id = 2`;
    await sweeps(run);
    await late`COMMIT`;
    late.release();
    await run.delivers("upsert item:1");
  });

  test(`a row that moves behind the sweep while it runs is found by the next one (${major})`, async () => {
    await using db = await createDatabase(DDL, major);
    // One row a block, and room in the first.
    await db.sql`INSERT INTO item SELECT g, repeat('x', 7000) FROM generate_series(1, 50) g`;
    await db.sql`DELETE FROM item WHERE id <= 5`;
    await db.sql`VACUUM item`;
    let pages = 0;
    await using run = await runSweeps({
      url: db.readerUrl,
      pageSize: 10,
      async before(statement) {
        if (isPage(statement) && ++pages === 3) {
          const [moved] = await db
            .sql`UPDATE item SET updated_at = NULL WHERE id = 50 RETURNING ctid::text`;
          ok(/^\([0-4],/.test(String(moved?.["ctid"])), "it lies in a block that was read");
        }
      },
    });
    await run.delivers("upsert item:50");
  });

  test(`tables with bool and char(n) keys are swept with keys as the protocol prints them (${major})`, async () => {
    await using db = await createDatabase(
      `CREATE TABLE item (a boolean, b char(4), c text, PRIMARY KEY (a, b)); INSERT INTO item VALUES (true, 'x', 'p')`,
      major,
    );
    const key = [
      { name: "a", type: "boolean", nullable: false },
      { name: "b", type: "character", nullable: false },
    ];
    await using run = await runSweeps({
      url: db.readerUrl,
      tables: [swept({ key, joinColumns: ["c"] })],
    });
    await sweeps(run);
    deepEqual(run.changes[0]?.key, ["t", "x   "]);
    deepEqual(run.changes[0]?.after, { c: "p" });
  });
}

test("a table that nothing is known of is read as a whole, at once, and then not again until it is due", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item SELECT g FROM generate_series(1, 2500) g`;
  await using run = await runSweeps({
    url: db.readerUrl,
    tables: [swept({ everyMs: 3_600_000 })],
    pageSize: 100,
  });
  await run.stream.settled?.(never);
  deepEqual(ids(run), Array.from({ length: 2500 }, (_, i) => String(i + 1)));
  ok(stateOf(run)?.finishedAt !== undefined);
  equal(stateOf(run)?.current, undefined);
});

test("a table that is about to be seeded isn't due before its interval, and the seed's rows aren't swept", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item VALUES (1)`;
  let pages = 0;
  await using run = await runSweeps({
    url: db.readerUrl,
    seeded: [ITEM],
    tables: [swept({ everyMs: 3_600_000 })],
    before: (statement) => Promise.resolve(void (pages += isPage(statement) ? 1 : 0)),
  });
  await run.stream.settled?.(never);
  equal(pages, 0, "the bound and the heaps alone are read");
  deepEqual(run.delivered, []);
});

test("with once, a table on sweeps alone is due whenever it was swept last, others only when they are", async () => {
  await using db = await createDatabase(DDL + "CREATE TABLE other (id bigint PRIMARY KEY);");
  const hour = 3_600_000;
  const other = swept({
    table: { schema: "public", name: "other" },
    id: "public.other",
    everyMs: hour,
  });
  const tables = [swept({ alone: true }), other];
  const options = { url: db.readerUrl, tables, aloneMs: hour, once: true };
  let stored;
  {
    await using run = await runSweeps(options);
    await run.stream.settled?.(never);
    stored = run.cursor();
  }
  await db.sql`INSERT INTO item VALUES (1)`;
  await db.sql`INSERT INTO other VALUES (1)`;
  await using run = await runSweeps({ ...options, stored });
  await run.stream.settled?.(never);
  deepEqual(run.delivered, ["upsert item:1"]);
});

test("a sweep's bound counts only when all it found is acknowledged", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item SELECT g FROM generate_series(1, 10) g`;
  let stored;
  {
    await using run = await runSweeps({ url: db.readerUrl });
    run.acknowledge = false;
    await run.delivers("upsert item:10");
    stored = run.cursor();
    equal(stateOf(run)?.bound, undefined);
  }
  await using run = await runSweeps({ url: db.readerUrl, stored });
  await run.stream.settled?.(never);
  equal(run.delivered.length, 10, "all of it again");
});

test("a crash before any statement loses no row, and resumes at the page it was at", async () => {
  await using db = await createDatabase(DDL);
  await db.sql`INSERT INTO item SELECT g, repeat('x', 700) FROM generate_series(1, 200) g`;
  const table = swept({ everyMs: 3_600_000 });
  for (let crashAt = 1; crashAt <= 12; crashAt++) {
    const found: string[] = [];
    let stored;
    {
      let statements = 0;
      const crash = Promise.withResolvers<void>();
      await using run = await runSweeps({
        url: db.readerUrl,
        tables: [table],
        pageSize: 37,
        before: () => ++statements === crashAt ? crash.promise : Promise.resolve(),
      });
      await eventually("the crash", () => Promise.resolve(statements >= crashAt));
      crash.reject(new Error("crashed"));
      stored = run.cursor();
      found.push(...ids(run));
    }
    const before = found.length;
    await using run = await runSweeps({ url: db.readerUrl, tables: [table], pageSize: 37, stored });
    await run.stream.settled?.(never);
    found.push(...ids(run));
    equal(new Set(found).size, 200, `crashed before statement ${crashAt}`);
    equal(found.length, 200, `${before} pages' rows aren't read again`);
  }
});

test("more matching rows than a page holds are read in pages, also within one block", async () => {
  await using db = await createDatabase("CREATE TABLE item (id bigint PRIMARY KEY);");
  await db.sql`INSERT INTO item SELECT g FROM generate_series(1, 3000) g`;
  let most = 0;
  await using run = await runSweeps({
    url: db.readerUrl,
    pageSize: 50,
    after(statement, rows) {
      if (isPage(statement)) most = Math.max(most, rows.length);
      return rows;
    },
  });
  await run.stream.settled?.(never);
  equal(new Set(ids(run)).size, 3000);
  equal(ids(run).length, 3000);
  equal(most, 50);
});

test("versions that somebody else has had acknowledged aren't delivered", async () => {
  await using db = await createDatabase(DDL);
  let seen: StreamContext["seen"] | undefined;
  await using run = await runSweeps({
    url: db.readerUrl,
    seeded: [ITEM],
    context: (context) => seen = context.seen,
  });
  await db.sql.begin(async (sql) => {
    const [row] = await sql`INSERT INTO item VALUES (1), (2) RETURNING xmin::text`;
    seen?.addAll([`${ITEM}\0${1}\0${row?.["xmin"]}`]);
  });
  await sweeps(run);
  await sweeps(run);
  deepEqual(run.delivered, ["upsert item:2"]);
});

test("tables take turns: a long table doesn't keep a short one waiting", async () => {
  await using db = await createDatabase(DDL + "CREATE TABLE short (id bigint PRIMARY KEY);");
  await db.sql`INSERT INTO item SELECT g FROM generate_series(1, 2000) g`;
  await db.sql`INSERT INTO short VALUES (1)`;
  const short = swept({
    table: { schema: "public", name: "short" },
    id: "public.short",
    everyMs: 3_600_000,
  });
  await using run = await runSweeps({
    url: db.readerUrl,
    tables: [swept({ everyMs: 3_600_000 }), short],
    pageSize: 100,
  });
  await run.stream.settled?.(never);
  const at = run.delivered.indexOf("upsert short:1");
  ok(at >= 0 && at <= 200, `it came after ${at} rows`);
});
