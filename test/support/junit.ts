export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts a JUnit report's tests. Deno reports a `describe` as a test beside the tests in it: that one
 * counts only when it failed by itself, in a hook.
 */
export function countTests(xml: string): TestCounts {
  const cases = [...xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes = "", body = ""]) => ({
      name: /\bname="([^"]*)"/.exec(attributes)?.[1] ?? "",
      failure: /<(?:failure|error)\b/.test(body),
      stepsFailed: /<failure\b[^>]*\bmessage="\d+ test steps? failed/.test(body),
      skipped: /<skipped\b/.test(body),
    }),
  );
  const groups = new Set(cases.flatMap(({ name }) => prefixes(name)));
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const { name, failure, stepsFailed, skipped: skip } of cases) {
    if (failure) failed += stepsFailed ? 0 : 1;
    else if (groups.has(name)) continue;
    else if (skip) skipped++;
    else passed++;
  }
  return { passed, failed, skipped };
}

/** "a > b > c": ["a", "a > b"] */
function prefixes(name: string): string[] {
  const parts = name.split(" &gt; ");
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join(" &gt; "));
}
