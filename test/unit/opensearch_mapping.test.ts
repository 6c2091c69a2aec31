import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../../src/core/json.ts";
import type { FieldPlan, IndexPlan } from "../../src/core/plan.ts";
import { mappingConflicts } from "../../src/opensearch/conflicts.ts";
import { mappingOf } from "../../src/opensearch/mapping.ts";
import { generationOf, nameProblem, physicalName } from "../../src/opensearch/names.ts";
import { rawSources } from "../../src/opensearch/raw-sources.ts";
import { fillSettings, servingSettings } from "../../src/opensearch/settings.ts";

function plan(fields: readonly FieldPlan[], over: Partial<IndexPlan> = {}): IndexPlan {
  return {
    name: "users",
    root: { schema: "public", name: "users" },
    key: ["id"],
    tables: [],
    fields,
    settings: {},
    analysis: {},
    mappings: {},
    hash: "0123abcd",
    fingerprint: "f",
    refs: [],
    onRejected: "stop",
    ...over,
  };
}

function mappingOfField(field: Omit<FieldPlan & { kind: "scalar" }, "kind" | "name">): unknown {
  const mapping = mappingOf(plan([{ kind: "scalar", name: "f", ...field }]));
  return (mapping["properties"] as JsonObject)["f"];
}

describe("the mapping of a plan", () => {
  test("is strict and follows the fields", () => {
    const mapping = mappingOf(plan([
      { kind: "scalar", name: "name", type: "text" },
      {
        kind: "object",
        name: "orders",
        mapping: "nested",
        fields: [{ kind: "scalar", name: "total", type: "double" }],
      },
      {
        kind: "object",
        name: "company",
        mapping: "object",
        fields: [{ kind: "scalar", name: "id", type: "long" }],
      },
    ]));
    assert.deepEqual(mapping, {
      dynamic: "strict",
      properties: {
        name: { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } },
        orders: { type: "nested", properties: { total: { type: "double" } } },
        company: { properties: { id: { type: "long" } } },
        ...MARK,
      },
    });
  });

  test("gives text and keyword subfields that can be switched off", () => {
    assert.deepEqual(mappingOfField({ type: "text", subfields: false }), { type: "text" });
    assert.deepEqual(mappingOfField({ type: "keyword", subfields: false }), { type: "keyword" });
    assert.deepEqual(mappingOfField({ type: "keyword" }), {
      type: "keyword",
      fields: {
        lower: { type: "keyword", normalizer: "driftless_lowercase", ignore_above: 8191 },
      },
    });
  });

  test("maps the types that have another name, or more than a name", () => {
    assert.deepEqual(mappingOfField({ type: "uuid" }), { type: "keyword" });
    assert.deepEqual(mappingOfField({ type: "enum" }), { type: "keyword" });
    assert.deepEqual(mappingOfField({ type: "decimal" }), { type: "double" });
    assert.deepEqual(mappingOfField({ type: "decimal", scale: 2 }), {
      type: "scaled_float",
      scaling_factor: 100,
    });
    assert.deepEqual(mappingOfField({ type: "json" }), { type: "object", enabled: false });
    assert.deepEqual(mappingOfField({ type: "json", as: "flat_object" }), { type: "flat_object" });
    assert.deepEqual(mappingOfField({ type: "json", as: "object" }), {
      type: "object",
      dynamic: true,
    });
    assert.deepEqual(mappingOfField({ type: "geo_point" }), { type: "geo_point" });
    for (const type of ["binary", "geo_shape", "completion", "ip_range", "long_range"] as const) {
      assert.deepEqual(mappingOfField({ type }), { type });
    }
    const range = mappingOfField({ type: "date_range" }) as JsonObject;
    assert.equal(range["format"], (mappingOfField({ type: "date" }) as JsonObject)["format"]);
  });

  test("gives code-like text an analyzer of its own", () => {
    const analyzed = { type: "text", analyzer: "driftless_identifier" };
    assert.deepEqual(mappingOfField({ type: "identifier" }), {
      ...analyzed,
      fields: { keyword: { type: "keyword", ignore_above: 256 } },
    });
    assert.deepEqual(mappingOfField({ type: "identifier", subfields: false }), analyzed);
  });

  test("gives a ranked enum a subfield to sort by, shared by those with the same list", () => {
    const variants = ["low", "high"];
    const mapping = mappingOfField({ type: "enum", variants }) as JsonObject;
    const rank = (mapping["fields"] as JsonObject)["rank"] as JsonObject;
    assert.equal(mapping["type"], "keyword");
    assert.match(String(rank["normalizer"]), /^driftless_rank_[0-9a-f]{16}$/);
    assert.deepEqual(mappingOfField({ type: "enum", variants: [...variants] }), mapping);
    assert.notDeepEqual(mappingOfField({ type: "enum", variants: ["high", "low"] }), mapping);
    assert.deepEqual(mappingOfField({ type: "enum", variants, subfields: false }), {
      type: "keyword",
    });
    const field = { kind: "scalar", type: "enum", variants } as const;
    const settings = fillSettings(plan([{ ...field, name: "a" }, { ...field, name: "b" }]));
    const filters = Object.keys(settings).filter((key) => key.includes(".char_filter."));
    const name = String(rank["normalizer"]);
    assert.deepEqual(filters.toSorted(), [
      `index.analysis.char_filter.${name}.mappings`,
      `index.analysis.char_filter.${name}.type`,
      "index.analysis.char_filter.driftless_whole.pattern",
      "index.analysis.char_filter.driftless_whole.replacement",
      "index.analysis.char_filter.driftless_whole.type",
    ]);
    assert.deepEqual(settings[`index.analysis.normalizer.${name}.char_filter`], [
      "driftless_whole",
      name,
    ]);
    assert.deepEqual(settings[`index.analysis.char_filter.${name}.mappings`], [
      "\\u0001low\\u0002 => 0",
      "\\u0001high\\u0002 => 1",
      "\\u0001 => ~",
      "\\u0002 =>",
    ]);
  });

  test("opens the place of a map alone, by a template of its full path", () => {
    const map = { kind: "scalar", name: "labels", type: "map", values: "long" } as const;
    const mapping = mappingOf(plan([
      map,
      { kind: "object", name: "lines", mapping: "nested", fields: [{ ...map, values: "keyword" }] },
    ], { mappings: { dynamic_templates: [{ mine: { match: "x" } }] } }));
    assert.equal(mapping["dynamic"], "strict");
    const { labels } = mapping["properties"] as JsonObject;
    assert.deepEqual(labels, { type: "object", dynamic: "true" });
    const objects = { match_mapping_type: "object", mapping: { type: "object", dynamic: "true" } };
    assert.deepEqual(mapping["dynamic_templates"], [
      { mine: { match: "x" } },
      { "driftless labels (objects)": { path_match: "labels.*", ...objects } },
      { "driftless labels": { path_match: "labels.*", mapping: { type: "long" } } },
      { "driftless lines.labels (objects)": { path_match: "lines.labels.*", ...objects } },
      { "driftless lines.labels": { path_match: "lines.labels.*", mapping: { type: "keyword" } } },
    ]);
    assert.equal(mappingOf(plan([]))["dynamic_templates"], undefined);
  });

  test("makes an index for vectors when there is one, at any depth", () => {
    assert.deepEqual(mappingOfField({ type: "knn_vector", dimension: 3 }), {
      type: "knn_vector",
      dimension: 3,
    });
    const vector = { kind: "scalar", name: "v", type: "knn_vector", dimension: 3 } as const;
    const nested = { kind: "object", name: "o", mapping: "nested", fields: [vector] } as const;
    assert.equal(fillSettings(plan([nested]))["index.knn"], true);
    assert.equal(fillSettings(plan([{ ...vector, type: "long" }]))["index.knn"], undefined);
    const custom = { ...vector, type: "custom", mapping: { type: "knn_vector" } } as const;
    assert.equal(fillSettings(plan([custom]))["index.knn"], true);
    assert.equal(
      fillSettings(plan([nested], { settings: { index: { knn: false } } }))["index.knn"],
      false,
    );
  });

  test("is a custom field's own, and merges a field's mapping over what its type gives", () => {
    const mapping = { type: "rank_feature", positive_score_impact: false };
    assert.deepEqual(mappingOfField({ type: "custom", mapping }), mapping);
    assert.deepEqual(
      mappingOfField({
        type: "text",
        mapping: { analyzer: "english", fields: { raw: { type: "wildcard" } } },
      }),
      {
        type: "text",
        analyzer: "english",
        fields: { keyword: { type: "keyword", ignore_above: 256 }, raw: { type: "wildcard" } },
      },
    );
    assert.deepEqual(mappingOfField({ type: "geo_point", mapping: { ignore_malformed: true } }), {
      type: "geo_point",
      ignore_malformed: true,
    });
    const field = {
      kind: "scalar",
      name: "f",
      type: "keyword",
      mapping: { index: false },
    } as const;
    const over = mappingOf(plan([field], {
      mappings: { properties: { f: { index: true, boost: 2 }, _sync: { type: "text" } } },
    }));
    const { f } = over["properties"] as JsonObject;
    assert.deepEqual(f, {
      type: "keyword",
      index: true,
      boost: 2,
      fields: {
        lower: { type: "keyword", normalizer: "driftless_lowercase", ignore_above: 8191 },
      },
    });
    assert.deepEqual((over["properties"] as JsonObject)["_sync"], MARK["_sync"]);
  });

  test("takes what the config says over what is derived, at any depth", () => {
    const mapping = mappingOf(plan([{ kind: "scalar", name: "name", type: "text" }], {
      mappings: {
        dynamic: false,
        properties: {
          name: { analyzer: "english" },
          more: { type: "long" },
          _sync: { enabled: false },
        },
      },
    }));
    assert.deepEqual(mapping, {
      dynamic: false,
      properties: {
        name: {
          type: "text",
          analyzer: "english",
          fields: { keyword: { type: "keyword", ignore_above: 256 } },
        },
        more: { type: "long" },
        ...MARK,
      },
    });
  });
});

