import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import postgres from "postgres";
import { parseMicros } from "../../src/postgres/poll/micros.ts";
import { fence, isVisible, parseSnapshot } from "../../src/postgres/changelog/snapshot.ts";
import {
  type Changelog,
  CHANGELOG_DDL,
  changelogOver,
  isPage,
} from "../support/changelog_tables.ts";
import { eventually } from "../support/eventually.ts";
import { at, type PrivatePostgres, startPostgres } from "../support/postgres.ts";
import { startStandby } from "../support/standby.ts";

for (const major of [18, 15] as const) {
  describe(`the changelog's stream on a server of its own, Postgres ${major}`, () => {
    let server: PrivatePostgres;
    before(async () => {
      server = await startPostgres({
        major,
        settings: {
          autovacuum: "off",
          max_prepared_transactions: "600",
          // What isn't committed stays unflushed: a crash takes it back.
          wal_writer_delay: "10000",
        },
      });
    });
    after(() => server.stop());

    let made = 0;
    async function changelog(): Promise<Changelog> {
      const name = `log_${++made}`;
      const admin = postgres(server.url, { max: 1 });
      await admin.unsafe(`CREATE DATABASE ${name}`);
      await admin.end();
      const readerUrl = at(server.url, { database: name });
      const sql = postgres(readerUrl, { max: 4, onnotice: () => undefined });
      await sql.unsafe(CHANGELOG_DDL).simple();
      const dispose = () => sql.end({ timeout: 1 });
      return await changelogOver({
        name,
        url: readerUrl,
        sql,
        readerUrl,
        readerRole: "postgres",
        [Symbol.asyncDispose]: dispose,
      });
    }

    test("10,000 rows of one transaction in pages of 1,000 go on after a crash where they were", async () => {
      await using log = await changelog();
      let pages = 1;
      const first = await log.run({
        before: async (statement) => {
          if (isPage(statement) && /"seq"\)? > /.test(statement.text) && ++pages === 6) {
            throw new Error("crashed");
          }
        },
      });
      await log.sql`INSERT INTO item SELECT generate_series(1, 10000)`;
      await eventually("the crash", async () => first.failure() !== undefined);
      await first[Symbol.asyncDispose]();
      await using second = await log.run({ stored: first.cursor() });
      await second.caughtUp();
      const all = new Set([...first.delivered, ...second.delivered]);
      equal(all.size, 10_000);
      // The last row of a page waits for the next page's first one.
      equal(first.delivered.length, 4_999);
      equal(second.delivered.length, 6_000);
    });

    test("200 idle polls are 200 statements", async () => {
      await using log = await changelog();
      let polls = 0;
      let others = 0;
      await using run = await log.run({
        before: async ({ text }) => {
          if (text.includes("clock_timestamp()")) polls++;
          else others++;
        },
      });
      await log.sql`INSERT INTO item VALUES (1)`;
      await eventually(
        "the consumer",
        async () => (await log.sql`SELECT FROM driftless.consumers`).length > 0,
      );
      await run.caughtUp();
      const [pollsBefore, othersBefore] = [polls, others];
      await eventually("200 polls", async () => polls >= pollsBefore + 200);
      equal(others, othersBefore);
    });

    test("a prepared transaction's rows arrive when it commits, across polls and a restart", async () => {
      await using log = await changelog();
      const first = await log.run();
      const late = await log.writer();
      await late.sql`INSERT INTO item VALUES (1)`;
      await late.sql`PREPARE TRANSACTION 'p'`;
      await log.sql`INSERT INTO item VALUES (2)`;
      await first.delivers("upsert item:2");
      await log.sql`INSERT INTO item VALUES (3)`;
      await first.caughtUp();
      late.sql.release();
      await server.restart();
      await eventually("the end", async () => first.failure() !== undefined);
      await first[Symbol.asyncDispose]();
      await using second = await log.run({ stored: first.cursor() });
      await log.sql`INSERT INTO item VALUES (4)`;
      await second.delivers("upsert item:4");
      ok(!second.delivered.includes("upsert item:1"));
      await log.sql`COMMIT PREPARED 'p'`;
      await second.delivers("upsert item:1");
    });

    test("500 transactions in progress are listed, and read when they have ended", async () => {
      await using log = await changelog();
      const first = await log.run();
      const writer = await log.sql.reserve();
      for (let id = 1; id <= 500; id++) {
        await writer.unsafe(`BEGIN; INSERT INTO item VALUES (${id});
          PREPARE TRANSACTION 'many_${id}'`).simple();
      }
      await writer`INSERT INTO item VALUES (0)`;
      await first.delivers("upsert item:0");
      const listed = () => parseSnapshot((first.cursor() as { s1: string }).s1).xip.length;
      await eventually("all in the position", async () => listed() === 500);
      await first[Symbol.asyncDispose]();
      for (let id = 1; id <= 500; id++) await writer.unsafe(`COMMIT PREPARED 'many_${id}'`);
      writer.release();
      let sent = 0;
      await using second = await log.run({
        stored: first.cursor(),
        pageSize: 100,
        before: async ({ text, params }) => {
          if (!text.includes("xid8[]")) return;
          const listed = (params ?? []).map((each) => String(each).split(",").length);
          sent = Math.max(sent, ...listed);
        },
      });
      await second.caughtUp();
      equal(sent, 500);
      const wanted = Array.from({ length: 500 }, (_, i) => `upsert item:${i + 1}`);
      deepEqual([...second.delivered].sort(), wanted.sort());
    });

    test("a long transaction in another database holds up a fence, and nobody's rows", async () => {
      await using log = await changelog();
      await using elsewhere = await changelog();
      const holder = await elsewhere.writer();
      await holder.sql`INSERT INTO item VALUES (1)`;
      await using run = await log.run();
      for (let id = 1; id <= 5; id++) {
        await log.sql`INSERT INTO item VALUES (${id})`;
        await run.caughtUp();
        equal(run.delivered.length, id);
      }
      const [row] = await log.sql`SELECT pg_current_snapshot()::text AS s,
        (SELECT min(xid)::text FROM driftless.log) AS x`;
      const snapshot = parseSnapshot(String(row?.["s"]));
      const xid = BigInt(String(row?.["x"]));
      equal(isVisible(xid, snapshot), true);
      equal(isVisible(xid, fence(snapshot)), false);
      await holder.commit();
    });

    test("an xid that a crashed server gives out a second time is not taken for the first", async () => {
      await using log = await changelog();
      let again = false;
      for (let id = 1; !again && id < 15; id += 3) {
        const first = await log.run();
        await eventually(
          "the consumer",
          async () => (await log.sql`SELECT FROM driftless.consumers`).length > 0,
        );
        await log.sql`INSERT INTO item VALUES (${id})`;
        await first.delivers(`upsert item:${id}`);
        await first.caughtUp();
        // Its end is seen, and no WAL of it is flushed, unless the WAL writer woke up just now.
        const late = await log.writer();
        await late.sql`INSERT INTO item VALUES (${id + 1})`;
        const [row] = await late.sql`SELECT pg_current_xact_id()::text AS x`;
        await late.sql`ROLLBACK`;
        late.sql.release();
        await first.caughtUp();
        await first[Symbol.asyncDispose]();
        await server.stop("SIGKILL");
        await server.restart();
        await log.sql`INSERT INTO item VALUES (${id + 2})`;
        const [next] = await log.sql`SELECT xid::text AS x FROM driftless.log
          WHERE k->>0 = ${String(id + 2)}`;
        again = next?.["x"] === row?.["x"];
        await using second = await log.run({ stored: first.cursor() });
        await second.delivers(`upsert item:${id + 2}`);
      }
      ok(again, "the premise: the xid came again");
    });

    test("a cursor goes on a standby behind its fence, and back, and loses nothing", async () => {
      await using log = await changelog();
      const url = (of: { url: string }) => at(of.url, { database: `log_${made}` });
      const first = await log.run();
      const holder = await log.writer();
      await holder.sql`INSERT INTO item VALUES (1)`;
      await log.sql`INSERT INTO item VALUES (2)`;
      await first.delivers("upsert item:2");
      await first.caughtUp();
      await first[Symbol.asyncDispose]();
      const standby = await startStandby(server, { max_prepared_transactions: "600" });
      try {
        await log.sql`INSERT INTO item VALUES (3)`;
        await standby.caughtUp();
        const second = await log.run({ url: url(standby), stored: first.cursor() });
        const [clock] = await log.sql`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS t`;
        await eventually("the warning", async () => second.events.length > 0);
        // The holder's xid is above the fence's reach, so 3 is too; nothing is confirmed meanwhile.
        ok(!second.delivered.includes("upsert item:3"));
        ok((second.stream.confirmed().through ?? 0n) < parseMicros(String(clock?.["t"])));
        await holder.commit();
        await standby.caughtUp();
        await second.caughtUp();
        ok(second.delivered.includes("upsert item:1"));
        ok(second.delivered.includes("upsert item:3"));
        deepEqual(second.events.map((e) => e.type === "warning" ? e.code : e.type), [
          "CHANGELOG_NOT_ACKNOWLEDGED",
        ]);
        await second[Symbol.asyncDispose]();
        await log.sql`INSERT INTO item VALUES (4)`;
        await using third = await log.run({ stored: second.cursor() });
        await third.caughtUp();
        deepEqual(third.delivered, ["upsert item:4"]);
      } finally {
        await standby.stop("SIGQUIT");
      }
    });
  });
}
