import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Statement } from "../../src/postgres/client.ts";
import { MAJORS, MODES, outboxDatabase } from "./outbox_fixture.ts";

for (const major of MAJORS) {
  for (const mode of MODES) {
    const claims = mode === "mark" || mode === "delete";
    describe(`an outbox in mode ${mode} on Postgres ${major}`, () => {
      test("a row written before others and committed after they were read arrives", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using run = await box.run();
        const late = await box.db.sql.reserve();
        await late`BEGIN`;
        await late`INSERT INTO outbox (tbl, key) VALUES ('item', '1')`;
        await box.hint(2);
        await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:2"]);
        await late`COMMIT`;
        late.release();
        await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:2", "upsert item:1"]);
      });

      test("low positions handed out by another session's cache arrive", async () => {
        await using box = await outboxDatabase(mode, { major, cache: 100 });
        await using run = await box.run();
        const first = await box.db.sql.reserve();
        const second = await box.db.sql.reserve();
        const hint = (session: typeof first, id: number) =>
          session`INSERT INTO outbox (tbl, key) VALUES ('item', ${id}) RETURNING id::int AS at`;
        const positions: number[] = [];
        for (const [id, session] of [[1, first], [2, second], [3, first], [4, second]] as const) {
          const [row] = await hint(session, id);
          positions.push(Number(row?.["at"]));
          await run.caughtUp();
        }
        first.release();
        second.release();
        deepEqual(positions, [1, 101, 2, 102]);
        deepEqual(run.delivered, [1, 2, 3, 4].map((id) => `upsert item:${id}`));
      });

      test("a prepared transaction's row arrives, across polls and a restart", async () => {
        await using box = await outboxDatabase(mode, { major });
        let stored;
        const session = await box.db.sql.reserve();
        {
          await using run = await box.run();
          await session`BEGIN`;
          await session`INSERT INTO outbox (tbl, key) VALUES ('item', '1')`;
          await run.caughtUp();
          await session.unsafe(`PREPARE TRANSACTION '${box.db.name}'`);
          await box.hint(2);
          await run.caughtUp();
          stored = run.cursor();
        }
        await using run = await box.run({ stored, seeded: [] });
        await run.caughtUp();
        await session.unsafe(`COMMIT PREPARED '${box.db.name}'`);
        session.release();
        await run.caughtUp();
        deepEqual(run.delivered.filter((each) => each === "upsert item:1"), ["upsert item:1"]);
      });

      test("what a savepoint released arrives, what it rolled back doesn't", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using run = await box.run();
        const session = await box.db.sql.reserve();
        await session.unsafe(
          `BEGIN; SAVEPOINT a; INSERT INTO outbox (tbl, key) VALUES ('item', '1');
          RELEASE a; SAVEPOINT b; INSERT INTO outbox (tbl, key) VALUES ('item', '2');
          ROLLBACK TO b; INSERT INTO outbox (tbl, key) VALUES ('item', '3')`,
        ).simple();
        await box.hint(4);
        await run.caughtUp();
        await session`COMMIT`;
        session.release();
        await run.caughtUp();
        deepEqual(run.delivered, [4, 1, 3].map((id) => `upsert item:${id}`));
      });

      test("nothing that wasn't acknowledged is passed by a restart", async () => {
        await using box = await outboxDatabase(mode, { major });
        let stored;
        {
          await using run = await box.run();
          run.acknowledge = false;
          await box.hint(1, 2);
          await run.delivers("upsert item:2");
          stored = run.cursor();
        }
        await using run = await box.run({ stored, seeded: [] });
        await run.caughtUp();
        deepEqual(new Set(run.delivered), new Set(["upsert item:1", "upsert item:2"]));
        if (claims) deepEqual(await box.waiting(), []);
      });

      test("a crash before any statement loses nothing", async () => {
        await using box = await outboxDatabase(mode, { major });
        // Until the crash comes too late to be seen.
        for (let crashed = true, at = 1; crashed; at++) {
          let left = Infinity;
          crashed = false;
          let stored;
          const before = new Set<string>();
          {
            await using run = await box.run({
              before: (_: Statement) => {
                if (--left >= 0) return Promise.resolve();
                crashed = true;
                return Promise.reject(new Error("crash"));
              },
            });
            await run.caughtUp();
            await box.hint(at * 10, at * 10 + 1);
            left = at;
            await run.caughtUp().catch(() => {});
            for (const each of run.delivered) before.add(each);
            stored = run.cursor();
          }
          await using run = await box.run({ stored, seeded: [] });
          await run.caughtUp();
          for (const id of [at * 10, at * 10 + 1]) {
            const name = `upsert item:${id}`;
            ok(before.has(name) || run.delivered.includes(name), `${name}, crash at ${at}`);
          }
          if (claims) deepEqual(await box.waiting(), []);
          ok(at < 40, "the crash comes too late at some time");
        }
      });

      test("10,000 rows of one transaction pass in pages, a crash in the middle", async () => {
        await using box = await outboxDatabase(mode, { major });
        let stored;
        const found = new Set<string>();
        {
          let pages = 0;
          await using run = await box.run({
            pageSize: 1000,
            after: (_, rows) => {
              if (rows.length === 1000 && ++pages > 14) throw new Error("crash");
              return rows;
            },
          });
          await run.caughtUp();
          await box.db.sql`INSERT INTO outbox (tbl, key)
            SELECT 'item', x::text FROM generate_series(1, 10000) x`;
          await run.caughtUp().catch(() => {});
          ok(run.failure() !== undefined && run.delivered.length > 3000, "it crashed on the way");
          for (const each of run.delivered) found.add(each);
          stored = run.cursor();
        }
        await using run = await box.run({ stored, seeded: [], pageSize: 1000 });
        await run.caughtUp();
        for (const each of run.delivered) found.add(each);
        equal(found.size, 10_000);
        if (claims) deepEqual(await box.waiting(), []);
      });

      test("200 idle polls deliver nothing and confirm the time", async () => {
        await using box = await outboxDatabase(mode, { major });
        let polls = 0;
        await using run = await box.run({
          before: ({ text }) => {
            if (text.includes("pg_postmaster_start_time")) polls++;
            return Promise.resolve();
          },
        });
        await box.hint(1);
        await run.caughtUp();
        for (const until = polls + 200; polls < until;) await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:1"]);
      });
    });
  }
}
