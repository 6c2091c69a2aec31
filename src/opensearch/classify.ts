import type { Document, Rejection } from "../core/document.ts";
import { FatalError, RetryableError } from "../core/errors.ts";
import { at, entriesAt, textAt } from "./reply.ts";

/** What a bulk answer says about each document; one named in neither list is durable. */
export interface BulkOutcome {
  readonly resend: readonly Document[];
  readonly rejections: readonly Rejection[];
  /** Status and type of the first of `resend`: what to tell when it never succeeds. */
  readonly code?: string;
}

/**
 * Reads a bulk answer item by item, by position, status and type (design 5.4). Throws
 * RetryableError when it isn't a bulk answer, FatalError when an item failed for a reason that
 * isn't its document: a missing or closed index, a missing right, a write block.
 */
export function classify(documents: readonly Document[], answer: unknown): BulkOutcome {
  const errors = at(answer, "errors");
  const items = at(answer, "items");
  if (typeof errors !== "boolean" || !Array.isArray(items) || items.length !== documents.length) {
    throw new RetryableError(
      "BAD_RESPONSE",
      "Cannot write documents: the answer doesn't tell what became of each of them",
    );
  }
  if (!errors) return ALL_DURABLE;
  const resend: Document[] = [];
  const rejections: Rejection[] = [];
  let code: string | undefined;
  for (let i = 0; i < items.length; i++) {
    const document = documents[i];
    const [action, item] = entriesAt(items[i])[0] ?? [];
    if (document === undefined || action === undefined) continue;
    const status = Number(at(item, "status"));
    const type = textAt(item, "error", "type") ?? "";
    const fate = fateOf(action, status, type);
    if (fate === "rejected") rejections.push(rejectionOf(document, type, item));
    if (fate === "busy") {
      resend.push(document);
      code ??= type === "" ? `HTTP_${status}` : type;
    }
    if (fate === "stop") throw stop(document, status, type);
  }
  return { resend, rejections, ...(code === undefined ? {} : { code }) };
}

type Fate = "durable" | "busy" | "rejected" | "stop";

/** What became of one item. */
export function fateOf(action: string, status: number, type: string): Fate {
  if (status >= 200 && status < 300) return "durable";
  // A newer build is there already.
  if (status === 409) return "durable";
  // Nothing there to delete: an answer without an error, unlike a missing index.
  if (status === 404 && action === "delete" && type === "") return "durable";
  if (status === 429 || status >= 500 || BUSY_TYPES.has(type)) return "busy";
  if (NOT_THE_DOCUMENT.has(type) || status === 401 || status === 403) return "stop";
  if (status >= 400 && status < 500) return "rejected";
  return "busy";
}

function rejectionOf({ index, id }: Document, type: string, item: unknown): Rejection {
  const reason = textAt(item, "error", "reason") ?? "";
  const cause = textAt(item, "error", "caused_by", "reason");
  const field = FIELD_PATTERNS.map((pattern) => pattern.exec(reason)?.[1]).find((name) =>
    name !== undefined
  );
  return {
    index,
    id,
    type,
    ...(field === undefined ? {} : { field }),
    reason: cause === undefined ? reason : `${reason}; ${cause}`,
  };
}

function stop({ index }: Document, status: number, type: string): FatalError {
  const message = `Cannot write to index "${index}": OpenSearch answered ${status} (${type})`;
  if (type === "index_not_found_exception" || type === "index_closed_exception") {
    return new FatalError(
      "INDEX_LOST",
      message,
      "Someone deleted or closed the physical index. Open it, or start again: an index that is " +
        "gone is filled anew.",
    );
  }
  return new FatalError(
    "FORBIDDEN",
    message,
    "Give the sink's user the right to write to the indexes under its prefix, or remove the " +
      "write block.",
  );
}

const ALL_DURABLE: BulkOutcome = { resend: [], rejections: [] };
const BUSY_TYPES = new Set([
  "es_rejected_execution_exception",
  "rejected_execution_exception",
  "unavailable_shards_exception",
]);
const NOT_THE_DOCUMENT = new Set([
  "index_not_found_exception",
  "index_closed_exception",
  "security_exception",
  "cluster_block_exception",
]);

/** Where the server names a field, anchored so that no row's content can pass for one. */
const FIELD_PATTERNS: readonly RegExp[] = [
  /^failed to parse field \[([^\]]+)\]/,
  /^object mapping for \[([^\]]+)\]/,
  /^object field starting or ending with a \[\.\] makes object resolution ambiguous: \[([^\]]+)\]/,
  /^mapping set to strict, dynamic introduction of \[([^\]]+)\]/,
  /^Document contains at least one immense term in field="([^"]+)"/,
];
