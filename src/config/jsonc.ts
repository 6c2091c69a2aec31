import { type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { messageOf } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { Problem } from "../core/problem.ts";
import { type ConfigPath, formatPath } from "./config_path.ts";

/** A JSONC text, read: its value, and where each part of it stands. */
export interface Jsonc {
  /** undefined when the text can't be read at all. */
  readonly value: Json | undefined;
  /** Syntax, keys given twice, numbers that would lose digits. Paths are relative to this text. */
  readonly problems: readonly Problem[];
  /** The 1-based line of a path's key, or of the nearest part of it that exists. */
  lineOf(path: ConfigPath): number;
}

/** Reads JSON with comments and trailing commas. Never throws. */
export function readJsonc(source: string): Jsonc {
  // Same length as the byte order mark, so that positions stay.
  const text = source.startsWith("\uFEFF") ? ` ${source.slice(1)}` : source;
  if (text.trim() === "") return unreadable(1, "the file is empty");
  const lineAt = lineCounter(text);
  const errors: ParseError[] = [];
  let root: Node | undefined;
  try {
    root = parseTree(text, errors, { allowTrailingComma: true });
  } catch (error) {
    return unreadable(1, messageOf(error));
  }
  const [first] = errors;
  if (first !== undefined) {
    const code = printParseErrorCode(first.error);
    return unreadable(lineAt(first.offset), SYNTAX[code] ?? code);
  }
  if (root === undefined) return unreadable(1, "the file is empty");
  const problems: Problem[] = [];
  const value = valueOf(root, [], (problem, path, offset) =>
    problems.push({
      severity: "error",
      path: formatPath(path),
      line: lineAt(offset),
      ...problem,
    }));
  const tree = root;
  return { value, problems, lineOf: (path) => lineAt(offsetOf(tree, path)) };
}

function unreadable(line: number, why: string): Jsonc {
  const problem: Problem = {
    severity: "error",
    code: "NOT_JSONC",
    path: "",
    line,
    message: `Cannot read this as JSON with comments: ${why}`,
    hint: "Check the commas, quotes and braces just before this line.",
  };
  return { value: undefined, problems: [problem], lineOf: () => line };
}

type Report = (
  problem: Pick<Problem, "code" | "message" | "hint">,
  path: ConfigPath,
  offset: number,
) => void;

function valueOf(node: Node, path: ConfigPath, report: Report): Json {
  const children = node.children ?? [];
  if (node.type === "array") {
    return children.map((child, i) => valueOf(child, [...path, i], report));
  }
  if (node.type !== "object") {
    const value = node.value as Json;
    // A JSON number is a double: an integer over 2^53 would silently become another one.
    if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      const message = "This number has more digits than a JSON number keeps";
      report({ code: "LOSSY_NUMBER", message, hint: "Write it in quotes." }, path, node.offset);
    }
    return value;
  }
  const object: Record<string, Json> = {};
  for (const property of children) {
    const [keyNode, valueNode] = property.children ?? [];
    if (keyNode === undefined || valueNode === undefined) continue;
    const key = String(keyNode.value);
    const here = [...path, key];
    if (FORBIDDEN_KEYS.has(key)) {
      const message = `The key "${key}" can't be used`;
      report({ code: "INVALID_NAME", message, hint: "Rename it." }, here, keyNode.offset);
      continue;
    }
    if (Object.hasOwn(object, key)) {
      const message = `The key "${key}" is given twice`;
      report({ code: "DUPLICATE_KEY", message, hint: "Keep one." }, here, keyNode.offset);
    }
    object[key] = valueOf(valueNode, here, report);
  }
  return object;
}

/** Names that JavaScript objects already have a meaning for; valibot drops them without a word. */
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);

function offsetOf(root: Node, path: ConfigPath): number {
  let node = root;
  let { offset } = root;
  for (const step of path) {
    if (typeof step === "number") {
      const item = node.type === "array" ? node.children?.[step] : undefined;
      if (item === undefined) break;
      node = item;
      offset = item.offset;
      continue;
    }
    // The last of two is the one that counts.
    const property = node.type === "object"
      ? node.children?.findLast((each) => each.children?.[0]?.value === step)
      : undefined;
    const value = property?.children?.[1];
    if (property === undefined || value === undefined) break;
    node = value;
    offset = property.offset;
  }
  return offset;
}

function lineCounter(text: string): (offset: number) => number {
  const starts = [0];
  for (let i = text.indexOf("\n"); i !== -1; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

const SYNTAX: Readonly<Record<string, string>> = {
  InvalidSymbol: "a word that isn't quoted, true, false or null",
  InvalidNumberFormat: "a malformed number",
  PropertyNameExpected: "a key in double quotes is missing",
  ValueExpected: "a value is missing",
  ColonExpected: "a colon is missing",
  CommaExpected: "a comma is missing",
  CloseBraceExpected: "a closing } is missing",
  CloseBracketExpected: "a closing ] is missing",
  EndOfFileExpected: "something follows the end of the object",
  InvalidCommentToken: "a malformed comment",
  UnexpectedEndOfComment: "a comment that is never closed",
  UnexpectedEndOfString: "a text that is never closed",
  UnexpectedEndOfNumber: "a malformed number",
  InvalidUnicode: "a malformed \\u escape",
  InvalidEscapeCharacter: "an unknown escape in a text",
  InvalidCharacter: "a control character in a text",
};
