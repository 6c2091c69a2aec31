import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { RowKey } from "../../core/change.ts";

/**
 * The `_id` of a key. One column: its text. Several: joined by `,`, with `%` and `,` inside of them
 * as `%25` and `%2C`. An empty text is `%`. What exceeds 512 bytes of UTF-8, the longest id that
 * OpenSearch takes, is `sha256:` and the digest of that text.
 *
 * Two keys never share an id: a single text that reads as the id of another one is told apart, `%`
 * followed by any number of `25` by one `25` more, and `sha256:` with a digest by its own digest.
 */
export function documentId(key: RowKey): string {
  const [only = "", ...others] = key;
  const text = others.length === 0 ? single(only) : joinedParts(key);
  if (Buffer.byteLength(text, "utf8") <= MAX_ID_BYTES && !HASHED.test(text)) return text;
  return `sha256:${createHash("sha256").update(text, "utf8").digest("hex")}`;
}

/**
 * The key of an id, of `columns` columns; undefined for a digest, which doesn't show it. An id that
 * no key gives comes back as a key that no row has, short of its last columns.
 */
export function documentKey(id: string, columns: number): RowKey | undefined {
  if (HASHED.test(id)) return undefined;
  if (columns === 1) return [id === "%" ? "" : /^%(?:25)+$/.test(id) ? id.slice(0, -2) : id];
  const key = id.split(",").map((part) =>
    part.replace(/%(?:25|2C)/g, (sign) => sign === "%25" ? "%" : ",")
  );
  return key.length === columns && documentId(key) === id ? key : [id];
}

/** The parts of a composite key as one text that tells them apart. */
export function joinedParts(key: RowKey): string {
  return key.map((part) => part.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");
}

function single(text: string): string {
  if (text === "") return "%";
  return /^%(?:25)*$/.test(text) ? `${text}25` : text;
}

const MAX_ID_BYTES = 512;
const HASHED = /^sha256:[0-9a-f]{64}$/;
