import { test } from "node:test";
import assert from "node:assert/strict";
import type { Document } from "../../src/core/document.ts";
import type { RefDirectory, Searchable, Sink } from "../../src/core/ports.ts";
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

/** Clauses about which documents a sink says that list a row (design 3.7). */
export function exerciseSinkRefs(make: () => Promise<SinkSubject>, can: SinkAbilities): void {
  test(
    "documents are found by any of several rows, each once, as soon as their write resolved",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      for (const mode of ["fill", "live"] as const) {
        const at = mode === "fill" ? V : V + 8n;
        await write(sink, [
          listing("1", ["t:1", "t:2", "u:1"], at),
          listing("2", ["t:2"], at),
          listing("3", ["t:3", "t:1"], at),
          listing("4", [], at),
          { ...listing("5", undefined, at) },
        ], mode);
        assert.deepEqual(await holders(sink, ["t:1"]), ["1", "3"], mode);
      }
      assert.deepEqual(await holders(sink, ["t:2"]), ["1", "2"]);
      assert.deepEqual(await holders(sink, ["t:1", "t:2", "u:1", "t:3"]), ["1", "2", "3"]);
      assert.deepEqual(await holders(sink, ["t:", "t", "1", "t:12", "T:1", "none"]), []);
      assert.deepEqual(await holders(sink, []), []);
    }),
  );

  test(
    "a document is found no more after it was written without the row, or deleted",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, ["1", "2", "3", "4"].map((id) => listing(id, ["t:1", "t:2"])));
      await write(sink, [
        listing("1", ["t:2"], V + 8n),
        listing("2", undefined, V + 8n),
        sampleDocument("things", "3", V + 8n, null),
        { ...listing("4", undefined, V + 8n), sync: { bucket: 1, key: 1, over: true } },
      ]);
      assert.deepEqual(await holders(sink, ["t:1"]), []);
      assert.deepEqual(await holders(sink, ["t:1", "t:2"]), ["1"]);
      await write(sink, ["2", "3", "4"].map((id) => listing(id, ["t:1"], V + 16n)));
      assert.deepEqual(await holders(sink, ["t:1"]), ["2", "3", "4"]);
      assert.equal(await refsOf(sink).over("things", never), 0);
    }),
  );

  if (can.versions) {
    test(
      "a write that is refused as older changes nothing, and a repeated one neither",
      onSubject(make, async (subject) => {
        await using sink = await filled(subject);
        await write(sink, [listing("1", ["t:new"], V + 8n), listing("2", undefined, V + 8n)]);
        await write(sink, [listing("1", ["t:old"]), listing("2", ["t:old"])]);
        await write(sink, [listing("1", ["t:tie"], V + 8n)], "fill");
        assert.deepEqual(await holders(sink, ["t:old", "t:tie"]), []);
        assert.deepEqual(await holders(sink, ["t:new"]), ["1"]);
        await write(sink, [listing("1", ["t:new"], V + 8n)]);
        assert.deepEqual(await holders(sink, ["t:new"]), ["1"]);
      }),
    );
  }

  test(
    "a row's key may be any text, and so may the documents' ids and bodies",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const texts = [
        ...DELICATE_IDS,
        `a"b`,
        "back\\slash",
        `"],"over":true},"`,
        "]}",
        "{",
        "#1",
        " ",
        "tab\tline\nend",
        "line\u2028separator",
        "𝒯🦊",
        "e\u0301",
        "\u00e9",
        "x".repeat(200),
        "é".repeat(200),
        "*",
        "%2C,",
      ].map((text) => `t:${text}`);
      const bodies = Object.entries(DELICATE_BODIES);
      const documents = texts.map((text, n) => {
        const id = DELICATE_IDS[n] ?? `n${n}`;
        const [, body = "{}"] = bodies[n % bodies.length] ?? [];
        return { ...listing(id, [text, `t:common`]), body };
      });
      await write(sink, documents);
      for (const [n, text] of texts.entries()) {
        assert.deepEqual(await holders(sink, [text]), [documents[n]?.id], JSON.stringify(text));
      }
      const all = documents.map(({ id }) => id).toSorted();
      assert.deepEqual(await holders(sink, ["t:common"]), all);
      for (const { id, body } of documents) {
        assert.equal((await subject.read("things", id))?.body, body, id);
      }
    }),
  );

  test(
    "many rows and many documents are looked up to their end",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const documents = Array.from(
        { length: 11_000 },
        (_, n) => listing(String(n), [`t:${n}`, "t:all", `u:${n % 7}`]),
      );
      await write(sink, documents, "fill");
      assert.equal((await holders(sink, ["t:all", "u:3"])).length, 11_000);
      const even = Array.from({ length: 40_000 }, (_, n) => `t:${2 * n}`);
      assert.equal((await holders(sink, even)).length, 5_500);
    }),
  );

  test(
    "documents that have too many rows to list are counted",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const over = { bucket: 1, key: 1, over: true } as const;
      assert.equal(await refsOf(sink).over("things", never), 0);
      await write(sink, [
        { ...listing("1", undefined), sync: over },
        { ...listing("2", undefined), sync: over },
        { ...listing("3", undefined), sync: over },
        listing("4", ["t:1"]),
      ]);
      assert.equal(await refsOf(sink).over("things", never), 3);
      await write(sink, [
        listing("1", ["t:1"], V + 8n),
        sampleDocument("things", "2", V + 8n, null),
        { ...listing("3", undefined, V + 8n), sync: over },
      ]);
      assert.equal(await refsOf(sink).over("things", never), 1);
      assert.deepEqual(await holders(sink, [""]), []);
      await sink.markSeeded("things", never);
      await using other = await connected(subject);
      if (can.remembers) assert.equal(await refsOf(other).over("things", never), 1);
    }),
  );

  test(
    "indexes are told apart, and one that nothing ensured is an error",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await sink.ensure(samplePlan("others"), "s1", never);
      await write(sink, [listing("1", ["t:1"]), { ...listing("2", ["t:1"]), index: "others" }]);
      assert.deepEqual(await holders(sink, ["t:1"]), ["1"]);
      assert.deepEqual(await refsOf(sink).holders("others", ["t:1"], never), ["2"]);
      await assert.rejects(refsOf(sink).holders("unknown", ["t:1"], never));
      await assert.rejects(refsOf(sink).over("unknown", never));
    }),
  );

  test(
    "an aborted signal ends both with its reason",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      const reason = new Error("told to stop");
      const signal = AbortSignal.abort(reason);
      const refs = refsOf(sink);
      await assert.rejects(refs.holders("things", ["t:1"], signal), (error) => error === reason);
      await assert.rejects(refs.over("things", signal), (error) => error === reason);
    }),
  );

  if (can.searches) {
    test(
      "no search finds a document by the rows that it lists",
      onSubject(make, async (subject) => {
        await using sink = await filled(subject) as Sink & Searchable;
        const over = { bucket: 1, key: 1, over: true } as const;
        await write(sink, [
          { ...listing("1", ["abcd:4711", "fade"]), body: `{"title":"tea"}` },
          { ...listing("2", undefined), sync: over, body: `{"title":"tea"}` },
        ]);
        await sink.markSeeded("things", never);
        await sink.refresh(["things"], never);
        assert.equal((await sink.search("things", "tea", 10, never)).length, 2);
        for (const query of ["abcd:4711", "4711", "abcd", "fade", "ab*", "f*", "true", "#1"]) {
          assert.deepEqual(await sink.search("things", query, 10, never), [], query);
        }
        assert.equal(
          (await sink.search("things", "tea", 10, never)).find(({ id }) => id === "1")?.body,
          `{"title":"tea"}`,
        );
      }),
    );
  }

  if (!can.generations) return;
  test(
    "while a filling grows beside the served one, documents are found in both, each once",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, ["1", "2", "3"].map((id) => listing(id, ["t:1"])), "fill");
      await sink.markSeeded("things", never);
      await sink.ensure(PLAN, "s2", never);
      assert.deepEqual(await holders(sink, ["t:1"]), ["1", "2", "3"]);
      await write(sink, [listing("1", ["t:1"])], "fill");
      await write(sink, [listing("4", ["t:1"], V + 8n)]);
      assert.deepEqual(await holders(sink, ["t:1"]), ["1", "2", "3", "4"]);
      await write(sink, [listing("2", ["t:2"], V + 8n)]);
      assert.deepEqual(await holders(sink, ["t:1"]), ["1", "3", "4"]);
      {
        await using other = await connected(subject);
        await other.ensure(PLAN, undefined, never);
        assert.deepEqual(await holders(other, ["t:1"]), ["1", "3", "4"]);
      }
      await sink.markSeeded("things", never);
      assert.deepEqual(await holders(sink, ["t:1"]), ["1", "4"]);
    }),
  );

  test(
    "a served filling of another shape is left out",
    onSubject(make, async (subject) => {
      await using sink = await filled(subject);
      await write(sink, [listing("1", ["t:1"])], "fill");
      await sink.markSeeded("things", never);
      await sink.ensure(samplePlan("things", "ffff0000"), "s2", never);
      assert.deepEqual(await holders(sink, ["t:1"]), []);
    }),
  );
}

async function filled(subject: SinkSubject): Promise<Sink> {
  const sink = await connected(subject);
  await sink.ensure(PLAN, "s1", never);
  return sink;
}

/** A document that lists these rows; undefined: it was rendered without any. */
function listing(id: string, refs: readonly string[] | undefined, version: bigint = V): Document {
  const sync = { bucket: 1, key: 1, ...(refs === undefined ? {} : { refs: JSON.stringify(refs) }) };
  return { ...sampleDocument("things", id, version, `document ${id}`), sync };
}

function refsOf({ refs }: Sink): RefDirectory {
  assert.ok(refs !== undefined);
  return refs;
}

async function holders(sink: Sink, refs: readonly string[]): Promise<string[]> {
  return [...await refsOf(sink).holders("things", refs, never)].toSorted();
}
