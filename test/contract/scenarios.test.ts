/*
Design 3.9: each scenario, and the tests that hold it.

"all": exercise_capture.ts, a test of that name for each of updated_at (L2), changelog, outbox (four
modes), sweeps alone, L2 and changelog behind PgBouncer, lag and changelog on a standby; a level that
doesn't claim a case says so, and the test asserts that it says so. "here": this file. "servers":
scenarios_servers.test.ts. Both here and in servers each runs on Postgres 18 and 15.

late commit                            all; late_commit (L2); changelog_stream; outbox_histories; stress
lazy xid                               all; late_commit
open between A and B, B and C, commit
  between B and C, C and ack           all ("between any two statements"); late_commit; changelog_stream
crash at each step                     all; row_sweep; outbox_claims; history_crash_positions; stress
idle transaction for 200 polls         all
two-phase commit, polls and restart    all; late_commit; changelog_server; outbox_histories
savepoints released, rolled back       all; late_commit; changelog_stream; row_sweep (sub-xids)
10,000 rows in one stamp and a crash   all; changelog_server; outbox_histories
lower id with the same stamp           all
50 rows in one millisecond             all; polling
timestamptz(0)                         here, through the plan; polling (stream)
application clock 5 s behind           here: margin, default margin, sweep
clock stepped back                     polling (three cases); test/property
NULL, past and future stamps           all (not claimed at L2); here (sweep beside L2); row_sweep;
                                       history_future_stamp
update that leaves the stamp           all; here (sweep beside L2)
delete, delete and re-insert           all; here (changelog, key sweep); key_sweep
cascade, truncate, detach              here (changelog; updated_at with the key sweep); key_sweep;
                                       changelog_install and changelog_stream (cascade, truncate). An
                                       outbox claims of these what the application hints at.
key change                             all; changelog_install
session_replication_role = replica     all; row_sweep finds it
trigger disabled (alarm)               levels; changelog_install
xid held, here and elsewhere           all; here: latencies of L2, changelog, outbox; the row sweep's
                                       bound; changelog_server (a fence)
dump and restore, lower xids           servers: earlier data under a new start, under a run; another
                                       system; another database; --rebase. polling (cursors)
standby promotion                      servers: under a run, after a crash of the primary, config
                                       re-pointed, to a standby that lags; changelog_server
PgBouncer transaction mode             all; here: the whole app
DateStyle, TimeZone                    here (documents, reader and writer); polling; changelog_install
Index Cond and no Sort                 here: what each capture sends; polling, changelog_stream,
                                       outbox_claims, key_sweep_source; documents_explain
check flags the missing index          here: 10 rows and 2 million; levels
100 idle tables                        servers, by pg_stat_statements; polling
randomised stress, with mutants        test/stress, test/property
xid wrap                               by hand, with Debian's pg_resetwal (the npm one has none);
                                       row_sweep_server (ages beyond 2^32)
*/
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type postgres from "postgres";
import { appConfig, runApp, syncApp } from "../support/app_run.ts";
import { type CaptureRun, type CaptureRunOptions, runCapture } from "../support/capture_run.ts";
import { installChangelog } from "../support/changelog.ts";
import { runCheck } from "../support/check_run.ts";
import { eventually } from "../support/eventually.ts";
import { inFolder } from "../support/in_folder.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import {
  assertSameDocuments,
  compareDocuments,
  sqlDocuments,
  sqliteDocuments,
} from "../support/truth.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, note text, updated_at timestamptz DEFAULT now());
CREATE INDEX ON item (updated_at, id);
CREATE TABLE rounded (id bigint PRIMARY KEY, note text, updated_at timestamptz(0) DEFAULT now());
CREATE INDEX ON rounded (updated_at, id);
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL,
  row_key text NOT NULL, tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  created_at timestamptz NOT NULL DEFAULT now(), done timestamptz);
