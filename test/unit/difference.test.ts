import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { FatalError } from "../../src/core/errors.ts";
import type { Json } from "../../src/core/json.ts";
import {
  formatDifferenceCursor,
  parseDifferenceCursor,
} from "../../src/postgres/changelog/difference_cursor.ts";
import {
  begun,
  type DifferencePosition,
  hasPassed,
  type Leg,
  legOf,
  passed,
  type Place,
  resumed,
} from "../../src/postgres/changelog/legs.ts";
import {
  fence,
  formatSnapshot,
  isVisible,
  parseSnapshot,
  type Snapshot,
} from "../../src/postgres/changelog/snapshot.ts";

const at = (s1: string): DifferencePosition => ({ done: parseSnapshot(s1), batch: null });
const during = (s1: string, s2: string) => begun(at(s1), parseSnapshot(s2));
const done = ({ done, batch }: DifferencePosition) =>
  batch === null ? formatSnapshot(done) : `still in leg ${batch.leg}`;

describe("legs", () => {
  test("a snapshot that sees nothing more begins no batch", () => {
    equal(during("10:20:10,14", "10:20:10,14").batch, null);
    equal(legOf(at("10:20:10")), undefined);
  });

  test("leg 1 reads those that have ended, leg 2 those that began since; then S1 is S2", () => {
    let position = during("10:20:10,14", "14:25:14,22");
    deepEqual(legOf(position), { leg: 1, xids: [10n], after: null });
    position = passed(position, { xid: 10n, seq: "7" });
    deepEqual(legOf(position), { leg: 1, xids: [10n], after: { xid: 10n, seq: "7" } });
    position = passed(position, null);
    deepEqual(legOf(position), {
      leg: 2,
      from: 20n,
      to: parseSnapshot("14:25:14,22"),
      after: null,
    });
    equal(done(passed(position, null)), "14:25:14,22");
  });

  test("an empty leg isn't read", () => {
    equal(legOf(during("10:20:10", "10:25:10"))?.leg, 2);
    const late = during("10:20:10", "20:20:");
    equal(legOf(late)?.leg, 1);
    equal(done(passed(late, null)), "20:20:");
  });

  test("a batch goes on to its own S2 whatever is seen meanwhile", () => {
    const position = during("10:10:", "20:20:");
    equal(begun(position, parseSnapshot("30:30:")), position);
  });

  test("a cursor of the primary goes on at a standby's fence, and is never taken back", () => {
    const primary = "100:110:100,105";
    // The standby is behind: nothing that the primary's S1 had not seen is known there.
    equal(begun(at(primary), fence(parseSnapshot("90:95:"))).batch, null);
    // 100 is over there, 105 isn't known yet.
    const first = begun(at(primary), fence(parseSnapshot("103:120:")));
    deepEqual(legOf(first), { leg: 1, xids: [100n], after: null });
    equal(done(passed(first, null)), "105:110:105");
    const second = begun(passed(first, null), fence(parseSnapshot("112:120:")));
    deepEqual(legOf(second), { leg: 1, xids: [105n], after: null });
    const last = passed(second, null);
    deepEqual(legOf(last), { leg: 2, from: 110n, to: parseSnapshot("112:112:"), after: null });
    equal(done(passed(last, null)), "112:112:");
    // Back on the primary, where 115 runs.
    const back = begun(at("112:112:"), parseSnapshot("115:121:115"));
    equal(done(passed(back, null)), "115:121:115");
  });

  test("a batch of the primary is begun anew on a standby that may not see all of it", () => {
    const position = during("100:110:100", "105:120:105");
    equal(resumed(position, parseSnapshot("105:130:105")), position);
    equal(resumed(position, fence(parseSnapshot("120:125:"))), position);
    equal(resumed(position, fence(parseSnapshot("119:125:"))).batch, null);
  });

  test("a cursor's text is read as it was written, in either leg", () => {
    const positions = [at("10:20:10"), during("10:20:10", "20:25:")];
    positions.push(passed(during("10:20:10", "20:25:"), { xid: 10n, seq: "9007199254740993" }));
    positions.push(passed(during("10:20:10", "20:25:"), null));
    for (const position of positions) {
      const cursor = { position, through: 1_700_000_000_000_001n, standby: false };
      const stored = JSON.parse(JSON.stringify(formatDifferenceCursor(cursor))) as Json;
      deepEqual(parseDifferenceCursor(stored), cursor);
    }
  });

  test("a cursor that nothing of this wrote is refused", () => {
    const good = formatDifferenceCursor({
      position: during("10:20:10", "20:25:"),
      through: 0n,
      standby: false,
    }) as Record<string, Json>;
    for (
      const bad of [
        null,
        {},
        [],
        { ...good, s1: "10" },
        { ...good, leg: 3 },
        { ...good, s2: "x" },
        { ...good, after: ["x", "1"] },
        { ...good, through: "yesterday" },
      ]
    ) {
      throws(
        () => parseDifferenceCursor(bad as Json),
        (error) => error instanceof FatalError && error.code === "CURSOR_UNREADABLE",
      );
    }
  });

  for (const crashes of [false, true]) {
    const what = crashes ? "with crashes at least once" : "once each";
    test(`rows of transactions in any order are delivered ${what}, 400 random histories`, () => {
      const seed = Number(Math.floor(Math.random() * 2 ** 31));
      for (let run = 0; run < 400; run++) history(seed + run, crashes);
    });
  }
});

