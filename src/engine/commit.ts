import type { Change } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import type { DocumentId } from "../core/document.ts";
import type { Built } from "../core/ports.ts";
import type { Epoch } from "../core/source.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import { retrying } from "./retrying.ts";
import { write } from "./write.ts";

/** Takes live batches in order: resolve, build, write, acknowledge. */
export interface Committer {
  /**
   * Resolves when the batch is built and its write has begun; the write before has ended by then, so
   * building overlaps writing and no document is ever in two requests at once.
   */
  commit(batch: readonly Delivery<Change>[], signal: AbortSignal): Promise<void>;
  /** Resolves when the last write has ended and is acknowledged. */
  settle(): Promise<void>;
}

/** `fail` is told of a write that failed in the background, at once: nobody may be waiting for it. */
export function committer(
  pipeline: Pipeline,
  epoch: Epoch,
  options: EngineOptions,
  fail: (error: unknown) => void,
): Committer {
  const { builder, sinks } = pipeline;
  const policy = { observe: options.observe, limitMs: options.retryLimitMs };
  let writing: Promise<void> = Promise.resolve();

  return {
    async commit(batch: readonly Delivery<Change>[], signal: AbortSignal): Promise<void> {
      const startedAt = performance.now();
      const changes = batch.map((delivery) => delivery.value);
      const ids = await retrying("source", () => builder.resolve(changes, signal), policy, signal);
      const build = () => buildWith(ids, signal);
      let built = await build();
      const builtAt = performance.now();
      await writing;
      const job = { built, builtAt, sinks, mode: "live", rebuild: build } as const;
      writing = write(pipeline, job, options, signal).then(() => {
        for (const delivery of batch) delivery.ack();
        const deletes = built.documents.filter((d) => d.body === null).length;
        options.observe({
          type: "batch",
          mode: "live",
          changes: batch.length,
          documents: built.documents.length - deletes,
          deletes,
          ms: performance.now() - startedAt,
        });
        built = EMPTY;
      });
      writing.catch(fail);
    },
    settle: () => writing,
  };

  function buildWith(ids: readonly DocumentId[], signal: AbortSignal): Promise<Built> {
    if (ids.length === 0) return Promise.resolve(EMPTY);
    return retrying("source", () => builder.build(ids, epoch, signal), policy, signal);
  }
}

const EMPTY: Built = { documents: [], rejections: [] };
