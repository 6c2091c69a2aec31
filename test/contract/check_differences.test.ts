import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../../src/core/json.ts";
import type { FieldPlan, IndexPlan } from "../../src/core/plan.ts";
import { mappingOf } from "../../src/opensearch/mapping.ts";
import { type Cluster, onCluster, settingsOf } from "./opensearch_cluster.ts";
import { ask, generations } from "./opensearch_observer.ts";
import { sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never, write } from "./sink_subject.ts";

const FIELDS: readonly FieldPlan[] = [
  { kind: "scalar", name: "title", type: "text" },
  { kind: "scalar", name: "code", type: "keyword", subfields: false },
  { kind: "scalar", name: "views", type: "long" },
  {
    kind: "object",
    name: "lines",
    mapping: "nested",
    fields: [{ kind: "scalar", name: "sku", type: "keyword" }],
  },
];
const ANALYSIS = {
  analyzer: {
    words: { type: "custom", tokenizer: "standard" },
    spaces: { type: "custom", tokenizer: "whitespace" },
  },
};
const REPLICAS = { number_of_replicas: 0 };

const planOf = (change: Partial<IndexPlan>, hash: string): IndexPlan => ({
  ...samplePlan("things", hash),
  fields: FIELDS,
  analysis: ANALYSIS,
  settings: REPLICAS,
  ...change,
});
const without = (name: string) => FIELDS.filter((field) => field.name !== name);
/** An object whose fields only its mapping adds. */
const SHUT = { type: "object", dynamic: "strict" };
const withField = (field: FieldPlan) => [...without(field.name), field];
const mapped = (properties: JsonObject) => ({ mappings: { properties } });

interface Case {
  readonly name: string;
  readonly from?: Partial<IndexPlan>;
  readonly to: Partial<IndexPlan>;
  /** `path: change`; with + where the server takes it in place, - where it doesn't. */
  readonly says: readonly string[];
}

