import type { SyncMark } from "../core/document.ts";
import type { JsonObject } from "../core/json.ts";

/** The object that every document carries beside its fields; config/ reserves the name. */
export const MARK_FIELD = "_sync";

/**
 * `b` is the bucket, as a keyword with a sign before it: as a number it would be found by every
 * search of all fields for a small number. `k` is only summed.
 */
export const MARK_MAPPING: JsonObject = {
  properties: {
    b: { type: "keyword" },
    k: { type: "integer", index: false },
  },
};

/** `b` of a bucket. */
export function bucketTerm(bucket: number): string {
  return `#${bucket}`;
}

/** The bucket of a `b`; undefined for a text that we didn't write. */
export function bucketOf(term: string): number | undefined {
  const [, digits] = /^#(0|[1-9][0-9]{0,3})$/.exec(term) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * The document's text with its mark as the first member; all else stays byte for byte. A text that
 * is no object stays as it is: the server refuses it.
 */
export function withMark(body: string, { bucket, key }: SyncMark): string {
  const [start, end] = OBJECT_START.exec(body) ?? [];
  if (start === undefined) return body;
  const rest = body.slice(start.length - (end?.length ?? 0));
  const mark = `{"${MARK_FIELD}":{"b":"${bucketTerm(bucket)}","k":${key}}`;
  return `${mark}${end === undefined ? "," : ""}${rest}`;
}

/** The document's text as it was before `withMark`; another's stays as it is. */
export function withoutMark(body: string): string {
  return body.replace(MARKED_START, "{");
}

/** The brace that opens the object, and what closes it when nothing is in it. */
const OBJECT_START = /^\{(\s*\})?/;
const MARKED_START = /^\{"_sync":\{"b":"#\d+","k":\d+\}(?:,|(?=\s*\}))/;
