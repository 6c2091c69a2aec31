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
  field: { kind: "scalar", name: `f_${type}${suffixOf(more)}`, type, ...more },
  accepts: ["null", "[]", ...accepts],
  rejects,
});

/** Maps of each type of value, and what each takes. */
const MAPS: readonly Case[] = ([
  ["text", [`{"a":"one two","b":["x","y"]}`], []],
  ["keyword", [`{"A":"X","b.c":"y","ü €":""}`, `{"2026-01-02":"2026-01-02","n":"1"}`], []],
  ["boolean", [`{"a":true,"b":[false,null]}`], [`{"a":"perhaps"}`]],
  ["long", [`{"a":9223372036854775807,"b":1}`, `{"a":null}`], [`{"a":"x"}`]],
  ["double", [`{"a":1,"b":0.5,"c":1e300}`], [`{"a":"x"}`]],
  ["date", [`{"a":"2026-01-02T03:04:05.123456+00:00","b":"0044-03-15 BC"}`], [`{"a":"soon"}`]],
] as const).map(([values, accepts, rejects]): Case => ({
  field: { kind: "scalar", name: `f_map_${values}`, type: "map", values },
  accepts: ["null", "{}", ...accepts],
  rejects: [...rejects, `"text"`],
}));

/** What tells one field of a type from another. */
function suffixOf(more: Partial<FieldPlan & { kind: "scalar" }>): string {
  return Object.values(more).map((each) =>
    typeof each === "object" ? `_${Object.keys(each).join("_")}` : each
  ).join("_");
}

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
  scalar("identifier", [`"C-01234"`, `""`, `["fooBar","x_y.z"]`, `"${LONG}"`], [`{"a":1}`]),
  scalar(
    "enum",
    [`"low"`, `"unlisted"`, `""`, `["low","high",null]`, `"${LONG.slice(0, 32_000)}"`],
    [
      `{"a":1}`,
    ],
    { variants: ["low", "high"] },
  ),
  scalar("completion", [`"any text"`, `["a","b"]`, `{"input":["a","b"],"weight":3}`], [`{"a":1}`]),
  scalar("binary", [`"U29tZSBieXRlcw=="`, `""`, `["AA=="]`], [`{"a":1}`]),
  scalar("geo_shape", [
    `{"type":"Point","coordinates":[13.4,52.5]}`,
    `{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}`,
    `"POINT (13.4 52.5)"`,
  ], [`"nowhere"`, `{"type":"Point"}`]),
  scalar("integer_range", [`{"gte":1,"lt":5}`, `{"gt":1}`, `[{"lte":3},{"gte":7}]`], [
    `{"gte":"x"}`,
    `{"gte":5,"lt":1}`,
  ]),
  scalar("long_range", [`{"gte":-9223372036854775808,"lte":9223372036854775807}`], [`3`]),
  scalar("float_range", [`{"gte":1.5,"lt":2.5}`], [`{"gte":"x"}`]),
  scalar("double_range", [`{"gt":1.5,"lte":1e300}`], [`{"gte":"x"}`]),
  scalar("date_range", [
    `{"gte":"2026-01-02","lt":"2026-02-01"}`,
    `{"gte":"2026-01-02T03:04:05.123456+00:00"}`,
    `{"gte":"-0043-03-15","lt":"+10000-01-01"}`,
  ], [`{"gte":"soon"}`]),
  scalar("ip_range", [`"10.0.0.0/8"`, `"2001:db8::/32"`, `{"gte":"10.0.0.1","lte":"10.0.0.9"}`], [
    `"x"`,
  ]),
  scalar("custom", ["1.5", `[2,3]`], [`"x"`], { mapping: { type: "half_float" } }),
  scalar("keyword", [`"short"`], [], { mapping: { ignore_above: 10 } }),
  ...MAPS,
  scalar(
    "geo_point",
    [
      `{"type":"Point","coordinates":[13.4,52.5]}`,
      "[13.4,52.5]",
      `"52.5,13.4"`,
      `"POINT (13.4 52.5)"`,
      `[{"lat":1,"lon":2},{"lat":3,"lon":4}]`,
    ],
    [`"x,y"`],
    { mapping: { ignore_malformed: false } },
  ),
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

  test("find code-like text by its parts, with and without punctuation and case", async () => {
    await searching([{ kind: "scalar", name: "code", type: "identifier" }], [
      ["part", `{"code":"C-01234"}`],
      ["other", `{"code":"C-01235"}`],
      ["camel", `{"code":"fooBar"}`],
      ["list", `{"code":["HTTPServer_v2","ISO 8601"]}`],
      ["flat", `{"code":"C01299"}`],
      ["parts", `{"code":"AX-BT-77"}`],
    ], async (ids) => {
      const found = async (code: string) => (await ids({ query: { match: { code } } })).toSorted();
      for (const query of ["C01234", "c-01234", "01234", "C-01234", "c 01234"]) {
        assert.ok((await found(query)).includes("part"), query);
      }
      for (const query of ["C01234", "c-01234", "C-01234", "c01234", "01234", "C_01234"]) {
        assert.deepEqual(await found(query), ["part"], `${query} is no other code`);
      }
      for (const query of ["foo", "foobar", "fooBar", "FOOBAR", "bar", "foo-bar", "Foo_Bar"]) {
        assert.deepEqual(await found(query), ["camel"], query);
      }
      assert.deepEqual(await found("C-01299"), ["flat"]);
      assert.deepEqual(await found("01299"), ["flat"]);
      for (const query of ["axbt77", "AXBT-77", "ax bt 77", "bt-77", "bt"]) {
        assert.deepEqual(await found(query), ["parts"], query);
      }
      assert.deepEqual(await found("ax-77"), [], "parts in their order, with nothing between");
      assert.deepEqual(await found("server"), []);
      assert.deepEqual(await found("httpserver v2"), ["list"]);
      assert.deepEqual(await found("iso8601"), ["list"]);
      assert.deepEqual(await found("8601"), ["list"]);
      assert.deepEqual(await ids({ query: { term: { "code.keyword": "C-01234" } } }), ["part"]);
    });
  });

  test("sort ranked enums by rank, what isn't listed last", async () => {
    const awkward = [
      "low",
      "lower",
      "slow",
      "Low",
      "lo",
      "a => b",
      "x,y",
      "back\\slash",
      "\\u0041",
      " spaced ",
      "#hash",
      "00",
      "new\nline",
      "ß🦊é",
      "",
      "~",
      "x".repeat(200),
      "high",
    ];
    const shuffled = awkward.map((_, at) => (at * 7 + 3) % awkward.length);
    const unlisted = ["lowest", "LOW", "0", "99", "A", "~~", "zzz", "high ", "x".repeat(9000)];
    const document = (value: unknown) => JSON.stringify({ level: value });
    const fields: readonly FieldPlan[] = [
      { kind: "scalar", name: "level", type: "enum", variants: awkward },
    ];
    await searching(fields, [
      ...unlisted.map((value, at) => [`unlisted ${at}`, document(value)] as const),
      ["null", document(null)],
      ...shuffled.map((rank) => [`rank ${rank}`, document(awkward[rank])] as const),
    ], async (ids) => {
      const up = await ids({ size: 100, sort: ["level.rank"] });
      assert.deepEqual(up.slice(0, awkward.length), awkward.map((_, rank) => `rank ${rank}`));
      assert.equal(up.length, awkward.length + unlisted.length + 1);
      const down = await ids({ size: 100, sort: [{ "level.rank": { order: "desc" } }] });
      assert.deepEqual(
        down.filter((id: string) => id.startsWith("rank")),
        awkward.map((_, rank) => `rank ${awkward.length - 1 - rank}`),
      );
      const missing = { "level.rank": { order: "asc", missing: "_first" } };
      assert.ok((await ids({ size: 2, sort: [missing] })).includes("null"));
      // A query is normalised as values are.
      assert.deepEqual(await ids({ query: { term: { "level.rank": "slow" } } }), ["rank 2"]);
      const lower = { range: { "level.rank": { lt: "slow" } } };
      assert.deepEqual((await ids({ query: lower })).toSorted(), ["rank 0", "rank 1"]);
    });
  });

  test("rank by many variants, in numbers of one length", async () => {
    const variants = Array.from({ length: 120 }, (_, rank) => `v${rank}`);
    const fields: readonly FieldPlan[] = [
      { kind: "scalar", name: "level", type: "enum", variants },
    ];
    const documents = variants.map((level) => [level, JSON.stringify({ level })] as const);
    await searching(fields, documents.toReversed(), async (ids) => {
      assert.deepEqual(await ids({ size: 200, sort: ["level.rank"] }), variants);
    });
  });

  test("find the values of maps by key, inside nested relations too", async () => {
    const map = (values: "long" | "keyword" | "date"): FieldPlan => ({
      kind: "scalar",
      name: `by_${values}`,
      type: "map",
      values,
    });
    await searching([
      map("keyword"),
      map("date"),
      { kind: "object", name: "lines", mapping: "nested", fields: [map("keyword")] },
      {
        kind: "object",
        name: "owner",
        mapping: "object",
        fields: [{ kind: "object", name: "home", mapping: "object", fields: [map("long")] }],
      },
    ], [
      ["a", `{"by_keyword":{"k":"One Two","d.e":"x"},"lines":[{"by_keyword":{"n":"No 1"}},null]}`],
      ["b", `{"by_keyword":{"k":"2026-01-02"},"by_date":{"at":"2026-01-02"},"lines":[]}`],
      ["c", `{"owner":{"home":{"by_long":{"n":"7"}}},"by_keyword":{"k":"true"}}`],
    ], async (ids) => {
      assert.deepEqual(await ids({ query: { term: { "by_keyword.k": "One Two" } } }), ["a"]);
      assert.deepEqual(await ids({ query: { term: { "by_keyword.d.e": "x" } } }), ["a"]);
      assert.deepEqual(await ids({ query: { prefix: { "by_keyword.k": "2026" } } }), ["b"]);
      assert.deepEqual(await ids({ query: { range: { "by_date.at": { gt: "2026-01-01" } } } }), [
        "b",
      ]);
      const nested = { path: "lines", query: { term: { "lines.by_keyword.n": "No 1" } } };
      assert.deepEqual(await ids({ query: { nested } }), ["a"]);
      const above = { range: { "owner.home.by_long.n": { gt: 6, lt: 10 } } };
      assert.deepEqual(await ids({ query: above }), ["c"]);
    });
  });

  test("that grew keys in a map are still the plan's when the sink is opened again", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    const fields: readonly FieldPlan[] = [
      { kind: "scalar", name: "labels", type: "map", values: "keyword" },
      { kind: "scalar", name: "data", type: "json", as: "object" },
    ];
    const plan: IndexPlan = { ...samplePlan("types"), fields };
    try {
      await using sink = openSearchSink(sinkOptions(url, prefix));
      await sink.ensure(plan, "s1", never);
      const body = `{"labels":{"a":"x"},"data":{"b":{"c":1}}}`;
      const written = [{ index: "types", id: "1", version: V, body }];
      assert.deepEqual(await sink.write(written, "fill", never), []);
      await sink.markSeeded("types", never);
      await using again = openSearchSink(sinkOptions(url, prefix));
      await again.ensure(plan, undefined, never);
      const more = { index: "types", version: V, id: "2", body: `{"labels":{"new":"y"}}` };
      assert.deepEqual(await again.write([more], "live", never), []);
    } finally {
      await removeAll(url, prefix);
    }
  });

  test("take the config's own templates and analysis before what is built in", async () => {
    const fields: readonly FieldPlan[] = [
      { kind: "scalar", name: "m", type: "map", values: "keyword" },
      { kind: "scalar", name: "code", type: "identifier" },
    ];
    const more: Partial<IndexPlan> = {
      mappings: {
        dynamic_templates: [{ numbers: { path_match: "m.n_*", mapping: { type: "long" } } }],
      },
      analysis: { filter: { driftless_identifier_parts: { split_on_case_change: false } } },
    };
    await searching(fields, [
      ["a", `{"m":{"n_1":30,"other":"Text here"},"code":"fooBar"}`],
      ["b", `{"m":{"n_1":4}}`],
    ], async (ids) => {
      assert.deepEqual(await ids({ sort: ["m.n_1"] }), ["b", "a"]);
      assert.deepEqual(await ids({ query: { term: { "m.other": "Text here" } } }), ["a"]);
      assert.deepEqual(await ids({ query: { match: { code: "foo" } } }), []);
      assert.deepEqual(await ids({ query: { match: { code: "FOOBAR" } } }), ["a"]);
    }, more);
  });
});

/** Writes documents (id and body) into an index of these fields and searches them. */
async function searching(
  fields: readonly FieldPlan[],
  bodies: readonly (readonly [id: string, body: string])[],
  look: (ids: (body: unknown) => Promise<string[]>) => Promise<void>,
  more: Partial<IndexPlan> = {},
): Promise<void> {
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  await using sink = openSearchSink(sinkOptions(url, prefix));
  try {
    await sink.ensure({ ...samplePlan("types"), fields, ...more }, "s1", never);
    const documents = bodies.map(([id, body]) => ({ index: "types", id, version: V, body }));
    assert.deepEqual(await sink.write(documents, "fill", never), []);
    await sink.markSeeded("types", never);
    await look(async (body) => {
      const { json } = await ask(url, "POST", `/${prefix}types/_search`, body);
      assert.ok(json.hits !== undefined, JSON.stringify(json).slice(0, 500));
      return json.hits.hits.map((hit: { _id: string }) => hit._id);
    });
  } finally {
    await removeAll(url, prefix);
  }
}

function document(id: string, field: string, value: string) {
  return { index: "types", id, version: V, body: `{"${field}":${value}}` };
}
