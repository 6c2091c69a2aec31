import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import type { IndexPlan } from "../../src/core/plan.ts";
import type { Built, Sink } from "../../src/core/ports.ts";
import { write } from "../../src/engine/write.ts";
import { type EngineSetup, startEngine, within } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { addPeople, equalsTables, PEOPLE_DDL, PEOPLE_INDEX } from "../support/people.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { fills, hold, type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const USERS = 400;
const CHUNK = 50;

describe("seeding", () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, USERS);
  });
  after(() => db[Symbol.asyncDispose]());

  const start = (sinks: readonly Sink[], more: Partial<EngineSetup> = {}) =>
    startEngine({ url: db.readerUrl, sinks, ...more });
  const same = (sink: ScriptedSink) =>
    equalsTables(
      db.sql,
      [...sink.documents("users")].flatMap(([id, { body }]) => body === null ? [] : [{ id, body }]),
    );
  /** Ids written by seeds, in order, from the sink's call number `from` on. */
  const filled = (sink: ScriptedSink, from = 0) =>
    sink.calls.slice(from).flatMap((call) =>
      call.method === "write" && call.mode === "fill" ? call.documents.map(({ id }) => id) : []
    );

  test("a writer that changes rows that were read already, or not yet, loses nothing", async () => {
    const sink = scriptedSink("fake");
    const gate = hold();
    // The first chunk passes; the second waits while rows of both, and new ones, are written.
    sink.script({ kind: "pass" }, { when: fills });
    sink.script({ kind: "hold", hold: gate }, { when: fills });
    await using engine = start([sink], { options: { seed: { parallel: 1, chunk: CHUNK } } });
    await within("the held write", gate.reached);
    await db.sql`UPDATE users SET name = 'Read already' WHERE id <= 10`;
    await db.sql`UPDATE orders SET status = 'paid' WHERE user_id BETWEEN 51 AND 60`;
    await db.sql`UPDATE users SET name = 'Not read yet' WHERE id BETWEEN 200 AND 210`;
    await addPeople(db.sql, USERS + 1, USERS + 5);
    await eventually(
      "the live write of a row whose chunk is on its way",
      async () => sink.documents("users").has("55"),
    );
    gate.release();
    await engine.waitFor("caughtUp");
    await engine.stop();
    await same(sink);
  });

  test("a chunk that arrives after a newer live write of its rows is refused", async () => {
    const sink = scriptedSink("fake");
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { when: fills });
    await using engine = start([sink], { options: { seed: { parallel: 1, chunk: CHUNK } } });
    await within("the held write", gate.reached);
    await db.sql`UPDATE users SET name = 'Newer' WHERE id = 7`;
    await eventually(
      "the live write",
      async () => sink.documents("users").get("7")?.body?.includes("Newer"),
    );
    gate.release();
    await engine.waitFor("caughtUp");
    ok(sink.documents("users").get("7")?.body?.includes("Newer"));
    await engine.stop();
    await same(sink);
  });

  test("a seed that crashes goes on at the chunk", async () => {
    const sink = scriptedSink("fake");
    const gate = hold();
    // Three chunks; the first goes in two writes, as nothing is known of the documents' size.
    sink.script({ kind: "pass" }, { times: 4, when: fills });
    sink.script({ kind: "hold", hold: gate }, { times: Infinity, when: fills });
    const options = { seed: { parallel: 1, chunk: CHUNK } };
    {
      await using engine = start([sink], { options });
      await within("the held write", gate.reached);
      await eventually(
        "the stored progress",
        async () => sink.storage.filling.get("users")?.state.rows === 3 * CHUNK,
      );
      await engine.crash();
    }
    sink.unscript();
    const calls = sink.calls.length;
    await db.sql`UPDATE users SET name = 'While it was down' WHERE id IN (3, 300)`;
    await using engine = start([sink], { options });
    const { rows } = await engine.waitFor("seedStarted");
    equal(rows, 3 * CHUNK);
    const finished = await engine.waitFor("seedFinished");
    await engine.waitFor("caughtUp");
    equal(Math.min(...filled(sink, calls).map(Number)), 3 * CHUNK + 1);
    const [count] = await db.sql`SELECT count(*)::int AS n FROM users`;
    equal(finished.rows, count?.["n"]);
    await engine.stop();
    await same(sink);
  });

  test("progress passes no chunk that isn't durable, though later ones are", async () => {
    const sink = scriptedSink("fake");
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { when: fills });
    await using engine = start([sink], { options: { seed: { parallel: 4, chunk: CHUNK } } });
    await within("the held write", gate.reached);
    await eventually("the later chunks", async () => filled(sink).length >= 4 * CHUNK);
    await eventually("their documents", async () => sink.documents("users").size >= 3 * CHUNK);
    // Ids count from 1: the held chunk's first is one more than the rows before it.
    const held = Number(filled(sink)[0]) - 1;
    const { rows } = sink.storage.filling.get("users")?.state ?? { rows: NaN };
    ok(rows <= held, `progress stands at ${rows}, the chunk after ${held} isn't written`);
    gate.release();
    await engine.waitFor("caughtUp");
    await engine.stop();
    await same(sink);
  });

  test("a sink that was lost is filled again alone", async () => {
    const kept = scriptedSink("kept");
    {
      const lost = scriptedSink("lost");
      await using engine = start([kept, lost]);
      await engine.waitFor("caughtUp");
      await engine.stop();
    }
    const calls = kept.calls.length;
    const lost = scriptedSink("lost");
    await using engine = start([kept, lost]);
    await engine.waitFor("caughtUp");
    await engine.stop();
    const started = engine.events.filter((event) => event.type === "seedStarted");
    deepEqual(started.map(({ sinks, rows }) => ({ sinks, rows })), [{ sinks: ["lost"], rows: 0 }]);
    deepEqual(filled(kept, calls), []);
    await same(kept);
    await same(lost);
  });

  test("two sinks that are equally far are filled from one reading", async () => {
    const sinks = [scriptedSink("a"), scriptedSink("b")];
    await using engine = start(sinks);
    await engine.waitFor("caughtUp");
    await engine.stop();
    equal(engine.events.filter(({ type }) => type === "seedStarted").length, 1);
    for (const sink of sinks) await same(sink);
  });

  test("an index that left the config and comes back is filled anew", async () => {
    const sink = scriptedSink("fake");
    const other = { names: { table: "users", fields: { name: "keyword" } } };
    const both = { users: PEOPLE_INDEX, ...other };
    for (const indexes of [both, other, both]) {
      await using engine = start([sink], { indexes });
      await engine.waitFor("caughtUp");
      await engine.stop();
      const seeded = engine.events.flatMap((e) => e.type === "seedStarted" ? [e.index] : []);
      if (indexes === other) {
        deepEqual(seeded, []);
        await db.sql`UPDATE users SET name = 'Changed meanwhile' WHERE id = 20`;
        await using meanwhile = start([sink], { indexes });
        await meanwhile.waitFor("caughtUp");
        await meanwhile.stop();
      } else if (sink.storage.checkpoint !== undefined && seeded.length === 1) {
        deepEqual(seeded, ["users"]);
      } else deepEqual(seeded, ["users", "names"]);
    }
    await same(sink);
  });

  test("a plan whose catalog facts changed while it wasn't looking is filled anew", async () => {
    await using own = await createDatabase(PEOPLE_DDL);
    await addPeople(own.sql, 1, 20);
    const sink = scriptedSink("fake");
    const run = async () => {
      await using engine = startEngine({ url: own.readerUrl, sinks: [sink] });
      await engine.waitFor("caughtUp");
      await engine.stop();
      return engine.events.filter(({ type }) => type === "seedStarted").length;
    };
    equal(await run(), 1);
    equal(await run(), 0);
    // Rewrites every row's value, and no stamp moves.
    await own.sql.unsafe(`ALTER TABLE users ALTER COLUMN tier TYPE varchar(2) USING left(tier, 2)`);
    equal(await run(), 1);
    await equalsTables(
      own.sql,
      [...sink.documents("users")].map(([id, { body }]) => ({ id, body: body ?? "" })),
    );
  });

  test("a seed that is stopped ends at a chunk, unmarked, and goes on next time", async () => {
    const sink = scriptedSink("fake");
    sink.script({ kind: "slow", ms: 20 }, { times: Infinity });
    const options = { seed: { parallel: 1, chunk: 20 } };
    {
      await using engine = start([sink], { options });
      await engine.waitFor("seedProgress");
      await engine.stop();
      ok(!engine.events.some(({ type }) => type === "seedFinished"));
      equal(sink.storage.filling.get("users")?.state.seeded, false);
    }
    sink.unscript();
    await using engine = start([sink], { options });
    ok((await engine.waitFor("seedStarted")).rows >= 20);
    await engine.waitFor("caughtUp");
    await engine.stop();
    await same(sink);
  });
});

