import { parseDuration } from "../config/units.ts";
import { FatalError } from "../core/errors.ts";

/** A duration flag in ms, written as in the config (`250ms`, `30s`, `1d`); a bare number: seconds. */
export function durationFlag(name: string, text: string): number {
  const ms = parseDuration(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
  if (ms !== undefined) return ms;
  throw new FatalError(
    "USAGE",
    `Cannot read --${name}: "${text}" is no duration`,
    'Write it as "30s", "250ms" or "2m".',
  );
}
