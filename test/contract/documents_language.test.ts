import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import type { IndexDescription } from "../../src/core/description.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { LANGUAGE_EXAMPLE, LANGUAGE_TABLES } from "../support/language_example.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { type Fixture, openFixture, SIGNAL } from "./documents_fixture.ts";
import { ask, removeAll, sinkOptions } from "./opensearch_observer.ts";

const ENV = { DATABASE_URL: "postgres://reader@localhost/shop" };

const ROWS = `
INSERT INTO companies VALUES (1, 'Tea & Co');
INSERT INTO users VALUES
  (1, 'acme', NULL, ' ADA@x.org ', 'Ada', '2026-01-02 03:04:05+00', 'Ada', 'Lovelace', 52.5, 13.4, 'First', 1),
  (2, 'acme', '2026-01-01', 'gone@x.org', 'Gone', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 'other', NULL, 'other@x.org', 'Other', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO orders SELECT n, 1, timestamptz '2026-01-01' + n * interval '1 day',
  CASE WHEN n = 7 THEN 'void' WHEN n % 2 = 0 THEN 'paid' ELSE 'open' END, n FROM generate_series(1, 8) AS n;
INSERT INTO order_lines VALUES (1, 8, 'b'), (2, 8, 'a');
INSERT INTO roles VALUES (1, 'admin'), (2, 'author');
INSERT INTO user_roles VALUES (1, 2), (1, 1);
CREATE TYPE size AS ENUM ('small', 'large');
CREATE TABLE things (
  id int PRIMARY KEY, code text, size size, labels jsonb, tag text, during daterange, raw bytea,
  place jsonb, spot text, at point, rank numeric, vector real[], area jsonb
);
INSERT INTO things VALUES
  (1, 'C-01234', 'large', '{"colour": "red", "a.b": "x"}', 'tea', '[2026-01-01,2026-02-01)', '\\x00ff',
   '{"lat": 52.5, "lon": 13.4}', '52.5,13.4', '(13.4,52.5)', 2.5, '{1,2,3}',
   '{"type": "Point", "coordinates": [13.4, 52.5]}'),
  (2, 'C-1', 'small', '{}', 'teapot', 'empty', NULL, '[13.4, 52.5]', ' ', '(Infinity,1)', NULL, NULL, NULL),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, '{"lat": 1, "lon": null}', NULL, NULL, NULL, NULL, NULL),
  (4, NULL, NULL, NULL, NULL, NULL, NULL, 'null', NULL, NULL, NULL, NULL, NULL);
`;

const THINGS = `{ "indexes": { "things": { "table": "things", "fields": {
  "code": "identifier",
  "size": { "type": "enum", "variants": ["small", "large"] },
  "labels": { "type": "map", "values": "keyword" },
  "tag": "completion",
  "during": "date_range",
  "raw": "binary",
  "place": { "type": "geo_point", "mapping": { "ignore_malformed": false } },
  "spot": { "type": "geo_point", "column": "spot" },
  "at": "geo_point",
  "rank": { "type": "custom", "mapping": { "type": "rank_feature" }, "columnTypes": ["numeric"] },
  "area": "geo_shape",
  "kind": { "type": "constant", "value": "thing" },
  "batch": { "type": "constant", "value": 7 },
  "nothing": { "type": "constant", "value": null },
  "deep": { "object": { "yes": { "type": "constant", "value": true } } }
} } } }`;

async function described(text: string): Promise<readonly IndexDescription[]> {
  const { config, problems } = await loadConfig("c.jsonc", ENV, () => Promise.resolve(text));
  deepEqual(problems, []);
  return config?.indexes ?? [];
}

function member(document: Json | undefined, ...path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (value, key) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? (value as JsonObject)[key]
        : undefined,
    document,
  );
}

