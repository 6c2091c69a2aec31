import { deepEqual, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "../../src/core/json.ts";
import { RetryableError } from "../../src/core/errors.ts";
import { codeOf } from "../../src/postgres/errors.ts";
import type { Statement } from "../../src/postgres/client.ts";
import { isVisible, parseSnapshot } from "../../src/postgres/changelog/snapshot.ts";
import {
  type Changelog,
  CHANGELOG_DDL,
  changelogOver,
  isPage,
} from "../support/changelog_tables.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase } from "../support/postgres.ts";
import type { StreamRun } from "../support/stream_run.ts";

for (const major of [18, 15] as const) {
  describe(`the changelog's stream on Postgres ${major}`, () => {
    test("a row that commits after later ones arrives, and each row once", async () => {
      await using log = await changelog(major);
      await using run = await log.run();
      const late = await log.writer();
      await late.sql`INSERT INTO item VALUES (1)`;
      await log.sql`INSERT INTO item VALUES (2)`;
      await run.delivers("upsert item:2");
      await late.sql`INSERT INTO item VALUES (3)`;
      await late.commit();
      await run.delivers("upsert item:3");
      await log.sql`INSERT INTO item VALUES (4)`;
      await run.caughtUp();
      deepEqual(run.delivered, [
        "upsert item:2",
        "upsert item:1",
        "upsert item:3",
        "upsert item:4",
      ]);
    });

    test("while a writer holds its xid others' rows arrive and nothing is read twice", async () => {
      let fetched = 0;
      await using log = await changelog(major);
      await using run = await log.run({
        after: (statement, rows) => {
          if (isPage(statement)) fetched += rows.length;
          return rows;
        },
      });
      const late = await log.writer();
      await late.sql`INSERT INTO item VALUES (0)`;
      for (let id = 1; id <= 100; id++) {
        await log.sql`INSERT INTO item VALUES (${id})`;
        await run.caughtUp();
        equal(run.delivered[run.delivered.length - 1], `upsert item:${id}`);
      }
      await late.commit();
      await run.caughtUp();
      equal(run.delivered.length, 101);
      equal(fetched, 101);
    });

    test("a commit between the snapshot and a leg arrives with the next batch, once", async () => {
      await using log = await changelog(major);
      const late = await log.writer();
      const later = await log.writer();
      await late.sql`INSERT INTO item VALUES (1)`;
      let pages = 0;
      await using run = await log.run({
        before: async (statement) => {
          if (!isPage(statement) || pages++ > 0) return;
          await late.commit();
          await later.commit();
        },
      });
      // In progress in S1, and begun after it: one for each leg; 3 makes a batch begin.
      await later.sql`INSERT INTO item VALUES (2)`;
      await log.sql`INSERT INTO item VALUES (3)`;
      await run.delivers("upsert item:1");
      await run.delivers("upsert item:2");
      await run.caughtUp();
      deepEqual([...run.delivered].sort(), ["upsert item:1", "upsert item:2", "upsert item:3"]);
    });

    test("a crash before or after any page of either leg loses nothing and repeats few", async () => {
      for (let at = 1; at <= 6; at++) {
        for (const when of ["before", "after"] as const) {
          await using log = await changelog(major);
          const first = await log.run({ pageSize: 2 });
          const late = await log.writer();
          await late.sql`INSERT INTO item SELECT generate_series(1, 5)`;
          await log.sql`INSERT INTO item VALUES (0)`;
          await first.delivers("upsert item:0");
          const [own] = await late.sql`SELECT pg_current_xact_id()::text AS x`;
          await eventually(
            "it to be kept as in progress",
            async () =>
              snapshotOf(first.cursor()).split(/[:,]/).slice(2).includes(String(own?.["x"])),
          );
          await first[Symbol.asyncDispose]();
          await late.commit();
          await log.sql`INSERT INTO item SELECT generate_series(11, 15)`;

          let pages = 0;
          const crash = (statement: Statement) => {
            if (isPage(statement) && ++pages === at) throw new Error("crashed");
          };
          const second = await log.run({
            pageSize: 2,
            stored: first.cursor(),
            ...(when === "before" ? { before: async (s) => crash(s) } : {
              after: (s, rows) => {
                crash(s);
                return rows;
              },
            }),
          });
          // Leg 1 has three pages, leg 2 as many.
          await eventually("the crash", async () => second.failure() !== undefined);
          await second[Symbol.asyncDispose]();

          await using third = await log.run({ pageSize: 2, stored: second.cursor() });
          await third.caughtUp();
          const all = [...second.delivered, ...third.delivered];
          const wanted = [1, 2, 3, 4, 5, 11, 12, 13, 14, 15].map((id) => `upsert item:${id}`);
          // The kept position trails until its WAL is flushed: what came just before may come again.
          const found = [...new Set(all)].filter((each) => each !== "upsert item:0");
          deepEqual(found.sort(), wanted.sort(), `crash ${when} page ${at}`);
        }
      }
    });

    test("what was delivered and not acknowledged is delivered again after a crash", async () => {
      await using log = await changelog(major);
      const first = await log.run();
      first.acknowledge = false;
      await log.sql`INSERT INTO item SELECT generate_series(1, 3)`;
      await first.delivers("upsert item:3");
      await log.sql`INSERT INTO item VALUES (4)`;
      await first.delivers("upsert item:4");
      const stored = first.cursor();
      await first[Symbol.asyncDispose]();
      deepEqual(first.cursor(), stored);
      await using second = await log.run({ stored });
      await second.caughtUp();
      deepEqual(second.delivered, [1, 2, 3, 4].map((id) => `upsert item:${id}`));
    });

    test("pages acknowledged out of order move the position over none that isn't", async () => {
      await using log = await changelog(major);
      const held: (() => void)[] = [];
      let polls = 0;
      await using run = await log.run({
        pageSize: 1,
        before: async ({ text }) => {
          if (text.includes("clock_timestamp()")) polls++;
        },
      }, held);
      const later = async () => {
        const from = polls;
        await eventually("some polls", async () => polls > from + 5);
      };
      await log.sql`INSERT INTO item SELECT generate_series(1, 4)`;
      const [row] = await log.sql`SELECT max(xid::text)::text AS x FROM driftless.log`;
      await run.delivers("upsert item:4");
      held[1]?.();
      held[3]?.();
      await later();
      const passed = parseSnapshot(snapshotOf(run.cursor()));
      equal(isVisible(BigInt(String(row?.["x"])), passed), false);
      equal(seqOf(run), undefined, "none of it is passed");
      held[0]?.();
      await eventually("the position behind the second page", async () => seqOf(run) === "2");
      held[2]?.();
      await eventually("the whole batch", async () => !("s2" in (run.cursor() as object)));
    });

    test("rows of released savepoints arrive, of rolled back ones don't", async () => {
      await using log = await changelog(major);
      await using run = await log.run();
      const late = await log.writer();
      await late.sql`INSERT INTO item VALUES (1)`;
      await late.sql`SAVEPOINT a`;
      await late.sql`INSERT INTO item VALUES (2)`;
      await late.sql`SAVEPOINT b`;
      await late.sql`INSERT INTO item VALUES (3)`;
      await late.sql`ROLLBACK TO SAVEPOINT b`;
      await late.sql`RELEASE SAVEPOINT a`;
      await late.sql`SAVEPOINT c`;
      await late.sql`INSERT INTO item VALUES (4)`;
      await log.sql`INSERT INTO item VALUES (5)`;
      await run.delivers("upsert item:5");
      await late.commit();
      await run.caughtUp();
      deepEqual(run.delivered, [5, 1, 2, 4].map((id) => `upsert item:${id}`));
    });

    test("inserts, updates, deletes and changed keys say what the log says", async () => {
      await using log = await changelog(major);
      await using run = await log.run();
      await log.sql`INSERT INTO item VALUES (1, 'a'), (2, NULL)`;
      await log.sql`UPDATE item SET parent = 'b' WHERE id = 1`;
      await log.sql`DELETE FROM item WHERE id = 1`;
      await run.caughtUp();
      const table = { schema: "public", name: "item" };
      const said = [
        { table, op: "upsert", key: ["1"], after: { parent: "a" } },
        { table, op: "upsert", key: ["2"], after: { parent: null } },
        { table, op: "upsert", key: ["1"], before: { parent: "a" }, after: { parent: "b" } },
        { table, op: "delete", key: ["1"], before: { parent: "b" } },
      ];
      deepEqual(run.changes, said.map((each) => ({ ...each, sawBefore: true })));
    });

    test("rows of a table that isn't followed are passed over", async () => {
      await using log = await changelog(major);
      await using run = await log.run({ pageSize: 3 });
      await log.sql`INSERT INTO foreign_one SELECT generate_series(1, 20)`;
      await log.sql`INSERT INTO extra VALUES (1)`;
      await log.sql`TRUNCATE foreign_one`;
      await run.caughtUp();
      deepEqual(run.delivered, ["upsert extra:1"]);
    });

    test("the last change that was found at one time says that nothing is right behind it", async () => {
      await using log = await changelog(major);
      const drained: string[] = [];
      await using run = await log.run({ pageSize: 5 }, undefined, drained);
      // Two full pages, and a third that is empty.
      await log.sql`INSERT INTO item SELECT generate_series(1, 10)`;
      await run.caughtUp();
      deepEqual(drained, ["item:10"]);
    });

    test("a truncate while nobody looked is a gap of that table alone, and live goes past it", async () => {
      await using log = await changelog(major);
      const first = await log.run();
      await log.sql`INSERT INTO item VALUES (1)`;
      await first.caughtUp();
      await kept(log, first);
      await first[Symbol.asyncDispose]();
      const late = await log.writer();
      await late.sql`INSERT INTO extra VALUES (7)`;
      await log.sql`TRUNCATE item`;
      await log.sql`INSERT INTO item VALUES (2)`;
      const stored = first.cursor();

      // Ended before live has read anything (the first clock is prepare's): it is said again.
      let clocks = 0;
      const second = await log.run({
        stored,
        before: async ({ text }) => {
          if (text.includes("clock_timestamp()") && ++clocks > 1) throw new Error("crashed");
        },
      });
      deepEqual([...second.prepared.gaps.keys()], ["public.item"]);
      deepEqual(second.cursor(), stored);
      await second[Symbol.asyncDispose]();
      await using third = await log.run({ stored: second.cursor() });
      deepEqual([...third.prepared.gaps.entries()], [["public.item", "it was truncated"]]);
      await late.commit();
      await third.delivers("upsert extra:7");
      await third.caughtUp();
      deepEqual([...third.delivered].sort(), ["upsert extra:7", "upsert item:2"]);
      await kept(log, third);
      await third[Symbol.asyncDispose]();
      await using fourth = await log.run({ stored: third.cursor() });
      deepEqual([...fourth.prepared.gaps], [], "it is behind the position");
    });

    test("a truncate that live meets ends the run, and the next start says it", async () => {
      await using log = await changelog(major);
      const late = await log.writer();
      await late.sql`TRUNCATE extra`;
      const first = await log.run();
      await log.sql`INSERT INTO item VALUES (1)`;
      await first.delivers("upsert item:1");
      await late.sql`INSERT INTO extra VALUES (1)`;
      await late.commit();
      await eventually("the end", async () => first.failure() !== undefined);
      equal(codeOf(first.failure()), "TABLE_TRUNCATED");
      await first[Symbol.asyncDispose]();
      await using second = await log.run({ stored: first.cursor() });
      deepEqual([...second.prepared.gaps.keys()], ["public.extra"]);
      await second.caughtUp();
      deepEqual(second.delivered, ["upsert extra:1"]);
    });

    test("a truncate that a crashed run has passed within a batch isn't a gap again", async () => {
      await using log = await changelog(major);
      const first = await log.run();
      await first.caughtUp();
      await first[Symbol.asyncDispose]();
      const late = await log.writer();
      await late.sql`TRUNCATE extra`;
      await late.sql`INSERT INTO item SELECT generate_series(1, 60)`;
      await late.commit();
      let place = (): string | undefined => undefined;
      const second = await log.run({
        pageSize: 1,
        stored: first.cursor(),
        before: async (statement) => {
          if (isPage(statement) && place() !== undefined) throw new Error("crashed");
        },
      });
      place = () => seqOf(second);
      deepEqual([...second.prepared.gaps.keys()], ["public.extra"]);
      await eventually("the crash", async () => second.failure() !== undefined);
      await second[Symbol.asyncDispose]();
      ok("s2" in (second.cursor() as object), "it is in the middle");
      await using third = await log.run({ stored: second.cursor() });
      deepEqual([...third.prepared.gaps], []);
      await third.caughtUp();
      equal(new Set([...second.delivered, ...third.delivered]).size, 60);
    });

    test("rows trimmed before they were read make every table a gap", async () => {
      await using log = await changelog(major);
      const first = await log.run();
      await first.caughtUp();
      await first[Symbol.asyncDispose]();
      await log.sql`INSERT INTO item VALUES (1)`;
      await log.trim();
      await using second = await log.run({ stored: first.cursor() });
      deepEqual([...second.prepared.gaps.keys()].sort(), ["public.extra", "public.item"]);
      match([...second.prepared.gaps.values()][0] ?? "", /trimmed/);
      await log.sql`INSERT INTO item VALUES (2)`;
      await second.caughtUp();
      deepEqual(second.delivered, ["upsert item:2"]);
    });

    test("what was trimmed and had been read is no gap", async () => {
      await using log = await changelog(major);
      const first = await log.run();
      await log.sql`INSERT INTO item VALUES (1)`;
      await first.caughtUp();
      await kept(log, first);
      await log.trim(snapshotOf(first.cursor()));
      await log.sql`INSERT INTO item VALUES (2)`;
      await first.caughtUp();
      await first[Symbol.asyncDispose]();
      await using second = await log.run({ stored: first.cursor() });
      deepEqual([...second.prepared.gaps], []);
      deepEqual(first.delivered, ["upsert item:1", "upsert item:2"]);
    });

    test("rows trimmed by another of the same name while running end the run", async () => {
      await using log = await changelog(major);
      let trimmed = false;
      await using run = await log.run({
        before: async (statement) => {
          // Between the snapshot and the page: the page is empty, and that must not count.
          if (!isPage(statement) || trimmed) return;
          trimmed = true;
          await log.trim();
        },
      });
      const [row] = await log.sql`INSERT INTO item VALUES (1)
        RETURNING pg_current_xact_id()::text AS x`;
      await eventually("the end", async () => run.failure() !== undefined);
      equal(codeOf(run.failure()), "CHANGELOG_TRIMMED");
      equal(isVisible(BigInt(String(row?.["x"])), parseSnapshot(snapshotOf(run.cursor()))), false);
    });

    test("a log that came with a dump from a server with higher xids is refused", async () => {
      await using log = await changelog(major);
      await log.sql`UPDATE driftless.trimmed SET xid = '9000000000000'`;
      const failed = await log.run().then(() => undefined, (error) => error);
      equal(codeOf(failed), "CHANGELOG_FOREIGN");
    });

    test("the consumer is registered before anything has changed, and moves on", async () => {
      await using log = await changelog(major);
      await using _run = await log.run();
      const [row] = await eventually("the consumer", async () => {
        const rows = await log.sql`SELECT name, snapshot FROM driftless.consumers`;
        return rows.length > 0 && rows;
      });
      equal(row?.["name"], "me");
      match(String(row?.["snapshot"]), /^\d+:\d+:/);
    });

    test("without EXECUTE it is said once that the log grows, and changes arrive", async () => {
      await using log = await changelog(major);
      await log.sql.unsafe(
        `REVOKE EXECUTE ON FUNCTION driftless.acknowledge FROM ${log.readerRole}`,
      );
      await using run = await log.run();
      await log.sql`INSERT INTO item VALUES (1)`;
      await run.caughtUp();
      await eventually("the warning", async () => run.events.length > 0);
      deepEqual(run.events.map((e) => e.type === "warning" ? e.code : e.type), [
        "CHANGELOG_NOT_ACKNOWLEDGED",
      ]);
    });

    test("a connection that was lost in between ends the run: the server may have forgotten xids", async () => {
      await using log = await changelog(major);
      let stop = false;
      let resume: (() => void) | undefined;
      await using run = await log.run({
        before: async ({ text }) => {
          if (!stop || !text.includes("clock_timestamp()")) return;
          await new Promise<void>((resolve) => resume = resolve);
        },
      });
      await run.caughtUp();
      stop = true;
      await eventually("the pause", async () => resume !== undefined);
      const ours = "application_name LIKE 'driftless/%' AND datname = current_database()";
      await log.sql.unsafe(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ours}`);
      await eventually(
        "their end",
        async () =>
          (await log.sql.unsafe(`SELECT FROM pg_stat_activity WHERE ${ours}`)).length === 0,
      );
      stop = false;
      resume?.();
      await eventually("the end", async () => run.failure() !== undefined);
      // Or what the socket said, when that came first.
      ok(run.failure() instanceof RetryableError, codeOf(run.failure()));
    });

    test("a log that can't be read any more is a reason to plan again", async () => {
      await using log = await changelog(major);
      await using run = await log.run();
      await log.sql.unsafe(`REVOKE SELECT ON driftless.log FROM ${log.readerRole}`);
      await log.sql`INSERT INTO item VALUES (1)`;
      await eventually("the end", async () => run.failure() !== undefined);
      equal(codeOf(run.failure()), "SCHEMA_CHANGED");
    });

    test("every page is read by an index condition, without a sort", async () => {
      await using log = await changelog(major);
      const statements: Statement[] = [];
      const late = await log.writer();
      await late.sql`INSERT INTO item SELECT generate_series(1, 3)`;
      await using run = await log.run({
        pageSize: 2,
        before: async (statement) => {
          if (isPage(statement)) statements.push(statement);
        },
      });
      await log.sql`INSERT INTO item SELECT generate_series(11, 13)`;
      await run.caughtUp();
      await late.commit();
      await log.sql`INSERT INTO item SELECT generate_series(21, 23)`;
      await run.caughtUp();
      ok(statements.some(({ text }) => text.includes("::xid8[]")));
      ok(statements.some(({ text }) => text.includes("pg_visible_in_snapshot")));
      const session = await log.sql.reserve();
      try {
        for (const off of ["seqscan", "bitmapscan", "sort"]) {
          await session.unsafe(`SET enable_${off} = off`);
        }
        for (const { text, params } of statements) {
          const plan = (await session.unsafe(`EXPLAIN ${text}`, [...params ?? []]))
            .map((row) => String(row["QUERY PLAN"])).join("\n");
          match(plan, /Index Cond: .*xid/, text);
          ok(!plan.includes("Sort"), `${text}\n${plan}`);
        }
      } finally {
        session.release();
      }
    });
  });
}

async function changelog(major: 18 | 15): Promise<Changelog> {
  return await changelogOver(await createDatabase(CHANGELOG_DDL, major));
}

function snapshotOf(cursor: Json): string {
  return (cursor as { readonly s1: string }).s1;
}

/** The place in the batch that is read: counted from the log's first row. */
function seqOf(run: StreamRun): string | undefined {
  return (run.cursor() as { readonly after?: readonly string[] }).after?.[1];
}

/** Resolves when the stored position is behind all that is committed in the log: its WAL is flushed. */
async function kept(log: Changelog, run: StreamRun): Promise<void> {
  const rows = await log.sql`SELECT DISTINCT xid::text AS x FROM driftless.log`;
  await eventually("the position to be kept", async () => {
    const passed = parseSnapshot(snapshotOf(run.cursor()));
    return rows.every((row) => isVisible(BigInt(String(row["x"])), passed));
  });
}
