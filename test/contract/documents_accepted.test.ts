import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { EPOCH, index, openFixture, SIGNAL } from "./documents_fixture.ts";
import { CASES, DEPTH, VALUE_FIELDS, VALUES_DDL } from "./documents_value_cases.ts";
import { observe, removeAll, sinkOptions } from "./opensearch_observer.ts";

test("a real OpenSearch takes every value as it is rendered and stores its exact bytes", async () => {
  await using fixture = await openFixture(VALUES_DDL);
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  await using sink = openSearchSink(sinkOptions(url, prefix));
  try {
    await sink.connect(SIGNAL);
    const open = await fixture.open([index("v", "v", VALUE_FIELDS)]);
    const [plan] = open.builder.plans;
    if (plan === undefined) throw new Error("Cannot test without a plan");
    await sink.ensure(plan, "first", SIGNAL);
    const ids = Array.from({ length: DEPTH }, (_, at) => open.builder.identify("v", [String(at)]));
    const { documents } = await open.builder.build(ids, EPOCH, SIGNAL);
    equal(CASES.length > 40 && documents.length === DEPTH, true);
    deepEqual(await sink.write(documents, "live", SIGNAL), []);
    await sink.markSeeded("v", SIGNAL);
    for (const { id, body } of documents) {
      equal((await observe(url, `${prefix}v`, id))?.body, body);
    }
  } finally {
    await removeAll(url, prefix);
  }
});
