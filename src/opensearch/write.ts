import type { Document, Rejection, WriteMode } from "../core/document.ts";
import { RetryableError } from "../core/errors.ts";
import { backoffDelay } from "../flow/backoff.ts";
import { sleep } from "../flow/sleep.ts";
import { type BulkChunk, bulkChunks } from "./bulk.ts";
import { classify } from "./classify.ts";
import type { BulkOptions, OpenSearchClient } from "./client.ts";

export type BulkWrite = (
  documents: readonly Document[],
  mode: WriteMode,
  physical: (index: string) => string,
  signal: AbortSignal,
) => Promise<readonly Rejection[]>;

/**
 * Writes by bulk requests, `writers` of them in flight, never two for the same document: each
 * document is in one chunk, and a chunk's next request is sent after the last one was answered.
 *
 * Items that a busy shard refused are sent again alone, a few times, here: only this place knows
 * which they are. All else that may pass is thrown for the engine to send the whole batch again,
 * which external versions make harmless. It is thrown when no request is in flight any more.
 */
export function bulkWriter(client: OpenSearchClient, options: BulkOptions): BulkWrite {
  // Falls when the server or a proxy refuses a body's size: the next ones are cut to fit.
  let maxBytes = options.maxBytes;

  return async (documents, mode, physical, signal) => {
    const rejections: Rejection[] = [];
    let failure: { readonly error: unknown } | undefined;
    const cut = (part: readonly Document[], maxDocuments = options.maxDocuments) =>
      bulkChunks(part, mode, physical, { maxBytes, maxDocuments });
    // A write that fits into one request is shared among the writers all the same, where the
    // shares are worth a request: one shard indexes two requests at once, but not one twice as fast.
    const share = Math.max(MIN_SHARE, Math.ceil(documents.length / options.writers));
    const chunks = cut(documents, Math.min(share, options.maxDocuments));

    async function work(): Promise<void> {
      try {
        while (failure === undefined) {
          const next = chunks.next();
          if (next.done) return;
          await writeChunk(next.value);
        }
      } catch (error) {
        failure ??= { error };
      }
    }

    async function writeChunk(chunk: BulkChunk): Promise<void> {
      let pending: Iterable<BulkChunk> = [chunk];
      for (let attempt = 1;; attempt++) {
        const refused: Document[] = [];
        let code: string | undefined;
        for (const part of pending) {
          const outcome = await send(part);
          refused.push(...outcome.resend);
          code ??= outcome.code;
        }
        if (refused.length === 0) return;
        if (attempt > ITEM_RETRIES) {
          throw new RetryableError(
            code ?? "BUSY",
            `Cannot write documents: ${refused.length} of ${chunk.documents.length} were refused ` +
              `${attempt} times (${code ?? "busy"})`,
          );
        }
        await sleep(backoffDelay(attempt, ITEM_BACKOFF), signal);
        pending = cut(refused);
      }
    }

    async function send(chunk: BulkChunk): Promise<Sent> {
      const { status, body } = await client.bulk(chunk.body, signal);
      if (status === 413) return await split(chunk);
      const outcome = classify(chunk.documents, body);
      rejections.push(...outcome.rejections);
      return { ...outcome, oversized: false };
    }

    async function split(chunk: BulkChunk): Promise<Sent> {
      const [only] = chunk.documents;
      if (chunk.documents.length === 1 && only !== undefined) {
        rejections.push(tooLarge(only, chunk.bytes));
        return { resend: [], oversized: true };
      }
      const resend: Document[] = [];
      let oversized = false;
      for (const half of cut(chunk.documents, Math.ceil(chunk.documents.length / 2))) {
        const sent = await send(half);
        resend.push(...sent.resend);
        oversized ||= sent.oversized;
      }
      // One document that no limit admits says nothing about what the others may share.
      if (!oversized) maxBytes = Math.min(maxBytes, Math.ceil(chunk.bytes / 2));
      return { resend, oversized };
    }

    await Promise.all(Array.from({ length: options.writers }, work));
    if (failure !== undefined) throw failure.error;
    return rejections;
  };
}

interface Sent {
  readonly resend: readonly Document[];
  readonly code?: string;
  /** A single document was over the limit. */
  readonly oversized: boolean;
}

function tooLarge({ index, id }: Document, bytes: number): Rejection {
  const reason = `The bulk request of this document alone, ${bytes} bytes, is over a limit of ` +
    "OpenSearch (http.max_content_length) or of a proxy before it.";
  return { index, id, type: "too_large", reason };
}

const MIN_SHARE = 500;
const ITEM_RETRIES = 5;
const ITEM_BACKOFF = { baseMs: 100, capMs: 2_000 };
