import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countTests,
  failureLines,
  lastLines,
  listFailures,
  uncaughtErrors,
} from "../support/junit.ts";

test("a report of Deno counts leaves once, and a group only for its own failure", () => {
  const report = `<testsuites tests="7">
    <testsuite name="./a.test.ts">
      <testcase name="plain" line="2">
      </testcase>
      <testcase name="put off" line="3">
        <skipped/>
      </testcase>
      <testcase name="group" line="4">
        <failure message="1 test step failed">1 test step failed.</failure>
      </testcase>
      <testcase name="hook" line="9">
        <failure message="Uncaught Error: no">Error: no</failure>
      </testcase>
    </testsuite>
    <testsuite name="steps">
      <testcase name="group &gt; inner"></testcase>
      <testcase name="group &gt; inner &gt; deep"></testcase>
      <testcase name="group &gt; bad"><failure message="Uncaught">no</failure></testcase>
    </testsuite>
  </testsuites>`;
  assert.deepEqual(countTests(report), { passed: 2, failed: 2, skipped: 1 });
});

test("a report of Bun counts each test", () => {
  const report = `<testsuites><testsuite name="a" tests="3">
    <testcase name="plain" time="0.1" />
    <testcase name="put off" time="0"><skipped /></testcase>
    <testsuite name="group"><testcase name="bad"><failure type="Error">x</failure></testcase></testsuite>
  </testsuite></testsuites>`;
  assert.deepEqual(countTests(report), { passed: 1, failed: 1, skipped: 1 });
});

test("an empty report counts nothing", () => {
  assert.deepEqual(countTests(""), { passed: 0, failed: 0, skipped: 0 });
});

test("a failure of Deno is listed with its groups, its place and what differs", () => {
  // As Deno writes it: ">" and newlines stand unescaped in attributes.
  const report = `<testsuites><testsuite name="ext:deno_node/testing.ts">
    <testcase name="ours" classname="./test/unit/a.test.ts" line="4" col="1">
      <failure message="1 test step failed">1 test step failed.</failure>
    </testcase>
    <testcase name="ours &gt; is &quot;equal&quot;" classname="ext:deno_node/testing.ts" line="1" col="23191">
      <failure message="Uncaught AssertionError: Expected => equal:
+ actual - expected
">AssertionError: Expected =&gt; equal:
+ actual - expected

  {
    a: 1,
+     3
-     4
  }

    at check (file:///work/test/support/truth.ts:7:3)
    at NodeTestContext.&lt;anonymous&gt; (file:///work/test/unit/a.test.ts:5:36)</failure>
    </testcase>
    <testcase name="hook" classname="./test/unit/b.test.ts" line="6" col="1">
      <failure message="Uncaught Error: no">Error: no hook
before(() =&gt; { throw new Error("no hook"); });
                     ^
    at file:///work/test/unit/b.test.ts:6:22</failure>
    </testcase>
    <testcase name="bare" classname="./test/unit/c.test.ts" line="8" col="1"><failure message="gone"/></testcase>
  </testsuite></testsuites>`;
  assert.deepEqual(listFailures(report), [
    {
      name: 'ours > is "equal"',
      at: "test/unit/a.test.ts:5",
      message: ["AssertionError: Expected => equal:", "+     3", "-     4"],
    },
    { name: "hook", at: "test/unit/b.test.ts:6", message: ["Error: no hook"] },
    { name: "bare", at: "test/unit/c.test.ts:8", message: ["gone"] },
  ]);
  assert.deepEqual(countTests(report), { passed: 0, failed: 3, skipped: 0 });
});

test("a failure of Bun is listed with its groups and its place", () => {
  const report = `<testsuites><testsuite name="test/unit/a.test.ts">
    <testcase name="bad" classname="deep &gt; group" file="test/unit/a.test.ts" line="5">
      <failure type="AssertionError" message="1 !== 2&#10;">AssertionError: 1 !== 2&#10;&#10;      at test/unit/a.test.ts:5:178&#10;</failure>
    </testcase>
    <testcase name="sub" classname="" file="test/unit/a.test.ts" line="7">
      <failure type="Error" message="1 subtest failed">Error: 1 subtest failed&#10;      at run (node:test:895:20)&#10;&#10;AssertionError: no match&#10;&#10;      at test/unit/a.test.ts:7:64&#10;</failure>
    </testcase>
  </testsuite></testsuites>`;
  assert.deepEqual(listFailures(report), [
    {
      name: "group > deep > bad",
      at: "test/unit/a.test.ts:5",
      message: ["AssertionError: 1 !== 2"],
    },
    {
      name: "sub",
      at: "test/unit/a.test.ts:7",
      message: ["Error: 1 subtest failed", "AssertionError: no match"],
    },
  ]);
});

test("what a file threw outside of its tests is found in what Deno printed", () => {
  const output = `ok | a\n\n./test/unit/b.test.ts (uncaught error)
\x1b[0m\x1b[1m\x1b[31merror\x1b[0m: (in promise) Error: module broken
throw new Error("module broken");
      ^
    at \x1b[36mfile:///work/test/unit/b.test.ts\x1b[0m:\x1b[33m3\x1b[0m:\x1b[33m7\x1b[0m
This error was not caught from a test and caused the test runner to fail on the referenced module.
It most likely originated from a dangling promise, event/timeout handler or top-level code.

./test/unit/b.test.ts (uncaught error)\n`;
  assert.deepEqual(uncaughtErrors(output), [{
    name: "uncaught error",
    at: "test/unit/b.test.ts:3",
    message: ["(in promise) Error: module broken"],
  }]);
});

test("a run that ended without a report shows its last lines", () => {
  assert.deepEqual(lastLines("a\nb\n\n\x1b[32mok\x1b[0m\n  hangs ...  \n"), [
    "b",
    "ok",
    "  hangs ...  ",
  ]);
});

test("failures fit into the lines there are: few with all of it, many with their names", () => {
  const failure = (name: string) => ({ name, at: "a.test.ts:1", message: ["x", "y", "z"] });
  assert.deepEqual(failureLines([], 18), []);
  assert.deepEqual(failureLines([failure("a")], 18), [
    "FAILED a (a.test.ts:1)",
    "  x",
    "  y",
    "  z",
  ]);
  const many = failureLines(Array.from({ length: 20 }, (_, at) => failure(`${at}`)), 18);
  assert.equal(many.length, 17);
  assert.deepEqual(many.slice(0, 2), ["FAILED 0 (a.test.ts:1)", "  x"]);
  assert.equal(many.at(-1), "and 12 more");
});
