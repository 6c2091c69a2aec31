import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Context } from "../../src/cli/command.ts";
import { dispatch } from "../../src/cli/dispatch.ts";
import { FatalError } from "../../src/core/errors.ts";

/** Runs a command line with no variables and no signals. */
async function line(argv: readonly string[], write: Context["stdout"]["write"] = async () => {}) {
  let stderr = "";
  const code = await dispatch(argv, {
    env: {},
    stdout: { write },
    stderr: (text) => stderr += text,
    stdoutIsTty: false,
    isTty: false,
    columns: () => 80,
    stop: new AbortController().signal,
    signal: new AbortController().signal,
  });
  return { code, stderr };
}

describe("a command line", () => {
  test("that names what every object has is no command", async () => {
    for (const name of ["toString", "constructor", "__proto__", "hasOwnProperty"]) {
      const { code, stderr } = await line([name]);
      assert.equal(code, 2, name);
      assert.match(stderr, /it is not a command/);
    }
  });

  test("whose reader has left ends with what to do, and no stack", async () => {
    const left = () =>
      Promise.reject(new FatalError("OUTPUT_CLOSED", "Cannot write to stdout: gone", "Stay."));
    for (const argv of [["--help"], [], ["--version"], ["run", "--help"], ["schema"]]) {
      const { code, stderr } = await line(argv, left);
      assert.equal(code, 1, argv.join(" "));
      assert.equal(stderr, "Cannot write to stdout: gone\n  Stay.\n");
    }
  });

  test("never throws, whatever fails", async () => {
    const broken = () => Promise.reject(new Error("write EPIPE"));
    for (const argv of [["--help"], ["--version"], ["run", "-h"], ["schema"]]) {
      const { code, stderr } = await line(argv, broken);
      assert.equal(code, 1);
      assert.match(stderr, /a defect of driftless/);
    }
  });

  test("brings no control character to the terminal", async () => {
    const odd = "\u001b[2J\u009b31m\r\u0007";
    for (
      const argv of [
        [odd],
        ["run", `--${odd}`],
        ["run", "--config", `${odd}.jsonc`],
        ["sync", "--wait", odd, "--config", "nowhere.jsonc"],
        ["check", "--config", `${odd}.jsonc`],
      ]
    ) {
      let stdout = "";
      const { stderr } = await line(argv, async (text) => {
        stdout += text;
      });
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(stderr + stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      assert.match(stderr + stdout, /Cannot|error/);
    }
    const failing = () => Promise.reject(new FatalError("X", `no ${odd}`, `a\nb ${odd}`));
    const { stderr } = await line(["schema"], failing);
    assert.equal(stderr, "no  [2J 31m  \n  a\n  b  [2J 31m  \n");
  });
});
