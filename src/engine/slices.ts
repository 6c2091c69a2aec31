import type { Document, DocumentId } from "../core/document.ts";

/**
 * Cuts a batch so that the documents built at once stay near a size: by the size that this index's
 * documents had so far. A guess: rows that suddenly hold far more are built once as many as before,
 * at most a batch or a seed's chunk of `maxDocumentBytes` each.
 */
export interface Slices {
  /** The next slice's length of what remains; at least 1. */
  next(remaining: readonly DocumentId[]): number;
  learn(documents: readonly Document[]): void;
}

export function slices(targetChars: number = TARGET_CHARS): Slices {
  /** Largest of the last averages, by index: a slow decay, so that one large batch is remembered. */
  const sizes = new Map<string, number>();
  return {
    next(remaining: readonly DocumentId[]): number {
      let total = 0;
      let length = 0;
      for (const { index } of remaining) {
        const size = sizes.get(index);
        // Nothing known: a first look at a few.
        if (size === undefined && length >= FIRST_LOOK) break;
        total += size ?? 0;
        if (total > targetChars && length > 0) break;
        length++;
      }
      return Math.max(1, length);
    },
    learn(documents: readonly Document[]): void {
      const found = new Map<string, { chars: number; count: number }>();
      for (const { index, body, sync } of documents) {
        const sum = found.get(index) ?? { chars: 0, count: 0 };
        sum.chars += (body?.length ?? 0) + (sync?.refs?.length ?? 0);
        sum.count++;
        found.set(index, sum);
      }
      for (const [index, { chars, count }] of found) {
        const average = chars / count;
        sizes.set(index, Math.max(average, (sizes.get(index) ?? 0) * 0.9));
      }
    },
  };
}

const TARGET_CHARS = 8 * 1024 * 1024;
const FIRST_LOOK = 16;