/** One difference each, so that what the server answers to it is the answer to that one. */
const CASES: readonly Case[] = [
  { name: "nothing but what documents hold", to: {}, says: [] },
  {
    name: "a new field",
    to: { fields: [...FIELDS, { kind: "scalar", name: "price", type: "double" }] },
    says: ["+ price: a new field (double)"],
  },
  {
    name: "a new object",
    to: {
      fields: [...FIELDS, {
        kind: "object",
        name: "author",
        mapping: "object",
        fields: [{ kind: "scalar", name: "name", type: "uuid" }],
      }],
    },
    says: ["+ author: a new field (object)"],
  },
  {
    name: "a new field in a list",
    to: {
      fields: withField({
        kind: "object",
        name: "lines",
        mapping: "nested",
        fields: [
          { kind: "scalar", name: "sku", type: "keyword" },
          { kind: "scalar", name: "quantity", type: "integer" },
        ],
      }),
    },
    says: ["+ lines.quantity: a new field (integer)"],
  },
  {
    name: "a new subfield",
    to: mapped({ code: { fields: { text: { type: "text" } } } }),
    says: ["+ code.text: a new subfield (text)"],
  },
  {
    name: "a field less",
    to: { fields: without("views") },
    says: ["- views: the field is no longer described"],
  },
  {
    name: "a subfield less",
    to: { fields: withField({ kind: "scalar", name: "title", type: "text", subfields: false }) },
    says: ["- title.keyword: the subfield is no longer described"],
  },
  {
    name: "another type",
    to: { fields: withField({ kind: "scalar", name: "views", type: "integer" }) },
    says: ['- views: type: "long" → "integer"'],
  },
  {
    name: "a nested list that becomes plain objects",
    to: {
      fields: withField({
        kind: "object",
        name: "lines",
        mapping: "object",
        fields: [{ kind: "scalar", name: "sku", type: "keyword" }],
      }),
    },
    says: ['- lines: type: "nested" → "object"'],
  },
  {
    name: "another analyzer",
    to: mapped({ title: { analyzer: "words" } }),
    says: ['- title: analyzer: unset → "words"'],
  },
  {
    name: "another search analyzer",
    from: mapped({ title: { analyzer: "words", search_analyzer: "words" } }),
    to: mapped({ title: { analyzer: "words", search_analyzer: "spaces" } }),
    says: ['+ title: search_analyzer: "words" → "spaces"'],
  },
  {
    name: "a limit on what is indexed",
    to: mapped({ code: { ignore_above: 100 } }),
    says: ["+ code: ignore_above: unset → 100"],
  },
  {
    name: "such a limit less",
    from: mapped({ code: { ignore_above: 100 } }),
    to: {},
    says: ["+ code: ignore_above: 100 → unset"],
  },
  {
    name: "norms taken away",
    to: mapped({ title: { norms: false } }),
    says: ["+ title: norms: unset → false"],
  },
  {
    name: "norms wanted back",
    from: mapped({ title: { norms: false } }),
    to: mapped({ title: { norms: true } }),
    says: ["- title: norms: false → true"],
  },
  {
    name: "values that can't be sorted by any more",
    to: mapped({ views: { doc_values: false } }),
    says: ["- views: doc_values: unset → false"],
  },
  {
    name: "another value for null",
    to: mapped({ views: { null_value: 0 } }),
    says: ["- views: null_value: unset → 0"],
  },
  {
    name: "unknown fields let in",
    to: { mappings: { dynamic: false } },
    says: ['+ (the whole): dynamic: "strict" → false'],
  },
  {
    name: "a list that is closed to unknown fields",
    to: mapped({ lines: { dynamic: false } }),
    says: ["+ lines: dynamic: unset → false"],
  },
  {
    name: "another template",
    from: { mappings: { dynamic_templates: [templateOf("a", "long")] } },
    to: { mappings: { dynamic_templates: [templateOf("a", "double"), templateOf("b", "long")] } },
    says: [
      '+ (the whole): dynamic_templates: [{"a":{"match":"a*","mapping":{"type":"long"}}}] → ' +
      '[{"a":{"match":"a*","mapping":{"type":"double"}}},{"b":{"match":"b*","mapping":{"type":"long"}}}]',
    ],
  },
  {
    name: "documents that aren't kept",
    to: { mappings: { _source: { enabled: false } } },
    says: ['- (the whole): _source: unset → {"enabled":false}'],
  },
  {
    name: "another definition of an analyzer",
    to: {
      analysis: { analyzer: { ...ANALYSIS.analyzer, words: { type: "keyword" } } },
    },
    says: ["- index.analysis.analyzer.words: another definition"],
  },
  {
    name: "a new filter",
    to: { analysis: { ...ANALYSIS, filter: { stops: { type: "stop", stopwords: ["a"] } } } },
    says: ["- index.analysis.filter.stops: new"],
  },
  {
    name: "an analyzer less",
    to: { analysis: { analyzer: { words: ANALYSIS.analyzer.words } } },
    says: ["- index.analysis.analyzer.spaces: no longer there"],
  },
  {
    name: "more shards",
    to: { settings: { ...REPLICAS, number_of_shards: 2 } },
    says: ['- index.number_of_shards: "1" → 2'],
  },
  {
    name: "another codec",
    to: { settings: { ...REPLICAS, index: { codec: "best_compression" } } },
    says: ['- index.codec: unset → "best_compression"'],
  },
  {
    name: "another refresh interval",
    from: { settings: { ...REPLICAS, refresh_interval: "5s" } },
    to: { settings: { ...REPLICAS, "index.refresh_interval": "7s" } },
    says: ['+ index.refresh_interval: "5s" → "7s"'],
  },
  {
    name: "a setting less",
    from: { settings: { ...REPLICAS, max_result_window: 20_000 } },
    to: {},
    says: ['+ index.max_result_window: "20000" → unset'],
  },
  {
    name: "more replicas",
    to: { settings: { number_of_replicas: 1 } },
    says: ['+ index.number_of_replicas: "0" → 1'],
  },
  {
    name: "as many replicas as there are nodes for",
    to: { settings: { auto_expand_replicas: "0-1" } },
    says: ['+ index.auto_expand_replicas: unset → "0-1"'],
  },
  {
    name: "a setting that is a list, said otherwise",
    from: { settings: { ...REPLICAS, query: { default_field: ["title"] } } },
    to: { settings: { ...REPLICAS, "query.default_field": "title" } },
    says: [],
  },
];

function templateOf(name: string, type: string): JsonObject {
  return { [name]: { match: `${name}*`, mapping: { type } } };
}

describe("what differs between a plan and the index that is there", () => {
  for (const { name, from = {}, to, says } of CASES) {
    test(
      `${name}: named, and additive exactly if OpenSearch takes it in place`,
      onCluster(async (cluster) => {
        await using sink = cluster.open();
        const before = planOf(from, "0123abcd");
        const after = planOf(to, "ffff0000");
        await sink.ensure(before, "s1", never);
        await sink.markSeeded("things", never);
        const report = await sink.inspect?.(after, never);
        assert.ok(report !== undefined);
        const physical = `${cluster.prefix}things_0123abcd_1`;
        const { differences = [], ...rest } = report;
        assert.deepEqual(rest, { fate: "replaced", physical, served: true });
        const lines = differences.map(({ path, change, additive }) =>
          `${additive ? "+" : "-"} ${path === "" ? "(the whole)" : path}: ${change}`
        );
        assert.deepEqual(lines, says);
        const [only] = differences;
        if (only !== undefined) {
          assert.equal(await takes(cluster, physical, only.part, after, only.path), only.additive);
        }
      }),
    );
  }

  /** Whether the server makes the live index what is wanted, in place. */
  async function takes(
    { url }: Cluster,
    physical: string,
    part: "mapping" | "settings",
    plan: IndexPlan,
    path: string,
  ): Promise<boolean> {
    if (part === "mapping") {
      const wanted = mappingOf(plan);
      const { status } = await ask(url, "PUT", `/${physical}/_mapping`, wanted);
      if (status !== 200) return false;
      // A field that is left out is no error, and stays.
      const { json } = await ask(url, "GET", `/${physical}/_mapping`);
      const has = Object.keys(json[physical].mappings.properties).sort();
      const asks = Object.keys(wanted["properties"] as JsonObject).sort();
      const keyword = json[physical].mappings.properties.title.fields?.keyword !== undefined;
      const asksKeyword = plan.fields.some((f) => f.name === "title" && !("subfields" in f));
      return JSON.stringify(has) === JSON.stringify(asks) && keyword === asksKeyword;
    }
    const name = path.replace(/^index\./, "");
    const flat: Record<string, unknown> = {
      ...plan.settings,
      ...plan.settings["index"] as JsonObject | undefined,
    };
    const value = flat[name] ?? flat[path] ?? null;
    const body = name.startsWith("analysis.") ? { [`${name}.type`]: "custom" } : { [name]: value };
    return (await ask(url, "PUT", `/${physical}/_settings`, body)).status === 200;
  }
});

