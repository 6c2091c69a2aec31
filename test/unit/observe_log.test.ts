import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TableLevel } from "../../src/core/source.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import { createObserver, type ObserverOptions } from "../../src/observe/log.ts";

const THROUGH = "2025-11-21T10:00:00.123456Z";

/** Feeds events, each `at` ms, and gives back what was written, one text per write. */
function watch(options: Partial<ObserverOptions> = {}) {
  const writes: string[] = [];
  let time = Date.UTC(2025, 10, 21, 10, 0, 0);
  const { observe, close } = createObserver({
    level: "info",
    format: "auto",
    isTty: false,
    write: (text) => writes.push(text),
    columns: () => 100,
    color: false,
    now: () => time,
    ...options,
  });
  return {
    writes,
    close,
    text: () => writes.join(""),
    json: () => writes.join("").trim().split("\n").map((line) => JSON.parse(line)),
    at(ms: number, event: SyncEvent) {
      time = Date.UTC(2025, 10, 21, 10, 0, 0) + ms;
      observe(event);
    },
  };
}

function retry(delayMs: number, attempt = 1, edge = "source"): SyncEvent {
  const message = "Cannot query Postgres: connection refused";
  return { type: "retry", edge, attempt, delayMs, code: "ECONNREFUSED", message };
}

const started: SyncEvent = {
  type: "seedStarted",
  index: "users",
  sinks: ["search"],
  estimate: 300_000,
  rows: 0,
};

describe("JSON lines", () => {
  test("are what is written when it isn't a terminal, with constant keys", () => {
    const log = watch();
    log.at(0, { type: "connected", to: "source", detail: "reader@db:5432/shop" });
    log.at(5, { type: "caughtUp", through: THROUGH });
    const lines = log.json();
    assert.deepEqual(lines[0], {
      time: "2025-11-21T10:00:00.000Z",
      level: "info",
      event: "connected",
      message: "source: reader@db:5432/shop",
      to: "source",
      detail: "reader@db:5432/shop",
    });
    assert.deepEqual(Object.keys(lines[1]), ["time", "level", "event", "message", "through"]);
    for (const text of log.writes) assert.match(text, /^[^\n]+\n$/);
  });

  test("hold a line per event, repeated ones too", () => {
    const log = watch();
    for (let i = 0; i < 20; i++) log.at(i, { type: "warning", code: "X", message: "again" });
    assert.equal(log.json().length, 20);
  });

  test("keep the capture's level apart from the line's", () => {
    const log = watch();
    log.at(0, {
      type: "table",
      level: level("public.users", "no committed row is missed"),
    });
    const [line] = log.json();
    assert.equal(line.level, "info");
    assert.equal(line.captureLevel, "L2");
    assert.equal(line.stamp, "updated_at");
    assert.equal(line.capture, "updated_at");
    assert.equal(line.deletesFound, "within 15 min");
  });

  test("report a seed at most every five seconds, with rate and time left", () => {
    const log = watch();
    log.at(0, started);
    for (let ms = 1000; ms <= 12_000; ms += 1000) {
      log.at(ms, { type: "seedProgress", index: "users", rows: ms * 10 });
    }
    log.at(12_500, { type: "seedFinished", index: "users", rows: 300_000, ms: 12_500 });
    const lines = log.json();
    assert.deepEqual(lines.map(({ event }) => event), [
      "seedStarted",
      "seedProgress",
      "seedProgress",
      "seedFinished",
    ]);
    assert.deepEqual(
      [lines[1].rows, lines[1].estimate, lines[1].rate, lines[1].secondsLeft],
      [50_000, 300_000, 10_000, 25],
    );
    assert.equal(lines[1].time, "2025-11-21T10:00:05.000Z");
    assert.equal(lines[2].time, "2025-11-21T10:00:10.000Z");
  });

  test("leave out what is below the level", () => {
    const events: readonly SyncEvent[] = [
      { type: "batch", mode: "live", changes: 3, documents: 2, deletes: 1, ms: 4 },
      { type: "draining" },
      { type: "warning", code: "X", message: "hm" },
      { type: "rejected", index: "users", id: "1", reason: "too_large", policy: "stop" },
    ];
    const counts = { debug: 4, info: 3, warn: 2, error: 1 } as const;
    for (const level of ["debug", "info", "warn", "error"] as const) {
      const log = watch({ level });
      for (const event of events) log.at(0, event);
      assert.equal(log.json().length, counts[level], level);
    }
  });
});

describe("retries", () => {
  test("rise from info to warn to error as the delay grows", () => {
    const log = watch();
    for (const ms of [100, 1900, 2000, 14_999, 15_000, 60_000]) log.at(0, retry(ms));
    const levels = log.json().map(({ level }) => level);
    assert.deepEqual(levels, ["info", "info", "warn", "warn", "error", "error"]);
  });

  test("don't fall back while what is away stays away, and do once it is back", () => {
    const log = watch();
    log.at(0, retry(20_000, 5));
    log.at(1, retry(50, 6));
    log.at(2, retry(50, 1, "search"));
    log.at(3, { type: "recovered", edge: "source", attempts: 6 });
    log.at(4, retry(50, 1));
    const lines = log.json();
    assert.deepEqual(lines.map(({ level }) => level), ["error", "error", "info", "info", "info"]);
    assert.match(
      lines[0].message,
      /^source is away: .*\(ECONNREFUSED\); attempt 5 failed, next in/,
    );
  });
});

