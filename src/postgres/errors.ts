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
  if (RETRYABLE_CODES.has(code) || RETRYABLE_CLASSES.has(code.slice(0, 2)) && isSqlState(code)) {
    return new RetryableError(code, `Cannot query Postgres: ${message}`, options);
  }
  if (blamesRow(code)) {
    // The server's text quotes the value: it is kept as the cause, and never logged.
    const message = `Cannot query Postgres: a value of a row doesn't fit the statement (${code})`;
    return new FatalError(code, message, "Mend the row, or the field that reads it.", options);
  }
  const hint = HINTS[code] ?? HINTS[code.slice(0, 2)] ??
    "See the server's log for the statement that failed.";
  return new FatalError(code, `Cannot query Postgres: ${message}`, hint, options);
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
 * Whether a failing statement blames a value of a row, not the statement: classes 22 (data) and
 * 23, and 54000 (a value too large). A builder bisects these.
 */
export function blamesRow(code: string): boolean {
  return isSqlState(code) && (code.startsWith("22") || code.startsWith("23") || code === "54000");
}

/** Whether the schema, or what the role may read of it, is no longer what was planned for. */
export function blamesSchema(code: string): boolean {
  return code === "42703" || code === "42P01" || code === "0A000" || code === "42804" ||
    code === "42883" || code === "42501";
}

function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code);
}

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
