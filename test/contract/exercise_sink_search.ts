import { test } from "node:test";
import assert from "node:assert/strict";
import type { Hit, Searchable, Sink } from "../../src/core/ports.ts";
import { sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { connected, never, onSubject, type SinkSubject, write } from "./sink_subject.ts";

/** Clauses of sinks that can search. */
export function exerciseSinkSearch(make: () => Promise<SinkSubject>): void {
  const find = async (sink: Sink, query: string): Promise<readonly Hit[]> => {
    await sink.refresh(["things"], never);
    const searchable: unknown = sink;
    return await (searchable as Searchable).search("things", query, 10, never);
  };

  test(
    "what was written is found after a refresh, changed and deleted with it",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const first = sampleDocument("things", "1", V, "crimson lighthouse");
      await write(sink, [first, sampleDocument("things", "2", V, "azure harbour")], "fill");
      await sink.markSeeded("things", never);
      const hits = await find(sink, "lighthouse");
      assert.deepEqual(hits.map(({ id, body }) => [id, body]), [["1", first.body]]);

      await write(sink, [sampleDocument("things", "1", V + 8n, "crimson windmill")]);
      await write(sink, [sampleDocument("things", "3", V + 8n, "green windmill")]);
      assert.deepEqual(await find(sink, "lighthouse"), []);
      assert.deepEqual((await find(sink, "windmill")).map(({ id }) => id).toSorted(), ["1", "3"]);
      assert.deepEqual((await find(sink, "crimson")).map(({ id }) => id), ["1"]);

      await write(sink, [sampleDocument("things", "1", V + 16n, null)]);
      assert.deepEqual((await find(sink, "windmill")).map(({ id }) => id), ["3"]);
    }),
  );

  test(
    "what was deleted or changed while its index was filled is not found as it was",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await write(sink, [sampleDocument("things", "1", V + 8n, null)]);
      await write(sink, [sampleDocument("things", "2", V + 8n, "newer tower")]);
      await write(
        sink,
        ["1", "2", "3"].map((id) => sampleDocument("things", id, V, "old")),
        "fill",
      );
      await sink.markSeeded("things", never);
      assert.deepEqual((await find(sink, "old")).map(({ id }) => id), ["3"]);
      assert.deepEqual((await find(sink, "tower")).map(({ id }) => id), ["2"]);
    }),
  );

  test(
    "any text may be searched for: it is never read as syntax that fails",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await write(sink, [sampleDocument("things", "1", V, "plain words")], "fill");
      await sink.markSeeded("things", never);
      const odd = [
        "",
        " ",
        '"',
        "'",
        "((",
        "a AND",
        "NOT",
        "*",
        "title:",
        "-",
        "/",
        "\\",
        "🦊 {}",
        "^",
      ];
      for (const query of odd) assert.ok(Array.isArray(await find(sink, query)), query);
    }),
  );
}