test("a run that is opened again repeats no line about what is as it was", () => {
  const log = watch();
  const connected = { type: "connected", to: "source", detail: "reader@db" } as const;
  const table = (claim: string) =>
    ({ type: "table", level: level("public.users", claim) }) as const;
  log.at(0, connected);
  log.at(0, table("none missed"));
  log.at(1, retry(40, 1, "run"));
  log.at(2, connected);
  log.at(2, table("some missed"));
  log.at(3, { type: "recovered", edge: "run", attempts: 2 });
  assert.deepEqual(log.json().map(({ message }) => message), [
    "source: reader@db",
    "public.users: L2 by updated_at: none missed",
    "Cannot query Postgres: connection refused (ECONNREFUSED); attempt 1 failed, next in 40 ms",
    "public.users: L2 by updated_at: some missed",
    "Running again after 2 attempts",
  ]);
});

test("a run that is planned anew is said to be that, not an attempt that failed", () => {
  const log = watch();
  const error = "Cannot go on with the plans made at the start: the schema has changed since";
  const planned = (delayMs: number, code: string, message: string): SyncEvent => ({
    ...{ type: "retry", edge: "run", attempt: 1, delayMs, code, message },
    planned: true,
  });
  log.at(0, planned(0, "SCHEMA_CHANGED", error));
  log.at(1, planned(310, "SCHEMA_CHANGED", error));
  const truncated = "Cannot follow public.users on: it was truncated";
  log.at(2, planned(0, "TABLE_TRUNCATED", truncated));
  assert.deepEqual(log.json().map(({ level, message, error }) => [level, message, error]), [
    ["info", "The schema has changed: planning anew", error],
    ["info", "The schema has changed: planning anew in 310 ms", error],
    ["info", `${truncated}: planning anew`, truncated],
  ]);
  const later = watch();
  later.at(0, planned(20_000, "SCHEMA_CHANGED", error));
  later.at(1, retry(50, 1, "run"));
  assert.deepEqual(later.json().map(({ level }) => level), ["error", "info"]);
});

describe("a row's content", () => {
  test("of a rejection never reaches the log", () => {
    const reasons: readonly [string, string][] = [
      ['mapper_parsing_exception in field "price"', "price"],
      ["too_large", "too_large"],
      ["22P02", "22P02"],
      [
        "mapper_parsing_exception: failed to parse field [price] Preview of value: 'hunter2'",
        "mapper_parsing_exception",
      ],
      ['invalid input syntax for type integer: "hunter2"', "reason withheld"],
    ];
    for (const format of ["json", "pretty"] as const) {
      for (const [reason, shown] of reasons) {
        const log = watch({ format });
        log.at(0, { type: "rejected", index: "orders", id: "17", reason, policy: "stop" });
        assert.ok(!log.text().includes("hunter2"), reason);
        assert.ok(log.text().includes(shown), `${reason} as ${shown}`);
        assert.match(log.text(), /17/);
      }
    }
  });
});

