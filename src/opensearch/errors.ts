import { errors } from "@opensearch-project/opensearch";
import { FatalError, messageOf, RetryableError } from "../core/errors.ts";
import { at, textAt } from "./reply.ts";

/** What a request was for, in the words of its error messages: `write documents`. */
export interface Purpose {
  readonly what: string;
  /** The request carries rows: the server's explanation may quote them and stays out. */
  readonly rows?: boolean;
}

/**
 * Translates what the client library threw, once, at this adapter's edge: by class, HTTP status or
 * socket code, never by message. An abort becomes the signal's reason.
 */
export function translate(error: unknown, purpose: Purpose, signal: AbortSignal): unknown {
  if (error instanceof FatalError || error instanceof RetryableError) return error;
  if (signal.aborted) return signal.reason;
  if (error instanceof errors.ResponseError) return ofResponse(error, purpose);
  const cause = { cause: error };
  const cannot = `Cannot ${purpose.what}`;
  if (error instanceof errors.TimeoutError || error instanceof errors.RequestAbortedError) {
    return new RetryableError("ETIMEDOUT", `${cannot}: OpenSearch didn't answer in time`, cause);
  }
  if (error instanceof errors.DeserializationError) {
    return new RetryableError("BAD_RESPONSE", `${cannot}: the answer isn't JSON`, cause);
  }
  if (error instanceof errors.NoLivingConnectionsError) {
    return new RetryableError("NO_NODE", `${cannot}: no node of OpenSearch can be used`, cause);
  }
  if (error instanceof errors.ConnectionError) {
    const code = String((error as { code?: unknown }).code ?? "CONNECTION_FAILED");
    const message = `${cannot}: ${messageOf(error)}`;
    const hint = TLS_HINTS[code];
    return hint === undefined
      ? new RetryableError(code, message, cause)
      : new FatalError(code, message, hint, cause);
  }
  return new FatalError("UNKNOWN", `${cannot}: ${messageOf(error)}`, "This is a bug.", cause);
}

/** Whether a status of a whole request means that the same request may work later. */
export function isRetryableStatus(status: number): boolean {
  return status === 429 || status === 408 || status >= 500;
}

function ofResponse(error: errors.ResponseError, purpose: Purpose): unknown {
  const status = error.statusCode;
  const type = textAt(error.body, "error", "type") ?? "no reason given";
  const reason = purpose.rows ? undefined : reasonOf(error.body);
  const explained = reason === undefined ? type : `${type}: ${reason}`;
  const message = `Cannot ${purpose.what}: OpenSearch answered ${status} (${explained})`;
  if (isRetryableStatus(status)) return new RetryableError(`HTTP_${status}`, message);
  const [code, hint] = FATAL_STATUSES[status] ??
    [`HTTP_${status}`, "See OpenSearch's log for the request that it refused."];
  return new FatalError(code, message, hint);
}

function reasonOf(body: unknown): string | undefined {
  const root = textAt(body, "error", "reason");
  const cause = deepestReason(at(body, "error", "caused_by"));
  if (root === undefined) return cause;
  return cause === undefined || root.includes(cause) ? root : `${root}; ${cause}`;
}

function deepestReason(cause: unknown): string | undefined {
  return cause === undefined
    ? undefined
    : deepestReason(at(cause, "caused_by")) ?? textAt(cause, "reason");
}

const FATAL_STATUSES: Readonly<Record<number, readonly [string, string]>> = {
  400: ["BAD_REQUEST", "Check the index's settings, analysis and mappings in the config."],
  401: ["UNAUTHORIZED", "Check the sink's auth: OpenSearch doesn't know this user or key."],
  403: [
    "FORBIDDEN",
    "Give the sink's user the rights to create, write and read the indexes under its prefix and " +
    "their aliases, and check that no write block is set.",
  ],
  404: ["NOT_FOUND", "Check the sink's nodes: something else than OpenSearch may answer there."],
};

const CA_HINT = "Give the server's CA in the sink's tls.ca.";
const TLS_HINTS: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: CA_HINT,
  DEPTH_ZERO_SELF_SIGNED_CERT: CA_HINT,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CA_HINT,
  UNABLE_TO_GET_ISSUER_CERT: CA_HINT,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CA_HINT,
  UNKNOWN_CERTIFICATE_VERIFICATION_ERROR: CA_HINT,
  CERT_UNTRUSTED: CA_HINT,
  CERT_HAS_EXPIRED: "Renew the server's certificate.",
  CERT_NOT_YET_VALID: "Check the clock and the server's certificate.",
  ERR_TLS_CERT_ALTNAME_INVALID: "Use the host name that the server's certificate names.",
  EPROTO: "Check the node's scheme: the server may not speak TLS on this port.",
};
