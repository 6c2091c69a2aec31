import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FatalError } from "../../src/core/errors.ts";
import { tableId } from "../../src/core/table.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import type { WalServer, WalTableFacts } from "../../src/postgres/wal/facts.ts";
import { loadWal } from "../../src/postgres/wal/load_facts.ts";
import { ensurePublication } from "../../src/postgres/wal/publication.ts";
import { loadRelations, relationsOf } from "../../src/postgres/wal/relations.ts";
import type { ReplicatedTable, WalSettings } from "../../src/postgres/ways.ts";
import { at, createDatabase, type TestDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE plain (id bigint PRIMARY KEY, v text, kind int);
CREATE TABLE other (id bigint PRIMARY KEY, v text);
CREATE TABLE "Odd ""N" ("the Id" int PRIMARY KEY);
CREATE TABLE nokey (id int);
CREATE TABLE late_key (id int PRIMARY KEY DEFERRABLE, v int);
CREATE TABLE whole (id int PRIMARY KEY, v int);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE keyed (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, c int);
CREATE UNIQUE INDEX keyed_ab ON keyed (b, a) INCLUDE (c);
ALTER TABLE keyed REPLICA IDENTITY USING INDEX keyed_ab;
CREATE TABLE silent (id int PRIMARY KEY);
ALTER TABLE silent REPLICA IDENTITY NOTHING;
CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us PARTITION OF part FOR VALUES IN ('us') PARTITION BY RANGE (id);
CREATE TABLE part_us_low PARTITION OF part_us FOR VALUES FROM (0) TO (100);
CREATE TABLE mixed (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE mixed_low PARTITION OF mixed FOR VALUES FROM (0) TO (100);
CREATE TABLE mixed_high PARTITION OF mixed FOR VALUES FROM (100) TO (200);
ALTER TABLE mixed_low REPLICA IDENTITY FULL;
ALTER TABLE mixed REPLICA IDENTITY FULL;
CREATE TABLE empty (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
CREATE TABLE vehicle (id int PRIMARY KEY);
CREATE TABLE car () INHERITS (vehicle);
CREATE TABLE half (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE UNLOGGED TABLE half_low PARTITION OF half FOR VALUES FROM (0) TO (100);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain;
CREATE SCHEMA apart;
CREATE TABLE apart.far (id int PRIMARY KEY);
`;

const FOREIGN = `
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE abroad (id int) SERVER s;
CREATE TABLE split (id int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE split_low PARTITION OF split FOR VALUES FROM (0) TO (100) SERVER s;
`;

for (const major of [18, 15] as const) {
  describe(`publications on Postgres ${major}`, () => {
    const signal = new AbortController().signal;
    let db: TestDatabase;
    let owner: string;
    let owns: Database;
    let reads: Database;
    before(async () => {
      db = await createDatabase("", major);
      owner = `${db.name}_owner`;
      await db.sql.unsafe(`
        CREATE ROLE ${owner} LOGIN REPLICATION; GRANT CREATE ON DATABASE ${db.name} TO ${owner};
        GRANT CREATE ON SCHEMA public TO ${owner}; SET ROLE ${owner}; ${DDL}
        RESET ROLE; ${FOREIGN}`).simple();
      owns = open(at(db.url, { user: owner }));
      reads = open(db.readerUrl);
    });
    after(async () => {
      await owns[Symbol.asyncDispose]();
      await reads[Symbol.asyncDispose]();
      await db.sql.unsafe(`DROP OWNED BY ${owner}`);
      await db.sql.unsafe(`DROP ROLE ${owner}`);
      await db[Symbol.asyncDispose]();
    });

    const run = async (...statements: string[]) => {
      for (const text of statements) await db.sql.unsafe(text);
    };
    const ensure = (settings: WalSettings, tables: readonly ReplicatedTable[], database = owns) =>
      ensurePublication(database, settings, tables, signal);
    const facts = (settings: WalSettings, tables: readonly ReplicatedTable[], database = reads) =>
      loadWal(database, settings, tables, signal);
    const factsOf = async (settings: WalSettings, name: string): Promise<WalTableFacts> => {
      const found = await facts(settings, await tables(db, name));
      const table = found.tables.get(tableId(ref(name)));
      assert.ok(table !== undefined);
      return table;
    };
    const markOf = async (settings: WalSettings, name: string) =>
      (await factsOf(settings, name)).published;

    test("are made with all that is followed, and not made again", async () => {
      const settings = named("made_once");
      const followed = await tables(db, "plain", 'Odd "N', "part");
      const first = await ensure(settings, followed);
      assert.equal(first.created, true);
      assert.deepEqual([...first.marks.keys()], followed.map(({ id }) => id));
      assert.deepEqual(await ensure(settings, followed), { ...first, created: false });
      const { publication, tables: seen } = await facts(settings, followed);
      assert.deepEqual(publication, {
        name: "made_once",
        owned: false,
        allTables: false,
        omits: [],
        viaRoot: false,
      });
      assert.deepEqual(
        [...seen].map(([id, { published }]) => [id, published]),
        [...first.marks],
      );
    });

    test("that we made send a partition's truncate", async () => {
      const settings = named("truncates");
      await ensure(settings, await tables(db, "part"));
      await run(
        `SELECT pg_create_logical_replication_slot('${db.name}', 'pgoutput')`,
        "TRUNCATE part_eu",
      );
      const sent = await db.sql.unsafe(
        `SELECT data FROM pg_logical_slot_peek_binary_changes('${db.name}', NULL, NULL,
           'proto_version', '1', 'publication_names', 'truncates')
         WHERE get_byte(data, 0) = ascii('T')`,
      );
      await run(`SELECT pg_drop_replication_slot('${db.name}')`);
      assert.equal(sent.length, 1);
    });

    test("get what they lack, and keep what they have", async () => {
      await run(
        "CREATE PUBLICATION shared FOR TABLE other",
        `ALTER PUBLICATION shared OWNER TO ${owner}`,
      );
      const settings = named("shared");
      const before = await markOf(settings, "other");
      const { created } = await ensure(settings, await tables(db, "plain", "other"));
      assert.equal(created, false);
      assert.equal(await markOf(settings, "other"), before);
      const rows = await db.sql`SELECT tablename FROM pg_publication_tables
        WHERE pubname = 'shared' ORDER BY 1`;
      assert.deepEqual(rows.map(({ tablename }) => tablename), ["other", "plain"]);
    });

    test("are made and added to by several processes at once", async () => {
      const settings = named("raced");
      const own = await Promise.all([0, 1, 2, 3].map(() => open(at(db.url, { user: owner }))));
      try {
        for (const followed of [await tables(db, "plain"), await tables(db, "plain", "other")]) {
          const all = await Promise.all(own.map((each) => ensure(settings, followed, each)));
          for (const { marks } of all) assert.deepEqual(marks, all[0]?.marks);
        }
      } finally {
        await Promise.all(own.map((each) => each[Symbol.asyncDispose]()));
      }
    });

    test("show by a table's mark whether it was always in them", async () => {
      const settings = named("marked");
      await ensure(settings, await tables(db, "plain", "part"));
      const marks = async () => [await markOf(settings, "plain"), await markOf(settings, "part")];
      let before = await marks();
      const same = async (...statements: string[]) => {
        await run(...statements);
        assert.deepEqual(await marks(), before, statements.join("; "));
      };
      const another = async (which: readonly boolean[], ...statements: string[]) => {
        await run(...statements);
        const now = await marks();
        assert.deepEqual(now.map((mark, at) => mark !== before[at]), which, statements.join("; "));
        assert.ok(now.every((mark) => mark !== undefined));
        before = now;
      };
      await same(
        "VACUUM (FREEZE) pg_publication",
        "VACUUM (FREEZE) pg_publication_rel",
        "VACUUM FULL pg_publication",
        "VACUUM FULL pg_publication_rel",
      );
      await same("ALTER PUBLICATION marked ADD TABLE other", "TRUNCATE plain, part");
      await same("CREATE TABLE part_asia PARTITION OF part FOR VALUES IN ('asia')");
      await another(
        [true, false],
        "ALTER PUBLICATION marked DROP TABLE plain",
        "ALTER PUBLICATION marked ADD TABLE plain",
      );
      await another(
        [true, true],
        "ALTER PUBLICATION marked SET (publish = 'insert')",
        "ALTER PUBLICATION marked SET (publish = 'insert, update, delete, truncate')",
      );
      await another([true, true], "ALTER PUBLICATION marked SET (publish_via_partition_root)");
      await another(
        [true, true],
        "DROP PUBLICATION marked",
        "CREATE PUBLICATION marked FOR TABLE plain, part",
      );
    });

    test("have a partitioned table by itself, by its schema, by all tables, by each of its leaves", async () => {
      const settings = named("covers");
      const covered = async (statement: string, ...names: string[]) => {
        await run(
          "DROP PUBLICATION IF EXISTS covers",
          `CREATE PUBLICATION covers FOR ${statement}`,
        );
        const found = await Promise.all(names.map((name) => markOf(settings, name)));
        return found.map((mark) => mark !== undefined);
      };
      assert.deepEqual(
        await covered("TABLE part", "part", "part_eu", "part_us", "part_us_low", "plain"),
        [true, true, true, true, false],
      );
      assert.deepEqual(await covered("ALL TABLES", "part", "part_eu", "plain"), [true, true, true]);
      assert.deepEqual(
        await covered("TABLES IN SCHEMA public", "part", "part_eu", "plain", "apart.far"),
        [true, true, true, false],
      );
      assert.deepEqual(await covered("TABLE part_eu", "part", "part_eu"), [false, true]);
      await run("DROP TABLE IF EXISTS part_asia");
      assert.deepEqual(await covered("TABLE part_eu, part_us_low", "part", "part_us"), [
        true,
        true,
      ]);
      await run("CREATE TABLE part_asia PARTITION OF part FOR VALUES IN ('asia')");
      assert.equal(await markOf(settings, "part"), undefined);
      await run("DROP TABLE part_asia");
      assert.deepEqual(await covered("TABLE plain", "empty"), [false]);
      // As its root's, a partition's changes can't be told from its siblings'.
      const root = "WITH (publish_via_partition_root)";
      for (const what of [`TABLE part, part_eu ${root}`, `ALL TABLES ${root}`]) {
        assert.deepEqual(await covered(what, "part", "part_eu"), [true, false]);
        assert.match(
          (await factsOf(settings, "part_eu")).unfit ?? "",
          /publish_via_partition_root/,
        );
      }
      assert.deepEqual(await covered("TABLE plain WITH (publish = 'insert')", "plain"), [false]);
      const { publication } = await facts(settings, []);
      assert.deepEqual(publication?.omits, ["update", "delete", "truncate"]);
    });

    test("say which rows and columns they leave out", async () => {
      const settings = named("lists");
      await run(
        "CREATE PUBLICATION lists FOR TABLE plain (id, v) WHERE (id > 0), made, part_eu (id, region), part_us",
      );
      const plain = await factsOf(settings, "plain");
      assert.deepEqual([plain.filtered, plain.columns], [true, ["id", "v"]]);
      const made = await factsOf(settings, "made");
      assert.deepEqual([made.filtered, made.columns, made.generated], [false, undefined, [
        "twice",
      ]]);
      assert.deepEqual((await factsOf(settings, "part")).columns, ["id", "region"]);
      if (major === 18) {
        await run("ALTER PUBLICATION lists SET (publish_generated_columns = stored)");
        assert.deepEqual((await factsOf(settings, "made")).generated, []);
      }
    });

    test("aren't touched by who may not, who is told what to run", async () => {
      const settings = named("not_ours");
      const followed = await tables(db, "plain", "part");
      const refused = async (database: Database, hint: RegExp, message: RegExp) => {
        await assert.rejects(ensure(settings, followed, database), (error: FatalError) => {
          assert.equal(error.code, "PUBLICATION_LACKS");
          assert.match(error.hint, hint);
          assert.match(error.message, message);
          return true;
        });
      };
      const make = /CREATE PUBLICATION "not_ours" FOR TABLE public.plain, public.part;/;
      await refused(reads, make, /public.plain, public.part/);
      await run("CREATE PUBLICATION not_ours FOR TABLE plain");
      await refused(owns, /ALTER PUBLICATION "not_ours" ADD TABLE public.part;/, /public.part/);
      await run(
        `ALTER PUBLICATION not_ours OWNER TO ${owner}`,
        "ALTER TABLE part OWNER TO postgres",
      );
      await refused(owns, /ALTER PUBLICATION "not_ours" ADD TABLE public.part;/, /public.part/);
      await run(`ALTER TABLE part OWNER TO ${owner}`);
      await run("ALTER PUBLICATION not_ours SET (publish = 'insert, update')");
      await refused(owns, /SET \(publish = /, /DELETE, TRUNCATE/);
    });

    test("of none are told apart: what the server and the role allow", async () => {
      const settings = named("nothing");
      const read = async (database: Database) => await facts(settings, [], database);
      const common = (found: WalServer) => ({
        version: Math.floor(found.version / 10_000),
        database: found.database,
        wal: found.walLevel,
        recovery: found.inRecovery,
        pooled: found.pooled,
        publication: found.publication,
        slot: found.slot,
      });
      const expected = {
        version: major,
        database: db.name,
        wal: "logical",
        recovery: false,
        pooled: false,
        publication: undefined,
        slot: undefined,
      };
      const [reader, owning] = [await read(reads), await read(owns)];
      assert.deepEqual(common(reader), expected);
      assert.deepEqual(common(owning), expected);
      assert.deepEqual([reader.mayReplicate, reader.mayCreate], [false, false]);
      assert.deepEqual([owning.mayReplicate, owning.mayCreate], [true, true]);
      assert.ok(reader.slots.max > 0 && reader.slots.used <= reader.slots.max);
      const [mine, theirs] = await Promise.all(
        [owns, reads].map(async (database) =>
          (await facts(settings, await tables(db, "plain"), database)).tables.get("public.plain")
            ?.owned
        ),
      );
      assert.deepEqual([mine, theirs], [true, false]);
    });

    test("find what the WAL holds of an old row, the least of all partitions", async () => {
      const identity = async (name: string) => {
        const found = await factsOf(named("nothing"), name);
        return [found.identity, ...found.identityColumns];
      };
      assert.deepEqual(await identity("plain"), ["default", "id"]);
      assert.deepEqual(await identity("nokey"), ["nothing"]);
      assert.deepEqual(await identity("late_key"), ["nothing"]);
      assert.deepEqual(await identity("whole"), ["full", "id", "v"]);
      assert.deepEqual(await identity("keyed"), ["index", "a", "b"]);
      assert.deepEqual(await identity("silent"), ["nothing"]);
      assert.deepEqual(await identity("part"), ["default", "id", "region"]);
      assert.deepEqual(await identity("mixed"), ["default", "id"]);
      await run("ALTER TABLE mixed_high REPLICA IDENTITY FULL");
      assert.deepEqual(await identity("mixed"), ["full", "id", "v"]);
      await run("ALTER TABLE mixed_high REPLICA IDENTITY NOTHING");
      assert.deepEqual(await identity("mixed"), ["nothing"]);
      await run("DROP INDEX keyed_ab");
      assert.deepEqual(await identity("keyed"), ["nothing"]);
    });

    test("can't have what isn't in the WAL, or not under its name", async () => {
      const unfit = async (name: string) => (await factsOf(named("nothing"), name)).unfit;
      for (const name of ["plain", "part", "part_us", "empty", "car", "nokey"]) {
        assert.equal(await unfit(name), undefined, name);
      }
      assert.match(await unfit("seen") ?? "", /a view/);
      assert.match(await unfit("kept") ?? "", /a materialized view/);
      assert.match(await unfit("abroad") ?? "", /a foreign table/);
      assert.match(await unfit("split") ?? "", /public\.split_low is a foreign table/);
      assert.match(await unfit("unlogged") ?? "", /it is unlogged/);
      assert.match(await unfit("half") ?? "", /public\.half_low is unlogged/);
      assert.match(await unfit("vehicle") ?? "", /inherit/);
      assert.match(await unfit("pg_catalog.pg_class") ?? "", /system/);
    });

    test("send relations that stand for the table and what it is a partition of", async () => {
      const followed = await tables(db, "plain", "part", "part_us", "vehicle");
      const relations = await loadRelations(reads, followed, signal);
      const oids = async (...names: string[]) =>
        (await tables(db, ...names)).map(({ oid }) => Number(oid));
      const names = (found: readonly ReplicatedTable[] | undefined) =>
        (found ?? []).map(({ table }) => table.name).sort();
      const stands = [
        ["plain", ["plain"]],
        ["part", ["part"]],
        ["part_eu", ["part"]],
        ["part_us", ["part", "part_us"]],
        ["part_us_low", ["part", "part_us"]],
        ["car", []],
        ["other", []],
      ] as const;
      for (const [name, expected] of stands) {
        const [oid = 0] = await oids(name);
        assert.deepEqual(names(relations.get(oid)), expected, name);
        assert.deepEqual(names(await relationsOf(reads, oid, followed, signal)), expected, name);
      }
      await run("CREATE TABLE part_us_high PARTITION OF part_us FOR VALUES FROM (100) TO (200)");
      const [later = 0] = await oids("part_us_high");
      assert.deepEqual(names(await relationsOf(reads, later, followed, signal)), [
        "part",
        "part_us",
      ]);
      await run("DROP TABLE part_us_high");
      assert.deepEqual(await relationsOf(reads, later, followed, signal), []);
    });
  });
}

function named(publication: string): WalSettings {
  return { slot: `none_${publication}`, publication, maxSlotLag: 0 };
}

function open(url: string): Database {
  return openDatabase({
    url,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName: `driftless/test-${crypto.randomUUID()}`,
    statementTimeoutMs: 60_000,
    writes: true,
  });
}

function ref(name: string): { readonly schema: string; readonly name: string } {
  const [schema = "", table] = name.split(".");
  return table === undefined ? { schema: "public", name } : { schema, name: table };
}

/** As they are in the database; in schema public unless the name says another. */
async function tables(db: TestDatabase, ...names: string[]): Promise<readonly ReplicatedTable[]> {
  const found: ReplicatedTable[] = [];
  for (const name of names) {
    const table = ref(name);
    const [row] = await db.sql`SELECT c.oid::text AS oid FROM pg_class c
      WHERE c.relname = ${table.name} AND c.relnamespace = ${table.schema}::regnamespace`;
    const common = { key: ["id"], joinColumns: [], columns: null, seesBefore: false };
    found.push({ table, id: tableId(table), oid: String(row?.["oid"]), ...common });
  }
  return found;
}
