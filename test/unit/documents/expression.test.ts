import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { canonical } from "../../../src/postgres/documents/canonical.ts";
import { readExpression } from "../../../src/postgres/documents/expression.ts";
import { nearest } from "../../../src/core/nearest.ts";

test("words are folded as Postgres folds them, and nothing inside quotes is a word", () => {
  const { words, calls } = readExpression(
    `Name || "Odd ""Name" || 'in ''side' || lower(E'it\\'s select') || $$ x; $$`,
  );
  deepEqual([...words], ["name", 'Odd "Name', "lower"]);
  deepEqual(calls, ["lower"]);
});

test("an expression that would leave its place is refused, with the reason", () => {
  const reasons: Record<string, string | undefined> = {
    "a + (b)": undefined,
    "(select 1)": 'it holds a sub-query ("select")',
    "EXISTS (TABLE x)": 'it holds a sub-query ("TABLE")',
    "values (1)": 'it holds a sub-query ("values")',
    "values + 1": undefined,
    "a) OR (b": "its parentheses don't match",
    "((a)": "its parentheses don't match",
    "a; b": "it holds a ;",
    "a -- b": "it holds a comment",
    "a /* b */": "it holds a comment",
    "a || 'x": "a quote isn't closed",
    'a || "x': "a quote isn't closed",
    "a || $1": "it holds a $ outside quotes",
    "  ": "it is empty",
  };
  for (const [sql, reason] of Object.entries(reasons)) {
    equal(readExpression(sql).refused, reason, sql);
  }
});

test("what depends on time or chance is named", () => {
  deepEqual(readExpression("born > now() AND random() < current_date").unstable, [
    { name: "now", kind: "time" },
    { name: "random", kind: "volatile" },
    { name: "current_date", kind: "time" },
  ]);
  deepEqual(readExpression("now || random || 'now()'").unstable, []);
});

test("the nearest name is offered only when it is near", () => {
  equal(nearest("emial", ["id", "email", "name"]), "email");
  equal(nearest("Name", ["id", "name"]), "name");
  equal(nearest("xyz", ["id", "name"]), undefined);
});

test("a canonical form doesn't show the order of keys, and does show the order of lists", () => {
  equal(canonical({ b: [1, 2], a: { d: 1, c: undefined } }), '{"a":{"d":1},"b":[1,2]}');
  equal(canonical({ a: { d: 1 }, b: [2, 1] }), '{"a":{"d":1},"b":[2,1]}');
});
