import { equal } from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { encodeDocument } from "../../src/opensearch/bulk.ts";
import { bucketOf, bucketTerm, withMark, withoutMark } from "../../src/opensearch/marks.ts";

const MARK = { bucket: 17, key: 2 ** 31 - 1 };
const MARKED = `{"_sync":{"b":"#17","k":2147483647}`;

describe("a document's mark", () => {
  test("is its first member, and everything behind stays as it is", () => {
    equal(withMark(`{"a":1.10}`, MARK), `${MARKED},"a":1.10}`);
    equal(withMark(`{"a" : 1}`, MARK), `${MARKED},"a" : 1}`);
    equal(withMark(`{}`, MARK), `${MARKED}}`);
    equal(withMark(`{ }`, MARK), `${MARKED} }`);
    equal(withMark(`poison`, MARK), "poison");
  });

  test("goes into an index request, not into a delete", () => {
    const document = { index: "i", id: "1", version: 1n, sync: MARK };
    const lines = encodeDocument({ ...document, body: `{"a":1}` }, "i_1", "live").split("\n");
    equal(lines[1], `${MARKED},"a":1}`);
    equal(encodeDocument({ ...document, body: null }, "i_1", "live").includes("_sync"), false);
  });

  test("comes off again, whatever the document", () => {
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.json()), (value) => {
      for (const body of [JSON.stringify(value), JSON.stringify(value, null, 1)]) {
        const marked = withMark(body, MARK);
        equal(withoutMark(marked), body);
        if (!Object.hasOwn(value, "_sync")) {
          equal(JSON.parse(marked)._sync.k, MARK.key);
          equal(withoutMark(body), body);
        }
      }
    }));
  });

  test("names its bucket so that only we do", () => {
    for (const bucket of [0, 7, 4095]) equal(bucketOf(bucketTerm(bucket)), bucket);
    for (const other of ["17", "#", "#017", "#-1", "#99999", "#1 ", ""]) {
      equal(bucketOf(other), undefined, other);
    }
  });
});
