import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { slices } from "../../src/engine/slices.ts";

const ids = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ index: "a", id: String(i), key: [String(i)] }));
const documents = (count: number, chars: number) =>
  Array.from({ length: count }, (_, i) => ({
    index: "a",
    id: String(i),
    version: 1n,
    body: "x".repeat(chars),
  }));

test("a batch is cut by the size that documents had so far", () => {
  const size = slices(1000);
  ok(size.next(ids(5000)) < 5000, "a first look is a small one");
  size.learn(documents(10, 100));
  equal(size.next(ids(5000)), 10);
  size.learn(documents(10, 5000));
  equal(size.next(ids(5000)), 1);
  for (let i = 0; i < 100; i++) size.learn(documents(10, 1));
  equal(size.next(ids(50)), 50);
});
