import { FatalError } from "../core/errors.ts";

/** A duration flag in ms: `30s`, `250ms`, `2m`, `1h`; a bare number is seconds. */
export function durationFlag(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null) {
    throw new FatalError(
      "USAGE",
      `Cannot read --${name}: "${text}" is no duration`,
      'Write it as "30s", "250ms" or "2m".',
    );
  }
  return Number(match[1]) * (UNITS[match[2] ?? "s"] ?? 1000);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
