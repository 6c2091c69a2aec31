/**
 * A table changes its capture (design 3.8), in every order of the steps: the new stream is anchored,
 * the clock is read, the old stream goes on with the table until what it confirms is past that
 * reading, and is then dropped. driftless may be killed between any two steps; it starts with what is
 * stored. Each committed row must be delivered by one of the two.
 *
 * A stream is what streams promise, and no more than that: its anchor or its poll covers what is
 * committed at one moment, and a poll that has read the clock before that moment confirms its reading
 * once it is acknowledged. So one model serves both ways, and every pair of captures. Two readings of
 * the clock may be equal, or the later one lower. Of times the order alone counts (`ranked`).
 *
 * What matters is that a poll of the old one begins after the new anchor. A confirmed time says that
 * when it is later than the reading, and not one that was stored: both may be of the same µs, and
 * behind a clock that stepped back the stored one is the later of the two.
 */
import { describe, test } from "node:test";
import { keyOf, type Model, type Move, mustFail, searchAll } from "./history_search.ts";

interface Rule {
  readonly name: string;
  /** What a start does, in order. */
  readonly start: readonly ("anchor" | "clock")[];
  /** Whether the old one has nothing left; `stored`: what it confirmed when it was started. */
  readonly drained: (through: number, anchored: number, stored: number) => boolean;
  /** The new position is stored with the old one, until that is dropped. */
  readonly stores: "both" | "the new one";
}

const OURS: Rule = {
  name: "ours",
  start: ["anchor", "clock"],
  drained: (through, anchored, stored) => through > stored && through > anchored,
  stores: "both",
};

/** Bits are transactions, times small numbers; −1: none. */
interface Stored {
  /** Below 0: dropped. */
  readonly through: number;
  readonly old: number;
  readonly next: number;
}

interface World extends Stored {
  readonly committed: number;
  readonly delivered: number;
  readonly clock: number;
  /** Steps of the start that are done. */
  readonly started: number;
  readonly anchored: number;
  readonly stored: number;
  /** What a poll of the old one has read so far: a time, rows. */
  readonly read: { readonly t: number; readonly rows: number };
  readonly held: Stored;
}

const NONE: World["read"] = { t: -1, rows: -1 };

function drainModel(rule: Rule, transactions: number, stepsBack = false): Model<World> {
  const first: Stored = { through: 1, old: 0, next: -1 };
  const start: World = {
    ...first,
    committed: 0,
    delivered: 0,
    clock: 1,
    started: 0,
    anchored: -1,
    stored: 1,
    read: NONE,
    held: first,
  };
  return { name: rule.name, start, moves, key, broken };

  function moves(w: World): Move<World>[] {
    const out: Move<World>[] = [];
    const add = (to: Partial<World>, says: string) =>
      out.push({ to: ranked({ ...w, ...to }), says: () => says });
    // Which one is which doesn't matter: they commit in order.
    const n = Math.log2(w.committed + 1);
    if (n < transactions) add({ committed: w.committed | 1 << n }, `T${n + 1} commits`);
    const step = rule.start[w.started];
    if (step === "anchor") {
      const next = w.next < 0 ? w.committed : w.next;
      const says = w.next < 0 ? "the new stream is anchored" : "the new stream goes on";
      add({ next, started: w.started + 1 }, says);
    } else if (step === "clock") {
      for (const t of readings(w, stepsBack)) {
        add({ anchored: t, clock: t, started: w.started + 1 }, `the start reads the clock: ${t}`);
      }
    } else {
      running(w, add);
    }
    add(
      { ...w.held, stored: w.held.through, started: 0, anchored: -1, read: NONE },
      "driftless is killed",
    );
    return out;
  }

  function running(w: World, add: (to: Partial<World>, says: string) => void): void {
    const { read } = w;
    if (w.through >= 0) {
      if (read.t < 0) {
        for (const t of readings(w, stepsBack)) {
          add({ clock: t, read: { ...read, t } }, `the old one polls, clock ${t}`);
        }
      } else if (read.rows < 0) {
        add({ read: { ...read, rows: w.committed } }, "the old one reads");
      } else {
        const old = w.old | read.rows;
        add(
          { old, through: read.t, delivered: w.delivered | read.rows & ~w.old, read: NONE },
          "that is acknowledged",
        );
      }
      if (rule.drained(w.through, w.anchored, w.stored)) {
        add({ through: -1, old: 0, read: NONE }, "the old one is dropped");
      }
    }
    if ((w.committed & ~w.next) !== 0) {
      const delivered = w.delivered | w.committed & ~w.next;
      add({ next: w.committed, delivered }, "the new one reads, that is acknowledged");
    }
    const held = { through: rule.stores === "both" ? w.through : -1, old: w.old, next: w.next };
    if (keyOf(Object.values(held)) !== keyOf(Object.values(w.held))) add({ held }, "stored");
  }

  function broken(w: World): string | undefined {
    const left = w.next < 0 ? 0 : w.committed & w.next & ~w.delivered;
    return w.through < 0 && left !== 0 ? "a row is lost: neither of the two reads it" : undefined;
  }

  function key(w: World): string {
    const { held, read } = w;
    return keyOf([
      ...[w.through, w.old, w.next, w.committed, w.delivered, w.clock, w.started, w.anchored],
      w.stored,
      ...[read.t, read.rows, held.through, held.old, held.next],
    ]);
  }
}

