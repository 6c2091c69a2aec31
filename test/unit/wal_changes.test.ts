import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { changesOf, type Shape, shapeOf } from "../../src/postgres/wal/changes.ts";
import type { Relation, Tuple } from "../../src/postgres/wal/pgoutput.ts";
import type { ReplicatedTable } from "../../src/postgres/ways.ts";

/** Columns, in the relation's order, which isn't the key's. */
const NAMES = ["note", "owner_id", "b", "a", "unused"];

const relation = (
  identity: Relation["identity"],
  inIdentity: readonly string[],
  names = NAMES,
): Relation => ({
  oid: 7,
  schema: "public",
  name: "item",
  identity,
  columns: names.map((name) => ({
    name,
    type: 25,
    modifier: -1,
    inIdentity: identity === "full" || inIdentity.includes(name),
  })),
});

const table = (more: Partial<ReplicatedTable> = {}): ReplicatedTable => ({
  table: { schema: "public", name: "item" },
  id: "public.item",
  oid: "7",
  key: ["a", "b"],
  joinColumns: ["owner_id"],
  columns: ["note"],
  seesBefore: false,
  ...more,
});

const shape = (of: Relation, more: Partial<ReplicatedTable> = {}): Shape => {
  const found = shapeOf(of, table(more));
  ok(!("unfit" in found), JSON.stringify(found));
  return found;
};

const BYTES = new TextEncoder();
/** Texts as their bytes; undefined: an unchanged TOAST value. */
const tuple = (...values: (string | null | undefined)[]): Tuple =>
  values.map((value) => typeof value === "string" ? BYTES.encode(value) : value);

const BY_KEY = relation("default", ["a", "b"]);
const FULL = relation("full", []);
const ITEM = { schema: "public", name: "item" };

