import assert from "node:assert/strict";
import { test } from "node:test";
import { countTests } from "../support/junit.ts";

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