describe("an index as it stands", () => {
  test(
    "is made where there is none, kept where nothing changed, and told of what was changed by hand",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await using sink = cluster.open();
      const plan = planOf({ settings: { ...REPLICAS, refresh_interval: "5s" } }, "0123abcd");
      assert.deepEqual(await sink.inspect?.(plan, never), {
        fate: "made",
        served: false,
        differences: [],
      });
      assert.deepEqual(await generations(url, prefix, "things"), [], "nothing was made");

      await sink.ensure(plan, "s1", never);
      const physical = `${prefix}things_0123abcd_1`;
      const kept = { fate: "kept", physical, served: false, differences: [] };
      assert.deepEqual(await sink.inspect?.(plan, never), kept, "a filling's settings are its own");
      await sink.markSeeded("things", never);
      assert.deepEqual(await sink.inspect?.(plan, never), { ...kept, served: true });

      await ask(url, "PUT", `/${physical}/_settings`, { "index.refresh_interval": "1m" });
      await ask(url, "PUT", `/${physical}/_mapping`, { properties: { more: { type: "long" } } });
      const report = await sink.inspect?.(plan, never);
      assert.deepEqual(report?.differences?.map(({ path, change }) => `${path}: ${change}`), [
        "more: put there by hand: no document has it, another generation won't either",
        'index.refresh_interval: "1m" → "5s"',
      ]);
      assert.equal((await settingsOf(url, physical))["index.refresh_interval"], "1m");
    }),
  );

  test(
    "has by nobody's hand the fields that documents have added below objects that are dynamic",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await using sink = cluster.open();
      const plan = planOf({
        fields: [
          ...FIELDS,
          { kind: "scalar", name: "labels", type: "map", values: "keyword" },
          { kind: "scalar", name: "data", type: "json", as: "object" },
          { kind: "scalar", name: "fixed", type: "custom" },
        ],
        mappings: {
          properties: {
            fixed: { type: "object", dynamic: true, properties: { shut: SHUT } },
          },
        },
      }, "0123abcd");
      await sink.ensure(plan, "s1", never);
      const body = JSON.stringify({
        labels: { colour: "red", "size.eu": "44" },
        data: { a: { b: 1 } },
        fixed: { free: { deep: "x" } },
      });
      await write(sink, [{ ...sampleDocument("things", "1", V, null), body }], "fill");
      await sink.markSeeded("things", never);
      const physical = `${prefix}things_0123abcd_1`;
      const { json } = await ask(url, "GET", `/${physical}/_mapping`);
      const { labels, data, fixed } = json[physical].mappings.properties;
      assert.deepEqual(Object.keys(labels.properties).sort(), ["colour", "size"]);
      assert.ok(data.properties.a.properties.b && fixed.properties.free.properties.deep);
      assert.deepEqual((await sink.inspect?.(plan, never))?.differences, []);

      // What no document could have added is somebody's.
      const more = { properties: { more: { type: "long" } } };
      const shut = { properties: { shut: { ...SHUT, ...more } } };
      const lines = { type: "nested", ...more };
      await ask(url, "PUT", `/${physical}/_mapping`, { properties: { fixed: shut, lines } });
      const report = await sink.inspect?.(plan, never);
      assert.deepEqual(report?.differences?.map(({ path }) => path).sort(), [
        "fixed.shut.more",
        "lines.more",
      ]);
    }),
  );

  test(
    "is compared by what searches see while another generation is filled",
    onCluster(async (cluster) => {
      await using sink = cluster.open();
      const first = planOf({}, "0123abcd");
      const second = planOf({ fields: without("views") }, "ffff0000");
      const third = planOf({ fields: without("code") }, "eeee0000");
      await sink.ensure(first, "s1", never);
      await write(sink, [{ ...sampleDocument("things", "1", V, null) }], "fill");
      await sink.markSeeded("things", never);
      await sink.ensure(second, "s2", never);
      const filling = await sink.inspect?.(second, never);
      assert.deepEqual([filling?.fate, filling?.served], ["kept", false]);
      const report = await sink.inspect?.(third, never);
      assert.deepEqual([report?.fate, report?.physical, report?.served], [
        "replaced",
        `${cluster.prefix}things_0123abcd_1`,
        true,
      ]);
      assert.deepEqual(report?.differences?.map(({ path }) => path), ["code"]);
    }),
  );
});
