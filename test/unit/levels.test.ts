import { deepEqual, doesNotMatch, equal, match } from "node:assert/strict";
import { describe, test } from "node:test";
import { durationText } from "../../src/core/duration_text.ts";
import type { CatalogTable } from "../../src/postgres/catalog.ts";
import { type Chance, choose, type ChooseOptions } from "../../src/postgres/choose.ts";
import { levelOf } from "../../src/postgres/levels.ts";
import { catalogTable, type ColumnSketch, STAMP } from "../support/catalog_table.ts";

const WISH = { table: { schema: "public", name: "t" }, key: ["id"], joinColumns: ["parent_id"] };
const refused = (code: string, state: string): Chance => ({
  refusal: { code, state, hint: "Do.", sql: [] },
});
const OPTIONS: ChooseOptions = {
  capture: "auto",
  tables: new Map(),
  stamps: { marginMs: 2000, marginGiven: false },
  lagMs: 30_000,
  sweeps: { keysMs: 900_000, rowsMs: 3_600_000, dutyCycle: 0.1, massDeletes: false },
  standby: false,
  hidden: new Map(),
  wal: () => refused("WAL_ROLE", "no replication"),
  changelog: () => refused("CHANGELOG_MISSING", "no changelog"),
  outbox: () => refused("OUTBOX_MISSING", "no outbox"),
};

function table(
  columns: Record<string, ColumnSketch> = { updated_at: STAMP },
  over: Partial<CatalogTable> = {},
): CatalogTable {
  return catalogTable({ id: {}, ...columns }, over);
}

const logged: Chance = {
  way: {
    kind: "changelog",
    stream: "changelog",
    signature: "s",
    table: { table: WISH.table, id: "public.t", oid: "1", key: ["id"] },
  },
};

/** The kinds of all ways, the chosen one first. */
function waysOf(given: CatalogTable, options: Partial<ChooseOptions> = {}): readonly string[] {
  return choose(WISH, given, { ...OPTIONS, ...options }).ways.map(({ kind }) => kind);
}

describe("the ways to follow a table", () => {
  test("are all that work, the best first, so that a lost one can be drained by its old stream", () => {
    deepEqual(waysOf(table()), ["updated_at", "lag", "sweep"]);
    deepEqual(waysOf(table(), { changelog: () => logged }), [
      "changelog",
      "updated_at",
      "lag",
      "sweep",
    ]);
    deepEqual(waysOf(table({})), ["sweep"]);
    deepEqual(waysOf(table(), { standby: true }), ["lag", "sweep"]);
    deepEqual(waysOf(table({}, { subscribed: true })), ["sweep"]);
    deepEqual(waysOf(table(undefined, { subscribed: true })), ["lag", "sweep"]);
    deepEqual(waysOf(table(undefined, { rowSecurityActive: true })), ["updated_at", "lag"]);
    deepEqual(waysOf(table({}, { rowSecurityActive: true })), []);
    deepEqual(waysOf(table(undefined, { kind: "partitioned", foreign: true })), []);
    deepEqual(waysOf(table({}, { kind: "materialized" })), []);
  });

  test("begin with the one that is asked for", () => {
    deepEqual(waysOf(table(), { capture: "sweep", changelog: () => logged }), [
      "sweep",
      "changelog",
      "updated_at",
      "lag",
    ]);
    deepEqual(waysOf(table(), { capture: "changelog" }), []);
    const own = new Map([["public.t", { capture: "updated_at" as const }]]);
    equal(waysOf(table(), { capture: "sweep", tables: own })[0], "updated_at");
  });

  test("have signatures that change with what a position means, and with nothing else", () => {
    const signatureOf = (given: CatalogTable, options: Partial<ChooseOptions> = {}) =>
      choose(WISH, given, { ...OPTIONS, ...options }).ways[0]?.signature;
    const first = signatureOf(table());
    const wider = { stamps: { marginMs: 9000, marginGiven: true } };
    equal(signatureOf(table({ updated_at: { ...STAMP, notNull: false } }), wider), first);
    const zoneless = table({ updated_at: { type: { base: "timestamp" } } });
    const zones = ["UTC", "Asia/Tokyo"].map((stampTimezone) =>
      signatureOf(zoneless, { tables: new Map([["public.t", { stampTimezone }]]) })
    );
    equal(new Set([first, ...zones]).size, 3);
  });

  test("that were meant to work and don't are told of, whatever is taken instead", () => {
    const hole: Chance = { ...refused("CHANGELOG_BROKEN", "it has a hole"), alarm: true };
    for (const given of [table(), table({})]) {
      const { problems, passed } = choose(WISH, given, { ...OPTIONS, changelog: () => hole });
      deepEqual(problems.map(({ severity, code }) => `${severity} ${code}`), [
        "warning CHANGELOG_BROKEN",
      ]);
      deepEqual(passed.map(({ code }) => code), ["CHANGELOG_BROKEN"]);
    }
  });
});

