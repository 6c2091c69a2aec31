import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ArgsDef } from "citty";
import { checkArgs, variableOf } from "../../src/cli/args.ts";
import { countProblems, formatProblems } from "../../src/cli/problems.ts";

const RUN: ArgsDef = {
  config: { type: "string", alias: "c", default: "driftless.jsonc" },
  "log-level": { type: "enum", options: ["debug", "info", "warn", "error"] },
  skipBackfill: { type: "boolean" },
  strict: { type: "boolean" },
};
const SEARCH: ArgsDef = {
  index: { type: "positional", required: true },
  query: { type: "positional", required: true },
  limit: { type: "string", default: "10" },
};

function problemsOf(definition: ArgsDef, args: string[], env: Record<string, string> = {}) {
  return checkArgs(definition, args, env).problems.map(({ message, hint }) => [message, hint]);
}

describe("the guard before citty", () => {
  test("takes what is defined, in every way it can be written", () => {
    const ways = [
      ["--config", "x", "--log-level=warn", "--strict", "--no-skip-backfill"],
      ["-c", "x"],
      ["-c=x"],
      ["--config=-odd-name"],
      ["--skip-backfill"],
      [],
    ];
    for (const args of ways) assert.deepEqual(problemsOf(RUN, args), [], args.join(" "));
    assert.deepEqual(problemsOf(SEARCH, ["products", "red shoes", "--limit", "3"]), []);
    assert.deepEqual(problemsOf(SEARCH, ["products", "--", "--strict"]), []);
  });

  test("names an unknown flag and the nearest one", () => {
    assert.deepEqual(problemsOf(RUN, ["--confg", "x"]), [
      ["--confg is not a flag of this command", "Did you mean --config?"],
      ["x has no place here", undefined],
    ]);
    assert.deepEqual(problemsOf(RUN, ["--no-strickt"])[0]?.[1], "Did you mean --strict?");
    assert.match(problemsOf(RUN, ["--zzz"])[0]?.[1] ?? "", /--config, --log-level/);
    assert.deepEqual(problemsOf(RUN, ["--logLevel=info"])[0]?.[1], "Did you mean --log-level?");
    assert.equal(problemsOf(RUN, ["-x"]).length, 1);
  });

  test("names a flag without its value", () => {
    for (const args of [["--config"], ["--config="], ["--config", "--strict"], ["-c"]]) {
      assert.match(problemsOf(RUN, args)[0]?.[0] ?? "", /needs a value$/, args.join(" "));
    }
    assert.match(problemsOf(RUN, ["--config", "--", "x"])[0]?.[0] ?? "", /needs a value$/);
  });

  test("names a value that isn't one of the flag's, a value where none belongs, a repeated flag", () => {
    assert.deepEqual(problemsOf(RUN, ["--log-level", "wran"]), [
      ['--log-level can\'t be "wran"', "Did you mean warn?"],
    ]);
    assert.deepEqual(problemsOf(RUN, ["--strict=yes"]), [
      ["--strict takes no value", "Write --strict or --no-strict."],
    ]);
    assert.deepEqual(problemsOf(RUN, ["--config=a", "-c", "b"]), [[
      "-c is given twice",
      "Keep one.",
    ]]);
  });

  test("names stray and missing words", () => {
    assert.deepEqual(problemsOf(SEARCH, ["products", "red", "shoes"]), [
      ["shoes has no place here", "Quote words that belong together."],
    ]);
    assert.deepEqual(problemsOf(SEARCH, ["products"]), [["<query> is missing", "Name the query."]]);
  });

  test("names a required flag that neither arguments nor environment give", () => {
    const definition: ArgsDef = { target: { type: "string", required: true } };
    assert.deepEqual(problemsOf(definition, []), [
      ["--target is missing", "Give it, or set DRIFTLESS_TARGET."],
    ]);
    assert.deepEqual(problemsOf(definition, [], { DRIFTLESS_TARGET: "x" }), []);
  });

  test("says when help is asked for", () => {
    assert.equal(checkArgs(SEARCH, ["--help"], {}).help, true);
    assert.equal(checkArgs(SEARCH, ["-h"], {}).help, true);
    assert.equal(checkArgs(SEARCH, ["--", "--help"], {}).help, false);
  });
});