/** Not found by searches of all fields for a small number; summed, never searched. */
const MARK = {
  _sync: {
    properties: {
      b: { type: "keyword" },
      k: { type: "integer", index: false },
      refs: { type: "keyword", doc_values: false },
      over: { type: "boolean", doc_values: false },
    },
  },
};

describe("the settings of an index", () => {
  test("hold back refreshes and replicas while it is filled, and give them back", () => {
    const settings = { refresh_interval: "5s", index: { number_of_replicas: 2 } };
    const filled = fillSettings(plan([], { settings }));
    assert.equal(filled["index.refresh_interval"], "-1");
    assert.equal(filled["index.number_of_replicas"], 0);
    assert.equal(filled["index.gc_deletes"], "15m");
    assert.equal(filled["index.translog.durability"], "request");
    assert.deepEqual(servingSettings(plan([], { settings })), {
      "index.refresh_interval": "5s",
      "index.number_of_replicas": 2,
    });
    assert.deepEqual(servingSettings(plan([])), {
      "index.refresh_interval": null,
      "index.number_of_replicas": null,
    });
  });

  test("leave the number of replicas to a range where one is set", () => {
    const settings = { auto_expand_replicas: "0-1" };
    assert.equal(fillSettings(plan([], { settings }))["index.auto_expand_replicas"], false);
    assert.deepEqual(servingSettings(plan([], { settings })), {
      "index.refresh_interval": null,
      "index.auto_expand_replicas": "0-1",
    });
  });

  test("carry the built-in analysis where it is used, and the config's over it", () => {
    const analysis = {
      analyzer: { a: { type: "custom", filter: ["lowercase", "asciifolding"] } },
      normalizer: { driftless_lowercase: { filter: ["lowercase", "asciifolding"] } },
    };
    const names = (settings: Readonly<Record<string, unknown>>) =>
      Object.keys(settings).filter((key) => key.startsWith("index.analysis."));
    const text = { kind: "scalar", name: "a", type: "text" } as const;
    const keyword = { ...text, type: "keyword" } as const;
    assert.deepEqual(names(fillSettings(plan([text]))), []);
    assert.deepEqual(names(fillSettings(plan([{ ...keyword, subfields: false }]))), []);
    assert.deepEqual(names(fillSettings(plan([keyword]))), [
      "index.analysis.normalizer.driftless_lowercase.type",
      "index.analysis.normalizer.driftless_lowercase.filter",
    ]);
    const filled = fillSettings(plan([keyword], { analysis }));
    assert.deepEqual(filled["index.analysis.analyzer.a.filter"], ["lowercase", "asciifolding"]);
    assert.equal(filled["index.analysis.normalizer.driftless_lowercase.type"], "custom");
    assert.deepEqual(filled["index.analysis.normalizer.driftless_lowercase.filter"], [
      "lowercase",
      "asciifolding",
    ]);
    const named = {
      mapping: { fields: { low: { type: "keyword", normalizer: "driftless_lowercase" } } },
    };
    assert.equal(names(fillSettings(plan([{ ...text, ...named }]))).length, 2, "named by hand");
    assert.deepEqual(names(fillSettings(plan([{ ...text, type: "identifier" }]))).toSorted(), [
      ...["filter", "tokenizer", "type"].map((key) =>
        `index.analysis.analyzer.driftless_identifier.${key}`
      ),
      ...[
        "catenate_all",
        "preserve_original",
        "split_on_case_change",
        "split_on_numerics",
        "stem_english_possessive",
        "type",
      ].map((key) => `index.analysis.filter.driftless_identifier_parts.${key}`),
    ]);
  });

  test("refuse an asynchronous translog, however it is written", () => {
    for (
      const settings of [
        { "index.translog.durability": "async" },
        { "translog.durability": "ASYNC" },
        { translog: { durability: "async" } },
        { index: { translog: { durability: "async" } } },
      ] as readonly JsonObject[]
    ) {
      assert.throws(() => fillSettings(plan([], { settings })), { code: "NOT_DURABLE" });
    }
  });
});