describe("on a terminal", () => {
  const pretty = (more: Partial<ObserverOptions> = {}) => watch({ isTty: true, ...more });

  test("it says what it connected to and as whom, and a line per table with level and claim", () => {
    const log = pretty();
    log.at(0, { type: "connected", to: "source", detail: "reader@db:5432/shop" });
    log.at(0, {
      type: "table",
      level: { ...level("public.users", "none missed"), stamp: "seen" },
    });
    const [first = "", second = ""] = log.writes;
    assert.match(first, /^\d\d:\d\d:\d\d ✓ source: reader@db:5432\/shop\n$/);
    assert.match(second, /^\d\d:\d\d:\d\d • public\.users: L2 by seen: none missed\n$/);
  });

  test("a claim that several tables share is said once", () => {
    const log = pretty();
    for (const table of ["public.users", "public.orders"]) {
      log.at(0, { type: "table", level: level(table, "none missed") });
    }
    const notes = level("public.notes", "found late");
    log.at(0, { type: "table", level: { ...notes, level: "L3", capture: "sweep" } });
    log.at(0, { type: "table", level: level("public.lines", "none missed") });
    const lines = log.writes.map((line) => line.slice(9));
    assert.deepEqual(lines, [
      "• public.users: L2 by updated_at: none missed\n",
      "• public.orders: L2 by updated_at: as public.users\n",
      "• public.notes: L3 by sweeps alone: found late\n",
      "• public.lines: L2 by updated_at: as public.users\n",
    ]);
  });

  test("a seed has a bar with rate and time left, redrawn in place", () => {
    const log = pretty();
    log.at(0, started);
    log.at(5000, { type: "seedProgress", index: "users", rows: 126_000 });
    const bar = log.writes.at(-1) ?? "";
    assert.ok(bar.startsWith("\x1b[1A\x1b[0J"), JSON.stringify(bar));
    assert.match(
      bar,
      /users {2}█{12}░{18} {2}42 % {2}126,000 of about 300,000 {2}25,200\/s {2}6\.9 s left\n$/,
    );
    log.at(5050, { type: "seedProgress", index: "users", rows: 127_000 });
    assert.equal(log.writes.at(-1), bar, "not redrawn within 100 ms");
    log.at(12_000, { type: "seedFinished", index: "users", rows: 300_000, ms: 12_000 });
    assert.equal(screenOf(log.text()).at(-1)?.slice(9), "✓ users is seeded: 300,000 rows in 12 s");
  });

  test("lines scroll above the bars of all running seeds", () => {
    const log = pretty();
    log.at(0, started);
    log.at(0, { ...started, index: "orders", estimate: -1 });
    log.at(1000, { type: "seedProgress", index: "orders", rows: 50 });
    log.at(1000, { type: "warning", code: "X", message: "look here" });
    const screen = screenOf(log.text());
    assert.match(screen.at(-3) ?? "", /! look here$/);
    assert.match(screen.at(-2) ?? "", /^ {2}users +░+ +0 % {2}0 of about 300,000$/);
    assert.match(screen.at(-1) ?? "", /^ {2}orders {2}50 rows {2}50\/s$/);
    assert.equal(screen.filter((line) => line.includes("░")).length, 1);
    log.close();
    assert.match(screenOf(log.text()).at(-1) ?? "", /look here$/);
  });

  test("bars fit the terminal's width", () => {
    for (const columns of [20, 40, 60, 200]) {
      const log = pretty({ columns: () => columns });
      log.at(0, started);
      log.at(3000, { type: "seedProgress", index: "users", rows: 1000 });
      const bar = screenOf(log.text()).at(-1) ?? "";
      assert.ok([...bar].length < columns, `${columns}: ${bar}`);
    }
  });

  test("bars stay away when the level is above info, and lines keep coming after close", () => {
    const log = pretty({ level: "warn" });
    log.at(0, started);
    log.at(1000, { type: "seedProgress", index: "users", rows: 10 });
    assert.equal(log.text(), "");
    log.close();
    log.at(2000, { type: "warning", code: "X", message: "late" });
    assert.match(log.text(), /late\n$/);
  });

  test("it is said once that it caught up, and again only after something happened", () => {
    const log = pretty();
    const caughtUp: SyncEvent = { type: "caughtUp", through: THROUGH };
    for (let i = 0; i < 5; i++) log.at(i, caughtUp);
    assert.equal(log.text().match(/Caught up/g)?.length, 1);
    log.at(6, retry(100));
    log.at(7, { type: "recovered", edge: "source", attempts: 1 });
    log.at(8, caughtUp);
    log.at(9, caughtUp);
    assert.equal(log.text().match(/Caught up/g)?.length, 2);
  });

  test("hints follow their problem, and no control character passes through", () => {
    const log = pretty();
    log.at(0, {
      type: "problem",
      problem: {
        severity: "error",
        code: "X",
        path: "indexes.a",
        message: "No table \x1b[2Jusers\r",
        hint: "GRANT SELECT\nto it",
      },
    });
    assert.match(
      log.text(),
      /^\d\d:\d\d:\d\d ✗ indexes\.a: No table {2}\[2Jusers \n {11}GRANT SELECT\n {11}to it\n$/,
    );
  });

  test("colours are used there alone", () => {
    const event: SyncEvent = { type: "warning", code: "X", message: "hm" };
    const colours = (options: Partial<ObserverOptions>) => {
      const writes: string[] = [];
      const { observe } = createObserver({
        level: "info",
        format: "pretty",
        isTty: false,
        write: (text) => writes.push(text),
        ...options,
      });
      observe(event);
      return writes.join("").includes("\x1b[33m");
    };
    assert.equal(colours({ isTty: true }), true);
    assert.equal(colours({ isTty: false }), false);
    assert.equal(colours({ isTty: true, color: false }), false);
  });
});

/** The lines a terminal would show: understands "up n, clear to the end". */
function screenOf(text: string): readonly string[] {
  const lines: string[] = [];
  // deno-lint-ignore no-control-regex
  for (const part of text.split(/(\x1b\[\d+A\x1b\[0J)/)) {
    // deno-lint-ignore no-control-regex
    const up = /^\x1b\[(\d+)A/.exec(part);
    if (up !== null) lines.splice(lines.length - Number(up[1]));
    else lines.push(...part.split("\n").slice(0, -1));
  }
  return lines;
}

function level(table: string, claim: string): TableLevel {
  return {
    table,
    level: "L2",
    capture: "updated_at",
    claim,
    why: "no changelog is installed for it",
    deletes: false,
    found: { changes: "at once", deletes: "within 15 min" },
    stamp: "updated_at",
    sql: [],
  };
}
