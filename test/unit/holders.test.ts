import { deepEqual, equal, rejects } from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, test } from "node:test";
import type { Change } from "../../src/core/change.ts";
import type { Delivery } from "../../src/core/delivery.ts";
import type { Document } from "../../src/core/document.ts";
import { RetryableError } from "../../src/core/errors.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { IndexPlan } from "../../src/core/plan.ts";
import type { ChangeCapture, DocumentBuilder, Resolved, Sink } from "../../src/core/ports.ts";
import { committer } from "../../src/engine/commit.ts";
import type { EngineOptions } from "../../src/engine/pipeline.ts";
import type { Ground } from "../../src/engine/prepare.ts";
import { fence } from "../../src/flow/fence.ts";
import { samplePlan } from "../contract/sink_samples.ts";
import { hold, type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const NEVER = new AbortController().signal;

describe("the documents that changed rows may have left", () => {
  test("are built and written after the known ones, without those, and then acknowledged", async () => {
    const sink = await sinkWith("a", [
      listing("1", "t:9"),
      listing("2", "t:9"),
      listing("3", "t:9"),
    ]);
    const bench = open([sink], { known: ["1", "4"], sought: { things: ["t:9"] } });
    const gate = hold();
    sink.script({ kind: "pass" });
    sink.script({ kind: "hold", hold: gate });
    await bench.commit();
    await gate.reached;
    deepEqual(bench.built, [["1", "4"], ["2", "3"]]);
    equal(bench.acks(), 0);
    gate.release();
    await bench.settle();
    equal(bench.acks(), 1);
    deepEqual(lookups(sink), 1);
  });

  test("aren't asked for when nothing is sought, or no sink of the index can say", async () => {
    const able = await sinkWith("able", []);
    const { refs: _, ...unable } = await sinkWith("unable", []);
    for (
      const [sinks, sought, plan] of [
        [[able], {}, samplePlan("things")],
        [[able], { things: [] }, samplePlan("things")],
        [[unable], { things: ["t:9"] }, samplePlan("things")],
        [[able, unable], { things: ["t:9"] }, { ...samplePlan("things"), sinks: ["unable"] }],
      ] as [Sink[], Record<string, string[]>, IndexPlan][]
    ) {
      const bench = open(sinks, { known: ["1"], sought }, [plan]);
      // Whoever waits for this waits for ever.
      bench.filling.enter();
      await bench.commit();
      await bench.settle();
      equal(bench.acks(), 1);
      equal(lookups(able), 0);
      deepEqual(bench.built, [["1"]]);
    }
  });

  test("are none: the batch is acknowledged with what it wrote", async () => {
    const sink = await sinkWith("a", []);
    const bench = open([sink], { known: ["1"], sought: { things: ["t:9"] } });
    const gate = hold();
    sink.script({ kind: "hold", hold: gate });
    // It needn't wait for its own write.
    await bench.commit();
    equal(bench.acks(), 0);
    gate.release();
    await bench.settle();
    equal(bench.acks(), 1);
    deepEqual(bench.built, [["1"]]);
    const silent = open([await sinkWith("b", [])], { known: [], sought: { things: ["t:9"] } });
    await silent.commit();
    await silent.settle();
    equal(silent.acks(), 1);
    deepEqual(silent.built, []);
  });

  test("are those of every sink, each once", async () => {
    const one = await sinkWith("one", [listing("1", "t:9"), listing("2", "t:9")]);
    const two = await sinkWith("two", [listing("2", "t:9"), listing("3", "t:9")]);
    const bench = open([one, two], { known: [], sought: { things: ["t:9"] } });
    await bench.commit();
    await bench.settle();
    deepEqual(bench.built, [["1", "2", "3"]]);
    for (const sink of [one, two]) equal(sink.documents("things").get("1")?.body, "{}");
  });

  test("are asked for again when the sink is away, and its failure is nobody's ack", async () => {
    const sink = await sinkWith("a", [listing("1", "t:9")]);
    const bench = open([sink], { known: [], sought: { things: ["t:9"] } });
    const away = new RetryableError("ECONNREFUSED", "Cannot look up: refused");
    sink.script({ kind: "failBefore", error: away }, { on: "holders" });
    await bench.commit();
    await bench.settle();
    equal(lookups(sink), 2);
    equal(bench.acks(), 1);
    deepEqual(bench.events("retry"), ["a"]);
    const broken = open([sink], { known: [], sought: { things: ["t:9"] } });
    const reason = new Error("broken");
    sink.script({ kind: "failBefore", error: reason }, { on: "holders" });
    await rejects(broken.commit(), (error) => error === reason);
    equal(broken.acks(), 0);
  });

  test("that don't show their key are said once and left", async () => {
    const sink = await sinkWith("a", [listing("sha256:x", "t:9"), listing("2", "t:9")]);
    const bench = open([sink], { known: [], sought: { things: ["t:9"] } });
    for (let n = 0; n < 3; n++) await bench.commit();
    await bench.settle();
    equal(bench.acks(), 3);
    deepEqual(bench.built, [["2"], ["2"], ["2"]]);
    deepEqual(bench.events("warning"), ["HOLDER_UNKNOWN"]);
  });

  test("aren't looked up before fills that were begun before are written, and stop waiting when told to", async () => {
    const sink = await sinkWith("a", [listing("1", "t:9")]);
    const bench = open([sink], { known: [], sought: { things: ["t:9"] } });
    const leave = bench.filling.enter();
    const committing = bench.commit();
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    equal(lookups(sink), 0);
    const later = bench.filling.enter();
    leave();
    await committing;
    await bench.settle();
    equal(bench.acks(), 1);
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = bench.commit(controller.signal);
    controller.abort(reason);
    await rejects(waiting, (error) => error === reason);
    equal(bench.acks(), 1);
    later();
  });
});

function listing(id: string, ref: string): Document {
  const sync = { bucket: 1, key: 1, refs: JSON.stringify([ref]) };
  return { index: "things", id, version: 8n, body: "{}", sync };
}

async function sinkWith(name: string, documents: readonly Document[]): Promise<ScriptedSink> {
  const sink = scriptedSink(name);
  await sink.ensure(samplePlan("things"), "s1", NEVER);
  await sink.write(documents, "live", NEVER);
  return sink;
}

function lookups({ calls }: ScriptedSink): number {
  return calls.filter(({ method }) => method === "holders").length;
}

/** A committer over a builder that resolves every batch to the same and builds what it is asked for. */
function open(
  sinks: readonly Sink[],
  { known, sought }: {
    readonly known: readonly string[];
    readonly sought: Readonly<Record<string, readonly string[]>>;
  },
  plans: readonly IndexPlan[] = [samplePlan("things")],
) {
  const built: (readonly string[])[] = [];
  const seen: SyncEvent[] = [];
  let acks = 0;
  let version = 8n;
  const idOf = (id: string) => ({ index: "things", id, key: [id] });
  const builder: DocumentBuilder = {
    plans,
    identify: (_index, [id = ""]) => idOf(id),
    keyOf: (_index, id) => id.startsWith("sha256:") ? undefined : [id],
    keySums: () => Promise.resolve(new Map()),
    async *idsIn() {},
    resolve: (): Promise<Resolved> =>
      Promise.resolve({ ids: known.map(idOf), sought: new Map(Object.entries(sought)) }),
    build(ids) {
      built.push(ids.map(({ id }) => id));
      version += 8n;
      const documents = ids.map(({ index, id }) => ({ ...listing(id, "t:9"), index, version }));
      return Promise.resolve({ documents, rejections: [] });
    },
    advancePosition: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const options: EngineOptions = {
    batch: { maxChanges: 1, maxDelayMs: 1 },
    queue: { capacity: 1 },
    seed: { parallel: 1, chunk: 1 },
    once: false,
    skipBackfill: false,
    rebase: false,
    retryLimitMs: Infinity,
    observe: (event) => void seen.push(event),
  };
  const filling = fence();
  const ground: Ground = {
    anchor: {} as Ground["anchor"],
    epoch: { number: 0, timeline: 1, kind: "flush" },
    sequence: 0,
    coverage: new Map(),
    seeds: [],
    keysCompared: {},
    filling,
  };
  const pipeline = {
    capture: {} as ChangeCapture,
    builder,
    sinks,
    watch: () => Promise.resolve(),
  };
  const commits = committer(pipeline, ground, options, () => {});
  const delivery: Delivery<Change> = {
    value: { table: { schema: "public", name: "children" }, op: "upsert", key: ["9"] },
    ack: () => void acks++,
  };
  return {
    filling,
    built,
    acks: () => acks,
    events: (type: "retry" | "warning") =>
      seen.flatMap((event) =>
        event.type !== type
          ? []
          : event.type === "retry"
          ? event.edge
          : (event as { code: string }).code
      ),
    commit: (signal: AbortSignal = NEVER) => commits.commit([delivery], signal),
    settle: () => commits.settle(),
  };
}
