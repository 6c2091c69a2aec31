import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  advance,
  anchor,
  type Listing,
  lowered,
  older,
  type OpenEntry,
  type Position,
  type RescanRange,
  sameTransactions,
} from "../../src/postgres/poll/position.ts";

const TOP = 0xffffffff;

/** A listing at t=200: nobody is open, the oldest xid is 50. */
function listing(seen: Partial<Listing> = {}): Listing {
  return { t: 200n, sx: 60n, sn: 50, pm: "monday", running: [], prepared: [], ...seen };
}

/** A position at t=100. */
function position(open: readonly OpenEntry[] = [], more: Partial<Position> = {}): Position {
  return { t: 100n, sx: 40n, pm: "monday", open, ...more };
}

test("the first position knows no beginning of whom it finds open", () => {
  const seen = listing({
    running: [{ v: "3/1", x: 55 }, { v: "4/1", x: null }],
    prepared: [{ v: "prep:52", x: 52 }],
  });
  assert.deepEqual(anchor(seen), {
    t: 200n,
    sx: 60n,
    pm: "monday",
    open: [
      { v: "3/1", lb: null, xb: 55 },
      { v: "4/1", lb: null, xb: 50 },
      { v: "prep:52", lb: null, xb: 52 },
    ],
  });
});

interface Case {
  readonly name: string;
  readonly before: Position;
  readonly seen: Listing;
  readonly open: readonly OpenEntry[];
  readonly rescans: readonly RescanRange[];
}

const cases: readonly Case[] = [
  {
    name: "with nobody open only the clock moves",
    before: position(),
    seen: listing(),
    open: [],
    rescans: [],
  },
  {
    name: "a new transaction began after the last listing's clock",
    before: position(),
    seen: listing({ running: [{ v: "3/1", x: 55 }] }),
    open: [{ v: "3/1", lb: 100n, xb: 55 }],
    rescans: [],
  },
  {
    name: "one without an xid may have the snapshot's oldest",
    before: position(),
    seen: listing({ running: [{ v: "3/1", x: null }] }),
    open: [{ v: "3/1", lb: 100n, xb: 50 }],
    rescans: [],
  },
  {
    name: "a known one keeps its bound and takes a lower xid",
    before: position([{ v: "3/1", lb: 80n, xb: 50 }, { v: "4/1", lb: null, xb: 60 }]),
    seen: listing({ running: [{ v: "3/1", x: 55 }, { v: "4/1", x: 58 }] }),
    open: [{ v: "3/1", lb: 80n, xb: 50 }, { v: "4/1", lb: null, xb: 58 }],
    rescans: [],
  },
  {
    name: "a known one that shows no xid keeps what it has, whatever the snapshot",
    before: position([{ v: "3/1", lb: 80n, xb: 45 }]),
    seen: listing({ running: [{ v: "3/1", x: null }], sn: 99 }),
    open: [{ v: "3/1", lb: 80n, xb: 45 }],
    rescans: [],
  },
  {
    name: "one that is gone is read again from its bound up to the last clock",
    before: position([{ v: "3/1", lb: 80n, xb: 45 }]),
    seen: listing(),
    open: [],
    rescans: [{ lb: 80n, to: 100n, xb: 45 }],
  },
  {
    name: "one that was open from the start is read again from −∞",
    before: position([{ v: "3/1", lb: null, xb: 45 }]),
    seen: listing(),
    open: [],
    rescans: [{ lb: null, to: 100n, xb: 45 }],
  },
  {
    name: "one whose rows C reads needs no range",
    before: position([{ v: "3/1", lb: 100n, xb: 45 }, { v: "4/1", lb: 120n, xb: 45 }]),
    seen: listing(),
    open: [],
    rescans: [],
  },
  {
    name: "ranges of one bound are one, with the older xid",
    before: position([
      { v: "3/1", lb: 80n, xb: 45 },
      { v: "4/1", lb: 80n, xb: 42 },
      { v: "5/1", lb: 90n, xb: 7 },
      { v: "6/1", lb: null, xb: 48 },
      { v: "7/1", lb: null, xb: 49 },
    ]),
    seen: listing(),
    open: [],
    rescans: [
      { lb: 80n, to: 100n, xb: 42 },
      { lb: 90n, to: 100n, xb: 7 },
      { lb: null, to: 100n, xb: 48 },
    ],
  },
  {
    name: "a new prepared one takes the lowest bound of those that ended",
    before: position([{ v: "3/1", lb: 80n, xb: 45 }, { v: "4/1", lb: 90n, xb: 45 }]),
    seen: listing({ running: [{ v: "4/1", x: 45 }], prepared: [{ v: "prep:55", x: 55 }] }),
    open: [{ v: "4/1", lb: 90n, xb: 45 }, { v: "prep:55", lb: 80n, xb: 55 }],
    rescans: [{ lb: 80n, to: 100n, xb: 45 }],
  },
  {
    name: "a new prepared one takes the lowest bound of those still listed too",
    before: position([{ v: "3/1", lb: null, xb: 45 }]),
    seen: listing({ running: [{ v: "3/1", x: null }], prepared: [{ v: "prep:55", x: 55 }] }),
    open: [{ v: "3/1", lb: null, xb: 45 }, { v: "prep:55", lb: null, xb: 55 }],
    rescans: [],
  },
  {
    name: "a new prepared one with nobody known began after the last clock",
    before: position(),
    seen: listing({ prepared: [{ v: "prep:55", x: 55 }] }),
    open: [{ v: "prep:55", lb: 100n, xb: 55 }],
    rescans: [],
  },
  {
    name: "a known prepared one stays as it is",
    before: position([{ v: "prep:45", lb: 70n, xb: 45 }, { v: "3/1", lb: 60n, xb: 46 }]),
    seen: listing({ prepared: [{ v: "prep:45", x: 45 }] }),
    open: [{ v: "prep:45", lb: 70n, xb: 45 }],
    rescans: [{ lb: 60n, to: 100n, xb: 46 }],
  },
  {
    name: "after a restart every virtualxid has ended, and a prepared one has not",
    before: position([{ v: "3/1", lb: 80n, xb: 45 }, { v: "prep:44", lb: 70n, xb: 44 }]),
    seen: listing({ pm: "tuesday", prepared: [{ v: "prep:44", x: 44 }] }),
    open: [{ v: "prep:44", lb: 70n, xb: 44 }],
    rescans: [{ lb: 80n, to: 100n, xb: 45 }],
  },
  {
    name: "after a restart an old name is a new transaction's",
    before: position([{ v: "3/1", lb: 80n, xb: 45 }]),
    seen: listing({ pm: "tuesday", running: [{ v: "3/1", x: 55 }] }),
    open: [{ v: "3/1", lb: 100n, xb: 55 }],
    rescans: [{ lb: 80n, to: 100n, xb: 45 }],
  },
  {
    name: "xids wrap: the older one is before the turn",
    before: position([{ v: "3/1", lb: 80n, xb: TOP - 5 }, { v: "4/1", lb: 80n, xb: 3 }]),
    seen: listing({ running: [{ v: "4/1", x: TOP }], sn: TOP - 9 }),
    open: [{ v: "4/1", lb: 80n, xb: TOP }],
    rescans: [{ lb: 80n, to: 100n, xb: TOP - 5 }],
  },
];

