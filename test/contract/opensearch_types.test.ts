import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FieldPlan, IndexPlan } from "../../src/core/plan.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { ask, observe, removeAll, sinkOptions } from "./opensearch_observer.ts";
import { samplePlan, V } from "./sink_samples.ts";
import { never } from "./sink_subject.ts";

interface Case {
  readonly field: FieldPlan;
  /** JSON texts as Postgres renders them: each must be accepted as it is. */
  readonly accepts: readonly string[];
  readonly rejects: readonly string[];
}

const LONG = "x".repeat(40_000);
const DATES = [
  `"2026-01-02"`,
  `"2026-01-02T03:04:05"`,
  `"2026-01-02T03:04:05+00:00"`,
  `"2026-01-02T03:04:05.1+00:00"`,
  `"2026-01-02T03:04:05.12"`,
  `"2026-01-02T03:04:05.123456"`,
  `"2026-01-02T03:04:05.123456+00:00"`,
];

const scalar = (
  type: (FieldPlan & { kind: "scalar" })["type"],
  accepts: readonly string[],
  rejects: readonly string[],
  more: Partial<FieldPlan & { kind: "scalar" }> = {},
): Case => ({
  field: { kind: "scalar", name: `f_${type}${Object.values(more).join("_")}`, type, ...more },
  accepts: ["null", "[]", ...accepts],
  rejects,
});

const CASES: readonly Case[] = [
  scalar("text", [`"plain"`, `""`, `"𝒯 🦊 \\u0001"`, `["a","b",null]`, `"${LONG}"`], [`{"a":1}`]),
  scalar("keyword", [`"Code-1"`, `""`, `["A","b"]`, `"${LONG.slice(0, 32_000)}"`], [
    `"${LONG}"`,
    `{"a":1}`,
  ]),
  scalar("enum", [`"low"`, `["low","high"]`], [`{"a":1}`]),
  scalar("uuid", [`"6f1c2a0e-5f3b-4e4b-9a59-3d1a0f6a7b1c"`], [`{"a":1}`]),
  scalar("boolean", ["true", "false", "[true,false]"], [`"yes"`, "1"]),
  scalar("short", ["-32768", "32767"], ["32768", `"x"`]),
  scalar("integer", ["-2147483648", "2147483647"], ["2147483648", `"x"`]),
  scalar("long", ["-9223372036854775808", "9223372036854775807", "9007199254740993"], [
    "9223372036854775808",
  ]),
  scalar("unsigned_long", ["0", "18446744073709551615"], ["-1"]),
  scalar("float", ["1.5", "-0", "3.4028235e+38"], ["1e39", `"x"`]),
  scalar("double", ["1.5", "1e308", "123456789012345678901234567890.10"], ["1e309", `"x"`]),
  scalar("decimal", ["12.34", "-99999999999.99", "0.00"], [`"x"`], { scale: 2 }),
  scalar("decimal", ["12.345678901234567890", "1e20"], [`"x"`]),
  scalar("date", [
    ...DATES,
    `"0001-01-01"`,
    `"+10000-01-01T00:00:00.123456+00:00"`,
    `"+294276-12-31T23:59:59.999999+00:00"`,
    `"+5874897-12-31"`,
    `"-0043-03-15T01:02:03.123456+00:00"`,
    `"-4713-11-24"`,
    `"10000-01-01T00:00:00"`,
    `"294276-12-31T23:59:59.999999+00:00"`,
    `"5874897-12-31"`,
    `"0044-03-15 BC"`,
    `"0044-03-15T01:02:03.5 BC"`,
    `"0044-03-15T01:02:03.123456+00:00 BC"`,
    `"4714-11-24 BC"`,
    `["2026-01-02","2026-01-03T00:00:00+00:00"]`,
  ], [`"infinity"`, `"2026-13-01"`, `"yesterday"`, `"2026-01-02 03:04:05"`]),
  scalar("date_nanos", [...DATES, `"1970-01-01"`, `"2262-04-11"`], [`"2300-01-01"`, `"infinity"`]),
  scalar("json", [`{"a":[1,"x",{"b":null}]}`, `"text"`, "3", `[1,"a",{}]`], []),
  scalar("json", [`{"a":{"b":["x","y"]},"n":1}`, "{}"], ["3", "[1,2]"], { as: "flat_object" }),
  scalar("json", [`{"a":{"b":[1,2]}}`, "{}"], [`"text"`], { as: "object" }),
  scalar("ip", [`"10.0.0.1"`, `"2001:db8::1"`], [`"10.0.0.0/8"`, `"x"`]),
  scalar("wildcard", [`"any *text*"`], []),
  scalar("match_only_text", [`"any text"`], []),
  scalar("search_as_you_type", [`"any text"`], []),
  scalar("geo_point", [`{"lat":52.5,"lon":13.4}`, `{"lat":-90,"lon":180}`], [
    `{"lat":91,"lon":0}`,
    `{"lat":"x","lon":0}`,
  ]),
  {
    field: {
      kind: "object",
      name: "f_object",
      mapping: "object",
      fields: [{ kind: "scalar", name: "n", type: "long" }],
    },
    accepts: ["null", "[]", `{"n":1}`, `[{"n":1},{"n":null}]`],
    rejects: [`"x"`, `{"other":1}`],
  },
  {
    field: {
      kind: "object",
      name: "f_nested",
      mapping: "nested",
      fields: [{ kind: "scalar", name: "n", type: "long" }],
    },
    accepts: ["null", "[]", `{"n":1}`, `[{"n":1},{"n":2}]`],
    rejects: [`"x"`, `{"other":1}`],
  },
];

