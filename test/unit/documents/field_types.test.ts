import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { ScalarType } from "../../../src/core/description.ts";
import type { ColumnType } from "../../../src/postgres/catalog_types.ts";
import { canHold, naturalType } from "../../../src/postgres/documents/field_types.ts";

function type(base: string, more: Partial<ColumnType> = {}): ColumnType {
  return {
    declared: base,
    cast: base,
    base,
    labels: undefined,
    isArray: false,
    isComposite: false,
    numeric: undefined,
    ...more,
  };
}

function rangeOf(subtype: string, more: Partial<ColumnType> = {}, isMulti = false): ColumnType {
  return type(`${subtype}range`, { range: { subtype: type(subtype), isMulti }, ...more });
}

const COMPOSITE = type("address", { isComposite: true });
const ARRAY = { isArray: true };

/** Fields that not every column fills, with columns that they refuse. */
const REFUSED: readonly (readonly [ScalarType, ...ColumnType[]])[] = [
  ["enum", type("int4"), COMPOSITE],
  ["uuid", type("bytea")],
  ["boolean", type("int4"), type("text")],
  ["long", type("text"), type("float8"), type("numeric"), type("xid8")],
  ["double", type("text"), type("interval"), rangeOf("numeric")],
  ["date", type("text"), type("time"), type("interval"), type("int8")],
  ["date_nanos", type("text")],
  ["json", type("text"), type("citext")],
  ["ip", type("macaddr"), type("jsonb")],
  ["completion", type("int4"), type("hstore"), COMPOSITE],
  ["binary", type("text")],
  ["geo_shape", type("circle"), type("line"), type("hstore"), type("point", ARRAY)],
  ["integer_range", type("int4"), rangeOf("numeric"), rangeOf("int4", ARRAY, true)],
  ["date_range", rangeOf("time"), rangeOf("int4"), type("date")],
  ["ip_range", type("text"), rangeOf("int4")],
  ["double_range", rangeOf("date")],
  ["map", type("jsonb", ARRAY), COMPOSITE, type("text")],
  ["knn_vector", type("float8"), type("vector", ARRAY), type("text", ARRAY), type("sparsevec")],
];

test("a field refuses columns whose values are something else", () => {
  for (const [field, ...columns] of REFUSED) {
    for (const column of columns) {
      equal(canHold(field, column), "no", `${column.base} in ${field}`);
    }
  }
});

test("a field that holds only some of a column's values says so", () => {
  const narrow: readonly (readonly [ScalarType, ColumnType])[] = [
    ["short", type("int4")],
    ["integer", type("int8")],
    ["unsigned_long", type("int8")],
    ["integer_range", rangeOf("int8")],
    ["date_nanos", type("timestamptz")],
  ];
  deepEqual(narrow.map(([field, column]) => canHold(field, column)), narrow.map(() => "narrow"));
});

test("every column has a field, and the field that is named to the author holds it", () => {
  const bases = ["int2", "int4", "int8", "oid", "float4", "float8", "numeric", "money", "bool"];
  const others = ["text", "uuid", "date", "timestamptz", "inet", "bytea", "interval", "vector"];
  const columns = [
    ...[...bases, ...others, "geometry", "polygon"].map((base) => type(base)),
    ...["int4", "int8", "numeric", "float8", "date", "inet", "time"].map((base) => rangeOf(base)),
    rangeOf("int4", ARRAY, true),
    type("mood", { labels: ["a"] }),
  ];
  for (const column of columns) {
    const natural = naturalType(column);
    equal(natural !== undefined && canHold(natural, column), "yes", column.base);
  }
  for (const column of [COMPOSITE, type("jsonb"), type("hstore")]) {
    equal(canHold("json", column), "yes");
    equal(canHold("keyword", column), "yes");
  }
});