describe("DRIFTLESS_* variables", () => {
  const args = (given: string[], env: Record<string, string>) => checkArgs(RUN, given, env).args;

  test("stand for flags that aren't given", () => {
    assert.equal(variableOf("log-level"), "DRIFTLESS_LOG_LEVEL");
    const env = {
      DRIFTLESS_CONFIG: "/etc/a b.jsonc",
      DRIFTLESS_LOG_LEVEL: "warn",
      DRIFTLESS_SKIP_BACKFILL: "true",
      DRIFTLESS_STRICT: "0",
      DRIFTLESS_OTHER: "x",
    };
    assert.deepEqual(args([], env), [
      "--config=/etc/a b.jsonc",
      "--log-level=warn",
      "--skip-backfill",
      "--no-strict",
    ]);
  });

  test("give way to flags, and are ignored when empty", () => {
    assert.deepEqual(args(["-c", "x"], { DRIFTLESS_CONFIG: "y" }), ["-c", "x"]);
    assert.deepEqual(args(["--no-strict"], { DRIFTLESS_STRICT: "1" }), ["--no-strict"]);
    assert.deepEqual(args([], { DRIFTLESS_CONFIG: "" }), []);
  });

  test("come before a --, which ends the flags", () => {
    const checked = checkArgs(SEARCH, ["a", "--", "-b"], { DRIFTLESS_LIMIT: "5" });
    assert.deepEqual(checked.args, ["a", "--limit=5", "--", "-b"]);
  });

  test("are checked as flags are", () => {
    assert.deepEqual(problemsOf(RUN, [], { DRIFTLESS_LOG_LEVEL: "loud", DRIFTLESS_STRICT: "si" }), [
      ['DRIFTLESS_LOG_LEVEL can\'t be "loud"', "Use one of debug, info, warn, error."],
      ['DRIFTLESS_STRICT can\'t be "si"', "Use true or false."],
    ]);
  });
});

describe("problems as text", () => {
  test("have file, line, path, message and hint", () => {
    const text = formatProblems([
      {
        severity: "error",
        code: "X",
        path: "source.url",
        line: 3,
        message: "It is wrong",
        hint: "Do this.\nThen that.",
      },
      { severity: "warning", code: "Y", path: "", message: "Hm", file: "i.jsonc", line: 1 },
      { severity: "error", code: "Z", path: "indexes.a", message: "No such table" },
    ], "c.jsonc");
    assert.equal(
      text,
      "c.jsonc:3: error: source.url: It is wrong\n    Do this.\n    Then that.\n" +
        "i.jsonc:1: warning: Hm\n" +
        "c.jsonc: error: indexes.a: No such table\n",
    );
    assert.equal(formatProblems([], "c.jsonc"), "");
  });

  test("name no file when there is none, and print no control character", () => {
    const odd = "\u001b[31mred\u0007";
    const text = formatProblems([
      { severity: "error", code: "X", path: `a${odd}`, message: `b${odd}`, hint: `c${odd}` },
      { severity: "error", code: "X", path: "", message: "d", file: `e${odd}` },
    ], undefined);
    assert.equal(
      text,
      "error: a [31mred : b [31mred \n    c [31mred \ne [31mred : error: d\n",
    );
  });

  test("are counted", () => {
    const problem = { code: "X", path: "", message: "" };
    assert.equal(countProblems([]), "no problems");
    assert.equal(
      countProblems([
        { severity: "error", ...problem },
        { severity: "error", ...problem },
        { severity: "warning", ...problem },
      ]),
      "2 errors, 1 warning",
    );
  });
});
