import type * as v from "valibot";
import type { Problem } from "../core/problem.ts";
import { type ConfigPath, formatPath } from "./config_path.ts";
import { said } from "./issue_text.ts";

/**
 * What valibot found, as problems. Values are named by their kind alone, unless the schema's own
 * message says more: a password in the wrong shape must not be printed.
 */
export function issueProblems(
  issues: readonly v.BaseIssue<unknown>[],
): readonly Problem[] {
  return issues.flatMap((issue) => {
    const path = pathOf(issue);
    // Unknown keys are all found by `structureProblems`; valibot names the first of each object.
    if (issue.type === "strict_object" && issue.expected === "never") return [];
    return [{ severity: "error", path: formatPath(path), ...wordsOf(issue, path) }];
  });
}

function wordsOf(
  issue: v.BaseIssue<unknown>,
  path: ConfigPath,
): Pick<Problem, "code" | "message" | "hint"> {
  if (isMissingKey(issue)) {
    const key = String(path.at(-1));
    const parent = formatPath(path.slice(0, -1));
    const where = parent === "" ? "the config" : parent;
    return {
      code: "MISSING_KEY",
      message: `The key "${key}" is missing`,
      hint: `Add "${key}" to ${where}.`,
    };
  }
  const packed = said(issue.message);
  if (packed !== undefined) return packed;
  const expected = EXPECTED[issue.type] ?? issue.expected ?? "something else";
  return {
    code: "INVALID_VALUE",
    message: `Expected ${expected}, found ${kindOf(issue.input)}`,
    hint: `Write ${EXAMPLE[issue.type] ?? expected}.`,
  };
}

function isMissingKey(issue: v.BaseIssue<unknown>): boolean {
  return OBJECTS.has(issue.type) && issue.path?.at(-1)?.origin === "key" &&
    issue.input === undefined;
}

const OBJECTS = new Set(["strict_object", "loose_object"]);

function pathOf(issue: v.BaseIssue<unknown>): ConfigPath {
  return (issue.path ?? []).map(({ key }) => typeof key === "number" ? key : String(key));
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "string") return value === "" ? "an empty text" : "a text";
  return typeof value === "number" ? "a number" : "nothing";
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  strict_object: "an object",
  loose_object: "an object",
  record: "an object",
  array: "a list",
};
const EXAMPLE: Readonly<Record<string, string>> = {
  string: 'it in double quotes: "…"',
  strict_object: "{ … }",
  loose_object: "{ … }",
  record: "{ … }",
  array: "[ … ]",
};