describe("a row sweep", () => {
  test("goes beside what follows a table: by the hour beside a stamp, daily beside the rest", () => {
    const swept = (options: Partial<ChooseOptions>) => {
      const found = choose(WISH, table(), { ...OPTIONS, ...options }).swept;
      return [found?.alone, found?.everyMs, found?.recorded];
    };
    deepEqual(swept({}), [false, 3_600_000, true]);
    deepEqual(swept({ standby: true }), [false, 3_600_000, true]);
    deepEqual(swept({ changelog: () => logged }), [false, 86_400_000, false]);
    deepEqual(swept({ capture: "sweep" })[0], true);
    const off = { ...OPTIONS.sweeps, rowsMs: undefined };
    deepEqual(swept({ sweeps: off }), [undefined, undefined, undefined]);
  });

  test("says in minutes what it means to be swept alone, by the table's size", () => {
    const foundIn = (pages: number, dutyCycle = 0.1) => {
      const given = table({}, { pages });
      const sweeps = { ...OPTIONS.sweeps, dutyCycle };
      const choice = choose(WISH, given, { ...OPTIONS, sweeps });
      const [way] = choice.ways;
      const facts = {
        choice,
        table: given,
        root: true,
        child: false,
        sweeps,
        sweptPages: given.pages,
        lagMs: 0,
        standby: false,
      };
      return way && levelOf(way, { ...facts, outbox: undefined, viaRoot: false }).found.changes;
    };
    equal(foundIn(0), "within 1 min");
    equal(foundIn(1_000_000), "within 13 min");
    equal(foundIn(1_000_000, 1), "within 130 s");
    equal(foundIn(30_000_000), "within 6 h");
  });
});

test("what a row's delete means depends on the documents that it is part of", () => {
  const choice = choose(WISH, table(), OPTIONS);
  const [way] = choice.ways;
  const claimOf = (root: boolean, child: boolean) => {
    const facts = {
      choice,
      table: table(),
      root,
      child,
      sweeps: OPTIONS.sweeps,
      sweptPages: 0,
      lagMs: 0,
      standby: false,
    };
    const level = way && levelOf(way, { ...facts, outbox: undefined, viaRoot: false });
    return `${level?.found.deletes}: ${level?.claim}`;
  };
  match(claimOf(true, false), /^within 15 min: .*taken out within 15 min by comparing keys$/);
  match(claimOf(true, true), /^within 15 min; in parents not: .*keep showing it until/);
  match(claimOf(false, true), /^not seen: (?!.*comparing keys).*moves to another parent/);
  match(claimOf(false, true), /whose key changes, which may hold the parent, counts as deleted$/);
});

test("what is written past triggers is found by the row sweep, not what it left", () => {
  const choice = choose(WISH, table(), { ...OPTIONS, changelog: () => logged });
  const [way] = choice.ways;
  const claimOf = (child: boolean) => {
    const { sweeps } = OPTIONS;
    const place = { choice, table: table(), root: true, child, sweeps, sweptPages: 0, lagMs: 0 };
    return way &&
      levelOf(way, { ...place, standby: false, outbox: undefined, viaRoot: false }).claim;
  };
  match(claimOf(true) ?? "", /by the row sweep, not so the document that such a row left$/);
  match(claimOf(false) ?? "", /by the row sweep$/);
});

