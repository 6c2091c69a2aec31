import { deepEqual, equal, match, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import type { Change } from "../../src/core/change.ts";
import type { ChangeCapture } from "../../src/core/ports.ts";
import { withEarlyAcks } from "../support/early_acks.ts";
import { type EngineRun, type EngineSetup, startEngine, within } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { addPeople, equalsTables, PEOPLE_DDL, PEOPLE_INDEX } from "../support/people.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { pollPart } from "../support/poll_cursor.ts";
import { hold, type ScriptedSink, scriptedSink, writing } from "../support/scripted_sink.ts";

const AWAY = new RetryableError("ECONNREFUSED", "Cannot write documents: refused");
const DEAD = new FatalError("TEST", "Cannot go on: the test says so", "It is a test.");
/** Row content that nothing may quote. */
const SECRET = "s3cr3t-content";

describe("acknowledging", () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, 120);
  });
  after(() => db[Symbol.asyncDispose]());

  const start = (sink: ScriptedSink, more: Partial<EngineSetup> = {}) =>
    startEngine({ url: db.readerUrl, sinks: [sink], ...more });

  /** A sink that is seeded and has caught up; its engine runs. */
  async function following(
    more: Partial<EngineSetup> = {},
    sink = scriptedSink("fake"),
  ): Promise<{ sink: ScriptedSink; engine: EngineRun }> {
    const engine = start(sink, more);
    await engine.waitFor("caughtUp");
    return { sink, engine };
  }

  const rename = (id: number, name: string) =>
    db.sql`UPDATE users SET name = ${name} WHERE id = ${id}`;
  const nameIn = (sink: ScriptedSink, id: number) => {
    const body = sink.documents("users").get(String(id))?.body;
    return typeof body === "string" ? JSON.parse(body).name as string : undefined;
  };
  const arrives = (sink: ScriptedSink, id: number, name: string) =>
    eventually(`${name} in the sink`, async () => nameIn(sink, id) === name);
  const same = (sink: ScriptedSink) =>
    equalsTables(
      db.sql,
      [...sink.documents("users")].flatMap(([id, { body }]) => body === null ? [] : [{ id, body }]),
    );

  test("a write that fails leaves the stored cursor where it was, and the change comes again", async () => {
    const { sink, engine } = await following();
    await engine.stop();
    const stored = sink.storage.checkpoint;
    await rename(1, "Ada");
    sink.script({ kind: "failBefore", error: DEAD }, { when: writing(1) });
    await using failing = start(sink);
    equal(await failing.outcome(), DEAD);
    ok(
      (sink.storage.checkpoint?.confirmedThrough ?? "") <= (stored?.confirmedThrough ?? "") ||
        sink.storage.checkpoint?.cursor === stored?.cursor,
      "the cursor must not pass the change",
    );
    ok(nameIn(sink, 1) !== "Ada");
    await using again = start(sink);
    await arrives(sink, 1, "Ada");
    await again.stop();
  });

  test("a write whose answer was lost is repeated, and does no harm", async () => {
    const { sink, engine } = await following();
    await using _ = engine;
    sink.script({ kind: "failAfter", error: AWAY }, { when: writing(2) });
    await rename(2, "Bob");
    await engine.waitFor("recovered", ({ edge }) => edge === "fake");
    equal(nameIn(sink, 2), "Bob");
    const writes = sink.calls.filter((call) =>
      call.method === "write" && call.mode === "live" &&
      call.documents.some(({ id, body }) => id === "2" && body?.includes("Bob"))
    );
    equal(writes.length, 2);
    await engine.stop();
    await same(sink);
  });

  test("what was read and not yet written is read again after a crash", async () => {
    const { sink, engine } = await following();
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { when: writing(3) });
    await rename(3, "Cleo");
    await within("the held write", gate.reached);
    await engine.crash();
    ok(nameIn(sink, 3) !== "Cleo");
    await using _ = start(sink);
    await arrives(sink, 3, "Cleo");
  });

  test("the control that acknowledges what it has read loses it in the same crash", async () => {
    const { sink, engine } = await following({ wrap: withEarlyAcks });
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { when: writing(4) });
    await rename(4, "Dora");
    await within("the held write", gate.reached);
    // The cursor passes the row, and a row stamped by an old transaction is not read again.
    const passed = await stampOf(4);
    await eventually("the early cursor stored", async () => {
      await rename(5, "Eve");
      return storedTime(sink) > passed;
    });
    await engine.crash();
    await using again = start(sink, { wrap: withEarlyAcks });
    await again.waitFor("caughtUp");
    await rename(5, "Fay");
    await arrives(sink, 5, "Fay");
    ok(nameIn(sink, 4) !== "Dora", "the control must lose it: else this test proves nothing");
  });

  test("a held write holds the cursor, and only what fits the queue is read meanwhile", async () => {
    const counts = { read: 0, acked: 0 };
    const { sink, engine } = await following({
      wrap: counting(counts, ({ table }) => table.name === "orders"),
      options: { queue: { capacity: 20 }, batch: { maxChanges: 10, maxDelayMs: 5 } },
    });
    await using _ = engine;
    const gate = hold();
    const users = Array.from({ length: 83 }, (_, at) => at + 1);
    sink.script({ kind: "hold", hold: gate }, { when: writing(...users) });
    const began = { ...counts };
    await db.sql`UPDATE orders SET status = 'open' WHERE id < 250`;
    const [row] = await db.sql`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS t`;
    await within("the held write", gate.reached);
    // One batch is being written, one is built, and the queue is full.
    await eventually("a full queue", async () => counts.read - began.read >= 20 + 10);
    const most = await steady(() => counts.read - began.read);
    ok(most <= 20 + 2 * 10 + 1, `${most} changes were read while nothing could be written`);
    equal(counts.acked, began.acked);
    // A poll that found nothing, before the update, may have been stored meanwhile.
    const { confirmedThrough = "" } = sink.storage.checkpoint ?? {};
    ok(confirmedThrough <= String(row?.["t"]), confirmedThrough);
    ok(storedTime(sink) < await stampOfOrder(1), storedTime(sink));
    gate.release();
    await eventually("all of it acknowledged", async () => counts.acked - began.acked >= 200);
    await engine.stop();
    await same(sink);
  });

  test("policy stop ends the run before anything is acknowledged, naming index, id and kind alone", async () => {
    const { sink, engine } = await following();
    await engine.stop();
    const stored = sink.storage.checkpoint?.cursor;
    await rename(6, SECRET);
    sink.script(
      { kind: "reject", when: ({ id }) => id === "6", type: "mapper_parsing_exception" },
      { when: writing(6) },
    );
    await using rejecting = start(sink);
    const error = await rejecting.outcome();
    ok(error instanceof FatalError);
    equal(error.code, "DOCUMENT_REJECTED");
    equal(error.message, 'Cannot index document "6" of "users": mapper_parsing_exception');
    ok(!JSON.stringify([error.message, error.hint, rejecting.events]).includes(SECRET));
    const [rejected] = rejecting.events.filter(({ type }) => type === "rejected");
    deepEqual(rejected, {
      type: "rejected",
      index: "users",
      id: "6",
      reason: "mapper_parsing_exception",
      policy: "stop",
    });
    equal(sink.storage.checkpoint?.cursor, stored);
    await using _ = start(sink);
    await arrives(sink, 6, SECRET);
  });

  test("policy skip counts the document and goes on without it", async () => {
    const indexes = { users: { ...PEOPLE_INDEX, onRejected: "skip" } };
    const { sink, engine } = await following({ indexes });
    await using _ = engine;
    sink.script({ kind: "reject", when: ({ id }) => id === "7" }, { when: writing(7) });
    await db.sql`UPDATE users SET name = ${SECRET} WHERE id IN (7, 8)`;
    await arrives(sink, 8, SECRET);
    const rejected = await engine.waitFor("rejected");
    equal(rejected.id, "7");
    ok(nameIn(sink, 7) !== SECRET);
    await rename(9, "Ivo");
    await arrives(sink, 9, "Ivo");
    await engine.stop();
    equal(engine.events.filter(({ type }) => type === "rejected").length, 1);
    ok(!JSON.stringify(engine.events).includes(SECRET));
  });

  test("a row that can't be turned into a document stops, or is counted, like a refused one", async () => {
    const fields = { id: "long", age: { type: "integer", sql: "tier::integer" } };
    await db.sql`UPDATE users SET tier = '1'`;
    for (const onRejected of ["stop", "skip"]) {
      const indexes = { people: { table: "users", onRejected, fields } };
      const { sink, engine } = await following({ indexes });
      await using _ = engine;
      await db.sql`UPDATE users SET tier = ${SECRET} WHERE id = 10`;
      const { id, reason } = await engine.waitFor("rejected");
      equal(id, "10");
      match(reason, /^22P02/);
      if (onRejected === "stop") {
        const error = await engine.outcome();
        ok(error instanceof FatalError && error.code === "DOCUMENT_REJECTED");
        ok(!error.message.includes(SECRET));
      } else {
        await db.sql`UPDATE users SET tier = '2' WHERE id = 11`;
        await eventually(
          "the row beside it",
          async () => sink.documents("people").get("11")?.body?.includes('"age":2'),
        );
        await engine.stop();
      }
      ok(!JSON.stringify(engine.events).includes(SECRET));
      await db.sql`UPDATE users SET tier = '1' WHERE id = 10`;
    }
  });

  test("with one of two sinks away nothing is acknowledged, and the other gets nothing twice", async () => {
    const here = scriptedSink("here");
    const away = scriptedSink("away");
    const counts = { read: 0, acked: 0 };
    await using engine = startEngine({
      url: db.readerUrl,
      sinks: [here, away],
      wrap: counting(counts, ({ key }) => key[0] === "12"),
    });
    await engine.waitFor("caughtUp");
    const gate = hold();
    away.script({ kind: "failBefore", error: AWAY }, { times: 2, when: writing(12) });
    away.script({ kind: "hold", hold: gate }, { when: writing(12) });
    const before = here.calls.length;
    await rename(12, "Lea");
    await arrives(here, 12, "Lea");
    await within("the held write", gate.reached);
    equal(await steady(() => counts.acked), 0);
    gate.release();
    await engine.waitFor("recovered", ({ edge }) => edge === "away");
    await arrives(away, 12, "Lea");
    const writes = here.calls.slice(before).filter((call) =>
      call.method === "write" && call.documents.some(({ id }) => id === "12")
    );
    equal(writes.length, 1);
    await engine.stop();
    await same(here);
    await same(away);
  });

  test("stopping drains: what was read is written, acknowledged and remembered", async () => {
    const { sink, engine } = await following();
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { when: writing(13) });
    await rename(13, "Mia");
    await within("the held write", gate.reached);
    const stopped = engine.stop();
    setTimeout(() => gate.release(), 50);
    await engine.waitFor("stopped");
    equal(nameIn(sink, 13), "Mia");
    await stopped;
    equal(engine.events.at(-1)?.type, "stopped");
  });

  test("once ends when caught up although writes never cease", async () => {
    const sink = scriptedSink("fake");
    const quiet = new AbortController();
    const writing = (async () => {
      for (let n = 0; !quiet.signal.aborted; n++) await rename(14, `Noa ${n}`);
    })();
    try {
      await using engine = start(sink, { options: { once: true } });
      equal(await engine.outcome(), undefined);
    } finally {
      quiet.abort();
      await writing;
    }
    ok(nameIn(sink, 14)?.startsWith("Noa"));
    const through = sink.storage.checkpoint?.confirmedThrough ?? "";
    ok(through > "2", through);
  });

  /** As the checkpoint writes times. */
  async function stampOf(id: number): Promise<string> {
    const [row] = await db.sql`SELECT to_char(updated_at AT TIME ZONE 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS t FROM users WHERE id = ${id}`;
    return String(row?.["t"]);
  }

  async function stampOfOrder(id: number): Promise<string> {
    const [row] = await db.sql`SELECT to_char(updated_at AT TIME ZONE 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS t FROM orders WHERE id = ${id}`;
    return String(row?.["t"]);
  }

  /** The stored cursor's time: a restart reads what is stamped later. */
  function storedTime(sink: ScriptedSink): string {
    const cursor = sink.storage.checkpoint?.cursor;
    return cursor === undefined ? "" : pollPart(cursor).t;
  }
});

/** Counts what the engine reads and acknowledges of the changes that the test made. */
function counting(
  counts: { read: number; acked: number },
  ours: (change: Change) => boolean,
): (c: ChangeCapture) => ChangeCapture {
  return (capture) => ({
    ...capture,
    async *live(signal) {
      for await (const delivery of capture.live(signal)) {
        const counted = ours(delivery.value) ? 1 : 0;
        counts.read += counted;
        const ack = () => {
          counts.acked += counted;
          delivery.ack();
        };
        yield { ...delivery, ack };
      }
    },
  });
}

/** A figure's value once it has stopped growing for a while. */
async function steady(figure: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  return await eventually("a steady figure", async () => {
    same = figure() === last ? same + 1 : 0;
    last = figure();
    return same >= 10 ? last : undefined;
  });
}