describe("the index language, from the config to the document", () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await openFixture(LANGUAGE_TABLES + ROWS);
  });
  after(() => fixture[Symbol.asyncDispose]());

  test("the design's example fits its tables and gives the documents it describes", async () => {
    const config = LANGUAGE_EXAMPLE.replace(
      "{",
      '{ "sinks": { "search": { "type": "opensearch", "nodes": ["http://localhost:9200"] } },',
    );
    const { read, prepared } = await fixture.open(await described(config));
    deepEqual(prepared.problems, []);
    const [ada, gone, other] = await read("1", "2", "3");
    equal(gone, undefined, "soft-deleted");
    equal(other, undefined, "filtered out");
    deepEqual(ada, {
      email: "ada@x.org",
      name: "Ada",
      createdAt: "2026-01-02T03:04:05+00:00",
      fullName: "Ada Lovelace",
      location: { lat: 52.5, lon: 13.4 },
      profile: { bio: "First" },
      company: { name: "Tea & Co" },
      orders: [8, 6, 5, 4, 3].map((total) => ({
        total,
        lines: total === 8 ? [{ sku: "b" }, { sku: "a" }] : [],
      })),
      roles: [{ name: "admin" }, { name: "author" }],
      orderCount: 8,
      spent: 20,
    });
  });

  test("every new type is bound, built, taken by OpenSearch and found there", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    const { read, build, prepared } = await fixture.open(await described(THINGS));
    deepEqual(prepared.problems, []);
    const [first, second, third, fourth] = await read("1", "2", "3", "4");
    deepEqual(member(first, "place"), { lat: 52.5, lon: 13.4 });
    deepEqual(member(second, "place"), [13.4, 52.5]);
    for (const half of [third, fourth]) equal(member(half, "place"), null);
    equal(member(first, "spot"), "52.5,13.4");
    equal(member(second, "spot"), null, "blank");
    deepEqual(member(first, "at"), { lat: 52.5, lon: 13.4 });
    equal(member(second, "at"), null, "at infinity");
    equal(member(second, "during"), null, "an empty range");
    for (const each of [first, second, third]) {
      deepEqual(
        [member(each, "kind"), member(each, "batch"), member(each, "nothing")],
        ["thing", 7, null],
      );
      deepEqual(member(each, "deep"), { yes: true });
    }

    const [plan] = prepared.plans;
    ok(plan !== undefined);
    await using sink = openSearchSink(sinkOptions(url, prefix));
    try {
      await sink.ensure(plan, "s1", SIGNAL);
      const { documents } = await build("1", "2", "3", "4");
      deepEqual(await sink.write(documents, "fill", SIGNAL), []);
      await sink.markSeeded("things", SIGNAL);
      const ids = async (query: unknown) => {
        const { json } = await ask(url, "POST", `/${prefix}things/_search`, { query });
        return json.hits.hits.map((hit: { _id: string }) => hit._id).toSorted();
      };
      deepEqual(await ids({ match: { code: "c01234" } }), ["1"]);
      deepEqual(await ids({ term: { "labels.a.b": "x" } }), ["1"]);
      deepEqual(await ids({ range: { during: { gte: "2026-01-31", lte: "2026-01-31" } } }), ["1"]);
      const near = (field: string) => ({
        geo_distance: { distance: "1km", [field]: { lat: 52.5, lon: 13.4 } },
      });
      deepEqual(await ids(near("place")), ["1", "2"]);
      deepEqual(await ids(near("spot")), ["1"]);
      deepEqual(await ids(near("at")), ["1"]);
      const shape = { type: "envelope", coordinates: [[13, 53], [14, 52]] };
      deepEqual(await ids({ geo_shape: { area: { shape } } }), ["1"]);
      deepEqual(await ids({ rank_feature: { field: "rank" } }), ["1"]);
      deepEqual(await ids({ term: { kind: "thing" } }), ["1", "2", "3", "4"]);
      deepEqual(await ids({ range: { batch: { gt: 6 } } }), ["1", "2", "3", "4"]);
      deepEqual(await ids({ term: { "deep.yes": true } }), ["1", "2", "3", "4"]);
      const { json } = await ask(url, "POST", `/${prefix}things/_search`, {
        sort: ["size.rank"],
      });
      deepEqual(json.hits.hits.slice(0, 2).map((hit: { _id: string }) => hit._id), ["2", "1"]);
      const suggest = { tags: { prefix: "teap", completion: { field: "tag" } } };
      const found = await ask(url, "POST", `/${prefix}things/_search`, { suggest });
      deepEqual(
        found.json.suggest.tags[0].options.map((option: { _id: string }) => option._id),
        ["2"],
      );
    } finally {
      await removeAll(url, prefix);
    }
  });
});
