export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface TestFailure {
  /** Groups and test, joined by " > "; or what went wrong outside of a test. */
  readonly name: string;
  /** "test/unit/a.test.ts:12", where it is known. */
  readonly at?: string;
  /** What tells most of the error, one line each. */
  readonly message: readonly string[];
}

interface Case {
  /** Still escaped. */
  readonly name: string;
  readonly at?: string;
  readonly failure?: string;
  /** Failed only because a test in it did. */
  readonly ofSteps?: boolean;
  readonly skipped: boolean;
}

const messageLines = 3;
const lineLength = 160;
/** Attributes hold ">" and newlines as they are in Deno's reports. */
const failureElement =
  /<(?:failure|error)\b(?:\s+(?:message="([^"]*)"|\w+="[^"]*"))*\s*(?:\/>|>([\s\S]*)<\/)/;

/**
 * Counts a JUnit report's tests. Deno reports a `describe` as a test beside the tests in it: that one
 * counts only when it failed by itself, in a hook.
 */
export function countTests(xml: string): TestCounts {
  const cases = readCases(xml);
  const groups = new Set(cases.flatMap(({ name }) => prefixes(name)));
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const each of cases) {
    if (each.failure !== undefined) failed += each.ofSteps === true ? 0 : 1;
    else if (groups.has(each.name)) continue;
    else if (each.skipped) skipped++;
    else passed++;
  }
  return { passed, failed, skipped };
}

/** The tests that `countTests` counts as failed, in the report's order. */
export function listFailures(xml: string): TestFailure[] {
  return readCases(xml).flatMap(({ name, at, failure, ofSteps }) => {
    if (failure === undefined || ofSteps === true) return [];
    const text = unescape(failure);
    const place = placeOf(text) ?? at;
    return [{
      name: unescape(name),
      ...(place === undefined ? {} : { at: place }),
      message: telling(text),
    }];
  });
}

/** What Deno says of files that threw outside of their tests; its report lacks them. */
export function uncaughtErrors(output: string): TestFailure[] {
  const text = plain(output);
  return [...text.matchAll(/^(\S+) \(uncaught error\)\n(error: [\s\S]*?)(?=\nThis error was )/gm)]
    .map(([, file = "", error = ""]) => ({
      name: "uncaught error",
      at: placeOf(error) ?? file.replace(/^\.\//, ""),
      message: telling(error.replace(/^error: /, "")),
    }));
}

/** The last lines of a run that ended before it could report. */
export function lastLines(output: string): string[] {
  return plain(output).split("\n").filter((line) => line.trim() !== "").slice(-messageLines)
    .map(cut);
}

/** Lines to print, at most `limit` (≥ 3): each failure's name and place first, then its message. */
export function failureLines(failures: readonly TestFailure[], limit: number): string[] {
  const shown = failures.slice(0, Math.floor((limit - 1) / 2));
  const each = Math.floor((limit - 1) / Math.max(1, shown.length)) - 1;
  const lines = shown.flatMap(({ name, at, message }) => [
    cut(`FAILED ${name}`) + (at === undefined ? "" : ` (${at})`),
    ...message.slice(0, each).map((line) => `  ${line}`),
  ]);
  const more = failures.length - shown.length;
  return more === 0 ? lines : [...lines, `and ${more} more`];
}

function readCases(xml: string): Case[] {
  return [...xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes = "", body = ""]) => {
      const file = attribute(attributes, "file") ?? attribute(attributes, "classname") ?? "";
      const groups = attribute(attributes, "file") === undefined
        ? []
        : (attribute(attributes, "classname") ?? "").split(" &gt; ").reverse();
      const [element, message, content] = failureElement.exec(body) ?? [];
      const failure = element === undefined ? undefined : content ?? message ?? "";
      return {
        name: [...groups, attribute(attributes, "name") ?? ""].filter((part) => part !== "")
          .join(" &gt; "),
        ...(/\.ts$/.test(file) && !file.startsWith("ext:")
          ? { at: `${file.replace(/^\.\//, "")}:${attribute(attributes, "line") ?? ""}` }
          : {}),
        ...(failure === undefined
          ? {}
          : { failure, ofSteps: /^\d+ test steps? failed/.test(message ?? "") }),
        skipped: /<skipped\b/.test(body),
      };
    },
  );
}

function attribute(attributes: string, name: string): string | undefined {
  return new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1];
}

/** A trace's first place in a test file, else in any of ours. */
function placeOf(trace: string): string | undefined {
  const places = [...trace.matchAll(/((?:[\w.-]+\/)*[\w.-]+\.ts:\d+):\d+/g)].map(([, at = ""]) =>
    at.replace(/^.*?(?=(?:test|src)\/)/, "")
  );
  return places.find((at) => at.includes(".test.ts")) ??
    places.find((at) => !at.startsWith("test/support/")) ?? places[0];
}

/** An error's first line and, of a comparison, the lines that differ; no source and no trace. */
function telling(text: string): string[] {
  const [all = ""] = text.split(/\n\s+at /, 1);
  const rest = text.slice(all.length).split("\n").filter((line) => /^\w*Error\b/.test(line));
  const lines = [...all.replace(/\n[^\n]*\n\s*\^\s*$/, "").split("\n"), ...rest]
    .filter((line) => line.trim() !== "" && line !== "+ actual - expected");
  const differing = lines.slice(1).filter((line) => /^[+-]\s/.test(line));
  return [...lines.slice(0, 1), ...(differing.length > 0 ? differing : lines.slice(1))]
    .slice(0, messageLines).map(cut);
}

function cut(line: string): string {
  return line.length <= lineLength ? line : `${line.slice(0, lineLength)}…`;
}

function plain(output: string): string {
  // deno-lint-ignore no-control-regex
  return output.replace(/\x1b\[[0-9;]*m/g, "");
}

function unescape(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'").replaceAll("&amp;", "&");
}

/** "a > b > c": ["a", "a > b"] */
function prefixes(name: string): string[] {
  const parts = name.split(" &gt; ");
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join(" &gt; "));
}
