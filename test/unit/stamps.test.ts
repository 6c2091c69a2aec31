import { deepEqual, equal, match } from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseStamp, type TableSettings } from "../../src/postgres/poll/stamps.ts";
import type { ColumnFacts, TableFacts } from "../../src/postgres/poll/table_facts.ts";

const WISH = { table: { schema: "public", name: "t" }, key: ["id"], joinColumns: ["parent_id"] };
const DEFAULTS = { marginMs: 2000, marginGiven: false };
const ID: ColumnFacts = { exactType: "bigint", notNull: true, precision: 6 };
const STAMP: ColumnFacts = {
  exactType: "timestamp with time zone",
  stampType: "timestamptz",
  notNull: true,
  precision: 6,
};

function facts(columns: Record<string, ColumnFacts>, over: Partial<TableFacts> = {}): TableFacts {
  return {
    id: "public.t",
    kind: "table",
    columns: new Map(Object.entries({ id: ID, ...columns })),
    indexes: [["updated_at", "id"]],
    subscribed: false,
    hasChildren: false,
    ...over,
  };
}

function choose(given: TableFacts | undefined, settings: TableSettings = {}) {
  return chooseStamp(WISH, given, settings, DEFAULTS);
}

describe("the stamp of a table", () => {
  test("is the only timestamp column with a usual name", () => {
    for (const name of ["updated_at", "modifiedAt", "last_modified", "changed_at"]) {
      const { polled, level, problems } = choose(
        facts({ [name]: STAMP }, { indexes: [[name, "id"]] }),
      );
      equal(polled?.stamp.name, name);
      equal(level?.level, "L2");
      deepEqual(problems, []);
    }
  });

  const refusals: readonly [string, string, TableFacts, TableSettings?][] = [
    ["is missing", "STAMP_MISSING", facts({})],
    ["has two candidates", "STAMP_AMBIGUOUS", facts({ updated_at: STAMP, changedAt: STAMP })],
    ["is named and isn't there", "COLUMN_MISSING", facts({}), { stamp: "at" }],
    ["is named and no timestamp", "STAMP_TYPE", facts({ at: ID }), { stamp: "at" }],
    [
      "has no zone",
      "STAMP_TIMEZONE_MISSING",
      facts({ updated_at: { ...STAMP, stampType: "timestamp" } }),
    ],
    ["has no index", "STAMP_INDEX_MISSING", facts({ updated_at: STAMP }, { indexes: [["id"]] })],
    ["is a view's", "NOT_A_TABLE", facts({ updated_at: STAMP }, { kind: "view" })],
    [
      "is a foreign table's",
      "NOT_A_TABLE",
      facts({ updated_at: STAMP }, { kind: "foreign table" }),
    ],
  ];
  for (const [how, code, given, settings] of refusals) {
    test(`that ${how} is refused with the remedy`, () => {
      const { polled, problems } = choose(given, settings);
      equal(polled, undefined);
      deepEqual(problems.map((p) => [p.severity, p.code]), [["error", code]]);
      match(problems[0]?.hint ?? "", /\S/);
    });
  }

  test("whose index doesn't go on with the key, or that may be NULL, is a warning with the SQL", () => {
    const { polled, problems } = choose(
      facts({ updated_at: { ...STAMP, notNull: false } }, { indexes: [["updated_at"]] }),
    );
    equal(polled?.stamp.name, "updated_at");
    deepEqual(problems.map((p) => p.code).sort(), ["STAMP_INDEX_PARTIAL", "STAMP_NULLABLE"]);
    match(
      problems[0]?.hint ?? "",
      /CREATE INDEX CONCURRENTLY ON public\.t \("updated_at", "id"\);/,
    );
  });

  test("by an application's clock takes a margin of 30 s, unless one was given", () => {
    const given = facts({ updated_at: STAMP });
    equal(choose(given, { stamps: "application" }).polled?.marginMs, 30_000);
    const byHand = chooseStamp(WISH, given, { stamps: "application" }, {
      marginMs: 5000,
      marginGiven: true,
    });
    equal(byHand.polled?.marginMs, 5000);
  });

  test("rounded to seconds widens a margin below its precision", () => {
    const coarse = facts({ updated_at: { ...STAMP, precision: 0 } });
    const { polled } = chooseStamp(WISH, coarse, {}, { marginMs: 50, marginGiven: true });
    equal(polled?.marginMs, 1000);
  });

  test("of a table fed by a subscription claims L1 only", () => {
    equal(choose(facts({ updated_at: STAMP }, { subscribed: true })).level?.level, "L1");
  });
});
