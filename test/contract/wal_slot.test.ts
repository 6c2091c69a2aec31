import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import type { SyncEvent } from "../../src/core/events.ts";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import { untilOlderEnded } from "../../src/postgres/wal/older_transactions.ts";
import { createSlot, dropSlot, readSlot, SLOT_SESSION } from "../../src/postgres/wal/slot.ts";
import { watchSlot } from "../../src/postgres/wal/slot_watch.ts";
import { eventually } from "../support/eventually.ts";
import { hooked } from "../support/hooked_database.ts";
import { at, createDatabase, type TestDatabase } from "../support/postgres.ts";

const MB = 1024 * 1024;

for (const major of [18, 15] as const) {
  describe(`replication slots on Postgres ${major}`, () => {
    const signal = new AbortController().signal;
    let db: TestDatabase;
    let role: string;
    /** As a role that may replicate. */
    let database: Database;
    let reads: Database;
    before(async () => {
      db = await createDatabase("CREATE TABLE t (id int PRIMARY KEY)", major);
      role = `${db.name}_repl`;
      await db.sql.unsafe(`CREATE ROLE ${role} LOGIN REPLICATION`);
      database = open(at(db.url, { user: role }));
      reads = open(db.readerUrl);
    });
    after(async () => {
      await database[Symbol.asyncDispose]();
      await reads[Symbol.asyncDispose]();
      await db.sql.unsafe(`DROP ROLE ${role}`);
      await db[Symbol.asyncDispose]();
    });
    const slotName = (which: string) => `${db.name}_${which}`;

    test("are made to last, read by anybody, and dropped", async () => {
      const name = slotName("made");
      assert.equal(await readSlot(reads, name, signal), undefined);
      const made = await createSlot(database, name, signal);
      const seen = await readSlot(reads, name, signal);
      assert.deepEqual(
        { ...seen, retained: 0n, safe: 0n },
        { ...made, retained: 0n, safe: 0n },
      );
      assert.deepEqual(
        [made.name, made.plugin, made.database, made.temporary, made.holder, made.invalid],
        [name, "pgoutput", db.name, false, undefined, undefined],
      );
      assert.equal(made.walStatus, "reserved");
      assert.ok(made.confirmed > 0n && (made.restart ?? 0n) <= made.confirmed);
      if (major === 18) {
        const [row] = await db
          .sql`SELECT failover FROM pg_replication_slots WHERE slot_name = ${name}`;
        assert.equal(row?.["failover"], true);
      }
      await dropSlot(database, name, signal);
      assert.equal(await readSlot(reads, name, signal), undefined);
      await dropSlot(database, name, signal);
    });

    test("aren't made twice, nor by a role that may not, nor dropped when they are another's", async () => {
      const name = slotName("foreign");
      await assert.rejects(
        createSlot(reads, name, signal),
        (error) =>
          error instanceof FatalError && error.code === "WAL_NOT_PERMITTED" &&
          error.hint === `ALTER ROLE "${db.readerRole}" REPLICATION;`,
      );
      await db.sql`SELECT pg_create_physical_replication_slot(${name})`;
      try {
        await assert.rejects(
          createSlot(database, name, signal),
          (error) => error instanceof RetryableError && error.code === "SLOT_EXISTS",
        );
        await assert.rejects(
          dropSlot(database, name, signal),
          (error) => error instanceof FatalError && error.code === "SLOT_FOREIGN",
        );
        assert.equal((await readSlot(reads, name, signal))?.plugin, "physical");
      } finally {
        await db.sql`SELECT pg_drop_replication_slot(${name})`;
      }
    });

    test("are dropped as soon as nobody reads them", async () => {
      const name = slotName("held");
      await db.sql`CREATE PUBLICATION held`;
      await createSlot(database, name, signal);
      const holder = await hold(at(db.url, { user: role }), name, "held");
      const held = await eventually(
        "the slot in use",
        async () => (await readSlot(reads, name, signal))?.holder,
      );
      assert.equal(held.application, "driftless-holder");
      let dropped = false;
      const dropping = dropSlot(database, name, signal).then(() => (dropped = true));
      // Two more looks at it have found it held: the first attempts have failed.
      await eventually("an attempt to drop it", async () => {
        const [row] = await db.sql`SELECT FROM pg_stat_activity
          WHERE application_name = ${database.applicationName} AND query LIKE '%pg_drop_replication_slot%'`;
        return row !== undefined;
      });
      assert.equal(dropped, false);
      await db.sql`SELECT pg_terminate_backend(${held.pid})`;
      await dropping;
      assert.equal(await readSlot(reads, name, signal), undefined);
      await holder.end({ timeout: 0 });
    });

    test("that wait for a transaction to be made leave nothing behind when that is given up", async () => {
      const name = slotName("waits");
      const other = await db.sql.reserve();
      const gaveUp = new AbortController();
      try {
        await other`BEGIN`;
        await other`INSERT INTO t VALUES (1000)`;
        const making = createSlot(database, name, gaveUp.signal);
        making.catch(() => {});
        await eventually("the slot being made", async () => {
          const slot = await readSlot(reads, name, signal);
          return slot?.holder !== undefined;
        });
        gaveUp.abort(new Error("given up"));
        await assert.rejects(making, /given up/);
        await eventually(
          "the slot gone",
          async () => await readSlot(reads, name, signal) === undefined,
        );
      } finally {
        await other`ROLLBACK`;
        other.release();
      }
    });

    test("that keep too much are let go of and dropped, loudly", async () => {
      const name = slotName("full");
      await createSlot(database, name, signal);
      await db.sql.unsafe("SELECT pg_logical_emit_message(true, 'x', repeat('x', 1100000))");
      const events: SyncEvent[] = [];
      let letGo = 0;
      const settings = { slot: name, publication: "none", maxSlotLag: MB };
      await assert.rejects(
        watchSlot({
          database,
          settings,
          observe: (event) => events.push(event),
          letGo: async () => {
            letGo++;
            assert.notEqual(await readSlot(reads, name, signal), undefined);
          },
          everyMs: 10,
        }, signal),
        (error) => error instanceof RetryableError && error.code === "SLOT_DROPPED",
      );
      assert.equal(letGo, 1);
      assert.equal(await readSlot(reads, name, signal), undefined);
      const event = events.at(-1);
      assert.ok(event?.type === "warning" && event.code === "SLOT_DROPPED");
      assert.match(event.message, /kept [\d.]+ [MG]B of WAL.*maxSlotLag \(1\.0 MB\).*filled anew/);
    });

    test("that are gone or lost end the watching, those of a server that is away don't", async () => {
      const name = slotName("gone");
      const settings = { slot: name, publication: "none", maxSlotLag: 0 };
      await createSlot(database, name, signal);
      let looks = 0;
      const failing = hooked(database, {
        before: async () => {
          looks++;
          if (looks === 2) throw new RetryableError("57P01", "Cannot query Postgres: gone");
          if (looks === 4) await dropSlot(database, name, signal);
        },
      });
      const watch = {
        database: failing,
        settings,
        observe: () => {},
        letGo: async () => {},
        everyMs: 1,
      };
      await assert.rejects(
        watchSlot(watch, signal),
        (error) => error instanceof RetryableError && error.code === "SLOT_MISSING",
      );
      assert.equal(looks, 4);
      await createSlot(database, name, signal);
      const closing = hooked(database, {
        before: () =>
          Promise.reject(new RetryableError("57P03", "Cannot connect: it is shutting down")),
      });
      await assert.rejects(
        watchSlot({ ...watch, database: closing }, signal),
        (error) => error instanceof RetryableError && error.code === "57P03",
      );
      const lost = hooked(database, {
        after: (_statement, rows) => rows.map((row) => row.with(8, "lost")),
      });
      await assert.rejects(
        watchSlot({ ...watch, database: lost }, signal),
        (error) => error instanceof RetryableError && error.code === "SLOT_LOST",
      );
      await dropSlot(database, name, signal);
    });

    test("are warned of once for each turn for the worse", async () => {
      const name = slotName("lags");
      await createSlot(database, name, signal);
      const gb = (share: number) => String(Math.round(share * 1024 * MB));
      // wal_status, retained, safe
      const script: (readonly [string, string, string | null])[] = [
        ["reserved", gb(0.4), null],
        ["reserved", gb(0.6), null],
        ["extended", gb(0.7), null],
        ["reserved", gb(0.4), null],
        ["extended", gb(0.1), null],
        ["extended", gb(0.1), gb(0.1)],
        ["extended", gb(0.1), gb(0.01)],
        ["unreserved", gb(0.1), "-5"],
        ["reserved", gb(0.1), gb(5)],
        ["unreserved", gb(0.1), gb(5)],
      ];
      const stop = new AbortController();
      const codes: string[] = [];
      let look = -1;
      const scripted = hooked(database, {
        after: (_statement, rows) => {
          const [status, retained, safe] = script[++look] ?? ["", "0", null];
          if (look === script.length) stop.abort(new Error("over"));
          return rows.map((row) => row.with(8, status).with(11, retained).with(12, safe));
        },
      });
      await assert.rejects(
        watchSlot({
          database: scripted,
          settings: { slot: name, publication: "none", maxSlotLag: 1024 * MB },
          observe: (event) => event.type === "warning" && codes.push(`${look} ${event.code}`),
          letGo: async () => {},
          everyMs: 1,
        }, stop.signal),
        /over/,
      );
      assert.deepEqual(codes, [
        "1 SLOT_LAGS",
        "4 SLOT_LAGS",
        "6 SLOT_UNRESERVED",
        "9 SLOT_UNRESERVED",
      ]);
      await dropSlot(database, name, signal);
    });

    test("aren't sent what a transaction wrote before its table joined, which is waited for", async () => {
      const name = slotName("joined");
      await db.sql`CREATE TABLE joins (id int PRIMARY KEY)`;
      await db.sql`CREATE PUBLICATION joined`;
      await createSlot(database, name, signal);
      const oldest = await db.sql.reserve();
      const writer = await db.sql.reserve();
      try {
        await oldest`BEGIN`;
        await oldest`SELECT pg_current_xact_id()`;
        await writer`BEGIN`;
        await writer`INSERT INTO joins VALUES (1)`;
        await db.sql`ALTER PUBLICATION joined ADD TABLE joins`;
        const said: string[] = [];
        let ended = false;
        const timing = { sayAfterMs: 0, sayAgainMs: 0 };
        const waiting = untilOlderEnded(reads, (message) => said.push(message), signal, timing)
          .then(() => (ended = true));
        const pidOf = async (sql: postgres.Sql) =>
          (await sql`SELECT pg_backend_pid() AS pid`)[0]?.["pid"] as number;
        const [pid, oldestPid] = [await pidOf(writer), await pidOf(oldest)];
        await eventually(
          "who is waited for",
          async () =>
            ended || said.some((message) => message.includes(`pg_terminate_backend(${pid})`)),
        );
        assert.equal(ended, false);
        // One that begins now isn't waited for, and the oldest isn't any longer.
        await db.sql.begin(async (young) => {
          await young`INSERT INTO joins VALUES (2)`;
          await oldest`COMMIT`;
          const count = said.length;
          await eventually("it still waiting", async () => said.length > count + 1);
          assert.ok(!said.at(-1)?.includes(`pg_terminate_backend(${oldestPid})`));
          assert.equal(ended, false);
          await writer`COMMIT`;
          await waiting;
        });
        const seen = await db.sql`SELECT id FROM joins WHERE id = 1`;
        assert.equal(seen.length, 1);
        const sent = await db
          .sql`SELECT data FROM pg_logical_slot_peek_binary_changes(${name}, NULL,
          NULL, 'proto_version', '1', 'publication_names', 'joined')
          WHERE get_byte(data, 0) = ascii('I')`;
        assert.equal(sent.length, 1, "the younger row alone");
        assert.match(said[0] ?? "", new RegExp(`database ${db.name}, user postgres`));
      } finally {
        await Promise.allSettled([oldest`ROLLBACK`, writer`ROLLBACK`]);
        oldest.release();
        writer.release();
      }
      await dropSlot(database, name, signal);
    });

    test("go with their test's database, also while they are read", async () => {
      const name = slotName("left");
      let holder: postgres.Sql;
      {
        await using other = await createDatabase("CREATE PUBLICATION held", major);
        await other.sql`SELECT pg_create_logical_replication_slot(${name}, 'pgoutput')`;
        holder = await hold(other.url, name, "held");
      }
      assert.equal(await readSlot(reads, name, signal), undefined);
      await holder.end({ timeout: 0 });
    });

    test("wait for prepared transactions, and not for those of other databases", async () => {
      await using other = await createDatabase("CREATE TABLE t (id int)", major);
      const gid = `${db.name}'s`;
      const elsewhere = await other.sql.reserve();
      await elsewhere`BEGIN`;
      await elsewhere`INSERT INTO t VALUES (1)`;
      const timing = { sayAfterMs: 0, sayAgainMs: 0 };
      const said: string[] = [];
      const say = (message: string) => said.push(message);
      await untilOlderEnded(reads, say, AbortSignal.timeout(60_000), timing);
      assert.deepEqual(said.filter((message) => message.includes(other.name)), []);
      const quoted = gid.replaceAll("'", "''");
      const preparing = await db.sql.reserve();
      await preparing`BEGIN`;
      await preparing`INSERT INTO t VALUES (7)`;
      await preparing.unsafe(`PREPARE TRANSACTION '${quoted}'`);
      preparing.release();
      try {
        // It has the newest xid of all: no later one has ended.
        let ended = false;
        const waiting = untilOlderEnded(reads, say, signal, timing).then(() => (ended = true));
        const remedy = `COMMIT PREPARED or ROLLBACK PREPARED '${quoted}'`;
        await eventually(
          "who is waited for",
          async () => ended || said.some((message) => message.includes(remedy)),
        );
        assert.equal(ended, false);
        await db.sql.unsafe(`COMMIT PREPARED '${quoted}'`);
        await waiting;
      } catch (error) {
        await db.sql.unsafe(`ROLLBACK PREPARED '${quoted}'`).catch(() => {});
        throw error;
      } finally {
        await elsewhere`ROLLBACK`;
        elsewhere.release();
      }
    });
  });
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
    settings: SLOT_SESSION,
  });
}

/** Reads the slot, and says nothing back. */
async function hold(url: string, slot: string, publication: string): Promise<postgres.Sql> {
  const sql = postgres(url, {
    max: 1,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: "driftless-holder", replication: "database" } as Record<
      string,
      string
    >,
  });
  const stream = await sql.unsafe(
    `START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names '${publication}')`,
  ).readable();
  stream.on("error", () => {});
  stream.resume();
  return sql;
}