CREATE INDEX ON outbox (tx, id);
CREATE INDEX ON outbox (created_at, id);
CREATE INDEX ON outbox (id) WHERE done IS NULL;
`;
const ITEMS = { items: { table: "item", fields: { note: "text" } } };
const ROUNDED = { rounded: { table: "rounded", fields: { note: "text" } } };
/** Sweeps rows at once, and again and again. */
const SWEPT = { rows: "100ms", keys: false, dutyCycle: 1 };

const COLUMNS = { table: "kind", key: "row_key", position: "id" };
const BOX = { table: "outbox", tables: { item: "Item" } };
/** Every capture that delivers as it happens. */
const CAPTURES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "updated_at": { capture: "updated_at" },
  "the changelog": { capture: "changelog" },
  "the outbox by xid": {
    capture: "outbox",
    outbox: { ...BOX, mode: "read", columns: { ...COLUMNS, xid: "tx" } },
  },
  "the outbox by stamp": {
    capture: "outbox",
    outbox: { ...BOX, mode: "read", columns: { ...COLUMNS, stamp: "created_at" } },
  },
  "the outbox by marks": {
    capture: "outbox",
    outbox: { ...BOX, mode: "claim", columns: { ...COLUMNS, processed: "done" } },
  },
};

for (const major of [18, 15] as const) {
  describe(`scenarios on Postgres ${major}`, () => {
    let db: TestDatabase;
    let next = 1;
    before(async () => {
      db = await createDatabase(DDL, major);
      await db.sql.unsafe(`GRANT UPDATE (done) ON outbox TO ${db.readerRole}`);
      await installChangelog(db, [{ table: "item" }]);
    });
    after(() => db[Symbol.asyncDispose]());

    const open = (
      source: Readonly<Record<string, unknown>>,
      more: Partial<CaptureRunOptions> = {},
    ): Promise<CaptureRun> =>
      runCapture({
        url: db.readerUrl,
        indexes: ITEMS,
        source: { sweeps: false, ...source },
        ...more,
      });

    /** A row of item stamped so much before or after the clock. */
    async function stamped(interval: string | null): Promise<string> {
      const id = next++;
      await db
        .sql`INSERT INTO item VALUES (${id}, 'stamped', clock_timestamp() + ${interval}::interval)`;
      return `upsert item:${id}`;
    }

    /** A row as any application writes it, with its hint. */
    async function written(): Promise<string> {
      const id = next++;
      await db.sql.begin(async (tx) => {
        await tx`INSERT INTO item VALUES (${id}, 'written', now())`;
        await tx`INSERT INTO outbox (kind, row_key) VALUES ('Item', ${id})`;
      });
      return `upsert item:${id}`;
    }

    /** Everything stamped now and before has been polled, by the margins. */
    async function settled(run: CaptureRun): Promise<void> {
      await run.sees([await stamped("0")]);
      await run.caughtUp();
    }

    describe("an application's clock 5 s behind", () => {
      test("is within the margin when the config says that the application stamps", async () => {
        const tables = { item: { stamps: "application" } };
        await using run = await open({ capture: "updated_at", tables }, { marginMs: null });
        await settled(run);
        await run.sees([await stamped("-5 s")]);
        match(run.levels[0]?.claim ?? "", /beginning less 30 s;/);
      });

      test("isn't within the default margin, as the claim says", async () => {
        await using run = await open({ capture: "updated_at" }, { marginMs: null });
        await settled(run);
        const late = await stamped("-5 s");
        await settled(run);
        ok(!run.delivered.includes(late));
        match(run.levels[0]?.claim ?? "", /beginning less 2 s; .* is not seen/);
      });

      test("is caught by the row sweep, as the claim says", async () => {
        await using run = await open(
          { capture: "updated_at", sweeps: SWEPT },
          { marginMs: null },
        );
        await settled(run);
        await run.sees([await stamped("-5 s")]);
        match(run.levels[0]?.claim ?? "", /beginning less 2 s; .* by the row sweep/);
      });
    });

    test("timestamptz(0): rows whose stamps were rounded down and up are delivered as they commit", async () => {
      await using run = await open({ capture: "updated_at" }, { indexes: ROUNDED });
      for (const fraction of ["0.95", "0.45", "0.55"]) {
        await db.sql`SELECT pg_sleep_until(date_trunc('second', clock_timestamp())
          + CASE WHEN extract(second FROM clock_timestamp())::numeric % 1 < ${fraction}::numeric
            THEN interval '0' ELSE interval '1 s' END + ${fraction}::float8 * interval '1 s')`;
        const id = next++;
        await db.sql`INSERT INTO rounded VALUES (${id}, 'rounded')`;
        await run.sees([`upsert rounded:${id}`]);
      }
    });

    test("NULL, past, future and untouched stamps are found by the sweep beside the poll", async () => {
      await using run = await open({ capture: "updated_at", sweeps: SWEPT });
      await settled(run);
      const left = await stamped("0");
      await run.sees([left]);
      await settled(run);
      const from = run.delivered.length;
      const odd = [await stamped(null), await stamped("-10 years"), await stamped("10 years")];
      await db.sql`UPDATE item SET note = 'untouched' WHERE id = ${left.split(":")[1] ?? ""}`;
      await run.sees([...odd, left], from);
      await settled(run);
    });

    for (const [name, source] of Object.entries(CAPTURES)) {
      test(`an xid held here and in another database while 20,000 pass leaves latencies as they were: ${name}`, async () => {
        await using run = await open(source);
        await using other = await createDatabase("CREATE TABLE t (i int)", major);
        const latency = async (): Promise<number> => {
          const times: number[] = [];
          for (let i = 0; i < 15; i++) {
            const at = performance.now();
            await run.sees([await written()]);
            times.push(performance.now() - at);
          }
          // The least: whatever else the machine does makes single ones longer, never all of them.
          return Math.min(...times);
        };
        await latency();
        const alone = await latency();
        const holders = await Promise.all([db.sql, other.sql].map(held));
        await db.sql.unsafe(`DO $$ BEGIN FOR i IN 1..20000 LOOP
          PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`);
        const beside = await latency();
        await run.caughtUp();
        for (const holder of holders) await released(holder);
        // A wait for the holder would be one without end.
        ok(beside < 3 * alone + 250, `${beside} ms, ${alone} ms without`);
      });
    }

    test("a transaction held in another database keeps the sweep's bound, not its rows, back", async () => {
      await using other = await createDatabase("CREATE TABLE t (i int)", major);
      const holder = await held(other.sql);
      const [row] = await holder`SELECT pg_current_xact_id()::text AS x`;
      const xid = BigInt(String(row?.["x"]));
      const alone = (cursor?: string) =>
        open({ capture: "sweep", sweeps: { dutyCycle: 1 } }, {
          settings: { aloneMs: 1 },
          ...(cursor === undefined ? {} : { cursor }),
        });
      const first = await written();
      let cursor: string;
      {
        await using run = await alone();
        await run.sees([first]);
        for (let sweep = 0; sweep < 3; sweep++) await run.sees([await written()]);
        await eventually("a whole sweep", async () => boundOf(run.cursor()) !== undefined);
        cursor = run.cursor();
        ok((boundOf(cursor) ?? 0n) <= xid, "what it leaves to the next sweep");
      }
      {
        // By a process that doesn't know what was delivered they are found again.
        await using run = await alone(cursor);
        await run.sees([first, await written()]);
        await released(holder);
        await eventually("the bound to move", async () => (boundOf(run.cursor()) ?? 0n) > xid);
        await run.sees([await written()]);
      }
    });

    for (const [name, source] of Object.entries(CAPTURES)) {
      test(`every page that is generated has an index condition and no sort: ${name}`, async () => {
        const sent = new Map<string, readonly (string | null)[]>();
        await using run = await open(source, {
          pageSize: 2,
          before: ({ text, params = [] }) => {
            // What the streams read of the tables; a changelog's truncates are read at its start.
            if (/"(item|outbox)"|"driftless"\.log/.test(text) && / LIMIT \d+/.test(text)) {
              sent.set(text, params);
            }
            return Promise.resolve();
          },
        });
        const late = await db.sql.reserve();
        await late`BEGIN`;
        for (let i = 0; i < 3; i++) {
          await late`INSERT INTO item VALUES (${next}, 'late', now())`;
          await late`INSERT INTO outbox (kind, row_key) VALUES ('Item', ${next++})`;
        }
        const rows = [await written(), await written(), await written()];
        await run.sees(rows);
        await run.caughtUp();
        await late`COMMIT`;
        late.release();
        await run.sees([`upsert item:${next - 4}`]);
        await run.caughtUp();
        ok(sent.size >= 3, [...sent.keys()].join("\n"));
        const session = await db.sql.reserve();
        try {
          for (const way of ["seqscan", "bitmapscan", "sort", "incremental_sort"]) {
            await session.unsafe(`SET enable_${way} = off`);
          }
          for (const [text, params] of sent) {
            const found = await session.unsafe(`EXPLAIN ${text}`, [...params]);
            const plan = found.map((row) => String(row["QUERY PLAN"])).join("\n");
            const where = `${text}\n${plan}`;
            match(plan, /Index Cond|Index (Only )?Scan (Backward )?using outbox_id_idx/, where);
            // D puts its one page in order again, by a number that it gave the rows itself.
            doesNotMatch(
              plan.replace(/Sort Key: (q\.)?n\b|Sort Key: \(?row_number.*/g, ""),
              /Sort Key|Seq Scan/,
              where,
            );
          }
        } finally {
          await session.unsafe("RESET ALL");
          session.release();
        }
      });
    }

    test(
      "check names the index that a stamp lacks, on 10 rows and on 2 million alike",
      inFolder(async (folder) => {
        await using own = await createDatabase("", major);
        for (const [table, rows] of [["few", 10], ["many", 2_000_000]] as const) {
          await own.sql.unsafe(`CREATE UNLOGGED TABLE ${table} (id bigint, note text,
              updated_at timestamptz NOT NULL DEFAULT now());
            INSERT INTO ${table} SELECT g FROM generate_series(1, ${rows}) g;
            ALTER TABLE ${table} ADD PRIMARY KEY (id); ANALYZE ${table}`).simple();
        }
        const config = {
          source: {
            url: own.readerUrl,
            tables: { few: { stamps: "database" }, many: { stamps: "database" } },
          },
          sinks: { out: { type: "stdout" } },
          indexes: {
            few: { table: "few", fields: { note: "text" } },
            many: { table: "many", fields: { note: "text" } },
          },
        };
        const found = await runCheck(folder, config);
        const flagged = found.problems.filter(({ code }) => code === "STAMP_INDEX_MISSING");
        deepEqual(flagged.map(({ path }) => path).sort(), [
          "source.tables.public.few",
          "source.tables.public.many",
        ]);
        for (const { hint } of flagged) await own.sql.unsafe(hint ?? "");
        const mended = await runCheck(folder, config);
        deepEqual(mended.problems.filter(({ path }) => path.startsWith("source.tables")), []);
        deepEqual([...mended.tables.values()].map(({ capture }) => capture), [
          "updated_at",
          "updated_at",
        ]);
      }),
    );

    for (const capture of ["updated_at", "changelog"] as const) {
      test(
        `deletes, cascades, truncates, detached partitions and keys inserted again reach the documents: ${capture}`,
        inFolder(async (folder) => {
          await using own = await createDatabase(TREE, major);
          if (capture === "changelog") {
            await installChangelog(
              own,
              ["box", "leaf", "part"].map((table) => ({
                table,
                ...(table === "leaf" ? { joins: ["box_id"] } : {}),
              })),
            );
          }
          const config = await appConfig(folder, {
            url: own.readerUrl,
            source: {
              capture,
              sweeps: capture === "changelog" ? false : { keys: "200ms", dutyCycle: 1 },
            },
            indexes: {
              boxes: {
                table: "box",
                fields: {
                  note: "text",
                  // A child that vanishes is no claim of a stamp's.
                  ...(capture === "changelog"
                    ? { leaves: { hasMany: "leaf", foreignKey: "box_id", fields: { id: "long" } } }
                    : {}),
                },
              },
              leaves: { table: "leaf", fields: { id: "long" } },
              parts: { table: "part", fields: { note: "keyword" } },
            },
          });
          const file = join(folder, "driftless.db");
          const same = () =>
            eventually("the documents to be the rows", async () => {
              const leaves = capture === "changelog"
                ? `, 'leaves', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id) ORDER BY id), '[]')
                   FROM leaf WHERE box_id = b.id)`
                : "";
              for (
                const [index, query] of [
                  [
                    "boxes",
                    `SELECT id::text, jsonb_build_object('note', note${leaves})::text AS document FROM box b`,
                  ],
                  [
                    "leaves",
                    "SELECT id::text, jsonb_build_object('id', id)::text AS document FROM leaf",
                  ],
                  [
                    "parts",
                    "SELECT id::text, jsonb_build_object('note', note)::text AS document FROM part",
                  ],
                ] as const
              ) {
                assertSameDocuments(
                  sqliteDocuments(file, index),
                  await sqlDocuments(own.sql, query),
                  index,
                );
              }
              return true;
            });
          {
            await using run = runApp(config);
            await run.caughtUp;
            await same();
            await during(own.sql, same, [
              "DELETE FROM part WHERE id = 1",
              "DELETE FROM box WHERE id = 1",
              `DELETE FROM box WHERE id = 2; INSERT INTO box VALUES (2, 'again');
               INSERT INTO leaf VALUES (2, 2)`,
              "TRUNCATE leaf",
              "INSERT INTO leaf VALUES (3, 2)",
              "TRUNCATE box CASCADE",
              "INSERT INTO box VALUES (3, 'anew')",
            ]);
            if (capture === "updated_at") {
              await during(own.sql, same, ["ALTER TABLE part DETACH PARTITION part_1"]);
            }
          }
          // A log shows none of it: the next look at the schema does, at a start at the latest.
          await own.sql.unsafe(
            capture === "changelog" ? "ALTER TABLE part DETACH PARTITION part_1" : "SELECT 1",
          );
          await syncApp(config);
          await same();
          equal(sqliteDocuments(file, "parts").size, 1);
        }),
      );

      test(
        `the whole app goes through PgBouncer in transaction mode, seeds, follows and restarts: ${capture}`,
        inFolder(async (folder) => {
          await using own = await createDatabase(PLAIN, major);
          if (capture === "changelog") await installChangelog(own, [{ table: "plain" }]);
          await own.sql`INSERT INTO plain SELECT g, 'seed' FROM generate_series(1, 2000) g`;
          await using pooler = await startPgBouncer(own.url);
          const url = new URL(pooler.url);
          url.username = own.readerRole;
          const config = await appConfig(folder, {
            url: url.href,
            source: { pooler: "transaction", sweeps: { rows: "100ms", keys: "100ms" } },
            indexes: { plain: { table: "plain", fields: { note: "text" } } },
          });
          const same = () => samePlain(own.sql, folder);
          for (let start = 0; start < 3; start++) {
            const late = await own.sql.reserve();
            await late`BEGIN`;
            await late`INSERT INTO plain VALUES (${5000 + start}, 'late')`;
            {
              await using run = runApp(config);
              await run.caughtUp;
              ok(
                run.events.some((event) =>
                  event.type === "table" && event.level.capture === capture
                ),
              );
              await own
                .sql`UPDATE plain SET note = ${`run ${start}`}, updated_at = now() WHERE id % 7 = ${start}`;
              await same();
              if (start > 0) ok(!run.events.some(({ type }) => type === "seedStarted"));
              if (start === 0) await late`COMMIT`;
            }
            // Committed while nobody looked.
            if (start > 0) await late`COMMIT`;
            late.release();
            await own.sql`INSERT INTO plain VALUES (${6000 + start}, 'away')`;
            await own.sql`DELETE FROM plain WHERE id = ${100 + start}`;
          }
          {
            await using run = runApp(config);
            await run.caughtUp;
            await same();
          }
        }),
      );

      test(
        `roles with DateStyle = German and TimeZone = America/Chicago make the same documents: ${capture}`,
        inFolder(async (folder) => {
          const documents: ReadonlyMap<string, string>[] = [];
          for (const german of [false, true]) {
            const name = german ? "german" : "plain";
            await using own = await createDatabase(VALUES, major);
            if (capture === "changelog") {
              await installChangelog(own, [{ table: "day" }, { table: "hour", joins: ["day"] }]);
            }
            const writer = `${own.name}_writer`;
            await own.sql.unsafe(`CREATE ROLE ${writer};
              GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${writer}`);
            if (german) {
              for (const role of [own.readerRole, "postgres"]) {
                for (const [setting, value] of SETTINGS) {
                  await own.sql.unsafe(
                    `ALTER ROLE ${role} IN DATABASE ${own.name} SET ${setting} = '${value}'`,
                  );
                }
              }
            }
            try {
              const config = await appConfig(join(folder), {
                url: own.readerUrl,
                source: { capture, sweeps: false },
                indexes: {
                  [name]: {
                    table: "day",
                    fields: {
                      at: "date",
                      long: "keyword",
                      amount: "double",
                      hours: {
                        hasMany: "hour",
                        foreignKey: "day",
                        fields: { at: "date", note: "text" },
                      },
                    },
                  },
                },
              });
              await syncApp(config, { rebase: true });
              await using run = runApp(config);
              await run.caughtUp;
              // A connection of its own, with the role's settings.
              const { default: postgres } = await import("postgres");
              const sql = postgres(own.url, { max: 1 });
              const [row] = await sql`SELECT current_setting('DateStyle') AS s`;
              match(String(row?.["s"]), german ? /German/ : /ISO/);
              await sql.unsafe(`BEGIN; SET LOCAL ROLE ${writer};
                INSERT INTO day VALUES (make_date(2026, 2, 1), '2026-07-01 12:00:00.123456+00', '1 day 02:03', 1.5);
                INSERT INTO hour VALUES (3, make_date(2026, 2, 1), '2026-07-01 12:00+00', 'c');
                UPDATE hour SET note = 'changed', day = make_date(2026, 1, 3), updated_at = now() WHERE id = 2;
                UPDATE day SET amount = 7, updated_at = now() WHERE id = make_date(2026, 1, 2);
                COMMIT`).simple();
              await sql.end({ timeout: 1 });
              const expected = 3;
              await eventually("the documents", async () => {
                const found = sqliteDocuments(join(folder, "driftless.db"), name);
                const all = [...found.values()].join();
                return found.size === expected && all.includes('"c"') && all.includes("changed") &&
                  all.includes("7");
              });
              documents.push(sqliteDocuments(join(folder, "driftless.db"), name));
            } finally {
              await own.sql.unsafe(`DROP OWNED BY ${writer}; DROP ROLE ${writer}`);
            }
          }
          const [plain = new Map(), german = new Map()] = documents;
          deepEqual(compareDocuments(german, plain), { missing: [], extra: [], different: [] });
          equal(plain.size, 3);
        }),
      );
    }
  });
}

const TREE = `
CREATE TABLE box (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON box (updated_at, id);
CREATE TABLE leaf (id bigint PRIMARY KEY, box_id bigint REFERENCES box ON DELETE CASCADE,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON leaf (updated_at, id);
CREATE INDEX ON leaf (box_id);
CREATE TABLE part (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now())
  PARTITION BY RANGE (id);
CREATE INDEX ON part (updated_at, id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO box VALUES (1, 'a'), (2, 'b'), (4, 'd');
INSERT INTO leaf VALUES (1, 1), (2, 2), (5, 4), (6, 4);
INSERT INTO part VALUES (1, 'a'), (2, 'b'), (11, 'c');
`;

const PLAIN = `
CREATE TABLE plain (id bigint PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON plain (updated_at, id);
`;

const VALUES = `
CREATE TABLE day (id date PRIMARY KEY, at timestamptz, long interval, amount float8,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON day (updated_at, id);
CREATE TABLE hour (id bigint PRIMARY KEY, day date, at timestamptz, note text,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON hour (updated_at, id);
CREATE INDEX ON hour (day);
INSERT INTO day VALUES ('2026-01-02', '2026-07-01 12:00+00', '3 mons 4 days', 0.1),
  ('2026-01-03', '2026-12-01 12:00+00', '-1 day', 1e300);
INSERT INTO hour VALUES (1, '2026-01-02', '2026-01-02 03:04:05+00', 'a'),
  (2, '2026-01-02', '2026-01-02 03:04:05.678+00', 'b');
`;
const SETTINGS = [
  ["DateStyle", "German, DMY"],
  ["TimeZone", "America/Chicago"],
  ["IntervalStyle", "sql_standard"],
  ["extra_float_digits", "-5"],
  ["bytea_output", "escape"],
] as const;

async function held(sql: postgres.Sql): Promise<postgres.ReservedSql> {
  const tx = await sql.reserve();
  await tx`BEGIN`;
  await tx`SELECT pg_current_xact_id()`;
  return tx;
}

async function released(tx: postgres.ReservedSql): Promise<void> {
  await tx`ROLLBACK`;
  tx.release();
}

/** Of item's last whole sweep. */
function boundOf(cursor: string): bigint | undefined {
  const { bound } = JSON.parse(cursor).streams.sweep.cursor.tables["public.item"] ?? {};
  return typeof bound === "string" ? BigInt(bound) : undefined;
}

/** Runs each, and sees the documents follow. */
async function during(
  sql: postgres.Sql,
  same: () => Promise<unknown>,
  statements: readonly string[],
): Promise<void> {
  for (const statement of statements) {
    await sql.unsafe(statement).simple();
    await same();
  }
}

async function samePlain(sql: postgres.Sql, folder: string): Promise<void> {
  await eventually("the documents to be the rows", async () => {
    const query = "SELECT id::text, jsonb_build_object('note', note)::text AS document FROM plain";
    const expected = await sqlDocuments(sql, query);
    assertSameDocuments(sqliteDocuments(join(folder, "driftless.db"), "plain"), expected, "plain");
    return true;
  });
}