test("the WAL shows where a row was if its replica identity has that, and claims no more than it is sent", () => {
  const levelBy = (
    seesBefore: boolean,
    { child = true, viaRoot = false, given = table() }: {
      child?: boolean;
      viaRoot?: boolean;
      given?: CatalogTable;
    } = {},
  ) => {
    const replicated: Chance = {
      way: {
        kind: "wal",
        stream: "wal",
        signature: "s",
        table: { ...WISH, id: "public.t", oid: "1", columns: [], seesBefore },
      },
    };
    const choice = choose(WISH, given, { ...OPTIONS, wal: () => replicated });
    const [way] = choice.ways;
    const { sweeps } = OPTIONS;
    const place = { choice, table: given, root: true, child, sweeps, sweptPages: 0, lagMs: 0 };
    const level = way && levelOf(way, { ...place, standby: false, outbox: undefined, viaRoot });
    deepEqual([level?.level, level?.capture, level?.deletes], ["L5", "wal", true]);
    return { claim: level?.claim ?? "", sql: level?.sql ?? [], swept: choice.swept?.everyMs };
  };
  match(
    levelBy(false).claim,
    /looked for in the documents .* with REPLICA IDENTITY FULL the WAL says/,
  );
  deepEqual(levelBy(false).sql, ["ALTER TABLE public.t REPLICA IDENTITY FULL;"]);
  for (const seen of [levelBy(true), levelBy(false, { child: false })]) {
    doesNotMatch(seen.claim, /parent/);
    deepEqual(seen.sql, []);
  }
  equal(levelBy(true).swept, 86_400_000);
  const given = table(undefined, { kind: "partitioned" });
  doesNotMatch(levelBy(true, { given }).claim, /TRUNCATE/);
  doesNotMatch(levelBy(true, { viaRoot: true }).claim, /TRUNCATE/);
  match(
    levelBy(true, { given, viaRoot: true }).claim,
    /nor a TRUNCATE of one of its partitions, .*: its documents are taken out within 15 min; in/,
  );
});

test("what keeps the whole server's WAL from being followed is no reason of a table's", () => {
  const choice = choose(WISH, table(), OPTIONS);
  const [way] = choice.ways;
  const { sweeps } = OPTIONS;
  const place = {
    choice,
    table: table(),
    root: true,
    child: false,
    sweeps,
    sweptPages: 0,
    lagMs: 0,
  };
  const level = way &&
    levelOf(way, { ...place, standby: false, outbox: undefined, viaRoot: false });
  equal(level?.why, "no changelog");
});

test("the parent of a row that an outbox hints at and that is gone is found where sinks can be asked, and the claim says so", () => {
  const hinted: Chance = {
    way: {
      kind: "outbox",
      stream: "outbox",
      signature: "s",
      table: { table: WISH.table, id: "public.t", key: ["id"], names: ["t"] },
    },
  };
  const choice = choose(WISH, table(), { ...OPTIONS, outbox: () => hinted });
  const [way] = choice.ways;
  const claimOf = (child: boolean) => {
    const { sweeps } = OPTIONS;
    const place = { choice, table: table(), root: true, child, sweeps, sweptPages: 0, lagMs: 0 };
    return way && levelOf(way, { ...place, standby: false, outbox: "xid", viaRoot: false }).claim;
  };
  match(
    claimOf(true) ?? "",
    /looked for in the documents .* with such a sink it needs a hint for the parent it left$/,
  );
  doesNotMatch(claimOf(false) ?? "", /parent/);
});

test("a duration is as exact as a person wants it", () => {
  const cases: readonly [number, string][] = [
    [0, "0 ms"],
    [250, "250 ms"],
    [2000, "2 s"],
    [60_000, "1 min"],
    [61_200, "62 s"],
    [900_000, "15 min"],
    [5_400_000, "90 min"],
    [3_600_000, "1 h"],
    [3_601_000, "61 min"],
    [86_400_000, "24 h"],
    [400_000_000, "5 days"],
  ];
  for (const [ms, text] of cases) equal(durationText(ms), text);
});