describe("the comparison of mappings", () => {
  const expected: JsonObject = {
    dynamic: "strict",
    properties: {
      name: { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } },
      o: { properties: { n: { type: "long" } } },
    },
  };

  test("finds nothing between equals, whatever the order, the mark, and fields beyond", () => {
    assert.deepEqual(
      mappingConflicts(expected, {
        _meta: { driftless: { index: "users" } },
        properties: {
          o: { properties: { n: { type: "long" }, extra: { type: "ip" } } },
          name: { fields: { keyword: { ignore_above: 256, type: "keyword" } }, type: "text" },
          more: { type: "long" },
        },
        dynamic: "strict",
      }),
      [],
    );
  });

  test("takes an object that grew fields for what it was: its type isn't printed any more", () => {
    const empty: JsonObject = { properties: { m: { type: "object", dynamic: "true" } } };
    const grown: JsonObject = {
      properties: { m: { dynamic: "true", properties: { a: { type: "long" } } } },
    };
    assert.deepEqual(mappingConflicts(empty, grown), []);
    const nested: JsonObject = { properties: { m: { type: "nested", dynamic: "true" } } };
    assert.deepEqual(mappingConflicts(empty, nested), ['m: type is "nested", not unset']);
  });

  test("names each field that differs", () => {
    const actual: JsonObject = {
      dynamic: "true",
      properties: {
        name: { type: "keyword", index: false, fields: {} },
        o: { type: "nested", properties: {} },
      },
    };
    assert.deepEqual(mappingConflicts(expected, actual).toSorted(), [
      '(index): dynamic is "true", not "strict"',
      "name.keyword is missing",
      "name: index is false, not unset",
      'name: type is "keyword", not "text"',
      "o.n is missing",
      'o: type is "nested", not unset',
    ]);
  });
});