interface Row extends Place {
  visible: boolean;
}

/** A random server and reader; throws, with its seed, when a row is missed or comes twice. */
function history(seed: number, crashes: boolean): void {
  const random = randomOf(seed);
  const open = new Map<bigint, Row[]>();
  const rows: Row[] = [];
  let next = 100n;
  let position: DifferencePosition = { done: snapshot(), batch: null };
  const delivered = new Map<Row, number>();
  let kept = position;

  function snapshot(): Snapshot {
    const ids = [...open.keys()].sort((a, b) => Number(a - b));
    // xmax is the last one that ended, plus one.
    const ended = rows.filter((row) => !open.has(row.xid)).map(({ xid }) => xid);
    const xmax = ended.reduce((a, b) => a > b ? a : b, 99n) + 1n;
    const xip = ids.filter((xid) => xid < xmax);
    return { xmin: xip[0] ?? xmax, xmax, xip };
  }
  function write(): void {
    const what = random(4);
    const ids = [...open.keys()];
    const some = ids[random(ids.length || 1)];
    if (what === 0 || some === undefined) {
      open.set(next++, []);
    } else if (what < 3) {
      const row = { xid: some, seq: String(rows.length), visible: false };
      rows.push(row);
      open.get(some)?.push(row);
    } else {
      const commits = random(4) > 0;
      for (const row of open.get(some) ?? []) row.visible = commits;
      open.delete(some);
    }
  }
  function read(leg: Leg, limit: number): Row[] {
    const wanted = (row: Row) =>
      leg.leg === 1
        ? leg.xids.includes(row.xid)
        : row.xid >= leg.from && isVisible(row.xid, leg.to);
    const beyond = ({ xid, seq }: Row) =>
      leg.after === null || xid > leg.after.xid ||
      (xid === leg.after.xid && Number(seq) > Number(leg.after.seq));
    return rows.filter((row) => row.visible && wanted(row) && beyond(row))
      .sort((a, b) => Number(a.xid - b.xid) || Number(a.seq) - Number(b.seq)).slice(0, limit);
  }
  function poll(quiet: boolean): void {
    // On a standby the same, by a fence that lags or not.
    const seen = snapshot();
    position = begun(position, random(4) === 0 && !quiet ? fence(seen) : seen);
    for (let leg = legOf(position); leg !== undefined; leg = legOf(position)) {
      if (!quiet) { for (let i = random(4); i > 0; i--) write(); }
      const limit = 1 + random(3);
      const page = read(leg, limit);
      for (const row of page) {
        ok(crashes || !hasPassed(position, row), `passed before, seed ${seed}`);
        delivered.set(row, (delivered.get(row) ?? 0) + 1);
      }
      const last = page.length < limit ? null : page[page.length - 1] ?? null;
      position = passed(position, last);
      for (const row of page) ok(hasPassed(position, row), `passed by now, seed ${seed}`);
      if (quiet || !crashes || random(3) > 0) kept = position;
      else if (random(3) === 0) position = kept;
    }
  }

  for (let step = 0; step < 60; step++) {
    if (random(3) === 0) poll(false);
    else write();
  }
  for (const own of open.values()) for (const row of own) row.visible = true;
  open.clear();
  poll(true);
  poll(true);
  for (const row of rows.filter((row) => row.visible)) {
    const times = delivered.get(row) ?? 0;
    ok(
      crashes ? times >= 1 : times === 1,
      `${row.xid}:${row.seq} came ${times} times, seed ${seed}`,
    );
  }
  for (const row of delivered.keys()) ok(row.visible, `an aborted row came, seed ${seed}`);
}

function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 3) % below;
  };
}
