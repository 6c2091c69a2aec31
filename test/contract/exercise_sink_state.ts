import { test } from "node:test";
import assert from "node:assert/strict";
import type { Checkpoint } from "../../src/core/checkpoint.ts";
import { FatalError } from "../../src/core/errors.ts";
import {
  connected,
  never,
  onSubject,
  type SinkAbilities,
  type SinkSubject,
  write,
} from "./sink_subject.ts";
import { sampleBody, sampleDocument, samplePlan, V } from "./sink_samples.ts";

const PLAN = samplePlan("things");

const CHECKPOINT: Checkpoint = {
  identity: { systemId: "7573405118311784481", timeline: 3, database: "shop ünï" },
  epoch: { number: 255, timeline: 3, kind: "replay" },
  sequence: 9_007_199_254_740_991,
  cursor: `{"t":"2026-01-02 03:04:05.123456+00","keys":["a\\"b","🦊","\\u0000"]}`,
  confirmedThrough: "2026-01-02T03:04:05.123456Z",
  coverage: { things: { seed: "s1", hash: "0123abcd", fingerprint: "f" } },
};

/** Clauses about what a sink remembers: fillings, their progress, and the checkpoint. */
export function exerciseSinkState(make: () => Promise<SinkSubject>, can: SinkAbilities): void {
  exerciseSeed(make);
  if (can.remembers) exerciseRestart(make);
  if (can.generations) exerciseGenerations(make);
  if (can.generations && can.remembers) exerciseSecondFillingRestarted(make);

  test(
    "a checkpoint comes back exactly, the last one saved",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      assert.equal(await sink.loadCheckpoint(never), undefined);
      await sink.ensure(PLAN, "s1", never);
      await sink.saveCheckpoint({ ...CHECKPOINT, sequence: 1, cursor: "" }, never);
      await sink.saveCheckpoint(CHECKPOINT, never);
      assert.deepEqual(await sink.loadCheckpoint(never), CHECKPOINT);
      const signal = AbortSignal.abort(new Error("told to stop"));
      await assert.rejects(sink.saveCheckpoint({ ...CHECKPOINT, sequence: 1 }, signal), /told to/);
      assert.deepEqual(await sink.loadCheckpoint(never), CHECKPOINT);
    }),
  );
}

function exerciseSeed(make: () => Promise<SinkSubject>): void {
  test(
    "a filling goes from nothing through its progress to seeded",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      assert.equal(await sink.seedState(PLAN, never), undefined);
      await sink.ensure(PLAN, "s1", never);
      assert.deepEqual(await sink.seedState(PLAN, never), { seed: "s1", seeded: false, rows: 0 });
      await sink.saveSeed("things", { after: ["5"], rows: 5 }, never);
      const after = ["a|b", 'quo"te', "🦊", ""];
      await sink.saveSeed("things", { after, rows: 1_000_000 }, never);
      assert.deepEqual(await sink.seedState(PLAN, never), {
        seed: "s1",
        seeded: false,
        after,
        rows: 1_000_000,
      });
      await sink.markSeeded("things", never);
      await sink.markSeeded("things", never);
      const state = await sink.seedState(PLAN, never);
      assert.deepEqual([state?.seed, state?.seeded], ["s1", true]);
    }),
  );

  test(
    "ensure again changes nothing, whether it names the filling or not",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(PLAN, "s1", never);
      await write(sink, [sampleDocument("things", "1", V, "one")], "fill");
      await sink.saveSeed("things", { after: ["1"], rows: 1 }, never);
      const before = await sink.seedState(PLAN, never);
      await sink.ensure(PLAN, undefined, never);
      await sink.ensure(PLAN, "s1", never);
      assert.deepEqual(await sink.seedState(PLAN, never), before);
      await sink.markSeeded("things", never);
      await sink.ensure(PLAN, undefined, never);
      assert.equal((await subject.read("things", "1"))?.body, sampleBody("one"));
      await write(sink, [sampleDocument("things", "2", V, "two")]);
      assert.equal((await subject.read("things", "2"))?.body, sampleBody("two"));
    }),
  );

  test(
    "another shape of documents was never begun",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(PLAN, "s1", never);
      await sink.markSeeded("things", never);
      assert.equal(await sink.seedState(samplePlan("things", "ffff0000"), never), undefined);
      assert.equal(await sink.seedState(samplePlan("others"), never), undefined);
    }),
  );

  test(
    "going on with a filling that was never begun is fatal",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await assert.rejects(sink.ensure(PLAN, undefined, never), FatalError);
      await sink.ensure(PLAN, "s1", never);
      const other = samplePlan("things", "ffff0000");
      await assert.rejects(sink.ensure(other, undefined, never), FatalError);
      assert.equal((await sink.seedState(PLAN, never))?.seed, "s1");
    }),
  );

  test(
    "a new filling starts from nothing, and so does one after it",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(PLAN, "s1", never);
      await sink.saveSeed("things", { after: ["1"], rows: 1 }, never);
      await sink.markSeeded("things", never);
      for (const seed of ["s2", "s3"]) {
        await sink.ensure(PLAN, seed, never);
        assert.deepEqual(await sink.seedState(PLAN, never), { seed, seeded: false, rows: 0 });
        await sink.saveSeed("things", { after: ["9"], rows: 9 }, never);
      }
      await sink.markSeeded("things", never);
      const state = await sink.seedState(PLAN, never);
      assert.deepEqual([state?.seed, state?.seeded], ["s3", true]);
    }),
  );
}

