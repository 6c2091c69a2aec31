import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { FatalError } from "../../src/core/errors.ts";
import { exerciseSinkKeys } from "./exercise_sink_keys.ts";
import { exerciseSinkRefs } from "./exercise_sink_refs.ts";
import { exerciseSinkSearch } from "./exercise_sink_search.ts";
import { exerciseSinkState } from "./exercise_sink_state.ts";
import { exerciseSinkVersions } from "./exercise_sink_versions.ts";
import { DELICATE_BODIES, DELICATE_IDS, sampleDocument, samplePlan, V } from "./sink_samples.ts";
import {
  connected,
  never,
  onSubject,
  type SinkAbilities,
  type SinkSubject,
  write,
} from "./sink_subject.ts";

/** Registers a test for every clause of the Sink port: the same for every sink and for the fake. */
export function exerciseSink(
  name: string,
  make: () => Promise<SinkSubject>,
  can: SinkAbilities,
): void {
  describe(`sink contract: ${name}`, () => {
    exerciseWrites(make);
    exerciseSignals(make);
    if (can.poison !== undefined) exerciseRejections(make, can.poison);
    if (can.versions) exerciseSinkVersions(make);
    exerciseSinkState(make, can);
    if (can.searches) exerciseSinkSearch(make);
    if (can.keys) exerciseSinkKeys(make, can);
    if (can.refs) exerciseSinkRefs(make, can);
  });
}

function exerciseWrites(make: () => Promise<SinkSubject>): void {
  test(
    "connect says in one line what it reached",
    onSubject(make, async (subject) => {
      await using sink = await subject.open();
      const line = await sink.connect(never);
      assert.match(line, /^\S[^\n]*$/);
      assert.notEqual(sink.name, "");
    }),
  );

  test(
    "a written document is durable and comes back byte for byte",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const documents = Object.entries(DELICATE_BODIES)
        .map(([id, body]) => ({ index: "things", id, version: V, body }));
      await write(sink, documents, "fill");
      for (const [id, body] of Object.entries(DELICATE_BODIES)) {
        assert.equal((await subject.read("things", id))?.body, body, id);
      }
    }),
  );

  test(
    "ids are kept verbatim and never collide",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const documents = DELICATE_IDS.map((id) => sampleDocument("things", id, V, `id ${id}`));
      await write(sink, documents);
      for (const { id, body } of documents) {
        assert.equal((await subject.read("things", id))?.body, body, id);
      }
    }),
  );

  test(
    "the same id in two indexes names two documents",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await sink.ensure(samplePlan("others"), "s1", never);
      const one = sampleDocument("things", "1", V, "one");
      const other = sampleDocument("others", "1", V, "other");
      await write(sink, [one, other]);
      await write(sink, [sampleDocument("others", "1", V + 8n, null)]);
      assert.equal((await subject.read("things", "1"))?.body, one.body);
      assert.equal(await subject.read("others", "1"), undefined);
    }),
  );

  test(
    "a delete removes the document, and deleting what is missing is fine",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await write(sink, [sampleDocument("things", "1", V, "one")]);
      const deletes = ["1", "missing"].map((id) => sampleDocument("things", id, V + 8n, null));
      await write(sink, deletes);
      await write(sink, deletes, "fill");
      assert.equal(await subject.read("things", "1"), undefined);
      assert.equal(await subject.read("things", "missing"), undefined);
    }),
  );

  test(
    "several thousand documents in one write are all durable",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const documents = Array.from(
        { length: 7_500 },
        (_, n) => sampleDocument("things", String(n), V, `document ${n}`),
      );
      await write(sink, documents, "fill");
      for (let n = 0; n < documents.length; n += 101) {
        assert.equal((await subject.read("things", String(n)))?.body, documents[n]?.body);
      }
      assert.equal((await subject.read("things", "7499"))?.body, documents[7_499]?.body);
    }),
  );

  test(
    "an empty write is fine",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await write(sink, []);
      await sink.refresh(["things"], never);
      await sink.refresh([], never);
    }),
  );

  test(
    "writing to an index that was never ensured is fatal and writes nothing",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      // Many known ones before it: a sink that looks as it goes would have written some.
      const documents = Array.from(
        { length: 5_000 },
        (_, n) => sampleDocument(n < 4_999 ? "things" : "unknown", String(n), V, "x"),
      );
      await assert.rejects(sink.write(documents, "live", never), FatalError);
      assert.equal(await subject.read("things", "0"), undefined);
      assert.equal(await subject.read("unknown", "4999"), undefined);
    }),
  );

  test(
    "dispose is idempotent",
    onSubject(make, async (subject) => {
      const sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await sink[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
      const unused = await subject.open();
      await unused[Symbol.asyncDispose]();
    }),
  );
}

function exerciseSignals(make: () => Promise<SinkSubject>): void {
  test(
    "every method rejects with the reason of an aborted signal",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      const plan = samplePlan("things");
      await sink.ensure(plan, "s1", never);
      const reason = new Error("told to stop");
      const signal = AbortSignal.abort(reason);
      const calls: Record<string, () => Promise<unknown>> = {
        connect: () => sink.connect(signal),
        seedState: () => sink.seedState(plan, signal),
        ensure: () => sink.ensure(plan, "s2", signal),
        saveSeed: () => sink.saveSeed("things", { after: ["1"], rows: 1 }, signal),
        markSeeded: () => sink.markSeeded("things", signal),
        write: () => sink.write([sampleDocument("things", "1", V, "one")], "live", signal),
        refresh: () => sink.refresh(["things"], signal),
        loadCheckpoint: () => sink.loadCheckpoint(signal),
      };
      for (const [method, call] of Object.entries(calls)) {
        await assert.rejects(call(), (error) => error === reason, method);
      }
      assert.deepEqual(await sink.seedState(plan, never), { seed: "s1", seeded: false, rows: 0 });
      assert.equal(await subject.read("things", "1"), undefined);
    }),
  );

  test(
    "a write aborted half-way ends with the signal's reason, or was already durable",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const reason = new Error("told to stop");
      const controller = new AbortController();
      const documents = Array.from(
        { length: 20_000 },
        (_, n) => sampleDocument("things", String(n), V, `document ${n}`),
      );
      const writing = sink.write(documents, "live", controller.signal);
      controller.abort(reason);
      const outcome = await writing.then(() => "durable", (error: unknown) => error);
      if (outcome === "durable") {
        assert.equal((await subject.read("things", "19999"))?.body, documents[19_999]?.body);
      } else assert.equal(outcome, reason);
      await write(sink, documents.slice(-10));
      assert.equal((await subject.read("things", "19999"))?.body, documents[19_999]?.body);
    }),
  );
}

function exerciseRejections(make: () => Promise<SinkSubject>, poison: string): void {
  test(
    "a batch with poison lists exactly the rejected, and the rest is durable",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const documents = Array.from({ length: 40 }, (_, n) => {
        const good = sampleDocument("things", String(n), V, `document ${n}`);
        return n % 13 === 5 ? { ...good, body: poison } : good;
      });
      for (const mode of ["fill", "live"] as const) {
        const rejections = await sink.write(documents, mode, never);
        assert.deepEqual(rejections.map(({ id }) => id).toSorted(), ["18", "31", "5"]);
        for (const rejection of rejections) {
          assert.equal(rejection.index, "things");
          assert.notEqual(rejection.type, "");
          assert.ok(!rejection.type.includes("poison"), "a type quotes no value");
        }
      }
      for (const { id, body } of documents) {
        const stored = await subject.read("things", id);
        assert.equal(stored?.body, body === poison ? undefined : body, id);
      }
    }),
  );
}
