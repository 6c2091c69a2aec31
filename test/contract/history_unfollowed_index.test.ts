import { deepEqual, equal, match } from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { confirm } from "../../src/app.ts";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import type { IndexPlan } from "../../src/core/plan.ts";
import { awaitBarrier } from "../../src/engine/barrier.ts";
import { appConfig, runApp, syncApp } from "../support/app_run.ts";
import { inFolder } from "../support/in_folder.ts";
import { addPeople, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { scriptedSink } from "../support/scripted_sink.ts";

const { signal } = new AbortController();
const EMAILS = { table: "users", fields: { email: "keyword" } };
const NAMES = { table: "users", fields: { name: "keyword" } };

describe("wait", () => {
  const once = { timeoutMs: 1000, visible: false };

  test(
    "doesn't confirm an index that nobody follows any more",
    inFolder(async (folder) => {
      await using db = await createDatabase(PEOPLE_DDL);
      await addPeople(db.sql, 1, 3);
      const both = await appConfig(folder, {
        url: db.readerUrl,
        indexes: { emails: EMAILS, names: NAMES },
      });
      const fewer = await appConfig(folder, { url: db.readerUrl, indexes: { names: NAMES } });
      await syncApp(both);
      await using run = runApp(fewer);
      await run.caughtUp;
      await db.sql`UPDATE users SET email = 'new@x.io' WHERE id = 1`;
      await pause(100);
      deepEqual((await confirm(fewer, { ...once, timeoutMs: 60_000 }, signal)).behind, []);
      deepEqual((await confirm(both, once, signal)).behind, [
        'index "emails" in sink "db" is not followed',
      ]);
    }),
  );

  test(
    "doesn't confirm an index that can't be served, and doesn't wait for it",
    inFolder(async (folder) => {
      await using db = await createDatabase(PEOPLE_DDL);
      await addPeople(db.sql, 1, 3);
      const broken = { table: "nowhere", key: ["id"], fields: { id: "long" } };
      const config = await appConfig(folder, {
        url: db.readerUrl,
        indexes: { names: NAMES, broken },
      });
      await using run = runApp(config);
      await run.caughtUp;
      const found = await confirm(config, { ...once, timeoutMs: 600_000 }, signal);
      deepEqual([found.behind, found.broken], [[
        'index "broken" can\'t be served: `driftless check` says why',
      ], true]);
    }),
  );
});

describe("the barrier of wait", () => {
  const SOURCE = { systemId: "1", timeline: 1, database: "shop" };
  const PLAN: IndexPlan = {
    name: "names",
    root: { schema: "public", name: "users" },
    key: ["id"],
    tables: [],
    fields: [],
    settings: {},
    analysis: {},
    mappings: {},
    hash: "12345678",
    fingerprint: "1234567812345678",
    refs: [],
    onRejected: "stop",
  };
  const COVERED = { seed: "first", hash: PLAN.hash, fingerprint: PLAN.fingerprint };

  /** The lines about a sink filled by seed "first", whose checkpoint is past the target. */
  async function linesFor(checkpoint: Partial<Checkpoint>): Promise<readonly string[]> {
    const sink = scriptedSink("search");
    await sink.ensure(PLAN, "first", signal);
    await sink.markSeeded("names", signal);
    await sink.saveCheckpoint({
      identity: SOURCE,
      epoch: { number: 0, timeline: 1, kind: "flush" },
      sequence: 1,
      cursor: "",
      confirmedThrough: "2026-01-01T00:00:02.000000Z",
      coverage: { names: COVERED },
      ...checkpoint,
    }, signal);
    const target = "2026-01-01T00:00:01.000000Z";
    const plans = [PLAN];
    return await awaitBarrier(
      { source: SOURCE, indexes: plans, plans, sinks: [sink], target, timeoutMs: 1 },
      signal,
    );
  }

  test("says of an index that can't be served that alone, not where the sinks are", async () => {
    const sink = scriptedSink("search");
    const indexes = [{ name: "left out" }];
    const target = "2026-01-01T00:00:01.000000Z";
    const lines = await awaitBarrier(
      { source: SOURCE, indexes, plans: [], sinks: [sink], target, timeoutMs: 600_000 },
      signal,
    );
    deepEqual(lines, ['index "left out" can\'t be served: `driftless check` says why']);
    deepEqual(sink.calls, []);
  });

  test("is passed when source, plan and filling are what the checkpoint says", async () => {
    deepEqual(await linesFor({}), []);
  });

  for (
    const [what, covered] of Object.entries({
      "another filling": { ...COVERED, seed: "second" },
      "another description": { ...COVERED, hash: "87654321" },
      "other catalog facts": { ...COVERED, fingerprint: "8765432187654321" },
    })
  ) {
    test(`isn't passed by a checkpoint that covers ${what}`, async () => {
      deepEqual(await linesFor({ coverage: { names: covered } }), [
        'index "names" in sink "search" is not followed',
      ]);
    });
  }

  for (
    const [what, identity] of Object.entries({
      "another server": { ...SOURCE, systemId: "2" },
      "another database": { ...SOURCE, database: "staging" },
      "a server that was promoted since": { ...SOURCE, timeline: 2 },
    })
  ) {
    test(`isn't passed by a checkpoint of ${what}`, async () => {
      const lines = await linesFor({ identity });
      equal(lines.length, 1);
      match(
        lines[0] ?? "",
        /^sink "search" is at database ".*, not at database "shop" of server 1/,
      );
    });
  }
});
