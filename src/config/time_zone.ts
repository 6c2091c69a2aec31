import * as v from "valibot";
import { say } from "./issue_text.ts";

const UNKNOWN_ZONE = say(
  "INVALID_VALUE",
  "There is no such time zone",
  'Write its name, like "Europe/Berlin", "America/New_York" or "UTC".',
);

/**
 * A time zone as Postgres takes it: the name of one, or a POSIX rule (`EST5EDT4,M3.2.0,M11.1.0`,
 * `<+03>-3`). Postgres would take a misspelt name for an error only once rows are read.
 */
export const timeZone: v.GenericSchema<unknown, string> = v.pipe(
  v.string(UNKNOWN_ZONE),
  v.check((zone) => isPosixRule(zone) || isNamed(zone), UNKNOWN_ZONE),
);

function isNamed(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return true;
  } catch {
    return false;
  }
}

/** An abbreviation with an offset, then maybe one for the summer, then maybe when that is. */
function isPosixRule(zone: string): boolean {
  const name = "(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)";
  const time = "[+-]?\\d{1,3}(?::\\d{1,2}){0,2}";
  const day = `(?:M\\d{1,2}\\.\\d\\.\\d|J?\\d{1,3})(?:/${time})?`;
  return new RegExp(`^${name}${time}(?:${name}(?:${time})?(?:,${day},${day})?)?$`).test(zone);
}
