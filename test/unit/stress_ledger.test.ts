import { deepEqual, equal, notDeepEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import { openLedger } from "../stress/ledger.ts";
import { type Kind, type Script, scripts } from "../stress/script.ts";
import { seededRandom } from "../support/stress_random.ts";

describe("the stress's ledger", () => {
  test("calls a row lost whose last version was never read, whatever was read before", () => {
    const ledger = openLedger();
    const reader = ledger.follow(true);
    ledger.committed(new Map([[1, 10], [2, 11], [3, 12]]));
    reader.read([1, 2], new Map([[1, 10], [2, 11]]));
    ledger.committed(new Map([[2, 20]]));
    const { lost, lostKeys } = reader.verdict();
    equal(lost, 2);
    deepEqual(lostKeys, ["2", "3"]);
    reader.read([2, 3], new Map([[2, 20], [3, 12]]));
    equal(reader.verdict().lost, 0);
  });

  test("wants a deleted row to be read as gone, by those who claim to see that", () => {
    const ledger = openLedger();
    const [sees, blind] = [ledger.follow(true), ledger.follow(false)];
    ledger.committed(new Map([[1, 10]]));
    for (const reader of [sees, blind]) reader.read([1], new Map([[1, 10]]));
    ledger.committed(new Map([[1, null]]));
    deepEqual(sees.verdict().lostKeys, ["1 (deleted)"]);
    equal(blind.verdict().lost, 0);
    sees.read([1], new Map());
    equal(sees.verdict().lost, 0);
  });

  test("counts deliveries beyond a row's commits as duplicates", () => {
    const ledger = openLedger();
    const reader = ledger.follow(true);
    ledger.committed(new Map([[1, 10], [2, 11]]));
    for (let n = 0; n < 3; n++) reader.read([1], new Map([[1, 10]]));
    equal(reader.verdict().duplicates, 2);
  });
});

describe("the stress's scripts", () => {
  const taken = (seed: number, kind: Kind): Script[] =>
    scripts(seededRandom(seed, "writer 1"), kind, 1_000_000).take(500).toArray();

  for (const kind of ["ordinary", "two-phase", "quick", "duellist"] as const) {
    test(`are replayed by their seed and differ by it: ${kind}`, () => {
      deepEqual(taken(7, kind), taken(7, kind));
      notDeepEqual(taken(7, kind), taken(8, kind));
    });
  }

  test("never write a row twice in a transaction, nor one that a prepared transaction holds", () => {
    for (const kind of ["ordinary", "two-phase"] as const) {
      const held: { left: number; readonly ids: readonly number[] }[] = [];
      for (const script of taken(3, kind)) {
        for (const entry of held) entry.left--;
        while (held[0] !== undefined && held[0].left < 0) held.shift();
        const kept = script.writes.filter(({ savepoint }) => savepoint !== "rolled back");
        const ids = kept.flatMap((write) => write.ids);
        equal(new Set(ids).size, ids.length);
        const locked = new Set(held.flatMap((entry) => entry.ids));
        deepEqual(ids.filter((id) => locked.has(id)), []);
        if (script.end === "prepare") held.push({ left: script.preparedFor, ids });
      }
    }
  });
});
