import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import { BUCKETS, type DocumentId, type KeySum, type KeySums } from "../../src/core/document.ts";
import { FatalError } from "../../src/core/errors.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { DocumentBuilder, KeyDigest, Sink } from "../../src/core/ports.ts";
import { keySweep, type KeySweepOptions, runningClock } from "../../src/engine/key_sweep.ts";
import type { EngineOptions } from "../../src/engine/pipeline.ts";
import { fence } from "../../src/flow/fence.ts";
import { samplePlan } from "../contract/sink_samples.ts";
import { eventually } from "../support/eventually.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const SIGNAL = new AbortController().signal;
const NOW = "2026-01-02T03:04:05.123456Z";

/** A side that holds the ids `first` to `last`, without keeping them. */
function numbers(
  first: number,
  last: number,
  most: { listed: number },
  bucketOf: (n: number) => number = (n) => n % BUCKETS,
): KeyDigest<string> {
  return {
    keySums(): Promise<KeySums> {
      const sums = new Map<number, KeySum>();
      for (let n = first; n <= last; n++) {
        const { count, sum } = sums.get(bucketOf(n)) ?? { count: 0, sum: 0 };
        sums.set(bucketOf(n), { count: count + 1, sum: sum + n });
      }
      return Promise.resolve(sums);
    },
    async *idsIn(_index, buckets) {
      const wanted = new Set(buckets);
      let page: string[] = [];
      let listed = 0;
      for (let n = first; n <= last; n++) {
        if (!wanted.has(bucketOf(n))) continue;
        page.push(String(n));
        most.listed = Math.max(most.listed, ++listed);
        if (page.length < 5_000) continue;
        yield page;
        page = [];
      }
      yield await Promise.resolve(page);
    },
  };
}

