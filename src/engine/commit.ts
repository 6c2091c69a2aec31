import type { Change } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import type { DocumentId } from "../core/document.ts";
import type { Built } from "../core/ports.ts";
import type { Epoch } from "../core/source.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import { retrying } from "./retrying.ts";
import { slices } from "./slices.ts";
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
  const size = slices();
  let writing: Promise<void> = Promise.resolve();

  return {
    async commit(batch: readonly Delivery<Change>[], signal: AbortSignal): Promise<void> {
      const changes = batch.map((delivery) => delivery.value);
      const resolve = () => builder.resolve(changes, signal);
      let { ids } = await retrying("source", resolve, policy, signal);
      do {
        const length = size.next(ids);
        const slice = ids.slice(0, length);
        ids = ids.slice(length);
        await commitSlice(slice, ids.length === 0 ? batch : [], signal);
      } while (ids.length > 0);
    },
    settle: () => writing,
  };

  /** Builds a slice and begins its write; `done` is acknowledged with it. */
  async function commitSlice(
    ids: readonly DocumentId[],
    done: readonly Delivery<Change>[],
    signal: AbortSignal,
  ): Promise<void> {
    const startedAt = performance.now();
    const build = () => buildWith(ids, signal);
    const built = await build();
    const builtAt = performance.now();
    size.learn(built.documents);
    await writing;
    const job = { built, builtAt, sinks, mode: "live", rebuild: build } as const;
    const deletes = built.documents.filter((d) => d.body === null).length;
    const documents = built.documents.length - deletes;
    writing = write(pipeline, job, options, signal).then(() => {
      for (const delivery of done) delivery.ack();
      const ms = performance.now() - startedAt;
      const changes = done.length;
      options.observe({ type: "batch", mode: "live", changes, documents, deletes, ms });
    });
    writing.catch(fail);
  }

  function buildWith(ids: readonly DocumentId[], signal: AbortSignal): Promise<Built> {
    if (ids.length === 0) return Promise.resolve(EMPTY);
    return retrying("source", () => builder.build(ids, epoch, signal), policy, signal);
  }
}

const EMPTY: Built = { documents: [], rejections: [] };
