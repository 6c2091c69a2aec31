import * as v from "valibot";
import { nearest } from "../core/nearest.ts";
import { notSupported, say } from "./issue_text.ts";

// Built at load: constants come before the schemas that use them.
const NOT_A_DURATION = say(
  "INVALID_VALUE",
  "Expected a duration",
  'Write a number and a unit in quotes: "250ms", "5s", "15m", "1h".',
);
const NOT_A_SIZE = say(
  "INVALID_VALUE",
  "Expected a size of at least one byte",
  'Write a number and a unit in quotes: "512KiB", "8MiB", "1GiB".',
);
const DURATION_TEXT = /^\d+(\.\d+)?(ms|s|m|h|d)$/;

/** `250ms`, `5s`, `15m`, `1h`, `1d` to milliseconds; undefined: no duration. */
export function parseDuration(text: string): number | undefined {
  return DURATION_TEXT.test(text) ? toMilliseconds(text) : undefined;
}

/** `"250ms" "5s" "15m" "1h" "1d"` to milliseconds. */
export const duration: v.GenericSchema<unknown, number> = v.lazy(() => DURATION);

/** What `duration` is for an editor. */
export const DURATION: v.GenericSchema<unknown, number> = v.pipe(
  v.string(NOT_A_DURATION),
  v.regex(DURATION_TEXT, NOT_A_DURATION),
  v.examples(["250ms", "5s", "15m", "1h"]),
  v.transform((text) => toMilliseconds(text)),
);

/** A duration, or `0` or `false` to switch the thing off (0 ms). */
export const durationOrOff: v.GenericSchema<unknown, number> = v.lazy((input) => {
  if (input === undefined) return DURATION_OR_OFF;
  return input === 0 || input === false ? OFF : duration;
});

/** `"8MiB" "512KiB" "10MB"` to bytes; at least one. */
export const size: v.GenericSchema<unknown, number> = v.lazy(() => SIZE);

/** What `size` is for an editor. */
export const SIZE: v.GenericSchema<unknown, number> = v.pipe(
  v.string(NOT_A_SIZE),
  v.regex(/^\d+(\.\d+)?([kKMG]i?B|B)$/, NOT_A_SIZE),
  v.examples(["512KiB", "8MiB", "1GiB"]),
  v.transform((text) => toBytes(text)),
  v.check((bytes) => bytes >= 1, NOT_A_SIZE),
);

/** A size, or `0` or `false` to switch the thing off (0 bytes). */
export const sizeOrOff: v.GenericSchema<unknown, number> = v.lazy((input) => {
  if (input === undefined) return SIZE_OR_OFF;
  return input === 0 || input === false ? OFF : size;
});

/** A whole number from `min` to `max`. */
export function whole(min: number, max: number): v.GenericSchema<unknown, number> {
  const range = `a whole number from ${min} to ${max}`;
  const message = ({ input }: { readonly input: unknown }) =>
    say(
      "INVALID_VALUE",
      `Expected ${range}`,
      typeof input === "string" ? "Write it without quotes." : `Write ${range}.`,
    );
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
}

/** One of a few words; `later` are words that the design has and this release leaves out. */
export function word<const W extends string>(
  words: readonly W[],
  later: readonly string[] = [],
): v.GenericSchema<unknown, W> {
  return v.picklist(words, (issue) => {
    const { input } = issue;
    const list = words.map((each) => `"${each}"`).join(", ");
    if (typeof input !== "string") {
      return say("INVALID_VALUE", "Expected a word in quotes", `Use one of ${list}.`);
    }
    if (later.includes(input)) return notSupported(`"${input}"`, `Use one of ${list}.`);
    const near = nearest(input, words);
    return say(
      "INVALID_VALUE",
      `"${input}" can't stand here`,
      near === undefined ? `Use one of ${list}.` : `Did you mean "${near}"?`,
    );
  });
}

/** A key of later work: accepted only when absent or off. */
export function later(key: string): v.GenericSchema<unknown, false | 0> {
  return v.pipe(
    v.union(
      [v.literal(false), v.literal(0)],
      notSupported(`"${key}"`, "Leave it out, or write false."),
    ),
    v.description("Not supported yet: leave it out, or write false."),
  );
}

/** Text that isn't empty. */
export function text(what: string): v.GenericSchema<unknown, string> {
  const message = say("INVALID_VALUE", `Expected ${what}`, "Write it as a text in double quotes.");
  return v.pipe(v.string(message), v.nonEmpty(message));
}

const OFF = v.pipe(v.union([v.literal(0), v.literal(false)]), v.transform(() => 0));
/** What `durationOrOff` is for an editor. */
export const DURATION_OR_OFF: v.GenericSchema<unknown, number> = v.union([DURATION, OFF]);
/** What `sizeOrOff` is for an editor. */
export const SIZE_OR_OFF: v.GenericSchema<unknown, number> = v.union([SIZE, OFF]);

function toMilliseconds(text: string): number {
  const amount = parseFloat(text);
  const unit = text.replace(/^[\d.]+/, "");
  return Math.round(amount * (MILLISECONDS[unit] ?? 1));
}

function toBytes(text: string): number {
  const amount = parseFloat(text);
  const unit = text.replace(/^[\d.]+/, "").toLowerCase();
  return Math.floor(amount * (BYTES[unit] ?? 1));
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};
