import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Statement } from "../../src/postgres/client.ts";
import { eventually } from "../support/eventually.ts";
import { outboxDatabase } from "./outbox_fixture.ts";

const DEALS = /^WITH mine/;

for (const major of [18, 15] as const) {
  for (const mode of ["mark", "delete"] as const) {
    describe(`claiming by ${mode} on Postgres ${major}`, () => {
      test("a row is dealt with when it is acknowledged, not before", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using run = await box.run();
        run.acknowledge = false;
        await box.hint(1);
        await run.delivers("upsert item:1");
        deepEqual(await box.waiting(), [1]);
        run.acknowledge = true;
        await run.caughtUp();
        deepEqual(await box.waiting(), []);
      });

      test("a crash between the acknowledgement and the mark delivers again", async () => {
        await using box = await outboxDatabase(mode, { major });
        let stored;
        {
          await using run = await box.run({
            before: ({ text }: Statement) =>
              DEALS.test(text) ? Promise.reject(new Error("crash")) : Promise.resolve(),
          });
          await box.hint(1);
          await run.caughtUp().catch(() => {});
          ok(run.failure());
          stored = run.cursor();
        }
        deepEqual(await box.waiting(), [1]);
        await using run = await box.run({ stored });
        await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:1"]);
        deepEqual(await box.waiting(), []);
      });

      test("a row that was set anew after it was read waits on, and is delivered again", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using run = await box.run();
        run.acknowledge = false;
        await box.hint(1);
        await run.delivers("upsert item:1");
        // The document may have been built before this change.
        await box.db.sql`UPDATE outbox SET created_at = now()`;
        run.acknowledge = true;
        await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:1", "upsert item:1"]);
        deepEqual(await box.waiting(), []);
      });

      test("a row being set anew while it is dealt with waits on, and is delivered again", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using run = await box.run();
        const other = await box.db.sql.reserve();
        run.acknowledge = false;
        await box.hint(1, 2);
        await run.delivers("upsert item:2");
        await other`BEGIN`;
        await other`UPDATE outbox SET created_at = now() WHERE id = 1`;
        run.acknowledge = true;
        if (mode === "mark") {
          await eventually("the other row to be marked", async () => {
            return (await box.waiting()).join() === "1";
          });
        } else {
          // Without the right to lock rows it waits for the other transaction.
          await eventually("the delete to wait", async () => {
            const [row] = await box.db.sql`SELECT count(*)::int AS n FROM pg_stat_activity
              WHERE datname = current_database() AND wait_event_type = 'Lock'`;
            return row?.["n"] === 1;
          });
        }
        const before = run.delivered.length;
        equal(before, 2, "it isn't delivered again while it can't be dealt with");
        await other`COMMIT`;
        other.release();
        await run.caughtUp();
        ok(run.delivered.slice(before).includes("upsert item:1"));
        ok(!run.delivered.slice(before).includes("upsert item:2"));
        await eventually("all to be dealt with", async () => (await box.waiting()).length === 0);
      });

      test("a row that somebody holds locked is delivered once and dealt with later", async () => {
        await using box = await outboxDatabase(mode, { major });
        if (mode === "delete") {
          await box.db.sql.unsafe(`GRANT UPDATE (processed_at) ON outbox TO ${box.db.readerRole}`);
        }
        await using run = await box.run();
        const other = await box.db.sql.reserve();
        run.acknowledge = false;
        await box.hint(1, 2);
        await run.delivers("upsert item:2");
        await other`BEGIN`;
        await other`SELECT FROM outbox WHERE id = 1 FOR UPDATE`;
        run.acknowledge = true;
        await run.caughtUp();
        await box.hint(3);
        await run.caughtUp();
        deepEqual(await box.waiting(), [1]);
        await other`ROLLBACK`;
        other.release();
        await eventually("it to be dealt with", async () => (await box.waiting()).length === 0);
        deepEqual(run.delivered, ["upsert item:1", "upsert item:2", "upsert item:3"]);
      });

      test("two processes that claim lose nothing", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using first = await box.run({ pageSize: 7 });
        await using second = await box.run({ pageSize: 11 });
        for (let batch = 0; batch < 30; batch++) {
          await box.hint(...Array.from({ length: 20 }, (_, i) => batch * 20 + i));
        }
        await first.caughtUp();
        await second.caughtUp();
        deepEqual(await box.waiting(), []);
        equal(new Set([...first.delivered, ...second.delivered]).size, 600);
        equal(first.failure() ?? second.failure(), undefined);
      });

      test("a poll ends however fast rows are added", async () => {
        await using box = await outboxDatabase(mode, { major });
        let added = 0;
        await using run = await box.run({
          pageSize: 2,
          before: async ({ text }: Statement) => {
            // Two more in front of each reading: every page is full.
            if (/AS k\nFROM/.test(text) && added < 400) await box.hint(++added, ++added);
          },
        });
        await run.caughtUp();
        ok(added < 400, `it ended after ${added} rows`);
      });

      test("a large backlog is read page by page", async () => {
        await using box = await outboxDatabase(mode, { major });
        await box.db.sql`INSERT INTO outbox (tbl, key)
          SELECT 'item', x::text FROM generate_series(1, 3000) x`;
        await using run = await box.run({ pageSize: 100 });
        run.acknowledge = false;
        await run.delivers("upsert item:100");
        equal(run.delivered.length, 100);
        run.acknowledge = true;
        await run.caughtUp();
        equal(run.delivered.length, 3000);
      });

      test("no reading sorts or reads the table when the index is there", async () => {
        await using box = await outboxDatabase(mode, { major });
        const plans: string[] = [];
        const sent = new Set<string>();
        await using run = await box.run({
          pageSize: 2,
          before: async ({ text, params }: Statement) => {
            if (!/ LIMIT \d+$/.test(text) || sent.has(text)) return;
            sent.add(text);
            const session = await box.db.sql.reserve();
            await session`SELECT set_config('enable_seqscan', 'off', false),
              set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false)`;
            const rows = await session.unsafe(`EXPLAIN ${text}`, [...params ?? []]);
            plans.push(rows.map((row) => String(row["QUERY PLAN"])).join("\n"));
            await session`RESET ALL`;
            session.release();
          },
        });
        await box.hint(1, 2, 3, 4, 5);
        await run.caughtUp();
        ok(plans.length >= 3, "first page, highest position, next page");
        for (const plan of plans) ok(/Index/.test(plan) && !/Sort|Seq Scan/.test(plan), plan);
        ok(plans.some((plan) => /Index Cond: .*id > .*id <= /.test(plan)), plans.join("\n"));
      });

      test("behind a pooler's settings it claims too", async () => {
        await using box = await outboxDatabase(mode, { major });
        await using run = await box.run({ pooler: "transaction" });
        await box.hint(1);
        await run.caughtUp();
        deepEqual([run.delivered, await box.waiting()], [["upsert item:1"], []]);
      });
    });
  }
}