describe("a row's message in the WAL", () => {
  test("an insert has its key in the key's order, its links, and nothing before it", () => {
    const after = tuple("n", "5", "B", "A", null);
    deepEqual(changesOf({ kind: "insert", oid: 7, after }, shape(BY_KEY)), [
      { table: ITEM, op: "upsert", key: ["A", "B"], after: { owner_id: "5" }, sawBefore: true },
    ]);
  });

  test("an update without an old row has seen its links only where the identity holds them", () => {
    const message = { kind: "update", oid: 7, after: tuple("n", "5", "B", "A", null) } as const;
    deepEqual(changesOf(message, shape(BY_KEY)), [
      { table: ITEM, op: "upsert", key: ["A", "B"], after: { owner_id: "5" } },
    ]);
    const index = relation("index", ["a", "b", "owner_id"]);
    deepEqual(changesOf(message, shape(index, { seesBefore: true })), [
      { table: ITEM, op: "upsert", key: ["A", "B"], after: { owner_id: "5" }, sawBefore: true },
    ]);
  });

  test("a whole old row tells the link that was left, and what didn't change", () => {
    const full = shape(FULL, { seesBefore: true });
    const after = tuple("n", "6", "B", "A", "x");
    const old = { full: true, values: tuple("n", "5", "B", "A", "y") };
    deepEqual(changesOf({ kind: "update", oid: 7, old, after }, full), [
      {
        table: ITEM,
        op: "upsert",
        key: ["A", "B"],
        before: { owner_id: "5" },
        after: { owner_id: "6" },
        sawBefore: true,
      },
    ]);
    const same = { full: true, values: tuple("n", "6", "B", "A", "y") };
    deepEqual(changesOf({ kind: "update", oid: 7, old: same, after }, full), []);
    const all = shape(FULL, { seesBefore: true, columns: null });
    equal((changesOf({ kind: "update", oid: 7, old: same, after }, all) as unknown[]).length, 1);
    const noted = { full: true, values: tuple("m", "6", "B", "A", "y") };
    equal((changesOf({ kind: "update", oid: 7, old: noted, after }, full) as unknown[]).length, 1);
  });

  test("a value that isn't sent is the old row's, or makes the links unknown", () => {
    const after = tuple(undefined, undefined, undefined, "A", null);
    const old = { full: true, values: tuple("n", "5", "B", "A", "y") };
    const noted = shape(FULL, { seesBefore: true, columns: ["note", "unused"] });
    deepEqual(changesOf({ kind: "update", oid: 7, old, after }, noted), [
      { table: ITEM, op: "upsert", key: ["A", "B"], after: { owner_id: "5" }, sawBefore: true },
    ]);
    const sameLink = shape(FULL, { seesBefore: true });
    deepEqual(changesOf({ kind: "update", oid: 7, old, after }, sameLink), []);
    const noLink = tuple("n", undefined, "B", "A", null);
    deepEqual(changesOf({ kind: "update", oid: 7, after: noLink }, shape(BY_KEY)), [
      { table: ITEM, op: "upsert", key: ["A", "B"] },
    ]);
    // The NULLs of an old key aren't values.
    const key = { full: false, values: tuple(null, null, "B", "A", null) };
    deepEqual(changesOf({ kind: "update", oid: 7, old: key, after: noLink }, shape(BY_KEY)), [
      { table: ITEM, op: "upsert", key: ["A", "B"] },
    ]);
    const unsent = tuple("n", "5", undefined, "A", null);
    ok("unfit" in changesOf({ kind: "update", oid: 7, after: unsent }, shape(BY_KEY)));
  });

  test("a changed key is a delete of the old one and a new row", () => {
    const after = tuple("n", "5", "B2", "A", null);
    const old = { full: false, values: tuple(null, null, "B", "A", null) };
    deepEqual(changesOf({ kind: "update", oid: 7, old, after }, shape(BY_KEY)), [
      { table: ITEM, op: "delete", key: ["A", "B"] },
      { table: ITEM, op: "upsert", key: ["A", "B2"], after: { owner_id: "5" }, sawBefore: true },
    ]);
    const whole = { full: true, values: tuple("n", "4", "B", "A", null) };
    deepEqual(
      changesOf({ kind: "update", oid: 7, old: whole, after }, shape(FULL, { seesBefore: true })),
      [
        {
          table: ITEM,
          op: "delete",
          key: ["A", "B"],
          before: { owner_id: "4" },
          sawBefore: true,
        },
        { table: ITEM, op: "upsert", key: ["A", "B2"], after: { owner_id: "5" }, sawBefore: true },
      ],
    );
  });

  test("a delete names the link that it left where that is known", () => {
    const key = { full: false, values: tuple(null, null, "B", "A", null) };
    deepEqual(changesOf({ kind: "delete", oid: 7, old: key }, shape(BY_KEY)), [
      { table: ITEM, op: "delete", key: ["A", "B"] },
    ]);
    const whole = { full: true, values: tuple("n", "4", "B", "A", null) };
    deepEqual(
      changesOf({ kind: "delete", oid: 7, old: whole }, shape(FULL, { seesBefore: true })),
      [{ table: ITEM, op: "delete", key: ["A", "B"], before: { owner_id: "4" }, sawBefore: true }],
    );
  });

  test("a key that holds a NULL concerns nobody", () => {
    const full = shape(FULL, { seesBefore: true });
    const none = tuple("n", "5", null, "A", null);
    const some = tuple("n", "5", "B", "A", null);
    deepEqual(changesOf({ kind: "insert", oid: 7, after: none }, full), []);
    deepEqual(changesOf({ kind: "delete", oid: 7, old: { full: true, values: none } }, full), []);
    const filled = changesOf(
      { kind: "update", oid: 7, old: { full: true, values: none }, after: some },
      full,
    );
    deepEqual(filled, [
      { table: ITEM, op: "upsert", key: ["A", "B"], after: { owner_id: "5" }, sawBefore: true },
    ]);
  });

  test("a byte order mark and astral characters stay in a key", () => {
    const after = tuple("n", "5", "\ufeffB", "😀", null);
    deepEqual(changesOf({ kind: "insert", oid: 7, after }, shape(BY_KEY)), [
      {
        table: ITEM,
        op: "upsert",
        key: ["😀", "\ufeffB"],
        after: { owner_id: "5" },
        sawBefore: true,
      },
    ]);
  });

  test("a relation that doesn't show the key, or less than was planned with, is unfit", () => {
    ok("unfit" in shapeOf(relation("default", ["a"]), table()));
    ok("unfit" in shapeOf(relation("default", ["a", "b"], ["note", "a"]), table()));
    ok("unfit" in shapeOf(BY_KEY, table({ seesBefore: true })));
    ok(!("unfit" in shapeOf(relation("nothing", []), table())));
    ok(!("unfit" in shapeOf(FULL, table())));
  });

  test("links that aren't published are left for a query", () => {
    const narrow = relation("default", ["a", "b"], ["b", "a"]);
    deepEqual(changesOf({ kind: "insert", oid: 7, after: tuple("B", "A") }, shape(narrow)), [
      { table: ITEM, op: "upsert", key: ["A", "B"], sawBefore: true },
    ]);
  });
});