describe("OpenSearch: the values of each type", () => {
  test("are accepted as Postgres renders them and kept byte for byte; others are rejected", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    await using sink = openSearchSink(sinkOptions(url, prefix));
    const plan: IndexPlan = { ...samplePlan("types"), fields: CASES.map(({ field }) => field) };
    try {
      await sink.ensure(plan, "s1", never);
      const good = CASES.flatMap(({ field, accepts }) =>
        accepts.map((value, i) => document(`${field.name} ${i}`, field.name, value))
      );
      const bad = CASES.flatMap(({ field, rejects }) =>
        rejects.map((value, i) => document(`${field.name} bad ${i}`, field.name, value))
      );
      const rejections = await sink.write([...good, ...bad], "fill", never);
      const unexpected = rejections.filter(({ id }) => good.some((each) => each.id === id));
      assert.deepEqual(unexpected.map(({ id, reason }) => [id, reason.slice(0, 200)]), []);
      const rejected = new Set(rejections.map(({ id }) => id));
      assert.deepEqual(bad.filter(({ id }) => !rejected.has(id)).map(({ id }) => id), []);
      for (const { id, body } of good.filter((_, i) => i % 5 === 0)) {
        assert.equal((await observe(url, `${prefix}types_0123abcd_1`, id))?.body, body);
      }
    } finally {
      await removeAll(url, prefix);
    }
  });

  test("are found and sorted by: dates of any era, lower-cased codes, decimals", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    await using sink = openSearchSink(sinkOptions(url, prefix));
    const fields: readonly FieldPlan[] = [
      { kind: "scalar", name: "at", type: "date" },
      { kind: "scalar", name: "code", type: "keyword" },
      { kind: "scalar", name: "price", type: "decimal", scale: 2 },
    ];
    const rows = [
      ["bc", `"0044-03-15T01:02:03.123456+00:00 BC"`, `"ÄPFEL"`, "0.10"],
      ["now", `"2026-01-02T03:04:05.123456+00:00"`, `"Birne"`, "0.30"],
      ["far", `"10000-01-01T00:00:00"`, `"citron"`, "0.20"],
    ] as const;
    try {
      await sink.ensure({ ...samplePlan("types"), fields }, "s1", never);
      const documents = rows.map(([id, at, code, price]) => ({
        index: "types",
        id,
        version: V,
        body: `{"at":${at},"code":${code},"price":${price}}`,
      }));
      assert.deepEqual(await sink.write(documents, "fill", never), []);
      await sink.markSeeded("types", never);
      const ids = async (body: unknown) => {
        const { json } = await ask(url, "POST", `/${prefix}types/_search`, body);
        return json.hits.hits.map((hit: { _id: string }) => hit._id);
      };
      assert.deepEqual(await ids({ sort: ["at"] }), ["bc", "now", "far"]);
      assert.deepEqual(await ids({ sort: ["price"] }), ["bc", "far", "now"]);
      assert.deepEqual(await ids({ query: { term: { "code.lower": "äpfel" } } }), ["bc"]);
      assert.deepEqual(await ids({ query: { range: { at: { lt: "2026-01-02T03:04:06" } } } }), [
        "bc",
        "now",
      ]);
    } finally {
      await removeAll(url, prefix);
    }
  });
});

function document(id: string, field: string, value: string) {
  return { index: "types", id, version: V, body: `{"${field}":${value}}` };
}
