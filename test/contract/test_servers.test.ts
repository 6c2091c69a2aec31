import assert from "node:assert/strict";
import { describe, test } from "node:test";
import postgres from "postgres";
import { openDatabase } from "../../src/postgres/client.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { at, createDatabase, startPostgres } from "../support/postgres.ts";
import { startStandby } from "../support/standby.ts";

describe("the test PgBouncer", () => {
  test("hands one server session from client to client between transactions", async () => {
    await using db = await createDatabase("create table a (id int); insert into a values (7)");
    await using bouncer = await startPgBouncer(db.url, { poolSize: 1 });
    const [first, second] = [connect(bouncer.url), connect(bouncer.url)];
    try {
      const rows = await Promise.all(
        [first, second].map(({ sql }) => sql`select pg_backend_pid() as pid from pg_sleep(0.01)`),
      );
      assert.equal(new Set(rows.map(([row]) => row?.["pid"])).size, 1);
      // What one client set, another finds: sessions aren't reset in transaction mode.
      await first.sql`set work_mem = '3MB'`;
      assert.deepEqual([...await second.sql`show work_mem`], [{ work_mem: "3MB" }]);
    } finally {
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
    }
  });

  test("lets any role in, and driftless sees that it is there", async () => {
    await using db = await createDatabase("create table a (id int); insert into a values (7)");
    await using bouncer = await startPgBouncer(db.url);
    const url = new URL(db.readerUrl);
    url.port = String(bouncer.port);
    await using database = openDatabase({
      url: url.href,
      pooler: "transaction",
      rowSecurity: "refuse",
      maxConnections: 2,
      applicationName: "driftless/test",
      statementTimeoutMs: 10_000,
    });
    const signal = new AbortController().signal;
    const rows = await database.query({ text: "select id, current_user from a" }, signal);
    assert.deepEqual(rows.map((row) => [...row]), [["7", db.readerRole]]);
    assert.equal(await database.behindPooler(signal), true);
  });

  test("ends when it is told to", async () => {
    await using db = await createDatabase();
    const bouncer = await startPgBouncer(db.url);
    await bouncer.stop();
    await using late = connect(bouncer.url);
    await assert.rejects(late.sql`select 1`, { code: "ECONNREFUSED" });
  });
});

for (const major of [18, 15] as const) {
  describe(`the test standby of Postgres ${major}`, () => {
    test("follows while its primary is written to, and refuses writes", async () => {
      const primary = await startPostgres({ major });
      await using source = connect(primary.url);
      await source.sql`create table a (id int primary key)`;
      await source.sql`insert into a select generate_series(1, 1000)`;
      // Rows go on changing while the folder is copied.
      let next = 1001;
      let copying = true;
      const writing = (async () => {
        while (copying) await source.sql`insert into a values (${next++})`;
      })();
      const standby = await startStandby(primary);
      copying = false;
      await writing;
      await standby.caughtUp();

      await using replica = connect(standby.url);
      const count = async () => Number((await replica.sql`select count(*) as n from a`)[0]?.["n"]);
      assert.equal(await count(), next - 1);
      const [state] = await replica.sql`select pg_is_in_recovery() as recovering`;
      assert.equal(state?.["recovering"], true);
      await assert.rejects(replica.sql`insert into a values (0)`, { code: "25006" });

      await source.sql`insert into a values (${next++})`;
      await standby.caughtUp();
      assert.equal(await count(), next - 1);

      await standby.stop();
      await source.sql`insert into a values (${next++})`;
      await source.sql`checkpoint`;
      await standby.restart();
      await standby.caughtUp();
      await using again = connect(standby.url);
      const [row] = await again.sql`select count(*)::int as n from a`;
      assert.equal(row?.["n"], next - 1);
      await standby.stop();
      await primary.stop();
    });

    test("becomes a primary on a new timeline of the same system when it is promoted", async () => {
      const primary = await startPostgres({ major });
      const standby = await startStandby(primary);
      const identity = (url: string) =>
        one(
          url,
          `select (select system_identifier from pg_control_system()) || '/' ||
            (select timeline_id from pg_control_checkpoint()) as one`,
        );
      const before = await identity(primary.url);
      await primary.stop("SIGQUIT");
      await standby.promote();
      await using promoted = connect(standby.url);
      await promoted.sql`create table b (id int)`;
      await promoted.sql`checkpoint`;
      const [system, timeline] = before.split("/");
      assert.equal(await identity(standby.url), `${system}/${Number(timeline) + 1}`);
      await standby.stop();
    });
  });
}

async function one(url: string, query: string): Promise<string> {
  await using client = connect(url);
  const [row] = await client.sql.unsafe(query);
  return String(row?.["one"]);
}

function connect(url: string): AsyncDisposable & { sql: postgres.Sql } {
  const sql = postgres(at(url, {}), { max: 1, prepare: false, onnotice: () => undefined });
  return { sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) };
}
