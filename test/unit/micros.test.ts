import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatMicros, microsSql, parseMicros } from "../../src/postgres/poll/micros.ts";

const YEAR_1 = parseMicros("0001-01-01T00:00:00.000000Z");
const YEAR_9999 = parseMicros("9999-12-31T23:59:59.999999Z");

test("a moment is read back as it was written, before and after 1970", () => {
  fc.assert(fc.property(fc.bigInt({ min: YEAR_1, max: YEAR_9999 }), (at) => {
    assert.equal(parseMicros(formatMicros(at)), at);
  }));
});

test("texts are ordered as their moments are", () => {
  const moment = fc.bigInt({ min: YEAR_1, max: YEAR_9999 });
  fc.assert(fc.property(moment, moment, (a, b) => {
    assert.equal(formatMicros(a) < formatMicros(b), a < b);
  }));
});

test("microseconds are kept on both sides of 1970", () => {
  const table: readonly (readonly [string, bigint])[] = [
    ["1970-01-01T00:00:00.000000Z", 0n],
    ["1970-01-01T00:00:00.000001Z", 1n],
    ["1969-12-31T23:59:59.999999Z", -1n],
    ["1969-12-31T23:59:59.000000Z", -1_000_000n],
    ["2026-11-21T09:30:00.123456Z", 1_795_253_400_123_456n],
    ["2024-02-29T12:00:00.000000Z", 1_709_208_000_000_000n],
  ];
  for (const [text, at] of table) {
    assert.equal(parseMicros(text), at, text);
    assert.equal(formatMicros(at), text);
  }
});

test("what isn't such a text is refused, not read as another moment", () => {
  const refused = [
    "",
    "infinity",
    "-infinity",
    "2026-11-21 09:30:00.123456Z",
    "2026-11-21T09:30:00.123456",
    "2026-11-21T09:30:00.123456+01",
    "2026-11-21T09:30:00.123Z",
    "2026-11-21T09:30:00Z",
    "2026-13-01T00:00:00.000000Z",
    "2026-11-21T24:30:00.000000Z",
    "0044-03-15T12:00:00.000000Z BC",
    "-0044-03-15T12:00:00.000000Z",
    "10000-01-01T00:00:00.000000Z",
    " 2026-11-21T09:30:00.123456Z",
    "2026-11-21T09:30:00.123456Z\n",
  ];
  for (const text of refused) {
    assert.throws(() => parseMicros(text), RangeError, JSON.stringify(text));
  }
});

test("the SQL text names UTC, so the session's zone doesn't matter", () => {
  assert.match(microsSql("t.at"), /^to_char\(\(t\.at\) AT TIME ZONE 'UTC', /);
});