describe("a poll's arithmetic:", () => {
  for (const { name, before, seen, open, rescans } of cases) {
    test(name, () => {
      const next = { t: seen.t, sx: seen.sx, pm: seen.pm, open };
      assert.deepEqual(advance(before, seen), { next, rescans });
    });
  }
});

test("of two xids the older is found across the turn of the circle", () => {
  const table: readonly (readonly [number, number, number])[] = [
    [5, 5, 5],
    [5, 6, 5],
    [6, 5, 5],
    [TOP, 3, TOP],
    [3, TOP, TOP],
    [0, TOP, TOP],
    [0x7fffffff, 0, 0],
    [0x80000005, 6, 6],
  ];
  for (const [a, b, expected] of table) {
    assert.equal(older(a, b), expected, `older(${a}, ${b})`);
  }
});

test("a clock that stepped back lowers the position by the step and forgets nobody", () => {
  const before = position([{ v: "prep:45", lb: 70n, xb: 45 }]);
  const after = lowered(before, 30n);
  assert.equal(after.t, 70n);
  assert.deepEqual(after.open.map(({ v, xb }) => [v, xb]), [["prep:45", 45]]);
  assert.ok(after.open.every(({ lb }) => lb === null || lb <= 70n));
});

test("the same transactions are those of the same names on the same start of the server", () => {
  const known = position([{ v: "3/1", lb: 80n, xb: 45 }, { v: "prep:44", lb: 70n, xb: 44 }]);
  const running = [{ v: "3/1", x: null }];
  const prepared = [{ v: "prep:44", x: 44 }];
  assert.equal(sameTransactions(known, listing({ running, prepared })), true);
  assert.equal(sameTransactions(known, listing({ running, prepared, pm: "tuesday" })), false);
  assert.equal(sameTransactions(known, listing({ running })), false);
  assert.equal(
    sameTransactions(known, listing({ running: [{ v: "3/2", x: null }], prepared })),
    false,
  );
  const another = [...running, { v: "4/1", x: null }];
  assert.equal(sameTransactions(known, listing({ running: another, prepared })), false);
  assert.equal(sameTransactions(position(), listing()), true);
});
