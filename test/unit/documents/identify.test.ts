import { deepEqual, equal, notEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { documentId, documentKey } from "../../../src/postgres/documents/identify.ts";

test("an id is the key's text; parts of a composite key are joined and escaped", () => {
  equal(documentId(["42"]), "42");
  equal(documentId(["a,b%"]), "a,b%");
  equal(documentId(["1", "a,b"]), "1,a%2Cb");
  equal(documentId(["50%", ""]), "50%25,");
  equal(documentId([""]), "%");
});

test("an id over 512 bytes is a digest", () => {
  equal(documentId(["x".repeat(512)]), "x".repeat(512));
  const long = documentId(["é".repeat(257)]);
  equal(/^sha256:[0-9a-f]{64}$/.test(long), true);
});

test("two keys never share an id, however much they look like ids", () => {
  const part = fc.oneof(
    fc.string({ unit: fc.constantFrom("%", "2", "5", "C", ",", "a", ""), maxLength: 6 }),
    fc.string({ maxLength: 4 }),
    fc.constantFrom("", "%", "%25", "%2525", documentId(["y".repeat(600)]), "y".repeat(600)),
  );
  for (const width of [1, 2, 3]) {
    const key = fc.array(part, { minLength: width, maxLength: width });
    fc.assert(
      fc.property(key, key, (a, b) => {
        const same = a.every((text, at) => text === b[at]);
        equal(documentId(a) === documentId(b), same);
        equal(Buffer.byteLength(documentId(a)) <= 512 && documentId(a) !== "", true);
        const id = documentId(a);
        deepEqual(documentKey(id, width), /^sha256:[0-9a-f]{64}$/.test(id) ? undefined : a);
      }),
      { numRuns: 2000 },
    );
  }
});

test("an id that no key gives leads to no key's document", () => {
  for (const [id, columns] of [["abc", 2], ["1,2,3", 2], ["1,2%zz", 2], ["1,%", 2]] as const) {
    const key = documentKey(id, columns);
    equal(key?.length, 1, id);
  }
  notEqual(documentId(documentKey("042", 1) ?? []), "42");
});
