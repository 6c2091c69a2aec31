import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Document } from "../../src/core/document.ts";
import { bulkChunks, encodeDocument } from "../../src/opensearch/bulk.ts";

const physical = (index: string) => `p_${index}_0123abcd_1`;

function document(id: string, body: string | null, version = 1n): Document {
  return { index: "users", id, version, body };
}

describe("bulk encoding", () => {
  test("the body passes through untouched below its action", () => {
    const body = `{"n":12345678901234567890.10,"s":"\\u00e9 é"}`;
    assert.equal(
      encodeDocument(document("1", body, (255n << 55n) + 7n), "users_1", "live"),
      `{"index":{"_index":"users_1","_id":"1","version":9187343239835811847,` +
        `"version_type":"external_gte"}}\n${body}\n`,
    );
  });

  test("a fill must be strictly newer, and a delete has one line", () => {
    assert.equal(
      encodeDocument(document("1", null, 5n), "users_1", "fill"),
      `{"delete":{"_index":"users_1","_id":"1","version":5,"version_type":"external"}}\n`,
    );
  });

  test("any id survives as JSON on one line", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (id) => {
      const text = encodeDocument(document(id, null), "users_1", "live");
      assert.equal(text.indexOf("\n"), text.length - 1);
      assert.equal(JSON.parse(text).delete._id, id);
    }));
  });
});

describe("bulk chunks", () => {
  const body = fc.string({ unit: "grapheme", maxLength: 60 }).map((text) =>
    JSON.stringify({ text })
  );
  const anyDocuments = fc.array(fc.option(body), { maxLength: 40 })
    .map((bodies) => bodies.map((text, i) => document(String(i), text)));

  test("hold every document once, in order, within the limits, a larger one alone", () => {
    fc.assert(fc.property(
      anyDocuments,
      fc.integer({ min: 1, max: 600 }),
      fc.integer({ min: 1, max: 10 }),
      (documents, maxBytes, maxDocuments) => {
        const chunks = [...bulkChunks(documents, "live", physical, { maxBytes, maxDocuments })];
        assert.deepEqual(chunks.flatMap((chunk) => chunk.documents), documents);
        for (const chunk of chunks) {
          assert.equal(chunk.bytes, Buffer.byteLength(chunk.body));
          assert.ok(chunk.documents.length <= maxDocuments);
          assert.ok(chunk.bytes <= maxBytes || chunk.documents.length === 1);
          const encoded = chunk.documents.map((each) =>
            encodeDocument(each, physical(each.index), "live")
          );
          assert.equal(chunk.body, encoded.join(""));
        }
      },
    ));
  });

  test("are no more than the limits ask for", () => {
    const documents = Array.from({ length: 10 }, (_, i) => document(String(i), "{}"));
    const each = Buffer.byteLength(
      encodeDocument(documents[0] ?? document("0", "{}"), physical("users"), "live"),
    );
    const sizes = (maxBytes: number, maxDocuments: number) =>
      [...bulkChunks(documents, "live", physical, { maxBytes, maxDocuments })]
        .map((chunk) => chunk.documents.length);
    assert.deepEqual(sizes(each * 4, 100), [4, 4, 2]);
    assert.deepEqual(sizes(each * 4 - 1, 100), [3, 3, 3, 1]);
    assert.deepEqual(sizes(1 << 20, 4), [4, 4, 2]);
    assert.deepEqual(sizes(1 << 20, 100), [10]);
  });
});
