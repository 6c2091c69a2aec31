import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { decodeKey } from "../../src/postgres/outbox/hint_key.ts";

const TWO = ["a", "b"];

test("a scalar is the key of one column, and of no other number of them", () => {
  deepEqual(decodeKey("scalar", "7", ["id"]), ["7"]);
  deepEqual(decodeKey("scalar", '["7"]', ["id"]), ['["7"]']);
  equal(decodeKey("scalar", "7", TWO), undefined);
  equal(decodeKey("scalar", null, ["id"]), undefined);
});

test("a JSON array, object or scalar is a key, its numbers as they are written", () => {
  const big = "123456789012345678901234567890.10";
  deepEqual(decodeKey("json", `[ ${big}, -1e5 ]`, TWO), [big, "-1e5"]);
  deepEqual(decodeKey("json", '{"b": true, "a": "1 \\"2\\" \\\\", "c": null}', TWO), [
    '1 "2" \\',
    "true",
  ]);
  deepEqual(decodeKey("json", "12", ["id"]), ["12"]);
  deepEqual(decodeKey("json", '"12"', ["id"]), ["12"]);
  deepEqual(decodeKey("json", '{"__proto__": 1}', ["__proto__"]), ["1"]);
});

test("JSON that is no key of the table isn't taken for one", () => {
  for (
    const text of [
      "null",
      "[]",
      "[1]",
      "[1, 2, 3]",
      "[1, null]",
      "[1, [2]]",
      "[1, {}]",
      '{"a": 1}',
      '{"a": 1, "B": 2}',
      '["a", "\\u0000"]',
      '["a", "\\ud800"]',
      "{}",
    ]
  ) equal(decodeKey("json", text, TWO), undefined, text);
  equal(decodeKey("json", "{}", ["toString"]), undefined);
});

test("an array's elements are a key, quoted, escaped or with bounds", () => {
  deepEqual(decodeKey("array", '{a,"b,\\"c\\\\}"}', TWO), ["a", 'b,"c\\}']);
  deepEqual(decodeKey("array", '[0:1]={"",x y}', TWO), ["", "x y"]);
  deepEqual(decodeKey("array", '{"NULL"}', ["id"]), ["NULL"]);
  deepEqual(decodeKey("array", '{"line\nbreak"}', ["id"]), ["line\nbreak"]);
});

test("an array that is empty, nested or has a NULL is no key", () => {
  for (const text of ["{}", "{a}", "{a,b,c}", "{a,NULL}", "{{a,b}}", "{{a},{b}}"]) {
    equal(decodeKey("array", text, TWO), undefined, text);
  }
});
