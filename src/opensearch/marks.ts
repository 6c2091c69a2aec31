import type { SyncMark } from "../core/document.ts";
import type { JsonObject } from "../core/json.ts";
import { endOfValue } from "./raw-sources.ts";

/** The object that every document carries beside its fields; config/ reserves the name. */
export const MARK_FIELD = "_sync";

/**
 * `b` is the bucket, as a keyword with a sign before it: as a number it would be found by every
 * search of all fields for a small number. `k` is only summed. `refs` are looked up, never sorted by;
 * `over` stands in their place where they are too many.
 */
export const MARK_MAPPING: JsonObject = {
  properties: {
    b: { type: "keyword" },
    k: { type: "integer", index: false },
    refs: { type: "keyword", doc_values: false },
    over: { type: "boolean", doc_values: false },
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
export function withMark(body: string, { bucket, key, refs, over }: SyncMark): string {
  const [start, end] = OBJECT_START.exec(body) ?? [];
  if (start === undefined) return body;
  const rest = body.slice(start.length - (end?.length ?? 0));
  const listed = `${refs === undefined ? "" : `${REFS}${refs}`}${over === true ? OVER : ""}`;
  const mark = `{"${MARK_FIELD}":{"b":"${bucketTerm(bucket)}","k":${key}${listed}}`;
  return `${mark}${end === undefined ? "," : ""}${rest}`;
}

/** The document's text as it was before `withMark`; another's stays as it is. */
export function withoutMark(body: string): string {
  const start = MARKED_START.exec(body)?.[0].length;
  if (start === undefined) return body;
  const isListed = body.startsWith(`${REFS}[`, start);
  MARKED_END.lastIndex = isListed ? endOfValue(body, start + REFS.length) : start;
  return MARKED_END.test(body) ? `{${body.slice(MARKED_END.lastIndex)}` : body;
}

/** The brace that opens the object, and what closes it when nothing is in it. */
const OBJECT_START = /^\{(\s*\})?/;
const REFS = `,"refs":`;
const OVER = `,"over":true`;
const MARKED_START = /^\{"_sync":\{"b":"#\d+","k":\d+/;
/** Behind the refs, where there are some. */
const MARKED_END = /(?:,"over":true)?\}(?:,|(?=\s*\}))/y;
