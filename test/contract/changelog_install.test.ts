import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { applyScripts } from "../../src/postgres/changelog/apply.ts";
import { forgetStatement, planRemove } from "../../src/postgres/changelog/remove.ts";
import {
  installChangelog,
  loggedState,
  openAdmin,
  plannedInstall,
  takeLines,
  takeLog,
} from "../support/changelog.ts";
import { eventually } from "../support/eventually.ts";
import { at, createDatabase, type TestDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, name text, note text, box bigint, at timestamptz, doc json);
CREATE TABLE pair (a bigint, b bigint);
CREATE TABLE odd (id numeric PRIMARY KEY, f float8, p point, c char(4), flag bool, ip inet,
  span interval, raw bytea, day date);
CREATE TABLE mail (id int PRIMARY KEY, address text);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us');
CREATE TABLE vehicle (id int PRIMARY KEY, v text);
CREATE TABLE car (doors int) INHERITS (vehicle);
CREATE TABLE other (id int);
CREATE TABLE truck (load int) INHERITS (vehicle, other);
CREATE TABLE "Odd ""Name" ("the ""Id" int PRIMARY KEY, "o" text, "$driftless$" text);
CREATE TABLE audited (id int PRIMARY KEY, n int);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE audited SET n = n + 1 WHERE id = 100; RETURN NULL; END $$;
CREATE TRIGGER aaa AFTER INSERT ON audited FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE TRIGGER zzz AFTER DELETE ON audited FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.address := upper(NEW.address); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON mail FOR EACH ROW EXECUTE FUNCTION shout();
`;

const WISHES = [
  { table: "item", columns: ["name", "box", "at", "doc"], joins: ["box", "at"] },
  { table: "pair", key: ["a", "b"], columns: [] },
  { table: "odd", joins: ["f", "c", "flag", "ip", "span", "raw", "day"] },
  { table: "mail", columns: ["address"], joins: ["address"] },
  { table: "child", columns: ["up"], joins: ["up"] },
  { table: "part", columns: ["v"], joins: [] },
  { table: "vehicle", columns: ["v"], joins: ["v"] },
  { table: 'Odd "Name', columns: ["o", "$driftless$"], joins: ["o", "$driftless$"] },
  { table: "audited", columns: ["n"], joins: [] },
];

for (const major of [18, 15] as const) {
  describe(`the changelog's triggers on Postgres ${major}`, () => {
    let db: TestDatabase;
    before(async () => {
      db = await createDatabase(DDL, major);
      const { left } = await installChangelog(db, WISHES);
      assert.deepEqual([...left], []);
    });
    after(() => db[Symbol.asyncDispose]());

    const run = async (...statements: string[]) => {
      for (const text of statements) await db.sql.unsafe(text);
      return await takeLines(db);
    };

    test("log inserts, updates and deletes with keys and join columns", async () => {
      assert.deepEqual(
        await run("INSERT INTO item (id, name, box) VALUES (1, 'a', 7), (2, 'b', NULL)"),
        [
          'i item ["1"] {"at":null,"box":"7"}',
          'i item ["2"] {"at":null,"box":null}',
        ],
      );
      assert.deepEqual(await run("UPDATE item SET name = 'c'"), ['u item ["1"]', 'u item ["2"]']);
      assert.deepEqual(await run("UPDATE item SET box = 8 WHERE id = 1"), [
        'u item ["1"] {"at":null,"box":"7"} {"at":null,"box":"8"}',
      ]);
      assert.deepEqual(
        await run("DELETE FROM item WHERE id = 1", "DELETE FROM item WHERE id = 99"),
        [
          'd item ["1"] {"at":null,"box":"8"}',
        ],
      );
      assert.deepEqual(await run("TRUNCATE item"), ["t item"]);
    });

    test("log nothing for an update that touches no mapped column, byte by byte", async () => {
      await run(`INSERT INTO item (id, doc) VALUES (3, '{"a": 1}')`);
      assert.deepEqual(await run("UPDATE item SET note = 'x', name = name, doc = doc"), []);
      assert.deepEqual(await run(`UPDATE item SET doc = '{"a":1}'`), ['u item ["3"]']);
      await run("INSERT INTO odd (id, f, p) VALUES (1.0, 0, '(1,2)')");
      assert.deepEqual(await run("UPDATE odd SET f = f, p = p"), []);
      assert.deepEqual(await run("UPDATE odd SET p = '(1,3)'"), ['u odd ["1.0"]']);
      assert.deepEqual(
        (await run("UPDATE odd SET f = '-0'")).map((line) => line.match(/"f":"[^"]*"/g)),
        [['"f":"0"', '"f":"-0"']],
      );
      assert.deepEqual(
        (await run("UPDATE odd SET id = 1.00")).map((line) => line.slice(0, 14)).sort(),
        ['d odd ["1.0"] ', 'i odd ["1.00"]'],
      );
    });

    test("log a key that changed as a delete and an insert, swapped keys too", async () => {
      await run("TRUNCATE item", "INSERT INTO item (id, name) VALUES (1, 'a'), (2, 'b')");
      const moved = await run("UPDATE item SET id = 5 WHERE id = 1");
      assert.deepEqual([...moved].sort(), [
        'd item ["1"] {"at":null,"box":null}',
        'i item ["5"] {"at":null,"box":null}',
      ]);
      await run("ALTER TABLE item DROP CONSTRAINT item_pkey, ADD PRIMARY KEY (id) DEFERRABLE");
      assert.deepEqual(
        [...await run("UPDATE item SET id = 7 - id")].map((line) => line.slice(0, 12)).sort(),
        ['d item ["2"]', 'd item ["5"]', 'i item ["2"]', 'i item ["5"]'],
      );
    });

    test("see what upserts, COPY, MERGE and writing CTEs do", async () => {
      await run("TRUNCATE parent CASCADE", "TRUNCATE mail", "INSERT INTO mail VALUES (1, 'a')");
      const upserted = await run(
        "INSERT INTO mail VALUES (1, 'b'), (2, 'c') ON CONFLICT (id) DO UPDATE SET address = excluded.address",
      );
      assert.deepEqual([...upserted].sort(), [
        'i mail ["2"] {"address":"C"}',
        'u mail ["1"] {"address":"A"} {"address":"B"}',
      ]);
      const copy = await db.sql`COPY mail FROM STDIN`.writable();
      await new Promise<void>((resolve, reject) => {
        copy.on("error", reject).on("finish", resolve);
        copy.end("3\td\n4\te\n");
      });
      assert.deepEqual(await takeLines(db), [
        'i mail ["3"] {"address":"D"}',
        'i mail ["4"] {"address":"E"}',
      ]);
      const merged = await run(`MERGE INTO mail m USING (VALUES (3), (4), (9)) v(id) ON v.id = m.id
        WHEN MATCHED AND m.id = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET address = 'm'
        WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'n')`);
      assert.deepEqual([...merged].sort(), [
        'd mail ["3"] {"address":"D"}',
        'i mail ["9"] {"address":"N"}',
        'u mail ["4"] {"address":"E"} {"address":"M"}',
      ]);
      const both = await run(`WITH gone AS (DELETE FROM mail WHERE id = 9 RETURNING id)
        INSERT INTO mail SELECT id + 1, 'w' FROM gone`);
      assert.deepEqual([...both].sort(), [
        'd mail ["9"] {"address":"N"}',
        'i mail ["10"] {"address":"W"}',
      ]);
    });

    test("see what foreign keys cascade, several parents in one statement", async () => {
      await run(
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO child VALUES (1, 1), (2, 2), (3, 2)",
      );
      assert.deepEqual(await run("UPDATE parent SET id = id + 10"), [
        'u child ["1"] {"up":"1"} {"up":"11"}',
        'u child ["2"] {"up":"2"} {"up":"12"}',
        'u child ["3"] {"up":"2"} {"up":"12"}',
      ]);
      assert.deepEqual(await run("DELETE FROM parent"), [
        'd child ["1"] {"up":"11"}',
        'd child ["2"] {"up":"12"}',
        'd child ["3"] {"up":"12"}',
      ]);
      await run("INSERT INTO parent VALUES (1)");
      assert.deepEqual(await run("TRUNCATE parent CASCADE"), ["t child"]);
    });

    test("lose nothing to other triggers that write to the same table, before or after ours", async () => {
      await run("INSERT INTO audited VALUES (100, 0)");
      assert.deepEqual([...await run("INSERT INTO audited VALUES (1, 0)")].sort(), [
        'i audited ["1"]',
        'u audited ["100"]',
      ]);
      assert.deepEqual([...await run("DELETE FROM audited WHERE id = 1")].sort(), [
        'd audited ["1"]',
        'u audited ["100"]',
      ]);
    });

    test("log a table without a key by what it is joined by, inserts and deletes once", async () => {
      assert.deepEqual(
        [
          ...await run("INSERT INTO pair VALUES (1, 2), (1, 2), (NULL, 3)"),
        ].sort(),
        [
          'i pair ["1","2"]',
          'i pair [null,"3"]',
        ],
      );
      assert.deepEqual(
        new Set(await run("UPDATE pair SET b = 4 WHERE a = 1")),
        new Set([
          'd pair ["1","2"]',
          'i pair ["1","4"]',
        ]),
      );
      assert.deepEqual(await run("UPDATE pair SET b = b WHERE a = 1"), []);
      assert.deepEqual(await run("DELETE FROM pair WHERE a = 1"), ['d pair ["1","4"]']);
    });

    test("write the texts that readers see, whatever the writer's session is set to", async () => {
      const writer = postgres(db.url, { max: 1, onnotice: () => undefined });
      try {
        await writer.unsafe(`SET DateStyle = 'German'; SET TimeZone = 'America/Chicago';
          SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -3; SET bytea_output = 'escape';
          SET search_path = pg_temp`).simple();
        await writer`INSERT INTO public.item (id, at) VALUES (50, '2024-01-02 03:04:05.678901+00')`;
        await writer`INSERT INTO public.odd VALUES
          (7, 0.1::float8 + 0.2, NULL, 'ab', true, '10.0.0.1', '1 day 2 hours', '\\xff00', '03.02.2024')`;
      } finally {
        await writer.end();
      }
      const [item, odd] = await takeLog(db);
      assert.deepEqual(item?.after, { at: "2024-01-02 03:04:05.678901+00", box: null });
      // What a polled capture delivers: the protocol's texts in our session.
      await using reader = openAdmin(db.readerUrl, false);
      const columns = Object.keys(odd?.after ?? {});
      const [row] = await reader.query(
        { text: `SELECT ${columns.join(", ")} FROM odd WHERE id = 7` },
        new AbortController().signal,
      );
      assert.deepEqual(Object.values(odd?.after ?? {}), [...row ?? []]);
      assert.deepEqual(odd?.after, {
        c: "ab  ",
        f: "0.30000000000000004",
        flag: "t",
        ip: "10.0.0.1",
        day: "2024-02-03",
        raw: "\\xff00",
        span: "P1DT2H",
      });
    });

    test("see rows of partitions however they are written: direct, attached, moved, truncated", async () => {
      assert.deepEqual(
        await run(
          "INSERT INTO part VALUES (1, 'eu', 'a')",
          "INSERT INTO part_us VALUES (2, 'us', 'b')",
        ),
        ['i part ["1","eu"]', 'i part ["2","us"]'],
      );
      assert.deepEqual(
        await run("UPDATE part SET v = 'c' WHERE id = 1", "UPDATE part SET v = v"),
        ['u part ["1","eu"]'],
      );
      assert.deepEqual([...await run("UPDATE part SET region = 'us' WHERE id = 1")].sort(), [
        'd part ["1","eu"]',
        'i part ["1","us"]',
      ]);
      await run(`CREATE TABLE part_x (v text, region text NOT NULL, id int NOT NULL);
        ALTER TABLE part ATTACH PARTITION part_x FOR VALUES IN ('x')`);
      assert.deepEqual(await run("INSERT INTO part_x (id, region) VALUES (3, 'x')"), [
        'i part ["3","x"]',
      ]);
      assert.match(
        (await loggedState(db, "part"))?.broken ?? "",
        /truncate_\d+" on public.part_x is missing/,
      );
      assert.deepEqual(await run("TRUNCATE part_us"), ["t part"]);
      await db.sql.unsafe("ALTER TABLE part_us DISABLE TRIGGER driftless_row");
      assert.match((await loggedState(db, "part"))?.broken ?? "", /on public.part_us is disabled/);
      await db.sql.unsafe("ALTER TABLE part_us ENABLE TRIGGER driftless_row");
      assert.match((await loggedState(db, "part"))?.broken ?? "", /on public.part_us was altered/);
      await installChangelog(db, WISHES.filter(({ table }) => table === "part"));
      assert.deepEqual((await loggedState(db, "part"))?.intact, true);
      assert.deepEqual(new Set(await run("TRUNCATE part")), new Set(["t part"]));
      assert.deepEqual(await run("TRUNCATE part_x"), ["t part"]);
    });

    test("see rows of heirs under the parent, by whichever parent's name they are written", async () => {
      assert.deepEqual(
        await run(
          "INSERT INTO vehicle VALUES (1, 'a')",
          "INSERT INTO car VALUES (2, 'b', 4)",
          "INSERT INTO truck VALUES (3, 'c', 9)",
        ),
        ['i vehicle ["1"] {"v":"a"}', 'i vehicle ["2"] {"v":"b"}', 'i vehicle ["3"] {"v":"c"}'],
      );
      assert.deepEqual(await run("UPDATE vehicle SET v = 'z'"), [
        'u vehicle ["1"] {"v":"a"} {"v":"z"}',
        'u vehicle ["2"] {"v":"b"} {"v":"z"}',
        'u vehicle ["3"] {"v":"c"} {"v":"z"}',
      ]);
      assert.deepEqual(await run("DELETE FROM other"), ['d vehicle ["3"] {"v":"z"}']);
      assert.deepEqual(await run("TRUNCATE car"), ["t vehicle"]);
      await run("CREATE TABLE bike (gears int) INHERITS (vehicle)");
      assert.match((await loggedState(db, "vehicle"))?.broken ?? "", /on public.bike is missing/);
    });

    test("cope with names that need quotes", async () => {
      const table = '"Odd ""Name"';
      assert.deepEqual(
        await run(`INSERT INTO ${table} VALUES (1, 'a', 'b')`, `UPDATE ${table} SET o = 'c'`),
        [
          `i ${table} ["1"] {"o":"a","$driftless$":"b"}`,
          `u ${table} ["1"] {"o":"a","$driftless$":"b"} {"o":"c","$driftless$":"b"}`,
        ],
      );
    });

    test("let roles write that have no right on the changelog", async () => {
      const role = `${db.name}_writer`;
      await db.sql.unsafe(
        `CREATE ROLE ${role} LOGIN; GRANT INSERT, UPDATE, DELETE, SELECT, TRUNCATE ON mail, part TO ${role}`,
      );
      const writer = postgres(at(db.url, { user: role }), { max: 1 });
      try {
        await writer`INSERT INTO mail VALUES (20, 'x')`;
        await writer`INSERT INTO part VALUES (20, 'eu', 'x')`;
        await writer`TRUNCATE part`;
        await assert.rejects(writer`SELECT FROM driftless.log`, /permission denied/);
        await assert.rejects(
          writer`SELECT driftless.acknowledge('a', '1:1:', '1 day')`,
          /permission denied/,
        );
      } finally {
        await writer.end();
        await db.sql.unsafe(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
      assert.ok((await takeLines(db)).includes('i mail ["20"] {"address":"X"}'));
    });

    test("write nothing in replica sessions: the limit that is documented", async () => {
      await db.sql.begin(async (sql) => {
        await sql`SET LOCAL session_replication_role = replica`;
        await sql`INSERT INTO mail VALUES (30, 'x')`;
      });
      assert.deepEqual(await takeLines(db), []);
    });

    test("write nothing of what is rolled back, and one xid for what savepoints wrote", async () => {
      const sql = await db.sql.reserve();
      await sql`BEGIN`;
      await sql`INSERT INTO mail VALUES (40, 'x')`;
      await sql`SAVEPOINT a`;
      await sql`INSERT INTO mail VALUES (41, 'x')`;
      await sql`SAVEPOINT b`;
      await sql`INSERT INTO mail VALUES (42, 'x')`;
      await sql`ROLLBACK TO b`;
      await sql`COMMIT`;
      sql.release();
      const rows = await db
        .sql`SELECT count(DISTINCT xid)::int AS xids, count(*)::int AS n FROM driftless.log`;
      assert.deepEqual({ ...rows[0] }, { xids: 1, n: 2 });
      await takeLines(db);
    });
  });

  describe(`acknowledging on Postgres ${major}`, () => {
    const ddl = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)";
    const DAY = "1 day";
    const open = async () => {
      const db = await createDatabase(ddl, major);
      await installChangelog(db, [{ table: "a" }]);
      const reader = postgres(db.readerUrl, { max: 1 });
      let id = 0;
      return {
        db,
        reader,
        write: () => db.sql`INSERT INTO a VALUES (${id++})`,
        snapshot: async () => String((await db.sql`SELECT pg_current_snapshot() AS s`)[0]?.["s"]),
        acknowledge: async (consumer: string, snapshot: string, retention: string) => {
          const [row] =
            await reader`SELECT driftless.acknowledge(${consumer}, ${snapshot}, ${retention}) AS n`;
          return Number(row?.["n"]);
        },
        left: async () => Number((await db.sql`SELECT count(*) AS n FROM driftless.log`)[0]?.["n"]),
        stored: async (name: string) =>
          (await db.sql`SELECT snapshot FROM driftless.consumers WHERE name = ${name}`)[0]
            ?.["snapshot"],
        /** As if everything had been passed that long ago. */
        age: (by: string) => db.sql`UPDATE driftless.passed SET at = at - ${by}::interval`,
        [Symbol.asyncDispose]: async () => {
          await reader.end();
          await db[Symbol.asyncDispose]();
        },
      };
    };

    test("trims what every consumer has passed for the retention, and says so", async () => {
      await using c = await open();
      await c.write();
      const first = await c.snapshot();
      await c.write();
      assert.equal(await c.acknowledge("x", first, DAY), 0);
      await c.age("25 hours");
      const [before] = await c.db.sql`SELECT pg_snapshot_xmin(${first}::pg_snapshot)::text AS low`;
      assert.equal(await c.acknowledge("x", await c.snapshot(), DAY), 1);
      assert.equal(await c.left(), 1);
      const [trimmed] = await c.db.sql`SELECT xid::text FROM driftless.trimmed`;
      assert.ok(BigInt(trimmed?.["xid"]) <= BigInt(before?.["low"]), "not above what was passed");
      assert.ok(BigInt(trimmed?.["xid"]) > 0n);
      assert.equal(await c.acknowledge("x", await c.snapshot(), DAY), 0, "not by age alone");
      await c.age("23 hours");
      assert.equal(await c.acknowledge("x", await c.snapshot(), DAY), 0);
      await c.age("2 hours");
      assert.equal(await c.acknowledge("x", await c.snapshot(), DAY), 1);
      assert.equal(await c.acknowledge("x", await c.snapshot(), "0"), 0);
    });

    test("keeps everything for a consumer that is away, for ever, until it is forgotten", async () => {
      await using c = await open();
      const start = await c.snapshot();
      await c.acknowledge("away", start, DAY);
      for (let day = 0; day < 3; day++) {
        await c.write();
        await c.acknowledge("here", await c.snapshot(), DAY);
        await c.age("10 days");
        await c.db
          .sql`UPDATE driftless.consumers SET seen_at = seen_at - interval '1 year' WHERE name = 'away'`;
        assert.equal(await c.acknowledge("here", await c.snapshot(), "0"), 0);
      }
      assert.equal(await c.left(), 3);
      await c.db.sql.unsafe(forgetStatement("driftless", "away"));
      assert.equal(await c.acknowledge("here", await c.snapshot(), "0"), 3);
    });

    test("keeps what an open transaction wrote, however old it is", async () => {
      await using c = await open();
      const long = await c.db.sql.reserve();
      await long`BEGIN`;
      await long`INSERT INTO a VALUES (1000)`;
      await c.write();
      for (let day = 0; day < 2; day++) {
        await c.acknowledge("x", await c.snapshot(), DAY);
        await c.age("24 hours");
        assert.equal(
          await c.acknowledge("x", await c.snapshot(), "0"),
          0,
          "its rows and all above",
        );
      }
      await long`COMMIT`;
      long.release();
      assert.equal(await c.left(), 2);
      // x hasn't said that it saw it: the snapshot that it passed has it in progress.
      assert.equal(await c.acknowledge("x", String(await c.stored("x")), "0"), 0);
      assert.equal(await c.acknowledge("x", await c.snapshot(), "0"), 2);
    });

    test("never takes a consumer back, and takes no snapshot of another server", async () => {
      await using c = await open();
      const old = await c.snapshot();
      await c.write();
      const fresh = await c.snapshot();
      await c.acknowledge("x", fresh, DAY);
      await c.acknowledge("x", old, DAY);
      assert.equal(await c.stored("x"), fresh);
      await assert.rejects(c.acknowledge("x", "900000000:900000000:", DAY), /ahead of this server/);
      await assert.rejects(c.acknowledge("x", "not one", DAY));
      await assert.rejects(c.acknowledge("x", fresh, "-1 day"), /are needed/);
      // As a restored dump brings it: nothing is trimmed for it, and it may begin anew.
      await c.db.sql`UPDATE driftless.consumers SET snapshot = '900000000:900000000:'`;
      assert.equal(await c.acknowledge("y", await c.snapshot(), "0"), 0);
      await c.acknowledge("x", fresh, "0");
      assert.equal(await c.stored("x"), fresh);
    });

    test("takes the longest retention of all, and trims in bounded portions", async () => {
      await using c = await open();
      await c.db.sql`INSERT INTO a SELECT generate_series(100, 25099)`;
      await c.acknowledge("short", await c.snapshot(), "0");
      await c.acknowledge("long", await c.snapshot(), DAY);
      assert.equal(await c.left(), 5000, "the first call was short's alone");
      assert.equal(await c.acknowledge("short", await c.snapshot(), "0"), 0);
      await c.age("2 days");
      assert.equal(await c.acknowledge("short", await c.snapshot(), "0"), 5000);
    });

    test("doesn't trim what a consumer needs that registers at the same time", async () => {
      await using c = await open();
      const early = await c.snapshot();
      await c.write();
      await c.acknowledge("x", await c.snapshot(), "0");
      await c.write();
      // x stands in the midst of a call; y registers and looks at what was trimmed.
      const x = await c.db.sql.reserve();
      const now = await c.snapshot();
      await x`BEGIN`;
      await x`SELECT FROM driftless.trimmed FOR UPDATE`;
      const registered = c.acknowledge("y", early, DAY);
      await eventually("y waits", async () => {
        const rows = await c.db.sql`SELECT FROM pg_stat_activity
          WHERE wait_event_type = 'Lock' AND datname = current_database()`;
        return rows.length === 1;
      });
      await x`SELECT driftless.acknowledge('x', ${now}, '0')`;
      await x`COMMIT`;
      x.release();
      await registered;
      const [row] = await c.db
        .sql`SELECT xid > pg_snapshot_xmin(${early}::pg_snapshot) AS gone FROM driftless.trimmed`;
      assert.equal(row?.["gone"], true, "y sees that rows it needs may be gone");
    });
  });

  describe(`an installation on Postgres ${major}`, () => {
    const two =
      `CREATE TABLE a (id int PRIMARY KEY, v text, w text); CREATE TABLE b (id int PRIMARY KEY, v text)`;
    const wish = { table: "a", columns: ["v"], joins: [] };

    test("that is run again keeps since; a trigger touched meanwhile doesn't let it", async () => {
      await using db = await createDatabase(two, major);
      await installChangelog(db, [wish]);
      const first = await loggedState(db, "a");
      assert.equal(first?.intact, true);
      await installChangelog(db, [{ ...wish, columns: ["w"] }]);
      const second = await loggedState(db, "a");
      assert.deepEqual(second, { ...first, columns: ["v", "w"] });

      for (
        const [tamper, said] of [
          [
            "ALTER TABLE a DISABLE TRIGGER driftless_update",
            /"driftless_update" on public.a is disabled/,
          ],
          [
            "ALTER TABLE a ENABLE TRIGGER driftless_update",
            /"driftless_update" on public.a was altered/,
          ],
          [
            "ALTER TABLE a ENABLE REPLICA TRIGGER driftless_insert",
            /fires in replica sessions alone/,
          ],
          ["DROP TRIGGER driftless_delete ON a", /"driftless_delete" on public.a is missing/],
          ["ALTER TABLE a DISABLE TRIGGER ALL", /disabled/],
          ["DROP FUNCTION driftless.log_%s() CASCADE", /function is missing/],
          ["ALTER FUNCTION driftless.log_%s() SECURITY INVOKER", /function was altered/],
          ["ALTER TABLE a RENAME COLUMN v TO vv", /records "v"/],
          ["ALTER TABLE a RENAME COLUMN vv TO v; CREATE TABLE heir () INHERITS (a)", /is missing/],
        ] as const
      ) {
        const since = (await loggedState(db, "a"))?.since;
        await db.sql.unsafe(tamper.replace("%s", first?.oid ?? "")).simple();
        const broken = await loggedState(db, "a");
        assert.match(broken?.broken ?? "", said, tamper);
        if (tamper.includes("RENAME COLUMN v ")) continue;
        if (tamper.endsWith("DISABLE TRIGGER driftless_update")) continue;
        const { plan } = await installChangelog(db, [{ ...wish, columns: ["w"] }]);
        assert.match(plan.notes.get("public.a") ?? "", /may have been missed/);
        const mended = await loggedState(db, "a");
        assert.equal(mended?.intact, true, tamper);
        assert.notEqual(mended?.since, since, tamper);
      }
    });

    test("doesn't end writes when a recorded column goes or becomes another; it says that it is broken", async () => {
      const columns = "(id int PRIMARY KEY, v text, w text)";
      await using db = await createDatabase(
        `CREATE TABLE a ${columns}; CREATE TABLE q ${columns} PARTITION BY RANGE (id);
         CREATE TABLE q1 PARTITION OF q DEFAULT`,
        major,
      );
      // One session with plans for all of it: each has to be thrown away.
      const writer = await db.sql.reserve();
      for (const table of ["a", "q"]) {
        const wishes = [{ table, columns: ["v"], joins: ["w"] }];
        const write = async () => {
          await writer.unsafe(`INSERT INTO ${table} (id) VALUES (1), (2)`);
          await writer.unsafe(`UPDATE ${table} SET id = id + 10 WHERE id = 2`);
          await writer.unsafe(`DELETE FROM ${table}`);
        };
        await installChangelog(db, wishes);
        await write();
        for (
          const [there, back] of [
            ["DROP COLUMN v", "ADD COLUMN v text"],
            ["RENAME COLUMN v TO x", "RENAME COLUMN x TO v"],
            ["ALTER COLUMN w TYPE timestamptz USING NULL", "ALTER COLUMN w TYPE text"],
          ] as const
        ) {
          await installChangelog(db, wishes);
          await write();
          assert.equal((await loggedState(db, table))?.intact, true);
          await db.sql.unsafe(`ALTER TABLE ${table} ${there}`);
          await write();
          await db.sql.unsafe(`ALTER TABLE ${table} ${back}`);
          await write();
          assert.match(
            (await loggedState(db, table))?.broken ?? "",
            /rows were written while a column/,
            `${table}: ${there}`,
          );
        }
        await installChangelog(db, wishes);
        await takeLines(db);
        await write();
        assert.equal((await loggedState(db, table))?.intact, true);
        assert.equal((await takeLines(db)).length, 6);
      }
      writer.release();
    });

    test("doesn't mind that a column which it only compares gets another type", async () => {
      const columns = "(id int PRIMARY KEY, v varchar(9), w text)";
      await using db = await createDatabase(
        `CREATE TABLE a ${columns}; CREATE TABLE q ${columns} PARTITION BY RANGE (id);
         CREATE TABLE q1 PARTITION OF q DEFAULT`,
        major,
      );
      for (const recorded of [["v"], undefined]) {
        const wishes = ["a", "q"].map((table) => ({
          table,
          ...(recorded === undefined ? {} : { columns: recorded }),
          joins: [],
        }));
        await installChangelog(db, wishes);
        // One session with plans for the type before.
        const writer = await db.sql.reserve();
        for (const table of ["a", "q"]) {
          await writer.unsafe(`INSERT INTO ${table} (id, v) VALUES (1, '1')`);
          for (const type of ["text", "int USING v::int", "varchar(9)"]) {
            await writer.unsafe(`UPDATE ${table} SET v = '2'`);
            await db.sql.unsafe(`ALTER TABLE ${table} ALTER v TYPE ${type}`);
            await takeLines(db);
            await writer.unsafe(`UPDATE ${table} SET v = v`);
            assert.deepEqual(await takeLines(db), [], `${table}: ${type}`);
            await writer.unsafe(`UPDATE ${table} SET v = '3'`);
            assert.deepEqual(await takeLines(db), [`u ${table} ["1"]`], `${table}: ${type}`);
          }
          assert.equal((await loggedState(db, table))?.intact, true);
          await writer.unsafe(`TRUNCATE ${table}`);
        }
        await takeLines(db);
        writer.release();
      }
    });

    test("is refused when the table was touched between the plan and its run", async () => {
      await using db = await createDatabase(two, major);
      await installChangelog(db, [wish]);
      await using admin = openAdmin(db.url);
      const plan = await plannedInstall(admin, [wish]);
      await db.sql`ALTER TABLE a DISABLE TRIGGER driftless_insert`;
      await db.sql`INSERT INTO a VALUES (1)`;
      await db.sql`ALTER TABLE a ENABLE TRIGGER driftless_insert`;
      const left = await apply(admin, plan.scripts);
      assert.match(left.get("public.a") ?? "", /have changed since this was planned/);
      assert.equal((await loggedState(db, "a"))?.intact, false);
    });

    test("tries again while a writer holds a table, then names it and installs the others", async () => {
      await using db = await createDatabase(two, major);
      const writer = await db.sql.reserve();
      await writer`BEGIN`;
      await writer`INSERT INTO a VALUES (1)`;
      const said: string[] = [];
      await using admin = openAdmin(db.url);
      const { scripts } = await plannedInstall(admin, [wish, { table: "b" }]);
      // Three seconds of waiting prove nothing that a tenth doesn't.
      const quick = scripts.map((script) => ({
        ...script,
        statements: script.statements.map((each) => each.replace("'3s'", "'100ms'")),
      }));
      const left = await apply(admin, quick, said);
      assert.deepEqual([...left], [["public.a", "others hold its lock"]]);
      assert.deepEqual(said.map((line) => line.replace(/\d+ ms/, "N ms")), [
        "public.a is locked by others: trying again in N ms (1/3)",
        "public.a is locked by others: trying again in N ms (2/3)",
        "Cannot lock public.a: others hold it, after 3 tries",
      ]);
      assert.equal((await loggedState(db, "b"))?.intact, true);
      assert.equal(await loggedState(db, "a"), undefined);
      await writer`COMMIT`;
      writer.release();
      const again = quick.filter(({ table }) => table !== "public.b");
      assert.deepEqual([...await apply(admin, again)], []);
      assert.equal((await loggedState(db, "a"))?.intact, true);
    });

    test("that is removed leaves no trace", async () => {
      await using db = await createDatabase(DDL, major);
      const traces = async () => {
        const [row] = await db.sql`SELECT (SELECT count(*)::int FROM pg_trigger) AS triggers,
          (SELECT count(*)::int FROM pg_proc) AS functions, (SELECT count(*)::int FROM pg_class) AS classes,
          (SELECT count(*)::int FROM pg_namespace) AS schemas, (SELECT count(*)::int FROM pg_type) AS types,
          (SELECT count(*)::int FROM pg_depend) AS depends, (SELECT count(*)::int FROM pg_shdepend
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) AS shared,
          (SELECT count(*)::int FROM pg_constraint) AS constraints, (SELECT count(*)::int FROM pg_attrdef) AS defaults,
          (SELECT count(*)::int FROM pg_sequence) AS sequences, (SELECT count(*)::int FROM pg_description) AS comments`;
        return { ...row };
      };
      const before = await traces();
      await installChangelog(db, WISHES);
      assert.notDeepEqual(await traces(), before);
      await db.sql`INSERT INTO part VALUES (1, 'eu', 'x')`;
      await db.sql`DROP TABLE mail`;
      await db.sql.unsafe(`CREATE TABLE mail (id int PRIMARY KEY, address text);
        CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON mail FOR EACH ROW EXECUTE FUNCTION shout();
        ALTER TABLE part DETACH PARTITION part_us`);
      await using admin = openAdmin(db.url);
      const signal = new AbortController().signal;
      assert.deepEqual(
        [...await apply(admin, await planRemove(admin, "driftless", signal) ?? [])],
        [],
      );
      await db.sql`ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us')`;
      assert.deepEqual(await traces(), before);
      assert.equal(await planRemove(admin, "driftless", signal), undefined);
    });

    test("is logged under its own table when a partition is named as well as its root", async () => {
      await using db = await createDatabase(DDL, major);
      await installChangelog(db, [{ table: "part", columns: ["v"] }, {
        table: "part_eu",
        columns: [],
      }]);
      await db.sql`INSERT INTO part VALUES (1, 'eu', 'a'), (2, 'us', 'b')`;
      await db.sql`UPDATE part SET v = 'x'`;
      assert.deepEqual([...await takeLines(db)].sort(), [
        'i part ["1","eu"]',
        'i part ["2","us"]',
        'i part_eu ["1","eu"]',
        'u part ["1","eu"]',
        'u part ["2","us"]',
      ]);
      await db.sql`TRUNCATE part_eu`;
      assert.deepEqual([...await takeLines(db)].sort(), ["t part", "t part_eu"]);
      assert.equal((await loggedState(db, "part"))?.intact, true);
      assert.equal((await loggedState(db, "part_eu"))?.intact, true);
    });
  });
}

function apply(
  admin: ReturnType<typeof openAdmin>,
  scripts: Parameters<typeof applyScripts>[1],
  said: string[] = [],
) {
  const options = {
    attempts: 3,
    delay: { baseMs: 1, capMs: 1 },
    say: (line: string) => said.push(line),
  };
  return applyScripts(admin, scripts, options, new AbortController().signal);
}
