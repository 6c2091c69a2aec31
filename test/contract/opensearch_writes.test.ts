import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Document } from "../../src/core/document.ts";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { backoffDelay } from "../../src/flow/backoff.ts";
import { sleep } from "../../src/flow/sleep.ts";
import type { Sink } from "../../src/core/ports.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { eventually } from "../support/eventually.ts";
import { openSearchServer, startOpenSearch, uniquePrefix } from "../support/opensearch.ts";
import { ask, observe, removeAll, sinkOptions } from "./opensearch_observer.ts";
import { sampleBody, sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never } from "./sink_subject.ts";

const PLAN = samplePlan("things");
const POISON = `{"title":"t","views":"poison"}`;

describe("OpenSearch: a bulk write", () => {
  test("tells rejected documents by position among deletes and stale writes", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    // Chunks of seven, so that positions start over in the middle.
    await using sink = openSearchSink(sinkOptions(url, prefix, { maxDocuments: 7 }));
    try {
      await sink.ensure(PLAN, "s1", never);
      const stale = ["s0", "s1", "s2"].map((id) => sampleDocument("things", id, V + 99n, "newer"));
      assert.deepEqual(await sink.write(stale, "live", never), []);
      const documents: Document[] = [];
      for (let i = 0; i < 60; i++) {
        const at = (id: string, body: string | null) => ({ index: "things", id, version: V, body });
        if (i % 5 === 0) documents.push(at(`missing${i}`, null));
        if (i % 7 === 0) documents.push(at(`poison${i}`, POISON));
        if (i % 20 === 0) documents.push(at(`s${i / 20}`, sampleBody("older")));
        documents.push(at(`good${i}`, sampleBody(`good ${i}`)));
      }
      const rejections = await sink.write(documents, "live", never);
      assert.deepEqual(
        rejections.map(({ id }) => id).toSorted(),
        documents.filter(({ body }) => body === POISON).map(({ id }) => id).toSorted(),
      );
      for (const { type, field, reason } of rejections) {
        assert.deepEqual([type, field], ["mapper_parsing_exception", "views"]);
        assert.match(reason, /poison/, "the whole text is kept for the dead letter");
      }
      const name = `${prefix}things_0123abcd_1`;
      for (let i = 0; i < 60; i++) {
        assert.equal((await observe(url, name, `good${i}`))?.body, sampleBody(`good ${i}`));
      }
      assert.equal((await observe(url, name, "s1"))?.body, sampleBody("newer"));
    } finally {
      await removeAll(url, prefix);
    }
  });

  test("arrives compressed where the config says so", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    await using sink = openSearchSink(sinkOptions(url, prefix, { gzip: true }));
    try {
      await sink.ensure(PLAN, "s1", never);
      await sink.write([sampleDocument("things", "1", V, "ünï 🦊")], "live", never);
      const stored = await observe(url, `${prefix}things_0123abcd_1`, "1");
      assert.equal(stored?.body, sampleBody("ünï 🦊"));
    } finally {
      await removeAll(url, prefix);
    }
  });

  test("stops at a write block instead of rejecting documents", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    await using sink = openSearchSink(sinkOptions(url, prefix));
    try {
      await sink.ensure(PLAN, "s1", never);
      await ask(url, "PUT", `/${prefix}things_0123abcd_1/_block/write`);
      await assert.rejects(
        sink.write([sampleDocument("things", "1", V, "one")], "live", never),
        (error) => error instanceof FatalError && error.code === "FORBIDDEN",
      );
    } finally {
      await removeAll(url, prefix);
    }
  });

  test("can't bring back what was deleted, which it could if deletes were forgotten", async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    await using sink = openSearchSink(sinkOptions(url, prefix));
    const forgetful = { ...samplePlan("forgetful"), settings: { gc_deletes: "1ms" } };
    const both = (id: string, version: bigint, title: string | null) =>
      sink.write(
        ["things", "forgetful"].map((index) => sampleDocument(index, id, version, title)),
        "live",
        never,
      );
    let n = 0;
    const broughtBack = async () => {
      const id = String(++n);
      await both(id, V + 8n, null);
      // The server forgets old deletes when it refreshes after another write.
      await both(`after ${id}`, V, "other");
      await sink.refresh(["things", "forgetful"], never);
      await both(id, V, "late");
      assert.equal(await observe(url, `${prefix}things_0123abcd_1`, id), undefined);
      return await observe(url, `${prefix}forgetful_0123abcd_1`, id);
    };
    try {
      await sink.ensure(PLAN, "s1", never);
      await sink.ensure(forgetful, "s1", never);
      for (let times = 0; times < 3; times++) {
        await eventually("the control to be brought back", broughtBack);
      }
    } finally {
      await removeAll(url, prefix);
    }
  });
});

