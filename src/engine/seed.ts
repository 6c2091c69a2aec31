import type { Change, RowKey } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import type { DocumentId } from "../core/document.ts";
import type { Built } from "../core/ports.ts";
import { notice } from "../flow/notice.ts";
import { together } from "../flow/together.ts";
import { watermark } from "../flow/watermark.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import type { Ground, Seed } from "./prepare.ts";
import { retrying } from "./retrying.ts";
import { slices } from "./slices.ts";
import { write } from "./write.ts";

/** How far the contiguous prefix of durable chunks reaches. */
interface Progress {
  readonly after: RowKey;
  readonly rows: number;
}

/**
 * Fills one index from the rows that exist, in key order, `parallel` chunks in flight, beside live
 * capture. Versions settle who wins: live writes win ties, a chunk that was built before a change
 * and arrives after it is refused. Resolves true when the index was marked seeded, false when
 * `stop` ended it early: what is durable is remembered, and the next run goes on from there.
 *
 * No row is missed: the capture was anchored before the first chunk was read, so a row that comes
 * after its chunk's turn, or changes after it, is a change that live capture delivers. A row without
 * a document (filtered out, soft-deleted) needs no delete here, for the same reason: whatever wrote
 * its document before was a live write or a chunk of before the anchor's restart, and the change that
 * filtered it out comes after those.
 */
export async function seedIndex(
  pipeline: Pipeline,
  seed: Seed,
  { epoch, filling }: Ground,
  options: EngineOptions,
  stop: AbortSignal,
  signal: AbortSignal,
): Promise<boolean> {
  const { capture, builder } = pipeline;
  const { plan, sinks, after } = seed;
  const policy = { observe: options.observe, limitMs: options.retryLimitMs };
  const startedAt = performance.now();
  const estimate = await capture.estimate(plan, signal);
  options.observe({
    type: "seedStarted",
    index: plan.name,
    sinks: sinks.map((sink) => sink.name),
    estimate,
    rows: seed.rows,
  });
  // What is in the index already may carry versions of an idle database's unmoved position.
  if (after !== undefined) {
    await retrying("source", () => builder.advancePosition(signal), policy, signal);
  }

  const size = slices();
  const moved = notice();
  const freed = notice();
  let reading = true;
  let reached: Progress | undefined;
  const marks = watermark<Progress>((progress) => {
    reached = progress;
    options.observe({ type: "seedProgress", index: plan.name, rows: progress.rows });
    moved.raise();
  });

  await together([fill, remember], signal);
  if (stop.aborted) return false;
  signal.throwIfAborted();
  for (const sink of sinks) {
    await retrying(sink.name, () => sink.markSeeded(plan.name, signal), policy, signal);
  }
  const ms = performance.now() - startedAt;
  options.observe({ type: "seedFinished", index: plan.name, rows: reached?.rows ?? seed.rows, ms });
  return true;

  /** Reads chunks and keeps `parallel` of them in flight. */
  async function fill(scope: AbortSignal): Promise<void> {
    const running = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    let rows = seed.rows;
    try {
      for await (const chunk of chunks(scope)) {
        rows += chunk.length;
        const done = marks.enter({ after: chunk[chunk.length - 1]?.value.key ?? [], rows });
        const task = fillChunk(chunk, scope).then(done, (error) => {
          failure ??= { error };
        }).finally(() => {
          running.delete(task);
          freed.raise();
        });
        running.add(task);
        while (running.size >= options.seed.parallel) await freed.wait(scope);
        if (failure !== undefined || stop.aborted) break;
      }
    } finally {
      await Promise.all(running);
      reading = false;
      moved.raise();
    }
    if (failure !== undefined) throw failure.error;
  }

  async function* chunks(scope: AbortSignal): AsyncGenerator<readonly Delivery<Change>[]> {
    let chunk: Delivery<Change>[] = [];
    const from = { chunk: options.seed.chunk, ...(after === undefined ? {} : { after }) };
    for await (const delivery of capture.snapshot(plan, from, scope)) {
      chunk.push(delivery);
      if (delivery.drained !== true) continue;
      yield chunk;
      chunk = [];
    }
    scope.throwIfAborted();
    if (chunk.length > 0) yield chunk;
  }

  async function fillChunk(chunk: readonly Delivery<Change>[], scope: AbortSignal): Promise<void> {
    let ids = chunk.map((delivery) => builder.identify(plan.name, delivery.value.key));
    while (ids.length > 0) {
      const length = size.next(ids);
      await fillSlice(ids.slice(0, length), scope);
      ids = ids.slice(length);
    }
    for (const delivery of chunk) delivery.ack();
  }

  async function fillSlice(ids: readonly DocumentId[], scope: AbortSignal): Promise<void> {
    const sliceStartedAt = performance.now();
    const rebuild = async (): Promise<Built> => {
      const { documents, rejections } = await retrying(
        "source",
        () => builder.build(ids, epoch, scope),
        policy,
        scope,
      );
      return { documents: documents.filter((d) => d.body !== null), rejections };
    };
    const leave = filling.enter();
    try {
      const built = await rebuild();
      size.learn(built.documents);
      const job = { built, builtAt: performance.now(), sinks, mode: "fill", rebuild } as const;
      await write(pipeline, job, options, scope);
      options.observe({
        type: "batch",
        mode: "fill",
        changes: ids.length,
        documents: built.documents.length,
        deletes: 0,
        ms: performance.now() - sliceStartedAt,
      });
    } finally {
      leave();
    }
  }

  /** Stores the progress, the latest only: a store that is slower than the chunks skips some. */
  async function remember(scope: AbortSignal): Promise<void> {
    let stored: Progress | undefined;
    while (reading || reached !== stored) {
      const progress = reached;
      if (progress !== undefined && progress !== stored) {
        for (const sink of sinks) {
          await retrying(
            sink.name,
            () => sink.saveSeed(plan.name, progress, scope),
            policy,
            scope,
          );
        }
        stored = progress;
      }
      if (reading && reached === stored) await moved.wait(scope);
    }
  }
}