/** A source whose rows are the keys of `digest`; it builds what it is asked for. */
function source(
  digest: KeyDigest<string>,
  has: (id: string) => boolean,
  most: { built: number } = { built: 0 },
): DocumentBuilder {
  let version = 10n;
  const identify = (index: string, id: string): DocumentId => ({ index, id, key: [id] });
  return {
    plans: [samplePlan("things")],
    keySums: digest.keySums,
    async *idsIn(index, buckets, signal) {
      for await (const page of digest.idsIn(index, buckets, signal)) {
        yield page.map((id) => identify(index, id));
      }
    },
    identify: (index, [id = ""]) => identify(index, id),
    keyOf: (_index, id) => id.startsWith("sha256:") ? undefined : [id],
    resolve: () => Promise.resolve({ ids: [], sought: new Map() }),
    build(ids) {
      most.built = Math.max(most.built, ids.length);
      version += 8n;
      const documents = ids.map(({ index, id }) => {
        const mark = { bucket: Number(id) % BUCKETS, key: Number(id) };
        return has(id)
          ? { index, id, version, body: "{}", sync: mark }
          : { index, id, version, body: null };
      });
      return Promise.resolve({ documents, rejections: [] });
    },
    advancePosition: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function seededSink(name = "a"): Promise<ScriptedSink> {
  const sink = scriptedSink(name);
  await sink.ensure(samplePlan("things"), "s1", SIGNAL);
  await sink.markSeeded("things", SIGNAL);
  return sink;
}

function options(
  builder: DocumentBuilder,
  sinks: readonly Sink[],
  more: Partial<KeySweepOptions> = {},
): KeySweepOptions & { readonly events: SyncEvent[] } {
  const events: SyncEvent[] = [];
  const engine = {
    retryLimitMs: 1_000,
    observe: (event: SyncEvent) => events.push(event),
  } as unknown as EngineOptions;
  const pipeline = { builder, sinks, watch: () => Promise.resolve(), capture: {} as never };
  return {
    events,
    pipeline,
    engine,
    epoch: { number: 0, timeline: 1, kind: "flush" },
    filling: fence(),
    intervalMs: 60_000,
    dutyCycle: 1,
    massDeletes: false,
    compared: {},
    clock: runningClock(NOW),
    ...more,
  };
}

const swept = (events: readonly SyncEvent[]) =>
  events.flatMap((event) =>
    event.type === "swept" ? [[event.sink, event.missing, event.orphans]] : []
  );
const codes = (events: readonly SyncEvent[]) =>
  events.flatMap((event) => event.type === "warning" ? [event.code] : []);

describe("a comparison of many keys", () => {
  test("of which all differ holds some tens of thousands at once", async () => {
    const most = { listed: 0, built: 0 };
    const inner = await seededSink();
    const removed = new Set<string>();
    const held = numbers(300_001, 600_000, most);
    // What is written is only counted; what is deleted is gone.
    let written = 0;
    const sink: Sink = {
      ...inner,
      keys: {
        keySums: held.keySums,
        async *idsIn(index, buckets, signal) {
          const all = numbers(1, 600_000, most).idsIn(index, buckets, signal);
          for await (const page of all) {
            yield page.filter((id) =>
              Number(id) > 300_000 ? !removed.has(id) : Number(id) <= 300_000 && removed.has(id)
            );
          }
        },
      },
      write(documents) {
        for (const { id, body } of documents) {
          removed.add(id);
          if (body !== null) written++;
        }
        return Promise.resolve([]);
      },
    };
    const builder = source(numbers(1, 300_000, most), (id) => Number(id) <= 300_000, most);
    const all = options(builder, [sink], { massDeletes: true });
    await keySweep(all).once(SIGNAL);
    deepEqual(swept(all.events), [["a", 300_000, 300_000]]);
    equal(written, 300_000);
    ok(most.listed <= 40_000, `${most.listed} ids in one listing`);
    ok(most.built <= 1_000, `${most.built} documents in one build`);
  });

  test("whose marks the source makes otherwise writes them again and deletes none", async () => {
    const most = { listed: 0 };
    const rewritten = new Set<number>();
    let deleted = 0;
    const other = (n: number) => (n + 2_000) % BUCKETS;
    const sink: Sink = {
      ...await seededSink(),
      keys: numbers(1, 90_000, most, (n) => rewritten.has(n) ? other(n) : n % BUCKETS),
      write(documents) {
        for (const { id, body } of documents) {
          if (body === null) deleted++;
          rewritten.add(Number(id));
        }
        return Promise.resolve([]);
      },
    };
    const all = options(source(numbers(1, 90_000, most, other), () => true), [sink]);
    await keySweep(all).once(SIGNAL);
    deepEqual(codes(all.events), []);
    equal(deleted, 0);
    equal(rewritten.size, 90_000);
  });

  test("gives up on deleting at the limit, and looks no further", async () => {
    const most = { listed: 0, built: 0 };
    const sink = await seededSink();
    const builder = source(numbers(1, 0, most), () => false, most);
    let builds = 0;
    const counting: DocumentBuilder = {
      ...builder,
      build: (...args) => {
        builds += args[0].length;
        return builder.build(...args);
      },
    };
    const held = { ...sink, keys: numbers(1, 90_000, most) };
    const all = options(counting, [held]);
    await rejects(
      keySweep(all).once(SIGNAL),
      (error) => error instanceof FatalError && error.code === "MASS_DELETE_REFUSED",
    );
    ok(builds <= 45_000, `${builds} looked for`);
    equal(sink.calls.filter(({ method }) => method === "write").length, 0);
  });
});

describe("the schedule of key sweeps", () => {
  const most = { listed: 0 };
  const same = () => numbers(1, 10, most);
  const withKeys = async (name: string) => ({ ...await seededSink(name), keys: same() });

  test("compares what was never compared, and what was compared an interval ago", async () => {
    const builder = source(same(), () => true);
    const sink = await withKeys("a");
    for (
      const [last, due] of [
        [undefined, true],
        ["2026-01-02T03:04:00.000000Z", false],
        ["2026-01-02T03:03:05.000000Z", true],
        // By a clock that was set back since.
        ["2026-01-02T05:00:00.000000Z", true],
      ] as const
    ) {
      const compared: Record<string, string> = last === undefined ? {} : { things: last };
      const all = options(builder, [sink], { compared });
      const sweep = keySweep(all);
      await sweep.once(SIGNAL);
      equal(swept(all.events).length, due ? 1 : 0, last);
      const now = sweep.compared()["things"] ?? "";
      if (due) ok(/^2026-01-02T03:04:\d\d\.\d{6}Z$/.test(now) && now >= "2026-01-02T03:04:05", now);
      else equal(now, last);
      await sweep.once(SIGNAL);
      equal(swept(all.events).length, due ? 1 : 0, "not due again");
    }
  });

  test("goes on by the interval until it is stopped", async () => {
    const all = options(source(same(), () => true), [await withKeys("a")], { intervalMs: 20 });
    const stop = new AbortController();
    const following = keySweep(all).follow(stop.signal);
    await eventually("three sweeps", () => Promise.resolve(swept(all.events).length >= 3));
    const reason = new Error("stopped");
    stop.abort(reason);
    await rejects(following, (error) => error === reason);
  });

  test("waits for a seed, in each sink by itself, and leaves out who can't list", async () => {
    const builder = source(same(), () => true);
    const filling = { ...scriptedSink("filling"), keys: same() };
    await filling.ensure(samplePlan("things"), "s1", SIGNAL);
    const { keys: _, ...mute } = await seededSink("mute");
    const all = options(builder, [await withKeys("a"), filling, mute], { intervalMs: 600_000 });
    const sweep = keySweep(all);
    await sweep.once(SIGNAL);
    deepEqual(swept(all.events), [["a", 0, 0]]);
    deepEqual(sweep.compared(), {});
    await filling.markSeeded("things", SIGNAL);
    const stop = new AbortController();
    const following = sweep.follow(stop.signal).catch(() => {});
    await eventually("the other sink", () => Promise.resolve(swept(all.events).length === 2));
    stop.abort();
    await following;
    deepEqual(swept(all.events), [["a", 0, 0], ["filling", 0, 0]]);
    deepEqual(Object.keys(sweep.compared()), ["things"]);
  });

  test("does nothing where rows may be hidden, and says so once", async () => {
    const all = options(source(numbers(1, 0, most), () => false), [await withKeys("a")], {
      refused: "row-level security may hide rows",
    });
    const sweep = keySweep(all);
    await sweep.once(SIGNAL);
    await sweep.once(SIGNAL);
    deepEqual(codes(all.events), ["KEY_SWEEP_REFUSED"]);
    deepEqual(swept(all.events), []);
  });

  test("says when the source can't list its keys, goes on, and doesn't try at once again", async () => {
    const builder = {
      ...source(same(), () => true),
      keySums: () => Promise.reject(new FatalError("22012", "Cannot list", "Mend the row.")),
    };
    const all = options(builder, [await withKeys("a")]);
    const sweep = keySweep(all);
    await sweep.once(SIGNAL);
    await sweep.once(SIGNAL);
    deepEqual(codes(all.events), ["KEYS_NOT_COMPARED"]);
    deepEqual(sweep.compared(), {});
  });
});

test("an id that is a digest is reported and left", async () => {
  const sink = await seededSink();
  const id = `sha256:${"0".repeat(64)}`;
  const document = { index: "things", id, version: 1n, body: "{}", sync: { bucket: 1, key: 1 } };
  await sink.write([document, { ...document, id: "7" }], "live", SIGNAL);
  const builder = source(numbers(1, 0, { listed: 0 }), () => false);
  const all = options(builder, [sink]);
  await keySweep(all).once(SIGNAL);
  deepEqual(codes(all.events), ["ORPHANS_UNKNOWN"]);
  deepEqual(swept(all.events), [["a", 0, 1]]);
  const left = [...sink.documents("things")].filter(([, { body }]) => body !== null);
  deepEqual(left.map(([each]) => each), [id]);
});

describe("a document that is rejected under skip is no repair that was refused", () => {
  const skipping = (builder: DocumentBuilder): DocumentBuilder => ({
    ...builder,
    plans: [{ ...samplePlan("things"), onRejected: "skip" }],
  });
  const rejection = (id: string) => ({
    index: "things",
    id,
    type: "mapper_parsing_exception",
    reason: "mapper_parsing_exception",
  });
  const rejected = (events: readonly SyncEvent[]) =>
    events.flatMap((event) => event.type === "rejected" ? [event.id] : []);

  for (const massDeletes of [false, true]) {
    test(`by the sink (massDeletes: ${massDeletes})`, async () => {
      const inner = await seededSink();
      const sink: Sink = {
        ...inner,
        async write(documents, mode, signal) {
          const others = documents.filter(({ id }) => id !== "3");
          const more = await inner.write(others, mode, signal);
          return others.length === documents.length ? more : [...more, rejection("3")];
        },
      };
      const builder = skipping(source(numbers(1, 5, { listed: 0 }), () => true));
      const all = options(builder, [sink], { massDeletes });
      await keySweep(all).once(SIGNAL);
      deepEqual(swept(all.events), [["a", 4, 0]]);
      deepEqual(rejected(all.events), ["3"]);
      deepEqual(codes(all.events), []);
    });

    test(`in the build (massDeletes: ${massDeletes})`, async () => {
      const builder = source(numbers(1, 5, { listed: 0 }), () => true);
      const failing = skipping({
        ...builder,
        async build(...args) {
          const { documents } = await builder.build(...args);
          const built = documents.filter(({ id }) => id !== "3");
          const rejections = built.length === documents.length ? [] : [rejection("3")];
          return { documents: built, rejections };
        },
      });
      const all = options(failing, [await seededSink()], { massDeletes });
      await keySweep(all).once(SIGNAL);
      deepEqual(swept(all.events), [["a", 4, 0]]);
      deepEqual(rejected(all.events), ["3"]);
      deepEqual(codes(all.events), []);
    });
  }

  test("but one that the sink takes and doesn't have then is", async () => {
    const inner = await seededSink();
    const sink: Sink = {
      ...inner,
      write: (documents, mode, signal) =>
        inner.write(documents.filter(({ id }) => id !== "3"), mode, signal),
    };
    const builder = skipping(source(numbers(1, 5, { listed: 0 }), () => true));
    const all = options(builder, [sink]);
    await keySweep(all).once(SIGNAL);
    deepEqual(swept(all.events), [["a", 4, 0]]);
    deepEqual(codes(all.events), ["REPAIR_REFUSED"]);
  });
});
