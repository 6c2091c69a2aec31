import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { RetryableError } from "../../src/core/errors.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { ChangeCapture } from "../../src/core/ports.ts";
import type { Pipeline } from "../../src/engine/pipeline.ts";
import { supervise } from "../../src/engine/supervise.ts";

const NOW = "2026-01-02T03:04:05.123456Z";

/** A source without tables, whose stream ends by throwing. */
function failing(error: Error): Pipeline & AsyncDisposable {
  const never = (signal: AbortSignal) =>
    new Promise<void>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
  const capture: ChangeCapture = {
    levels: [],
    prepare: () =>
      Promise.resolve({
        identity: { systemId: "1", timeline: 1, database: "shop" },
        positionKind: "flush",
        fresh: false,
        gaps: new Map(),
        now: NOW,
      }),
    async *snapshot() {},
    estimate: () => Promise.resolve(0),
    // deno-lint-ignore require-yield
    async *live() {
      await Promise.resolve();
      throw error;
    },
    confirmed: () => ({ cursor: "", through: NOW }),
    stored: () => {},
    advanced: never,
    settled: never,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const builder = { plans: [] } as unknown as Pipeline["builder"];
  return {
    capture,
    builder,
    sinks: [],
    watch: never,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** What a supervisor says of runs that go like this, one after the other. */
async function supervised(
  runs: readonly (() => Pipeline & AsyncDisposable)[],
): Promise<readonly SyncEvent[]> {
  const stop = new AbortController();
  const script = [...runs];
  const events: SyncEvent[] = [];
  await supervise(
    (signal) => {
      const next = script.shift();
      if (next === undefined) stop.abort(new Error("stopped"));
      return next === undefined ? Promise.reject(signal.reason) : Promise.resolve().then(next);
    },
    {
      batch: { maxChanges: 1, maxDelayMs: 1 },
      queue: { capacity: 1 },
      seed: { parallel: 1, chunk: 1 },
      once: false,
      skipBackfill: false,
      rebase: false,
      retryLimitMs: Infinity,
      observe: (event) => events.push(event),
    },
    stop.signal,
    new AbortController().signal,
  );
  return events;
}

test("attempts are counted anew after a run that worked, and planning anew is none", async () => {
  const away = new RetryableError("ECONNREFUSED", "Cannot query Postgres: connection refused");
  const changed = new RetryableError("SCHEMA_CHANGED", "Cannot go on: the schema has changed");
  const events = await supervised([
    () => failing(changed),
    () => failing(away),
    () => {
      throw away;
    },
    () => failing(changed),
    () => failing(away),
  ]);
  const said = events.flatMap((event) =>
    event.type === "retry"
      ? [[event.code, event.planned === true ? "planned" : event.attempt]]
      : event.type === "recovered"
      ? [[event.type, event.attempts]]
      : []
  );
  deepEqual(said, [
    ["SCHEMA_CHANGED", "planned"],
    ["ECONNREFUSED", 1],
    ["ECONNREFUSED", 2],
    ["recovered", 3],
    ["SCHEMA_CHANGED", "planned"],
    ["ECONNREFUSED", 1],
  ]);
});

test("many tables that change one after the other don't keep it waiting longer and longer", async () => {
  const changed = new RetryableError("TABLE_TRUNCATED", "Cannot follow public.t on");
  const events = await supervised(Array.from({ length: 8 }, () => () => failing(changed)));
  const delays = events.flatMap((event) => event.type === "retry" ? [event.delayMs] : []);
  equal(delays.length, 8);
  ok(Math.max(...delays) <= 1_000, delays.join(", "));
});
