import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { assign } from "../../src/postgres/assignment.ts";
import type { StoredStreams } from "../../src/postgres/capture_cursor.ts";
import type { Way } from "../../src/postgres/ways.ts";

const ID = "public.item";

/** Only what the decision looks at. */
function way(stream: Way["stream"], signature = "s"): Way {
  return { kind: stream, stream, signature, table: { id: ID } } as Way;
}

function stored(...entries: readonly (readonly [Way["stream"], string])[]): StoredStreams {
  return Object.fromEntries(
    entries.map(([stream, signature]) => [stream, { tables: { [ID]: signature }, cursor: null }]),
  );
}

function decide(ways: readonly [Way, ...Way[]], before: StoredStreams) {
  const { assigned, leaving, gaps, joined, due, lowered } = assign(new Map([[ID, ways]]), before);
  return {
    assigned: [...assigned.keys()],
    leaving: [...leaving].flatMap(([stream, tables]) => tables.has(ID) ? [stream] : []),
    gap: gaps.has(ID),
    joined: joined.has(ID),
    due: due.has(ID),
    lowered: lowered.has(ID),
  };
}

test("a table that is followed as before has nothing to drain and no gap", () => {
  deepEqual(decide([way("changelog")], stored(["changelog", "s"])), {
    assigned: ["changelog"],
    leaving: [],
    gap: false,
    joined: false,
    due: false,
    lowered: false,
  });
});

test("a table that nobody followed joins", () => {
  const { gap, joined } = decide([way("updated_at")], {});
  deepEqual([gap, joined], [false, true]);
});

test("a table that goes to another stream is drained by the old one, up or down", () => {
  const up = decide([way("changelog"), way("updated_at")], stored(["updated_at", "s"]));
  deepEqual([up.leaving, up.gap, up.lowered], [["updated_at"], false, false]);
  const down = decide([way("updated_at"), way("changelog")], stored(["changelog", "s"]));
  deepEqual([down.leaving, down.gap, down.lowered], [["changelog"], false, true]);
});

test("a table whose old stream can't be read on has a gap", () => {
  ok(decide([way("updated_at")], stored(["changelog", "s"])).gap);
  ok(
    decide([way("updated_at"), way("changelog", "installed anew")], stored(["changelog", "s"])).gap,
    "the old position speaks of another installation",
  );
});

test("another stamp on the same stream is a gap: one position can't mean two", () => {
  ok(decide([way("updated_at", "b"), way("updated_at", "a")], stored(["updated_at", "a"])).gap);
});

test("a crash while a table is drained drains it again, and a drain that can't go on is a gap", () => {
  const before = stored(["changelog", "s"], ["updated_at", "s"]);
  const again = decide([way("changelog"), way("updated_at")], before);
  deepEqual([again.leaving, again.gap], [["updated_at"], false]);
  ok(decide([way("changelog")], before).gap);
});

test("a table that was on sweeps alone is swept at once and needs no drain", () => {
  const { leaving, gap, due } = decide([way("changelog"), way("sweep")], stored(["sweep", "s"]));
  deepEqual([leaving, gap, due], [[], false, true]);
});
