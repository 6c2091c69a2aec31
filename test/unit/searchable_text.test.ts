import { describe, test } from "node:test";
import assert from "node:assert/strict";
import type { FieldPlan } from "../../src/core/plan.ts";
import { searchableText } from "../../src/sqlite/searchable_text.ts";

describe("the words a document is found by", () => {
  const cases: readonly {
    readonly says: string;
    readonly fields: readonly FieldPlan[];
    readonly body: string;
    readonly words: readonly string[];
  }[] = [
    {
      says: "are the values of text-like fields",
      fields: [
        { kind: "scalar", name: "a", type: "text" },
        { kind: "scalar", name: "b", type: "keyword" },
        { kind: "scalar", name: "c", type: "uuid" },
      ],
      body: `{"a":"one two","b":"three","c":"4-5"}`,
      words: ["one two", "three", "4-5"],
    },
    {
      says: "are not numbers, dates, booleans, points or json that isn't searched",
      fields: [
        { kind: "scalar", name: "a", type: "long" },
        { kind: "scalar", name: "b", type: "date" },
        { kind: "scalar", name: "c", type: "boolean" },
        { kind: "scalar", name: "d", type: "geo_point" },
        { kind: "scalar", name: "e", type: "json" },
        { kind: "scalar", name: "f", type: "json", as: "disabled" },
      ],
      body: `{"a":1,"b":"2026","c":true,"d":{"lat":1,"lon":2},"e":{"x":"y"},"f":{"x":"y"}}`,
      words: [],
    },
    {
      says: "are codes, constants, suggestions, texts in maps and custom fields of text",
      fields: [
        { kind: "scalar", name: "a", type: "identifier" },
        { kind: "scalar", name: "b", type: "keyword" },
        { kind: "scalar", name: "c", type: "completion" },
        { kind: "scalar", name: "d", type: "completion" },
        { kind: "scalar", name: "e", type: "map", values: "keyword" },
        { kind: "scalar", name: "f", type: "map", values: "long" },
        { kind: "scalar", name: "g", type: "custom", mapping: { type: "keyword" } },
        { kind: "scalar", name: "h", type: "custom", mapping: { type: "rank_feature" } },
        { kind: "scalar", name: "i", type: "enum", variants: ["low", "high"] },
        { kind: "scalar", name: "j", type: "date_range" },
        { kind: "scalar", name: "k", type: "binary" },
      ],
      body: `{"a":"C-1","b":"shop","c":["one","two"],"d":[{"input":["three"],"weight":4}],` +
        `"e":{"k":"five","l":["six",null]},"f":{"k":7},"g":"eight","h":9,"i":"low",` +
        `"j":{"gte":"2026"},"k":"AA=="}`,
      words: ["C-1", "shop", "one", "two", "three", "five", "six", "eight", "low"],
    },
    {
      says: "are all values of json that is searched",
      fields: [{ kind: "scalar", name: "a", type: "json", as: "flat_object" }],
      body: `{"a":{"x":"one","y":[{"z":"two"},3,true,null]}}`,
      words: ["one", "two", "3", "true"],
    },
    {
      says: "come out of arrays, objects and arrays of objects, to any depth",
      fields: [
        { kind: "scalar", name: "tags", type: "keyword" },
        {
          kind: "object",
          name: "orders",
          mapping: "nested",
          fields: [
            { kind: "scalar", name: "status", type: "keyword" },
            { kind: "scalar", name: "total", type: "double" },
            {
              kind: "object",
              name: "track",
              mapping: "object",
              fields: [{ kind: "scalar", name: "name", type: "text" }],
            },
          ],
        },
      ],
      body: `{"tags":["a",["b"],null],"orders":[{"status":"paid","total":1.5,` +
        `"track":{"name":"deep"}},{"status":"open","track":null}]}`,
      words: ["a", "b", "paid", "deep", "open"],
    },
    {
      says: "leave out null, missing fields and fields the plan doesn't have",
      fields: [
        { kind: "scalar", name: "a", type: "text" },
        { kind: "object", name: "o", mapping: "object", fields: [] },
      ],
      body: `{"a":null,"o":null,"_sync":{"h":"noise"},"constructor":"noise"}`,
      words: [],
    },
  ];
  for (const { says, fields, body, words } of cases) {
    test(says, () => {
      const found = searchableText(fields)(body);
      assert.deepEqual(found === "" ? [] : found.split("\n"), words);
    });
  }
});
