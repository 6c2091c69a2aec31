import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CatalogTable } from "../../src/postgres/catalog.ts";
import { renderScripts } from "../../src/postgres/changelog/install.ts";
import { lacks, type RequiredTable, united } from "../../src/postgres/changelog/required.ts";
import {
  expectedTriggers,
  type TableShape,
  triggerStatement,
} from "../../src/postgres/changelog/triggers.ts";
import { triggerFunction } from "../../src/postgres/changelog/triggers_function.ts";

const SHAPE: TableShape = {
  oid: "7",
  partitioned: false,
  hasParents: false,
  members: [{ oid: "7", name: "public.t", foreign: false, links: [] }],
  virtual: [],
  types: {},
};
const BELOW = { oid: "8", name: "public.u", foreign: false, links: ["1"] };

describe("the triggers a table needs", () => {
  const names = (shape: TableShape) =>
    expectedTriggers(shape).map(({ name, member, copy }) =>
      `${name} ${member.oid}${copy ? " copy" : ""}`
    );

  test("are a statement's but for updates, where rows can't come by another name", () => {
    assert.deepEqual(names(SHAPE), [
      "driftless_insert 7",
      "driftless_update 7",
      "driftless_delete 7",
      "driftless_truncate 7",
    ]);
    const level = expectedTriggers(SHAPE).map((each) =>
      /FOR EACH (\w+)/.exec(triggerStatement(each, "f"))?.[1]
    );
    assert.deepEqual(level, ["STATEMENT", "ROW", "STATEMENT", "STATEMENT"]);
  });

  test("are each row's on a partitioned table; Postgres copies them, but not TRUNCATE's", () => {
    const members = [...SHAPE.members, BELOW, { ...BELOW, oid: "9", foreign: true }];
    assert.deepEqual(names({ ...SHAPE, partitioned: true, members }), [
      "driftless_row 7",
      "driftless_row 8 copy",
      "driftless_row 9 copy",
      "driftless_truncate 7",
      "driftless_truncate_7 8",
    ]);
  });

  test("are each row's on a parent and its heirs, under names of their own", () => {
    assert.deepEqual(names({ ...SHAPE, members: [...SHAPE.members, BELOW] }), [
      "driftless_row 7",
      "driftless_row_7 8",
      "driftless_truncate 7",
      "driftless_truncate_7 8",
    ]);
    assert.deepEqual(names({ ...SHAPE, hasParents: true }), [
      "driftless_row_7 7",
      "driftless_truncate_7 7",
    ]);
  });
});

describe("a trigger's function", () => {
  const columns = {
    id: "int8",
    at: "timestamptz",
    day: "date",
    span: "interval",
    f: "float8",
    b: "bytea",
    m: "money",
    e: "cube",
    name: "text",
  };
  const table = {
    oid: "7",
    ref: { schema: "public", name: "t" },
    kind: "table",
    columns: Object.entries(columns).map(([name, base]) => ({
      name,
      notNull: true,
      type: { base, isArray: false, labels: undefined },
    })),
    primaryKey: ["id"],
    indexes: [{ columns: ["id"], unique: true, valid: true, partial: false }],
  } as unknown as CatalogTable;
  const settings = (joins: readonly string[]) => {
    const sql = triggerFunction(
      "driftless",
      table,
      { key: ["id"], columns: [], joins },
      false,
      {},
    );
    return [...sql.matchAll(/ SET (\w+) = /g)].map((match) => match[1])
      .filter((name) => name !== "since");
  };

  test("fixes only the settings that can alter its texts", () => {
    assert.deepEqual(settings([]), ["search_path"]);
    assert.deepEqual(settings(["name"]), ["search_path"]);
    assert.deepEqual(settings(["at"]), ["search_path", "TimeZone", "DateStyle"]);
    assert.deepEqual(settings(["day", "span"]), ["search_path", "DateStyle", "IntervalStyle"]);
    assert.deepEqual(settings(["f", "b", "m"]), [
      "search_path",
      "extra_float_digits",
      "bytea_output",
      "lc_monetary",
    ]);
    assert.equal(settings(["e"]).length, 7, "a type that isn't known may depend on any");
  });

  test("keeps its own quotes whole, whatever columns are called", () => {
    const odd = { ...table, columns: [{ ...table.columns[0], name: "$driftless$" }] };
    const sql = triggerFunction(
      "driftless",
      odd as CatalogTable,
      { key: ["$driftless$"], columns: [], joins: [] },
      true,
      {},
    );
    assert.match(sql, /AS \$driftless1\$[^]*\$driftless1\$$/);
  });
});

describe("what is recorded and what is needed", () => {
  const recorded = { key: ["id"], columns: ["a", "b"], joins: ["b"] };

  test("is compared in words", () => {
    assert.equal(lacks(recorded, { key: ["id"], columns: ["a"], joins: [] }), undefined);
    assert.equal(lacks({ ...recorded, columns: null }, { ...recorded, columns: null }), undefined);
    assert.equal(lacks({ ...recorded, columns: null }, recorded), undefined);
    assert.match(
      lacks(recorded, { ...recorded, key: ["x"] }) ?? "",
      /logs the key \("id"\), where \("x"\)/,
    );
    assert.match(
      lacks(recorded, { ...recorded, columns: ["a", "c"] }) ?? "",
      /doesn't look at "c"/,
    );
    assert.match(lacks(recorded, { ...recorded, joins: ["a"] }) ?? "", /the values of "a"/);
    assert.match(lacks(recorded, { ...recorded, columns: null }) ?? "", /every column/);
  });

  test("is united, without columns that are gone, so that several configs share a log", () => {
    const catalog = { columns: ["id", "a", "b", "c"].map((name) => ({ name })) };
    const required = {
      key: ["id"],
      columns: ["c"],
      joins: ["c"],
      catalog,
    } as unknown as RequiredTable;
    assert.deepEqual(united({ ...recorded, columns: ["a", "gone"] }, required), {
      key: ["id"],
      columns: ["a", "c"],
      joins: ["b", "c"],
    });
    assert.equal(united({ ...recorded, columns: null }, required).columns, null);
    assert.equal(united(recorded, { ...required, columns: null }).columns, null);
  });
});

test("a printed script can't be left by a line of its comments", () => {
  const text = renderScripts(
    [{ title: "a\nDROP TABLE x", statements: ["SELECT 1"] }],
    ["b\r\nDROP TABLE y"],
  );
  assert.equal(text, "-- b DROP TABLE y\n\n-- a DROP TABLE x\nBEGIN;\nSELECT 1;\nCOMMIT;\n");
});