describe("OpenSearch: a server with little room", () => {
  let server: Awaited<ReturnType<typeof startOpenSearch>>;
  before(async () => {
    server = await startOpenSearch({
      settings: {
        "http.max_content_length": "100kb",
        // Whatever the machine has: more bulks come at once than there is room for.
        "thread_pool.write.size": "1",
        "thread_pool.write.queue_size": "1",
      },
    });
  }, { timeout: 120_000 });
  after(() => server.stop(), { timeout: 60_000 });

  test("gets bodies split until they fit, and the one that never does is rejected", async () => {
    const prefix = uniquePrefix();
    await using sink = openSearchSink(sinkOptions(server.url, prefix));
    await sink.ensure(PLAN, "s1", never);
    const documents = Array.from({ length: 300 }, (_, i) => {
      const words = i === 177 ? "huge ".repeat(30_000) : "word ".repeat(300);
      return sampleDocument("things", String(i), V, `${words}${i}`);
    });
    const rejections = await writeAll(sink, documents);
    assert.deepEqual(rejections.map(({ id, type }) => [id, type]), [["177", "too_large"]]);
    await assertAllThere(prefix, documents.filter(({ id }) => id !== "177"));
  });

  test("refuses under a storm with 429, and nothing is lost", async () => {
    const prefix = uniquePrefix();
    const bulk = { maxDocuments: 25, writers: 4 };
    await using sink = openSearchSink(sinkOptions(server.url, prefix, bulk));
    await sink.ensure(
      { ...PLAN, settings: { number_of_shards: 3 } },
      "s1",
      never,
    );
    const documents = Array.from(
      { length: 600 },
      (_, i) => sampleDocument("things", String(i), V, `document ${i}`),
    );
    const before = await refused();
    await eventually("the pool to refuse something", async () => {
      assert.deepEqual(await writeAll(sink, documents), []);
      return await refused() > before;
    });
    await assertAllThere(prefix, documents);
  });

  /** As the engine does it: the whole batch again while the failure may pass. */
  async function writeAll(sink: Sink, documents: readonly Document[]) {
    for (let attempt = 1;; attempt++) {
      try {
        return await sink.write(documents, "live", never);
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        await sleep(backoffDelay(attempt, { baseMs: 100, capMs: 5_000 }), never);
      }
    }
  }

  async function refused(): Promise<number> {
    const { text } = await ask(server.url, "GET", "/_cat/thread_pool/write?h=rejected");
    return Number(text.trim());
  }

  async function assertAllThere(prefix: string, documents: readonly Document[]): Promise<void> {
    const name = `${prefix}things_0123abcd_1`;
    await ask(server.url, "POST", `/${name}/_refresh`);
    const { json } = await ask(server.url, "GET", `/${name}/_count`);
    assert.equal(json.count, documents.length);
    for (const { id, body } of documents.filter((_, i) => i % 29 === 0)) {
      assert.equal((await observe(server.url, name, id))?.body, body);
    }
  }
});