describe("writing a batch that is over five minutes old", () => {
  const plan = { name: "users", hash: "h", onRejected: "stop" } as unknown as IndexPlan;
  const built = (version: bigint, rejected: readonly string[] = []): Built => ({
    documents: [{ index: "users", id: "1", version, body: "{}" }],
    rejections: rejected.map((id) => ({ index: "users", id, type: "22P02", reason: "" })),
  });
  const engineOptions = {
    batch: { maxChanges: 1, maxDelayMs: 1 },
    queue: { capacity: 1 },
    seed: { parallel: 1, chunk: 1 },
    once: false,
    skipBackfill: false,
    rebase: false,
    retryLimitMs: Infinity,
    observe: () => {},
  };
  const signal = new AbortController().signal;

  async function writeOld(rebuilt: Built): Promise<ScriptedSink> {
    const sink = scriptedSink("fake");
    await sink.ensure(plan, "seed", signal);
    const away = new RetryableError("ECONNREFUSED", "Cannot write: refused");
    sink.script({ kind: "failBefore", error: away });
    const pipeline = { builder: { plans: [plan] }, sinks: [sink] } as unknown as Parameters<
      typeof write
    >[0];
    const job = {
      built: built(8n),
      builtAt: performance.now() - 300_001,
      sinks: [sink],
      mode: "live",
      rebuild: () => Promise.resolve(rebuilt),
    } as const;
    await write(pipeline, job, engineOptions, signal);
    return sink;
  }

  test("builds it again from the rows as they are", async () => {
    const sink = await writeOld(built(16n));
    equal(sink.documents("users").get("1")?.version, 16n);
  });

  test("judges what can't be built any more", async () => {
    const error = await writeOld(built(16n, ["2"])).then(() => undefined, (e: unknown) => e);
    ok(error instanceof FatalError && error.code === "DOCUMENT_REJECTED");
  });
});
