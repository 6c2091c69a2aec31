import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { awaitBarrier } from "../../src/engine/barrier.ts";
import { startEngine } from "../support/engine_run.ts";
import { addPeople, PEOPLE_DDL } from "../support/people.ts";
import { createDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const { signal } = new AbortController();
const SOURCE = { systemId: "1", timeline: 1, database: "shop" };
const away = new RetryableError("503", "Cannot read the state: a shard is starting");

describe("the barrier of wait", () => {
  const barrier = (sink: ScriptedSink, timeoutMs: number) => {
    const target = "2026-01-01T00:00:01.000000Z";
    const barrier = { source: SOURCE, indexes: [], plans: [], sinks: [sink], target, timeoutMs };
    return awaitBarrier(barrier, signal);
  };
  const sinkAt = async (confirmedThrough: string) => {
    const sink = scriptedSink("search");
    const checkpoint: Checkpoint = {
      identity: SOURCE,
      epoch: { number: 0, timeline: 1, kind: "clock" },
      sequence: 1,
      cursor: "",
      confirmedThrough,
      coverage: {},
    };
    await sink.saveCheckpoint(checkpoint, signal);
    return sink;
  };

  test("asks again when a sink is away for a moment", async () => {
    const sink = await sinkAt("2026-01-01T00:00:02.000000Z");
    sink.script({ kind: "failBefore", error: away }, { on: "loadCheckpoint", times: 2 });
    deepEqual(await barrier(sink, 15_000), []);
  });

  test("names a sink that stays away until the time is over", async () => {
    const sink = await sinkAt("2026-01-01T00:00:02.000000Z");
    sink.script({ kind: "failBefore", error: away }, { on: "loadCheckpoint", times: Infinity });
    const [line = "", ...others] = await barrier(sink, 60);
    match(line, /^sink "search" is away: Cannot read the state: a shard is starting \(503\)$/);
    equal(others.length, 0);
  });

  test("waits for nothing that waiting won't mend", async () => {
    const sink = await sinkAt("2026-01-01T00:00:02.000000Z");
    const error = new FatalError("401", "Cannot read the state", "Check the password.");
    sink.script({ kind: "failBefore", error }, { on: "loadCheckpoint" });
    await rejects(barrier(sink, 15_000), error);
  });

  test("names a sink that isn't as far", async () => {
    const sink = await sinkAt("2026-01-01T00:00:00.000000Z");
    match((await barrier(sink, 1))[0] ?? "", /^sink "search" is at .*, before 2026/);
  });
});

test("a run that is stopped amid a seed doesn't say that everything is durable", async () => {
  await using db = await createDatabase(PEOPLE_DDL);
  await addPeople(db.sql, 1, 400);
  const sink = scriptedSink("fake");
  sink.script({ kind: "slow", ms: 20 }, { times: Infinity });
  const start = () =>
    startEngine({
      url: db.readerUrl,
      sinks: [sink],
      options: { seed: { parallel: 1, chunk: 20 } },
    });
  {
    await using engine = start();
    await engine.waitFor("seedProgress");
    await engine.stop();
    ok(!engine.events.some(({ type }) => type === "seedFinished"));
    deepEqual(engine.events.at(-1), { type: "stopped", through: undefined });
  }
  sink.unscript();
  await using engine = start();
  await engine.waitFor("caughtUp");
  await engine.stop();
  const last = engine.events.at(-1);
  ok(last?.type === "stopped" && last.through !== undefined, "all is filled: then it says so");
});
