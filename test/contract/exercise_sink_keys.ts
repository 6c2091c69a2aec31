import { test } from "node:test";
import assert from "node:assert/strict";
import { BUCKETS, type Document, type SyncMark, UNMARKED } from "../../src/core/document.ts";
import type { KeyDigest, Sink } from "../../src/core/ports.ts";
import {
  connected,
  never,
  onSubject,
  type SinkAbilities,
  type SinkSubject,
  write,
} from "./sink_subject.ts";
import { DELICATE_BODIES, DELICATE_IDS, sampleDocument, samplePlan, V } from "./sink_samples.ts";

const PLAN = samplePlan("things");
const MOST = 2 ** 31 - 1;

/** Clauses about what a sink says that it holds (design 3.6). */
export function exerciseSinkKeys(make: () => Promise<SinkSubject>, can: SinkAbilities): void {
  test(
    "sums are exact over all buckets, and the ids of a bucket are listed each once",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const documents = Array.from(
        { length: 9_000 },
        (_, n) => marked(String(n), { bucket: n * 7 % BUCKETS, key: MOST - n }),
      );
      await write(sink, documents, "fill");
      const expected = new Map<number, { count: number; sum: number }>();
      for (const { sync } of documents) {
        const known = expected.get(sync?.bucket ?? 0) ?? { count: 0, sum: 0 };
        expected.set(sync?.bucket ?? 0, {
          count: known.count + 1,
          sum: known.sum + (sync?.key ?? 0),
        });
      }
      const sums = await keysOf(sink).keySums("things", never);
      assert.deepEqual(sorted(sums), sorted(expected));
      for (const buckets of [[0], [4095, 7, 14], [...expected.keys()]]) {
        const ids = await listed(sink, buckets);
        const wanted = documents.filter(({ sync }) => buckets.includes(sync?.bucket ?? -2));
        assert.deepEqual(ids.toSorted(), wanted.map(({ id }) => id).toSorted());
      }
      assert.deepEqual(await listed(sink, []), []);
    }),
  );

  test(
    "one bucket of many documents sums beyond 32 bits and is listed to its end",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const documents = Array.from(
        { length: 12_000 },
        (_, n) => marked(String(n), { bucket: 4095, key: MOST }),
      );
      await write(sink, documents, "fill");
      const sums = await keysOf(sink).keySums("things", never);
      assert.deepEqual([...sums], [[4095, { count: 12_000, sum: 12_000 * MOST }]]);
      const ids = await listed(sink, [4095]);
      assert.equal(ids.length, 12_000);
      assert.equal(new Set(ids).size, 12_000);
    }),
  );

  test(
    "what was just written counts, what was deleted doesn't, a new mark replaces the old one",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, [1, 2, 3].map((n) => marked(String(n), { bucket: n, key: n })));
      await write(sink, [
        sampleDocument("things", "1", V + 8n, null),
        { ...marked("2", { bucket: 20, key: 200 }), version: V + 8n },
      ]);
      const sums = await keysOf(sink).keySums("things", never);
      assert.deepEqual(sorted(sums), [[3, { count: 1, sum: 3 }], [20, { count: 1, sum: 200 }]]);
      assert.deepEqual(await listed(sink, [1, 2, 3, 20]), ["2", "3"]);
      await write(sink, [{ ...marked("1", { bucket: 1, key: 9 }), version: V + 16n }]);
      assert.deepEqual(await listed(sink, [1]), ["1"]);
    }),
  );

  test(
    "a document without a mark is counted apart, and can be listed",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, [
        sampleDocument("things", "bare", V, "by hand"),
        marked("1", { bucket: 0, key: 0 }),
      ]);
      const sums = await keysOf(sink).keySums("things", never);
      assert.deepEqual(sorted(sums), [[UNMARKED, { count: 1, sum: 0 }], [0, { count: 1, sum: 0 }]]);
      assert.deepEqual(await listed(sink, [UNMARKED]), ["bare"]);
      assert.deepEqual(await listed(sink, [UNMARKED, 0]), ["1", "bare"]);
      await write(sink, [{ ...marked("bare", { bucket: 5, key: 6 }), version: V + 8n }]);
      assert.deepEqual(await listed(sink, [UNMARKED]), []);
    }),
  );

  test(
    "a mark alters no byte of a document, and an empty one has one too",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const bodies = Object.entries({ ...DELICATE_BODIES, empty: "{}", blank: "{ }" });
      await write(
        sink,
        bodies.map(([id, body], n) => ({ ...marked(id, { bucket: n, key: n }), body })),
      );
      for (const [id, body] of bodies) {
        assert.equal((await subject.read("things", id))?.body, body, id);
      }
      const ids = await listed(sink, bodies.map((_, n) => n));
      assert.deepEqual(ids, bodies.map(([id]) => id).toSorted());
    }),
  );

  test(
    "ids are listed verbatim",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, DELICATE_IDS.map((id) => marked(id, { bucket: 1, key: 1 })));
      assert.deepEqual(await listed(sink, [1]), DELICATE_IDS.toSorted());
    }),
  );

  test(
    "indexes are told apart, and one that nothing ensured is an error",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await sink.ensure(samplePlan("others"), "s1", never);
      await write(sink, [
        marked("1", { bucket: 1, key: 1 }),
        { ...marked("2", { bucket: 1, key: 2 }), index: "others" },
      ]);
      assert.deepEqual([...await keysOf(sink).keySums("others", never)], [
        [1, { count: 1, sum: 2 }],
      ]);
      assert.deepEqual(await listed(sink, [1]), ["1"]);
      await assert.rejects(keysOf(sink).keySums("unknown", never));
    }),
  );

  test(
    "an aborted signal ends both with its reason",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const reason = new Error("told to stop");
      const signal = AbortSignal.abort(reason);
      await assert.rejects(keysOf(sink).keySums("things", signal), (error) => error === reason);
      await assert.rejects(
        Array.fromAsync(keysOf(sink).idsIn("things", [1], signal)),
        (error) => error === reason,
      );
    }),
  );

  if (!can.generations) return;
  test(
    "what is compared is the filling that is written to, and live writes mark both",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, [marked("1", { bucket: 1, key: 1 })], "fill");
      await sink.markSeeded("things", never);
      await sink.ensure(PLAN, "s2", never);
      assert.deepEqual([...await keysOf(sink).keySums("things", never)], []);
      await write(sink, [{ ...marked("2", { bucket: 2, key: 2 }), version: V + 8n }]);
      assert.deepEqual(await listed(sink, [1, 2]), ["2"]);
      await using other = await connected(subject);
      await other.ensure(PLAN, undefined, never);
      assert.deepEqual(await listed(other, [1, 2]), ["2"]);
    }),
  );
}

async function filled(subject: SinkSubject): Promise<Sink> {
  const sink = await connected(subject);
  await sink.ensure(PLAN, "s1", never);
  return sink;
}

function marked(id: string, sync: SyncMark): Document {
  return { ...sampleDocument("things", id, V, `document ${id}`), sync };
}

function keysOf({ keys }: Sink): KeyDigest<string> {
  assert.ok(keys !== undefined);
  return keys;
}

async function listed(sink: Sink, buckets: readonly number[]): Promise<string[]> {
  const pages = await Array.fromAsync(keysOf(sink).idsIn("things", buckets, never));
  return pages.flat().toSorted();
}

function sorted<T>(sums: ReadonlyMap<number, T>): [number, T][] {
  return [...sums].toSorted(([a], [b]) => a - b);
}
