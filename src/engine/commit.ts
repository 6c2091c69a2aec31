import type { Change } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import type { DocumentId } from "../core/document.ts";
import type { Built } from "../core/ports.ts";
import { holdersIn } from "./holders.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import type { Ground } from "./prepare.ts";
import { retrying } from "./retrying.ts";
import { slices } from "./slices.ts";
import { write } from "./write.ts";

/**
 * Takes live batches in order: resolve, build, write; find who else shows these rows, build and write
 * those too; acknowledge.
 */
export interface Committer {
  /**
   * Resolves when all of the batch is built and its last write has begun; the write before has ended
   * by then, so building overlaps writing and no document is ever in two requests at once.
   */
  commit(batch: readonly Delivery<Change>[], signal: AbortSignal): Promise<void>;
  /** Resolves when the last write has ended and is acknowledged. */
  settle(): Promise<void>;
}

/** `fail` is told of a write that failed in the background, at once: nobody may be waiting for it. */
export function committer(
  pipeline: Pipeline,
  { epoch, filling }: Ground,
  options: EngineOptions,
  fail: (error: unknown) => void,
): Committer {
  const { builder, sinks } = pipeline;
  const policy = { observe: options.observe, limitMs: options.retryLimitMs };
  const size = slices();
  const holders = holdersIn(pipeline, filling, options);
  let writing: Promise<void> = Promise.resolve();

  return {
    async commit(batch: readonly Delivery<Change>[], signal: AbortSignal): Promise<void> {
      const changes = batch.map((delivery) => delivery.value);
      const resolve = () => builder.resolve(changes, signal);
      const { ids, sought } = await retrying("source", resolve, policy, signal);
      const questions = holders.questions(sought);
      if (questions.length === 0) return await commitAll(ids, batch, signal);
      // Built before these changes were read, so what it brings must be there to be looked up.
      const before = writing;
      if (ids.length > 0) await commitAll(ids, [], signal);
      await before;
      const found = await holders.find(questions, ids, signal);
      if (found.length > 0 || ids.length === 0) await commitAll(found, batch, signal);
      else finish(batch);
    },
    settle: () => writing,
  };

  /** `done` is acknowledged with the last slice; one without documents when there are none. */
  async function commitAll(
    ids: readonly DocumentId[],
    done: readonly Delivery<Change>[],
    signal: AbortSignal,
  ): Promise<void> {
    let rest = ids;
    do {
      const slice = rest.slice(0, size.next(rest));
      rest = rest.slice(slice.length);
      await commitSlice(slice, rest.length === 0 ? done : [], signal);
    } while (rest.length > 0);
  }

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
    writing = write(pipeline, job, options, signal).then(() => {});
    finish(done, { startedAt, documents, deletes });
  }

  /** Acknowledges when the write under way has ended. */
  function finish(
    done: readonly Delivery<Change>[],
    { startedAt, ...written } = { startedAt: performance.now(), documents: 0, deletes: 0 },
  ): void {
    writing = writing.then(() => {
      for (const delivery of done) delivery.ack();
      const ms = performance.now() - startedAt;
      options.observe({ type: "batch", mode: "live", changes: done.length, ...written, ms });
    });
    writing.catch(fail);
  }

  function buildWith(ids: readonly DocumentId[], signal: AbortSignal): Promise<Built> {
    if (ids.length === 0) return Promise.resolve(EMPTY);
    return retrying("source", () => builder.build(ids, epoch, signal), policy, signal);
  }
}

const EMPTY: Built = { documents: [], rejections: [] };
