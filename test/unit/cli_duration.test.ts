import assert from "node:assert/strict";
import { test } from "node:test";
import { durationFlag } from "../../src/cli/duration.ts";
import { FatalError } from "../../src/core/errors.ts";

test("a duration flag takes what the config takes, and a bare number of seconds", () => {
  const written = { "250ms": 250, "1.5s": 1500, "2m": 120_000, "1h": 3_600_000, "1d": 86_400_000 };
  for (const [text, ms] of Object.entries({ ...written, "30": 30_000, "0.5": 500, "0": 0 })) {
    assert.equal(durationFlag("wait", text), ms, text);
  }
  for (const text of ["soon", "", "5 s", "-1s", "1w", "5S"]) {
    assert.throws(
      () => durationFlag("wait", text),
      (error) => error instanceof FatalError && error.code === "USAGE",
      text,
    );
  }
});
