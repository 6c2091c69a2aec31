import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { RetryableError } from "../../src/core/errors.ts";
import { hold, scriptedSink, scriptedStorage } from "../support/scripted_sink.ts";
import type { StoredDocument } from "../support/scripted_sink.ts";
import { exerciseSink } from "./exercise_sink.ts";
import { sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never, type SinkSubject } from "./sink_subject.ts";

function fakeSubject(): Promise<SinkSubject> {
  const storage = scriptedStorage();
  const stored = (document: StoredDocument | undefined) =>
    document === undefined || document.body === null
      ? undefined
      : { body: document.body, version: document.version };
  return Promise.resolve({
    open: () => Promise.resolve(scriptedSink("fake", storage)),
    read: (index, id) => {
      const filling = storage.filling.get(index) ?? storage.served.get(index);
      return Promise.resolve(stored(filling?.documents.get(id)));
    },
    served: (index, id) => Promise.resolve(stored(storage.served.get(index)?.documents.get(id))),
    dispose: () => Promise.resolve(),
  });
}

exerciseSink("scripted fake", fakeSubject, {
  versions: true,
  generations: true,
  remembers: true,
  searches: false,
  keys: true,
  refs: true,
});

describe("the scripted sink's scripts", () => {
  const one = sampleDocument("things", "1", V, "one");
  const two = sampleDocument("things", "2", V, "two");
  const lost = new RetryableError("ECONNRESET", "Cannot write: connection reset");
  const ready = async () => {
    const sink = scriptedSink("fake");
    await sink.ensure(samplePlan("things"), "s1", never);
    return sink;
  };

  test("rejects what it is told to, once, and stores the rest", async () => {
    const sink = await ready();
    sink.script({ kind: "reject", when: ({ id }) => id === "1", type: "mapping" });
    const rejections = await sink.write([one, two], "live", never);
    assert.deepEqual(rejections.map(({ id, type }) => [id, type]), [["1", "mapping"]]);
    assert.deepEqual([...sink.documents("things").keys()], ["2"]);
    assert.deepEqual(await sink.write([one], "live", never), []);
  });

  test("fails before a write, having stored nothing, and after it, having stored all", async () => {
    const sink = await ready();
    sink.script({ kind: "failBefore", error: lost });
    sink.script({ kind: "failAfter", error: lost });
    await assert.rejects(sink.write([one], "live", never), lost);
    assert.equal(sink.documents("things").size, 0);
    await assert.rejects(sink.write([one], "live", never), lost);
    assert.equal(sink.documents("things").size, 1);
    assert.deepEqual(sink.calls.map(({ method }) => method), ["ensure", "write", "write"]);
  });

  test("holds a call until it is released or aborted", async () => {
    const sink = await ready();
    const gate = hold();
    sink.script({ kind: "hold", hold: gate }, { times: 2 });
    const writing = sink.write([one], "live", never);
    await gate.reached;
    assert.equal(sink.documents("things").size, 0);
    const controller = new AbortController();
    const aborted = sink.write([two], "live", controller.signal);
    controller.abort(lost);
    await assert.rejects(aborted, lost);
    gate.release();
    await writing;
    assert.deepEqual([...sink.documents("things").keys()], ["1"]);
  });

  test("acts on any method, as often as it is told", async () => {
    const sink = await ready();
    sink.script({ kind: "failBefore", error: lost }, { on: "markSeeded", times: 2 });
    sink.script({ kind: "slow", ms: 1 }, { times: Infinity });
    await assert.rejects(sink.markSeeded("things", never), lost);
    await assert.rejects(sink.markSeeded("things", never), lost);
    await sink.markSeeded("things", never);
    await sink.write([one], "live", never);
    await sink.write([two], "live", never);
    sink.unscript();
    assert.equal(sink.documents("things").size, 2);
  });
});