function exerciseRestart(make: () => Promise<SinkSubject>): void {
  test(
    "a restart in the middle of a filling finds its progress and its documents",
    onSubject(make, async (subject) => {
      const first = await connected(subject);
      await first.ensure(PLAN, "s1", never);
      await write(first, [sampleDocument("things", "1", V, "one")], "fill");
      await first.saveSeed("things", { after: ["1"], rows: 1 }, never);
      await first[Symbol.asyncDispose]();

      const second = await connected(subject);
      assert.deepEqual(await second.seedState(PLAN, never), {
        seed: "s1",
        seeded: false,
        after: ["1"],
        rows: 1,
      });
      await second.ensure(PLAN, undefined, never);
      await write(second, [sampleDocument("things", "2", V, "two")], "fill");
      await second.markSeeded("things", never);
      await second[Symbol.asyncDispose]();

      await using third = await connected(subject);
      const state = await third.seedState(PLAN, never);
      assert.deepEqual([state?.seed, state?.seeded], ["s1", true]);
      assert.equal((await subject.read("things", "1"))?.body, sampleBody("one"));
      assert.equal((await subject.read("things", "2"))?.body, sampleBody("two"));
    }),
  );

  test(
    "a checkpoint survives a restart exactly",
    onSubject(make, async (subject) => {
      const first = await connected(subject);
      await first.ensure(PLAN, "s1", never);
      await first.saveCheckpoint(CHECKPOINT, never);
      await first[Symbol.asyncDispose]();
      await using second = await connected(subject);
      assert.deepEqual(await second.loadCheckpoint(never), CHECKPOINT);
      await second.ensure(PLAN, undefined, never);
      await second.saveCheckpoint({ ...CHECKPOINT, cursor: "later" }, never);
      assert.equal((await second.loadCheckpoint(never))?.cursor, "later");
    }),
  );
}

