import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { matchQuery } from "../../src/sqlite/match_query.ts";

describe("what a person types, as an FTS5 expression", () => {
  const cases: Readonly<Record<string, string | undefined>> = {
    "one": `"one"`,
    "one two": `"one" AND "two"`,
    "  tab\tand\nline ": `"tab" AND "and" AND "line"`,
    "pre*": `"pre*"*`,
    'say "hi"': `"say" AND """hi"""`,
    "a AND b OR NOT c": `"a" AND "AND" AND "b" AND "OR" AND "NOT" AND "c"`,
    "title:x": `"title:x"`,
    "ann@x.io": `"ann@x.io"`,
    "red - blue": `"red" AND "blue"`,
    "": undefined,
    " * - 🦊 ": undefined,
  };
  for (const [typed, expected] of Object.entries(cases)) {
    test(`${JSON.stringify(typed)} becomes ${expected ?? "nothing"}`, () => {
      assert.equal(matchQuery(typed), expected);
    });
  }

  test("FTS5 takes whatever comes out, whatever was typed", () => {
    using memory = new DatabaseSync(":memory:");
    memory.exec("CREATE VIRTUAL TABLE t USING fts5(words)");
    const find = memory.prepare("SELECT 1 FROM t WHERE t MATCH ?");
    const typed = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom(..."ab \"'*():^-+{}[]\\/NOTANDR\0") }),
    );
    fc.assert(fc.property(typed, (text) => {
      const match = matchQuery(text);
      if (match !== undefined) find.all(match);
    }));
  });
});
