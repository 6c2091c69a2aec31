import { FatalError, messageOf, RetryableError } from "../core/errors.ts";

/**
 * Translates what postgres.js or the server threw, once, at this adapter's edge: by SQLSTATE or
 * client code, never by message. An abort becomes the signal's reason.
 */
export function translate(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof FatalError || error instanceof RetryableError) return error;
  if (signal.aborted) return signal.reason;
  const code = codeOf(error);
  const options = { cause: error };
  const message = messageOf(error);
  const passing = isSqlState(code) && RETRYABLE_CLASSES.has(code.slice(0, 2)) && code !== "08P01";
  if (RETRYABLE_CODES.has(code) || passing) {
    return new RetryableError(code, `Cannot query Postgres: ${message}`, options);
  }
  if (blamesRow(code)) {
    // The server's text quotes the value: it is kept as the cause, and never logged.
    const message = `Cannot query Postgres: a value of a row doesn't fit the statement (${code})`;
    return new FatalError(code, message, "Mend the row, or the field that reads it.", options);
  }
  const hint = HINTS[code] ?? HINTS[code.slice(0, 2)] ??
    "See the server's log for the statement that failed and why.";
  const shown = !isSqlState(code) || NAMES_ONLY.has(code.slice(0, 2))
    ? message
    : `the server answered ${code}`;
  return new FatalError(code, `Cannot query Postgres: ${shown}`, hint, options);
}

/** The SQLSTATE or client code of a thrown value; "UNKNOWN" when it carries none. */
export function codeOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error) {
    const { code } = error as { code: unknown };
    if (typeof code === "string" && code !== "") return code;
  }
  // Deno and Bun raise a refused or reset socket as an AggregateError around the coded ones.
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  return "UNKNOWN";
}

/**
 * Whether a failing statement blames a value of a row, not the statement: 22 (data; but for a bad
 * parameter, such as a time zone), 23, 54000 (a value too large), and what a function raised of its
 * own (P0, 38, 39). A builder bisects these.
 */
export function blamesRow(code: string): boolean {
  if (!isSqlState(code) || code === "22023") return false;
  return ROW_CLASSES.has(code.slice(0, 2)) || code === "54000";
}

/** Whether the schema, or what the role may read of it, is no longer what was planned for. */
export function blamesSchema(code: string): boolean {
  return SCHEMA_CODES.has(code);
}

/** query_canceled: by statement_timeout, for an abort throws its own reason. */
export const TIMED_OUT = "57014";

function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code);
}

const ROW_CLASSES = new Set(["22", "23", "38", "39", "P0"]);
/** Statements that were sound when they were planned: names, types and rights are others now. */
const SCHEMA_CODES = new Set([
  "0A000",
  "3F000",
  "42501",
  "42601",
  "42703",
  "42704",
  "42804",
  "42846",
  "42883",
  "42P01",
]);
/** Classes whose texts speak of names and states, never of a row's values. */
const NAMES_ONLY = new Set(["08", "0A", "25", "28", "3D", "3F", "42", "57"]);
const RETRYABLE_CLASSES = new Set(["08", "53"]);
const RETRYABLE_CODES = new Set([
  "57P01",
  "57P02",
  "57P03",
  "57P05",
  "57014",
  "25P03",
  "40001",
  "40P01",
  "55006",
  "55P03",
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ENOENT",
]);

const HINTS: Readonly<Record<string, string>> = {
  "08P01": 'If a connection pooler answers there, set "source": { "pooler": "transaction" }.',
  "28": "Check the user and the password in source.url and the server's pg_hba.conf.",
  "3D000": "Check the database name in source.url.",
  "42501": "Grant the role what it needs: GRANT SELECT ON <table> TO <role>.",
  "42P01": "Check that the table exists and that its name is written as in the database.",
  "42703": "Check that the column exists and that its name is written as in the database.",
  "SASL_SIGNATURE_MISMATCH": "Check the password in source.url.",
  "SELF_SIGNED_CERT_IN_CHAIN": "Give the server's CA in source.tls.ca.",
  "DEPTH_ZERO_SELF_SIGNED_CERT": "Give the server's CA in source.tls.ca.",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE": "Give the server's CA in source.tls.ca.",
  "ERR_TLS_CERT_ALTNAME_INVALID": "Use the host name that the server's certificate names.",
};
