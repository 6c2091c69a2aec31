import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { WriteMode } from "../../src/core/document.ts";
import { connected, never, onSubject, type SinkSubject, write } from "./sink_subject.ts";
import { sampleBody, sampleDocument, samplePlan, V } from "./sink_samples.ts";

/** Two writes of one document, and which of them must be there afterwards. */
interface Case {
  readonly says: string;
  readonly first: string | null;
  readonly second: string | null;
  readonly mode: WriteMode;
  /** The second's version, relative to the first's. */
  readonly step: bigint;
  readonly wins: "first" | "second";
}

const CASES: readonly Case[] = [
  {
    says: "a newer live write wins",
    first: "a",
    second: "b",
    mode: "live",
    step: 1n,
    wins: "second",
  },
  { says: "live wins a tie", first: "a", second: "b", mode: "live", step: 0n, wins: "second" },
  {
    says: "an older live write loses",
    first: "a",
    second: "b",
    mode: "live",
    step: -1n,
    wins: "first",
  },
  { says: "a newer fill wins", first: "a", second: "b", mode: "fill", step: 1n, wins: "second" },
  { says: "a fill loses a tie", first: "a", second: "b", mode: "fill", step: 0n, wins: "first" },
  { says: "an older fill loses", first: "a", second: "b", mode: "fill", step: -1n, wins: "first" },
  {
    says: "a newer live delete wins",
    first: "a",
    second: null,
    mode: "live",
    step: 1n,
    wins: "second",
  },
  {
    says: "a live delete wins a tie",
    first: "a",
    second: null,
    mode: "live",
    step: 0n,
    wins: "second",
  },
  {
    says: "an older live delete loses",
    first: "a",
    second: null,
    mode: "live",
    step: -1n,
    wins: "first",
  },
  {
    says: "a newer fill delete wins",
    first: "a",
    second: null,
    mode: "fill",
    step: 1n,
    wins: "second",
  },
  {
    says: "a fill delete loses a tie",
    first: "a",
    second: null,
    mode: "fill",
    step: 0n,
    wins: "first",
  },
  {
    says: "an older fill delete loses",
    first: "a",
    second: null,
    mode: "fill",
    step: -1n,
    wins: "first",
  },
  {
    says: "an older live write after a delete stays away",
    first: null,
    second: "b",
    mode: "live",
    step: -1n,
    wins: "first",
  },
  {
    says: "an older fill after a delete stays away",
    first: null,
    second: "b",
    mode: "fill",
    step: -1n,
    wins: "first",
  },
  {
    says: "a fill that ties with a delete stays away",
    first: null,
    second: "b",
    mode: "fill",
    step: 0n,
    wins: "first",
  },
  {
    says: "a live write that ties with a delete wins",
    first: null,
    second: "b",
    mode: "live",
    step: 0n,
    wins: "second",
  },
  {
    says: "a newer live write after a delete wins",
    first: null,
    second: "b",
    mode: "live",
    step: 1n,
    wins: "second",
  },
  {
    says: "a newer fill after a delete wins",
    first: null,
    second: "b",
    mode: "fill",
    step: 1n,
    wins: "second",
  },
];

/** Clauses of sinks that refuse older versions: the rules of design 5.3. */
export function exerciseSinkVersions(make: () => Promise<SinkSubject>): void {
  for (const place of ["filling", "served index"]) {
    test(
      `of two writes of one document the right one stays, whichever it was, in a ${place}`,
      onSubject(make, async (subject) => {
        await using sink = await connected(subject);
        await sink.ensure(samplePlan("things"), "s1", never);
        if (place === "served index") await sink.markSeeded("things", never);
        for (const [n, { says, first, second, mode, step, wins }] of CASES.entries()) {
          const id = String(n);
          await write(sink, [sampleDocument("things", id, V, first)]);
          await write(sink, [sampleDocument("things", id, V + step, second)], mode);
          const title = wins === "first" ? first : second;
          const stored = await subject.read("things", id);
          assert.equal(stored?.body, title === null ? undefined : sampleBody(title), says);
          if (stored?.version !== undefined) {
            assert.equal(stored.version, wins === "first" ? V : V + step, says);
          }
        }
      }),
    );
  }

  test(
    "a late write doesn't resurrect what was deleted before a restart",
    onSubject(make, async (subject) => {
      const first = await connected(subject);
      await first.ensure(samplePlan("things"), "s1", never);
      await write(first, [sampleDocument("things", "1", V, "one")]);
      await write(first, [sampleDocument("things", "1", V + 8n, null)]);
      await first[Symbol.asyncDispose]();
      await using second = await connected(subject);
      await second.ensure(samplePlan("things"), undefined, never);
      await write(second, [sampleDocument("things", "1", V, "late")]);
      await write(second, [sampleDocument("things", "1", V + 8n, "late")], "fill");
      assert.equal(await subject.read("things", "1"), undefined);
    }),
  );

  test(
    "the greatest version there can be is kept exactly",
    onSubject(make, async (subject) => {
      const greatest = (255n << 55n) + (1n << 55n) - 2n;
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      await write(sink, [sampleDocument("things", "1", greatest, "greatest")]);
      await write(sink, [sampleDocument("things", "1", greatest - 1n, "one less")]);
      assert.equal((await subject.read("things", "1"))?.body, sampleBody("greatest"));
      await write(sink, [sampleDocument("things", "1", greatest + 1n, "one more")], "fill");
      assert.equal((await subject.read("things", "1"))?.body, sampleBody("one more"));
    }),
  );

  test(
    "any sequence of writes leaves what the version rules say",
    onSubject(make, async (subject) => {
      await using sink = await connected(subject);
      await sink.ensure(samplePlan("things"), "s1", never);
      const step = fc.record({
        document: fc.integer({ min: 0, max: 2 }),
        version: fc.bigInt({ min: 0n, max: 4n }),
        mode: fc.constantFrom<WriteMode>("live", "fill"),
        gone: fc.boolean(),
      });
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
          run++;
          const model = new Map<string, { version: bigint; title: string | null }>();
          for (const [n, { document, version, mode, gone }] of steps.entries()) {
            const id = `${run}-${document}`;
            const title = gone ? null : `write ${n}`;
            const known = model.get(id)?.version ?? -1n;
            const wins = mode === "live" ? version >= known : version > known;
            if (wins) model.set(id, { version, title });
            await write(sink, [sampleDocument("things", id, V + version, title)], mode);
          }
          for (const [id, { title }] of model) {
            const expected = title === null ? undefined : sampleBody(title);
            assert.equal((await subject.read("things", id))?.body, expected);
          }
        }),
        { numRuns: 25, interruptAfterTimeLimit: 60_000 },
      );
    }),
  );
}
