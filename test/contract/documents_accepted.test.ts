import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { EPOCH, index, openFixture, SIGNAL } from "./documents_fixture.ts";
import { valueTable } from "./documents_value_cases.ts";
import { ask, observe, removeAll, sinkOptions } from "./opensearch_observer.ts";

test("a real OpenSearch takes every value as it is rendered, stores its bytes and finds it", async () => {
  const { ddl, fields, expected, finds } = valueTable(18);
  await using fixture = await openFixture(ddl);
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  await using sink = openSearchSink(sinkOptions(url, prefix));
  try {
    await sink.connect(SIGNAL);
    const open = await fixture.open([index("v", "v", fields)]);
    const [plan] = open.builder.plans;
    if (plan === undefined) throw new Error("Cannot test without a plan");
    await sink.ensure(plan, "first", SIGNAL);
    const ids = [...expected.keys()].map((key) => open.builder.identify("v", [key]));
    const { documents } = await open.builder.build(ids, EPOCH, SIGNAL);
    equal(documents.length, expected.size);
    deepEqual(await sink.write(documents, "live", SIGNAL), []);
    await sink.markSeeded("v", SIGNAL);
    for (const { id } of documents) {
      equal((await observe(url, `${prefix}v`, id))?.body, expected.get(id));
    }
    equal((await ask(url, "POST", `/${prefix}v/_refresh`)).status, 200);
    for (const { key, query, what } of finds) {
      const body = { query, _source: false, size: 100 };
      const { json } = await ask(url, "POST", `/${prefix}v/_search`, body);
      const found = json.hits?.hits.map((hit: { _id: string }) => hit._id) ?? JSON.stringify(json);
      equal(found.includes(key), true, `${what}: found ${found}`);
      // A query that finds all would show nothing.
      equal(found.length < documents.length, true, what);
    }
  } finally {
    await removeAll(url, prefix);
  }
});