/** The same µs as the last one, or a later one; or one at or before any that was read. */
function readings({ clock }: World, stepsBack: boolean): readonly number[] {
  return stepsBack ? [clock, clock + 1, clock - 0.5, clock - 1] : [clock, clock + 1];
}

/** Times as small as their order allows. */
function ranked(w: World): World {
  const times = [w.through, w.clock, w.anchored, w.stored, w.read.t, w.held.through];
  const order = [...new Set(times.filter((t) => t >= 0))].sort((a, b) => a - b);
  const rank = (t: number) => t < 0 ? t : order.indexOf(t) + 1;
  return {
    ...w,
    through: rank(w.through),
    clock: rank(w.clock),
    anchored: rank(w.anchored),
    stored: rank(w.stored),
    read: { ...w.read, t: rank(w.read.t) },
    held: { ...w.held, through: rank(w.held.through) },
  };
}

describe("no row is lost when a table changes its capture, in any order of the steps", () => {
  test("of the two streams", (t) => searchAll(t, [drainModel(OURS, 2), drainModel(OURS, 3)]));
  test("when the clock steps back", (t) => searchAll(t, [drainModel(OURS, 2, true)]));
  test("when the clock is read before the new anchor: the old one is not polled in between", (t) =>
    searchAll(t, [drainModel({ ...OURS, start: ["clock", "anchor"] }, 2, true)]));
});

describe("the model finds what is lost by", () => {
  const mutants: readonly { readonly rule: Rule; readonly stepsBack?: boolean }[] = [
    { rule: { ...OURS, name: "no drain", drained: () => true } },
    {
      rule: {
        ...OURS,
        name: "a drain until a moment before the new anchor: what was confirmed when it began",
        drained: (through, _, stored) => through >= stored,
      },
    },
    {
      rule: {
        ...OURS,
        name: "a drain until the moment itself: a reading may be equal",
        drained: (through, anchored) => through >= anchored,
      },
    },
    {
      rule: {
        ...OURS,
        name: "a stored time that a clock which stepped back has not reached",
        drained: (through, anchored) => through > anchored,
      },
      stepsBack: true,
    },
    {
      rule: {
        ...OURS,
        name: "an old position that is not stored until it is drained",
        stores: "the new one",
      },
    },
  ];
  for (const { rule, stepsBack } of mutants) {
    test(rule.name, (t) => mustFail(t, [drainModel(rule, 2, stepsBack)], /is lost/));
  }
});
