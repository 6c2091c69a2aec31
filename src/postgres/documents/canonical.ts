import { createHash } from "node:crypto";

/** JSON in which the order of an object's keys doesn't show and absent keys don't either. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each) => {
    if (typeof each !== "object" || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
  });
}

/** Hex digest of a value's canonical form: the first `digits` of SHA-256. */
export function digest(value: unknown, digits: number): string {
  return createHash("sha256").update(canonical(value)).digest("hex").slice(0, digits);
}