function exerciseGenerations(make: () => Promise<SinkSubject>): void {
  test(
    "a first filling is served only once it is marked",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(PLAN, "s1", never);
      await write(sink, [sampleDocument("things", "1", V, "one")], "fill");
      await sink.refresh(["things"], never);
      assert.equal(await subject.served("things", "1"), undefined);
      await sink.markSeeded("things", never);
      assert.equal((await subject.served("things", "1"))?.body, sampleBody("one"));
      await write(sink, [sampleDocument("things", "2", V, "two")]);
      await sink.refresh(["things"], never);
      assert.equal((await subject.served("things", "2"))?.body, sampleBody("two"));
    }),
  );

  for (const hash of [PLAN.hash, "ffff0000"]) {
    const shape = hash === PLAN.hash ? "the same shape" : "another shape";
    test(
      `a new filling of ${shape} starts empty beside the served one and replaces it when marked`,
      onSubject(make, async (subject) => {
        await using sink = await connected(subject);
        await sink.ensure(PLAN, "s1", never);
        await write(sink, ["1", "2"].map((id) => sampleDocument("things", id, V, "old")), "fill");
        await sink.markSeeded("things", never);

        await sink.ensure(samplePlan("things", hash), "s2", never);
        assert.equal(await subject.read("things", "1"), undefined, "the new filling is empty");
        assert.equal((await subject.served("things", "1"))?.body, sampleBody("old"));
        // The same version again: it must not lose against the served filling's.
        await write(sink, ["1", "4"].map((id) => sampleDocument("things", id, V, "new")), "fill");
        await write(sink, [sampleDocument("things", "3", V + 8n, "live")]);
        assert.equal((await subject.read("things", "1"))?.body, sampleBody("new"));
        assert.equal((await subject.read("things", "3"))?.body, sampleBody("live"));
        await sink.refresh(["things"], never);
        assert.equal((await subject.served("things", "1"))?.body, sampleBody("old"));
        assert.equal((await subject.served("things", "2"))?.body, sampleBody("old"));
        assert.equal(await subject.served("things", "4"), undefined, "a filling grows unseen");

        await sink.markSeeded("things", never);
        assert.equal((await subject.served("things", "1"))?.body, sampleBody("new"));
        assert.equal(
          await subject.served("things", "2"),
          undefined,
          "dropped with the old filling",
        );
        assert.equal((await subject.served("things", "3"))?.body, sampleBody("live"));
        const state = await sink.seedState(samplePlan("things", hash), never);
        assert.deepEqual([state?.seed, state?.seeded], ["s2", true]);
      }),
    );
  }

  test(
    "live writes keep the served filling current while another of its shape grows",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(PLAN, "s1", never);
      await write(sink, ["1", "2"].map((id) => sampleDocument("things", id, V, "old")), "fill");
      await sink.markSeeded("things", never);
      await sink.ensure(PLAN, "s2", never);
      await write(sink, [
        sampleDocument("things", "1", V + 8n, "changed"),
        sampleDocument("things", "2", V + 8n, null),
      ]);
      await sink.refresh(["things"], never);
      assert.equal((await subject.served("things", "1"))?.body, sampleBody("changed"));
      assert.equal(await subject.served("things", "2"), undefined);
      assert.equal((await subject.read("things", "1"))?.body, sampleBody("changed"));
      assert.equal(await subject.read("things", "2"), undefined);
    }),
  );
}

function exerciseSecondFillingRestarted(make: () => Promise<SinkSubject>): void {
  test(
    "a restart in the middle of a second filling goes on with it, the first still served",
    onSubject(make, async (subject) => {
      const first = await connected(subject);
      await first.ensure(PLAN, "s1", never);
      await write(first, [sampleDocument("things", "1", V, "old")], "fill");
      await first.markSeeded("things", never);
      await first.ensure(PLAN, "s2", never);
      await write(first, [sampleDocument("things", "2", V, "new")], "fill");
      await first.saveSeed("things", { after: ["2"], rows: 1 }, never);
      await first[Symbol.asyncDispose]();

      await using second = await connected(subject);
      const state = await second.seedState(PLAN, never);
      assert.deepEqual(state, { seed: "s2", seeded: false, after: ["2"], rows: 1 });
      await second.ensure(PLAN, undefined, never);
      assert.equal((await subject.served("things", "1"))?.body, sampleBody("old"));
      assert.equal((await subject.read("things", "2"))?.body, sampleBody("new"));
      await second.markSeeded("things", never);
      assert.equal(await subject.served("things", "1"), undefined);
      assert.equal((await subject.served("things", "2"))?.body, sampleBody("new"));
    }),
  );
}
