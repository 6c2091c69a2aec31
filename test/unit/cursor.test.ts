import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FatalError } from "../../src/core/errors.ts";
import { formatCursor, parseCursor, type PollCursor } from "../../src/postgres/poll/cursor.ts";

const record = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(shape, { noNullPrototype: true }) as fc.Arbitrary<T>;
const micros = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000n });
const xid = fc.nat({ max: 0xffffffff });
const low = fc.option(micros, { nil: null });
const cursor: fc.Arbitrary<PollCursor> = record({
  through: micros,
  position: record({
    t: micros,
    sx: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    pm: fc.string(),
    open: fc.array(record({ v: fc.string(), lb: low, xb: xid })),
  }),
  rescans: fc.dictionary(
    fc.string().filter((key) => key !== "__proto__"),
    fc.array(record({
      range: record({ lb: low, to: micros, xb: xid }),
      after: fc.option(fc.array(fc.string()), { nil: null }),
    })),
    { noNullPrototype: true },
  ),
});

test("a cursor is read back as it was written", () => {
  fc.assert(
    fc.property(
      cursor,
      (c) => deepEqual(parseCursor(JSON.parse(JSON.stringify(formatCursor(c)))), c),
    ),
  );
});

test("a cursor that this release can't have written is refused, not guessed at", () => {
  for (const stored of [{ v: 2 }, {}, "text", null]) {
    throws(
      () => parseCursor(stored),
      (error: unknown) => error instanceof FatalError && error.hint.includes("--rebase"),
    );
  }
});
