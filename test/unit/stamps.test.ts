import { deepEqual, equal, match } from "node:assert/strict";
import { describe, test } from "node:test";
import type { CatalogTable } from "../../src/postgres/catalog.ts";
import type { PolledTable } from "../../src/postgres/poll/polled_table.ts";
import type { Problem } from "../../src/core/problem.ts";
import { chooseStamp, type Refusal, type StampSettings } from "../../src/postgres/poll/stamps.ts";
import { catalogTable, type ColumnSketch, indexOn, STAMP } from "../support/catalog_table.ts";

const WISH = { table: { schema: "public", name: "t" }, key: ["id"], joinColumns: ["parent_id"] };
const DEFAULTS = { marginMs: 2000, marginGiven: false };

function table(
  columns: Record<string, ColumnSketch>,
  over: Partial<CatalogTable> = {},
): CatalogTable {
  return catalogTable({ id: {}, ...columns }, over);
}

function choose(
  given: CatalogTable,
  settings: StampSettings = {},
  defaults = DEFAULTS,
): {
  readonly polled?: PolledTable;
  readonly problems?: readonly Problem[];
  readonly refusal?: Refusal;
  readonly codes: readonly string[];
} {
  const choice = chooseStamp(WISH, given, settings, defaults);
  if ("refusal" in choice) return { refusal: choice.refusal, codes: [] };
  const codes = choice.problems.map(({ severity, code }) => `${severity} ${code}`).sort();
  return { ...choice, codes };
}

describe("the stamp of a table", () => {
  test("is the only timestamp column with a usual name", () => {
    for (const name of ["updated_at", "modifiedAt", "last_modified", "changed_at"]) {
      const { polled, codes } = choose(
        table({ [name]: STAMP }, { indexes: [indexOn([name, "id"])] }),
      );
      equal(polled?.stamp.name, name);
      deepEqual(codes, []);
    }
  });

  const zoneless = { type: { base: "timestamp" } };
  const many = { type: { base: "timestamptz", isArray: true } };
  const refusals: readonly [string, string, CatalogTable, StampSettings?][] = [
    ["is missing", "STAMP_MISSING", table({})],
    ["is a list of stamps", "STAMP_MISSING", table({ updated_at: many })],
    ["has two candidates", "STAMP_AMBIGUOUS", table({ updated_at: STAMP, changedAt: STAMP })],
    ["is named and isn't there", "COLUMN_MISSING", table({}), { stamp: "at" }],
    ["is named and no timestamp", "STAMP_TYPE", table({ at: {} }), { stamp: "at" }],
    ["has no zone", "STAMP_TIMEZONE_MISSING", table({ updated_at: zoneless })],
    [
      "has no index",
      "STAMP_INDEX_MISSING",
      table({ updated_at: STAMP }, { indexes: [indexOn(["id"])] }),
    ],
    [
      "has a partial index alone",
      "STAMP_INDEX_MISSING",
      table({ updated_at: STAMP }, {
        indexes: [{ ...indexOn(["updated_at", "id"]), partial: true }],
      }),
    ],
    ["is a view's", "NOT_A_TABLE", table({ updated_at: STAMP }, { kind: "view" })],
    [
      "is partly another server's",
      "FOREIGN_PARTITION",
      table({ updated_at: STAMP }, { kind: "partitioned", foreign: true }),
    ],
    ["is a foreign table's", "NOT_A_TABLE", table({ updated_at: STAMP }, { kind: "foreign" })],
  ];
  for (const [how, code, given, settings] of refusals) {
    test(`that ${how} is refused with the remedy`, () => {
      const { polled, refusal } = choose(given, settings);
      equal(polled, undefined);
      equal(refusal?.code, code);
      match(refusal?.hint ?? "", /\S/);
    });
  }

  test("whose index doesn't go on with the key, or that may be NULL, is a warning with the SQL", () => {
    const { polled, codes, problems } = choose(
      table({ updated_at: { ...STAMP, notNull: false } }, { indexes: [indexOn(["updated_at"])] }),
    );
    equal(polled?.stamp.name, "updated_at");
    deepEqual(codes, ["warning STAMP_INDEX_PARTIAL", "warning STAMP_NULLABLE"]);
    match(
      problems?.[0]?.hint ?? "",
      /CREATE INDEX CONCURRENTLY ON public\.t \("updated_at", "id"\);/,
    );
  });

  test("that nothing sets on UPDATE is a warning, until somebody says who does", () => {
    const untouched = table({ updated_at: STAMP }, { touches: [] });
    const { codes, problems } = choose(untouched);
    deepEqual(codes, ["warning STAMP_NOT_TOUCHED"]);
    match(problems?.[0]?.hint ?? "", /"stamps": "application"[\s\S]*CREATE TRIGGER/);
    deepEqual(choose(untouched, { stamps: "application" }).codes, []);
    deepEqual(choose(untouched, { stamps: "database" }).codes, []);
  });

  test("whose trigger is disabled is a warning with the statement that enables it", () => {
    const touches = [{ name: "Touch", on: "public.t_eu", enabled: false }];
    const { codes, problems } = choose(table({ updated_at: STAMP }, { touches }));
    deepEqual(codes, ["warning STAMP_TRIGGER_DISABLED"]);
    equal(problems?.[0]?.hint, 'ALTER TABLE public.t_eu ENABLE TRIGGER "Touch";');
  });

  test("without a zone gets a trigger that writes in the named one", () => {
    const given = table({ updated_at: zoneless }, { touches: [] });
    const { problems } = choose(given, { stampTimezone: "Europe/Berlin" });
    match(problems?.[0]?.hint ?? "", /:= now\(\) AT TIME ZONE 'Europe\/Berlin';/);
  });

  test("by an application's clock takes a margin of 30 s, unless one was given", () => {
    const given = table({ updated_at: STAMP });
    equal(choose(given, { stamps: "application" }).polled?.marginMs, 30_000);
    const byHand = { marginMs: 5000, marginGiven: true };
    equal(choose(given, { stamps: "application" }, byHand).polled?.marginMs, 5000);
  });

  test("rounded to seconds widens a margin below its precision", () => {
    const coarse = table({ updated_at: { type: { ...STAMP.type, secondDigits: 0 } } });
    const { polled } = choose(coarse, {}, { marginMs: 50, marginGiven: true });
    equal(polled?.marginMs, 1000);
  });

  test("comes with a key whose types are what a text is cast to", () => {
    const list = { type: { cast: "text", base: "text", isArray: true }, notNull: false };
    const wish = { ...WISH, key: ["id", "tags"] };
    const choice = chooseStamp(wish, table({ updated_at: STAMP, tags: list }), {}, DEFAULTS);
    deepEqual("polled" in choice ? choice.polled.key : [], [
      { name: "id", type: "bigint", nullable: false },
      { name: "tags", type: "text[]", nullable: true },
    ]);
  });
});