describe("names of indexes", () => {
  test("tell a generation from an index that only looks like one", () => {
    const name = physicalName("p_", "users", "0123abcd", 12);
    assert.equal(name, "p_users_0123abcd_12");
    assert.deepEqual(generationOf("p_", "users", name), { hash: "0123abcd", number: 12 });
    for (
      const other of ["p_users_archive_1", "p_users_0123abcd_0", "users_0123abcd_1", "p_users"]
    ) {
      assert.equal(generationOf("p_", "users", other), undefined, other);
    }
  });

  test("are checked before OpenSearch refuses them", () => {
    for (const good of ["users", "order-lines", "a.b", "ünï", "1"]) {
      assert.equal(nameProblem("p_", good), undefined, good);
    }
    const bad = [
      "Users",
      "a b",
      "a,b",
      "a/b",
      "a*",
      "a#b",
      "a:b",
      "",
      "driftless",
      "x".repeat(250),
    ];
    for (const name of bad) assert.notEqual(nameProblem("p_", name), undefined, name);
    for (const name of ["_users", "-users", "+users"]) {
      assert.notEqual(nameProblem("", name), undefined, name);
    }
  });
});

describe("the sources of a search answer", () => {
  test("come as they were written", () => {
    const sources = [
      `{"n":1.50,"big":12345678901234567890,"2":1,"1":"\\"}] , :"}`,
      `{ "spaced" : [ {"a":"]"}, null , true ] }`,
      `{}`,
    ];
    const hits = sources.map((source, i) => `{"_id":"${i}","_score":1.0,"_source":${source}}`);
    const answer = `{"took":3,"note":"\\"hits\\":{","hits":{"total":{"value":3},"max_score":null,` +
      `"hits":[${hits.join(",")}]}}`;
    assert.deepEqual(rawSources(answer), sources);
    assert.deepEqual(rawSources(`{"hits":{"hits":[]}}`), []);
    assert.deepEqual(rawSources(`{"hits":{"hits":[{"_id":"1"}]}}`), [undefined]);
    assert.deepEqual(rawSources(`{}`), []);
  });
});
