import type { Problem } from "../core/problem.ts";
import { visible } from "../observe/visible.ts";

/**
 * Problems as text for a person, errors and warnings in the order given, one line each and one for
 * its hint: `driftless.jsonc:12: error: source.poll.minInterval: Expected a duration`.
 * `file` is the main config's path; undefined: problems that stand in no file (flags).
 * Ends with a newline; "" when there is none.
 */
export function formatProblems(
  problems: readonly Problem[],
  file: string | undefined,
): string {
  return problems.map((problem) => {
    const where = placeOf(problem, file);
    const path = problem.path === "" ? "" : `${problem.path}: `;
    const line = `${visible(`${where}${problem.severity}: ${path}${problem.message}`)}\n`;
    if (problem.hint === undefined) return line;
    return `${line}${problem.hint.split("\n").map((each) => `    ${visible(each)}\n`).join("")}`;
  }).join("");
}

/** `2 errors, 1 warning`. */
export function countProblems(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.length - errors;
  const parts = [];
  if (errors > 0) parts.push(errors === 1 ? "1 error" : `${errors} errors`);
  if (warnings > 0) parts.push(warnings === 1 ? "1 warning" : `${warnings} warnings`);
  return parts.length === 0 ? "no problems" : parts.join(", ");
}

function placeOf(problem: Problem, file: string | undefined): string {
  const name = problem.file ?? file;
  if (name === undefined) return "";
  return problem.line === undefined ? `${name}: ` : `${name}:${problem.line}: `;
}
