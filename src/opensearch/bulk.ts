import { Buffer } from "node:buffer";
import type { Document, WriteMode } from "../core/document.ts";
import { withMark } from "./marks.ts";

/** The body of one bulk request and the documents it holds, in the order of the answer's items. */
export interface BulkChunk {
  readonly documents: readonly Document[];
  readonly body: string;
  /** Of `body` in UTF-8. */
  readonly bytes: number;
}

export interface BulkLimits {
  readonly maxBytes: number;
  readonly maxDocuments: number;
}

/**
 * Cuts documents into bulk bodies of at most `maxBytes` and `maxDocuments`, in order; a document
 * that is larger alone makes a body of its own. A body is made when it is asked for. `physical`
 * gives the index that an index's documents are written to.
 */
export function* bulkChunks(
  documents: readonly Document[],
  mode: WriteMode,
  physical: (index: string) => string,
  limits: BulkLimits,
): Generator<BulkChunk, void> {
  let first = 0;
  let bytes = 0;
  let body = "";
  for (let i = 0; i < documents.length; i++) {
    const document = documents[i];
    if (document === undefined) break;
    const text = encodeDocument(document, physical(document.index), mode);
    const size = Buffer.byteLength(text);
    if (i > first && (bytes + size > limits.maxBytes || i - first >= limits.maxDocuments)) {
      yield { documents: documents.slice(first, i), body, bytes };
      first = i;
      bytes = 0;
      body = "";
    }
    body += text;
    bytes += size;
  }
  if (first < documents.length) yield { documents: documents.slice(first), body, bytes };
}

/**
 * The lines of one document. Its JSON passes through untouched behind its mark: no number loses a
 * digit, and no time goes into parsing. "live" wins ties of versions, "fill" doesn't (design 5.3).
 */
export function encodeDocument(document: Document, physical: string, mode: WriteMode): string {
  const { id, version, body, sync } = document;
  const type = mode === "live" ? "external_gte" : "external";
  const action = `{"_index":${JSON.stringify(physical)},"_id":${
    JSON.stringify(id)
  },"version":${version},"version_type":"${type}"}`;
  if (body === null) return `{"delete":${action}}\n`;
  return `{"index":${action}}\n${sync === undefined ? body : withMark(body, sync)}\n`;
}
