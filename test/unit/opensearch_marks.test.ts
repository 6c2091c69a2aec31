import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { encodeDocument } from "../../src/opensearch/bulk.ts";
import { bucketOf, bucketTerm, withMark, withoutMark } from "../../src/opensearch/marks.ts";
import { withoutMark as withoutMarkInTests } from "../support/without_mark.ts";

const MARK = { bucket: 17, key: 2 ** 31 - 1 };
const OPEN = `{"_sync":{"b":"#17","k":2147483647`;
const MARKED = `${OPEN}}`;

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

  test("names the rows that a document was made of, or that they are too many", () => {
    const refs = `["a1b2:1","a1b2:2"]`;
    equal(withMark(`{"a":1}`, { ...MARK, refs }), `${OPEN},"refs":${refs}},"a":1}`);
    equal(withMark(`{"a":1}`, { ...MARK, over: true }), `${OPEN},"over":true},"a":1}`);
    equal(
      withMark(`{ }`, { ...MARK, refs, over: true }),
      `${OPEN},"refs":${refs},"over":true} }`,
    );
  });

  test("comes off again, whatever the document and whatever the rows' keys", () => {
    const keys = fc.array(fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom(...'"\\[]{},:\n\t é🦊') }),
      fc.constantFrom('"],"over":true},"', "]}", `\\"`, "", "\u2028"),
    ));
    fc.assert(fc.property(
      fc.dictionary(fc.string(), fc.json()),
      fc.option(keys, { nil: undefined }),
      fc.boolean(),
      fc.constantFrom("", " ", "\n"),
      (value, texts, isOver, space) => {
        const refs = texts === undefined
          ? {}
          : { refs: `[${texts.map((text) => JSON.stringify(text)).join(`,${space}`)}]` };
        const mark = { ...MARK, ...refs, ...(isOver ? { over: true as const } : {}) };
        for (const body of [JSON.stringify(value), JSON.stringify(value, null, 1)]) {
          const marked = withMark(body, mark);
          equal(withoutMark(marked), body);
          equal(withoutMarkInTests(marked), body);
          if (Object.hasOwn(value, "_sync")) continue;
          const { _sync } = JSON.parse(marked);
          equal(_sync.k, MARK.key);
          equal(_sync.over, isOver ? true : undefined);
          deepEqual(_sync.refs, texts);
          equal(withoutMark(body), body);
        }
      },
    ));
  });

  test("comes off a document with a hundred thousand rows", () => {
    const refs = JSON.stringify(Array.from({ length: 100_000 }, (_, n) => `a1b2:"${n}]`));
    equal(withoutMark(withMark(`{"a":1}`, { ...MARK, refs })), `{"a":1}`);
  });

  test("stays when it isn't ours", () => {
    for (
      const body of [
        `{"_sync":{"b":"#1"},"a":1}`,
        `{"_sync":{"b":"#1","k":1,"refs":"x"},"a":1}`,
        `{"_sync":{"b":"#1","k":1,"refs":["x"],"more":1},"a":1}`,
        `{"_sync":{"b":"#1","k":1,"over":false},"a":1}`,
        `{"_sync":{"b":"#1","k":1.5},"a":1}`,
      ]
    ) equal(withoutMark(body), body);
  });

  test("names its bucket so that only we do", () => {
    for (const bucket of [0, 7, 4095]) equal(bucketOf(bucketTerm(bucket)), bucket);
    for (const other of ["17", "#", "#017", "#-1", "#99999", "#1 ", ""]) {
      equal(bucketOf(other), undefined, other);
    }
  });
});
