import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { inFolder } from "../support/in_folder.ts";
import { sampleBody, sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never, write } from "./sink_subject.ts";

const PLAN = samplePlan("things");

const onPath = (body: (path: string) => Promise<void>) =>
  inFolder((folder) => body(join(folder, "documents.db")));

const sinkOn = (path: string) => sqliteSink({ name: "sqlite", path });

describe("the sqlite sink", () => {
  test(
    "keeps no table of a filling that was given up or replaced",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      await sink.ensure(PLAN, "s1", never);
      await sink.markSeeded("things", never);
      await sink.ensure(PLAN, "given up", never);
      await sink.ensure(PLAN, "s3", never);
      using observer = new DatabaseSync(path, { readOnly: true });
      const schema = observer.prepare("SELECT name FROM sqlite_schema ORDER BY name");
      const tablesOf = (n: number) => [`_documents_${n}`, `_refs_${n}`, `_search_${n}`];
      const tables = () =>
        schema.all().map(({ name }) => String(name))
          .filter((name) => /^_(documents|refs|search)_\d+$/.test(name));
      assert.deepEqual(tables(), [1, 3].flatMap(tablesOf).toSorted());
      await sink.markSeeded("things", never);
      assert.deepEqual(tables(), tablesOf(3));
    }),
  );

  test(
    "stops a large write between two transactions when told to",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      await sink.ensure(PLAN, "s1", never);
      const documents = Array.from(
        { length: 12_000 },
        (_, n) => sampleDocument("things", String(n), V, "one"),
      );
      const controller = new AbortController();
      const reason = new Error("told to stop");
      const writing = sink.write(documents, "fill", controller.signal);
      await nextTurn();
      controller.abort(reason);
      await assert.rejects(writing, (error) => error === reason);
      using observer = new DatabaseSync(path, { readOnly: true });
      const stored = Number(observer.prepare("SELECT count(*) n FROM _documents_1").get()?.["n"]);
      assert.ok(stored > 0 && stored < documents.length);
    }),
  );

  test(
    "lets the event loop turn during a large write and while it indexes a filling",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      await sink.ensure(PLAN, "s1", never);
      const turnsDuring = async (work: Promise<unknown>): Promise<number> => {
        let turns = 0;
        let done = false;
        const working = work.finally(() => done = true);
        while (!done) {
          await nextTurn();
          turns++;
        }
        await working;
        return turns;
      };
      const documents = Array.from(
        { length: 12_000 },
        (_, n) => sampleDocument("things", String(n), V, `document ${n}`),
      );
      assert.ok(await turnsDuring(write(sink, documents, "fill")) >= 5);
      assert.ok(await turnsDuring(sink.markSeeded("things", never)) >= 11);
    }),
  );

  test(
    "finds what live changes left, made while the filling was being indexed",
    onPath(async (path) => {
      await using sink = sinkOn(path);
      await sink.ensure(PLAN, "s1", never);
      const ids = Array.from({ length: 6_000 }, (_, n) => n);
      const filled = ids.map((n) => sampleDocument("things", String(n), V, "filled"));
      await write(sink, filled, "fill");
      const expected = new Map(ids.map((n) => [String(n), "filled"]));
      let done = false;
      const marking = sink.markSeeded("things", never).finally(() => done = true);
      let rounds = 0;
      for (let turn = 0; !done; turn++, rounds++) {
        // Spread over pages that are indexed, that are not yet, and ids that are new.
        const changed = ids.filter((n) => n % 53 === turn).map(String);
        const gone = ids.filter((n) => n % 53 === turn + 10).map(String);
        const added = [`new-${turn}`];
        await write(sink, [
          ...[...changed, ...added].map((id) => sampleDocument("things", id, V + 8n, "changed")),
          ...gone.map((id) => sampleDocument("things", id, V + 8n, null)),
        ]);
        for (const id of [...changed, ...added]) expected.set(id, "changed");
        for (const id of gone) expected.delete(id);
        await nextTurn();
      }
      await marking;
      assert.ok(rounds >= 3, "some changes fell between pages");
      for (const word of ["filled", "changed"]) {
        const hits = await sink.search("things", word, 100_000, never);
        const wanted = [...expected].filter(([, title]) => title === word).map(([id]) => id);
        assert.deepEqual(hits.map(({ id }) => id).toSorted(), wanted.toSorted(), word);
        assert.ok(hits.every(({ body }) => body === sampleBody(word)));
      }
    }),
  );

  test(
    "goes on indexing a filling where an abort stopped it",
    onPath(async (path) => {
      const first = sinkOn(path);
      await first.ensure(PLAN, "s1", never);
      const documents = Array.from(
        { length: 5_000 },
        (_, n) => sampleDocument("things", String(n), V, `word${n}`),
      );
      await write(first, documents, "fill");
      const controller = new AbortController();
      const reason = new Error("told to stop");
      const marking = first.markSeeded("things", controller.signal);
      await nextTurn();
      controller.abort(reason);
      await assert.rejects(marking, (error) => error === reason);
      assert.equal((await first.seedState(PLAN, never))?.seeded, false);
      await first[Symbol.asyncDispose]();
      await using second = sinkOn(path);
      await second.ensure(PLAN, undefined, never);
      await second.markSeeded("things", never);
      for (const n of [0, 1_000, 2_500, 4_999]) {
        const hits = await second.search("things", `word${n}`, 10, never);
        assert.deepEqual(hits.map(({ id }) => id), [String(n)]);
      }
    }),
  );
});
