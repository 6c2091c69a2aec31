/** A moment: µs since 1970 UTC, exact (a JS Date would round it to ms and loop for ever on ties). */
export type Micros = bigint;

/** SQL text that prints a timestamptz expression in the form `parseMicros` reads, in any session. */
export function microsSql(expression: string): string {
  return `to_char((${expression}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

/** Reads `2026-11-21T09:30:00.123456Z`. */
export function parseMicros(text: string): Micros {
  const match = /^(\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/.exec(text);
  const whole = match === null ? NaN : Date.parse(`${match[1]}Z`);
  if (match === null || Number.isNaN(whole)) {
    throw new RangeError(`Cannot read a time: "${text}" is not ISO 8601 with µs in UTC`);
  }
  return BigInt(whole) * 1000n + BigInt(match[2] ?? "0");
}

/** The inverse of `parseMicros`; also what Postgres reads as a timestamptz. */
export function formatMicros(at: Micros): string {
  const micros = ((at % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = new Date(Number((at - micros) / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${micros.toString().padStart(6, "0")}Z`;
}
