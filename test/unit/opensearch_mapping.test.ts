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
  _sync: { properties: { b: { type: "keyword" }, k: { type: "integer", index: false } } },
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

  test("carry the analysis beside the built-in normalizer", () => {
    const filled = fillSettings(plan([], {
      analysis: { analyzer: { a: { type: "custom", filter: ["lowercase", "asciifolding"] } } },
    }));
    assert.deepEqual(filled["index.analysis.analyzer.a.filter"], ["lowercase", "asciifolding"]);
    assert.equal(filled["index.analysis.normalizer.driftless_lowercase.type"], "custom");
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
