import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { RetryableError } from "../../src/core/errors.ts";
import type { Sink } from "../../src/core/ports.ts";
import { supervise } from "../../src/engine/supervise.ts";
import { startEngine, within } from "../support/engine_run.ts";
import { addPeople, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { hold, scriptedSink } from "../support/scripted_sink.ts";

describe("the end of a run", () => {
  test("leaves no write under way when the plans no longer fit", async () => {
    await using db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, 3);
    const scripted = scriptedSink("s");
    let underWay = 0;
    // Takes its time to give up, as a request to a server does.
    const sink: Sink = {
      ...scripted,
      async write(documents, mode, signal) {
        underWay++;
        try {
          return await scripted.write(documents, mode, signal);
        } catch (error) {
          await pause(1000);
          throw error;
        } finally {
          underWay--;
        }
      },
    };
    await using run = startEngine({ url: db.readerUrl, sinks: [sink] });
    await run.waitFor("caughtUp");
    const gate = hold();
    scripted.script({ kind: "hold", hold: gate }, { times: Infinity });
    await db.sql`UPDATE users SET name = 'held' WHERE id = 1`;
    await gate.reached;
    equal(underWay, 1);
    await db.sql`ALTER TABLE users DROP COLUMN tier`;
    await db.sql`UPDATE users SET name = 'behind it' WHERE id = 2`;
    const error = await run.outcome();
    ok(error instanceof RetryableError && error.code === "SCHEMA_CHANGED", String(error));
    equal(underWay, 0, "a write outlived the run");
  });

  const failures: readonly { name: string; error: Error }[] = [
    { name: "a defect", error: new TypeError("Cannot read properties of undefined") },
    {
      name: "plans that no longer fit",
      error: new RetryableError("SCHEMA_CHANGED", "Cannot read documents as planned"),
    },
  ];
  for (const { name, error } of failures) {
    test(`isn't a good one when ${name} kept it from draining`, async () => {
      await using db = await createDatabase(PEOPLE_DDL);
      await addPeople(db.sql, 1, 3);
      const scripted = scriptedSink("s");
      const gate = hold();
      let failing = false;
      const sink: Sink = {
        ...scripted,
        async write(documents, mode, signal) {
          if (!failing) return await scripted.write(documents, mode, signal);
          await gate.wait(signal);
          throw error;
        },
      };
      await using run = startEngine({ url: db.readerUrl, sinks: [sink], supervised: true });
      await run.waitFor("caughtUp");
      failing = true;
      await db.sql`UPDATE users SET name = 'not durable' WHERE id = 1`;
      await gate.reached;
      const stopped = run.stop();
      gate.release();
      await rejects(stopped, (thrown) => thrown === error);
    });
  }

  test("is a good one when it was stopped before anything was opened", async () => {
    const stop = new AbortController();
    const opening = Promise.withResolvers<void>();
    const running = supervise(
      (signal) => {
        opening.resolve();
        return new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason), { once: true })
        );
      },
      {
        batch: { maxChanges: 1, maxDelayMs: 1 },
        queue: { capacity: 1 },
        seed: { parallel: 1, chunk: 1 },
        once: false,
        skipBackfill: false,
        rebase: false,
        retryLimitMs: Infinity,
        observe: () => {},
      },
      stop.signal,
      new AbortController().signal,
    );
    await opening.promise;
    stop.abort(new Error("stopped"));
    await within("the end of the run", running);
  });
});

test("a sink that can't take the checkpoint is named, and the others aren't asked again", async () => {
  await using db = await createDatabase(PEOPLE_DDL);
  await addPeople(db.sql, 1, 3);
  const [well, away] = [scriptedSink("well"), scriptedSink("away")];
  await using run = startEngine({ url: db.readerUrl, sinks: [well, away] });
  await run.waitFor("caughtUp");
  const failure = new RetryableError("503", "Cannot store the checkpoint: a shard is starting");
  away.script({ kind: "failBefore", error: failure }, { on: "saveCheckpoint", times: 2 });
  const saves = (sink: typeof well) =>
    sink.calls.filter(({ method }) => method === "saveCheckpoint").length;
  await db.sql`UPDATE users SET name = 'other' WHERE id = 1`;
  const retry = await run.waitFor("retry");
  equal(retry.edge, "away");
  equal((await run.waitFor("recovered")).edge, "away");
  await run.stop();
  equal(saves(away), saves(well) + 2, "the one that was well was asked again");
  const [mine, theirs] = [well.storage.checkpoint, away.storage.checkpoint];
  deepEqual([mine?.sequence, mine?.cursor], [theirs?.sequence, theirs?.cursor]);
});
