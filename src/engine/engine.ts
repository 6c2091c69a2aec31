import type { Change } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import { batchingQueue } from "../flow/queue.ts";
import { sleep } from "../flow/sleep.ts";
import { together } from "../flow/together.ts";
import { type Checkpoints, checkpoints } from "./checkpoints.ts";
import { committer } from "./commit.ts";
import { type KeySweep, keySweep, runningClock } from "./key_sweep.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import { type Ground, prepare } from "./prepare.ts";
import { seedIndex } from "./seed.ts";

/**
 * One run: prepare → seed → follow. Mapping first, then the anchor is stored, and only then is a row
 * read for a seed; live capture runs beside it from the anchor on. Resolves when `stop` has aborted
 * and what was read is durable and acknowledged, or with `once` when everything committed before the
 * start is. Throws RetryableError when everything has to be opened again, FatalError when waiting
 * won't help. `signal` ends it at once, losing nothing: what isn't acknowledged is read again.
 */
export async function run(
  pipeline: Pipeline,
  options: EngineOptions,
  stop: AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  const { observe } = options;
  const ground = await prepare(pipeline, options, signal);
  const keys = keysOf(pipeline, ground, options);
  const store = checkpoints(pipeline, ground, options, () => keys?.compared() ?? {});
  await store.save(signal);
  const { fresh } = ground.anchor;
  observe({ type: "anchored", fresh, through: pipeline.capture.confirmed().through });

  /** Until then the confirmed position says nothing of rows that are still to be seeded. */
  let filled = ground.seeds.length === 0;
  // Ends capture and seeds; the queue is then drained.
  const done = new AbortController();
  const end = () => done.abort(stop.reason);
  if (stop.aborted) end();
  stop.addEventListener("abort", end, { once: true });
  const queue = batchingQueue<Delivery<Change>>(
    options.queue.capacity,
    { maxItems: options.batch.maxChanges, maxDelayMs: options.batch.maxDelayMs },
    (delivery) => delivery.drained === true,
  );
  try {
    await together([
      (scope) => capture(AbortSignal.any([scope, done.signal])),
      follow,
      seedThenWatch,
      (scope) => remember(store, AbortSignal.any([scope, done.signal])),
      (scope) => untilDone(pipeline.watch(AbortSignal.any([scope, done.signal]))),
      (scope) => compareKeys(AbortSignal.any([scope, done.signal])),
    ], signal);
  } finally {
    stop.removeEventListener("abort", end);
  }
  await store.save(signal);
  observe({ type: "stopped", through: filled ? pipeline.capture.confirmed().through : undefined });

  /** Source to queue. */
  async function capture(scope: AbortSignal): Promise<void> {
    await untilDone((async () => {
      for await (const delivery of pipeline.capture.live(scope)) {
        const full = queue.push(delivery, scope);
        if (full !== undefined) await full;
      }
    })());
    queue.close();
  }

  /** Queue to sinks. */
  async function follow(scope: AbortSignal): Promise<void> {
    const ending = new AbortController();
    const within = AbortSignal.any([scope, ending.signal]);
    const commits = committer(pipeline, ground, options, (error) => queue.close(error));
    try {
      for await (const batch of queue.batches(scope)) await commits.commit(batch, within);
      await commits.settle();
    } catch (error) {
      // The last write may be under way still: none outlives the run.
      ending.abort(error);
      await commits.settle().catch(() => {});
      throw error;
    }
  }

  /** Fills what is unseeded, one index after the other, then says when the capture has caught up. */
  async function seedThenWatch(scope: AbortSignal): Promise<void> {
    for (const seed of options.skipBackfill ? [] : ground.seeds) {
      await seedIndex(pipeline, seed, ground, options, done.signal, scope);
      if (done.signal.aborted) return;
    }
    filled ||= !options.skipBackfill;
    await untilDone(caughtUp(ground, AbortSignal.any([scope, done.signal])));
    if (!options.once) return;
    const within = AbortSignal.any([scope, done.signal]);
    await untilDone(pipeline.capture.settled(within));
    if (keys !== undefined) await untilDone(keys.once(within));
    done.abort();
  }

  /** Beside everything else, unless the run ends by itself. */
  async function compareKeys(scope: AbortSignal): Promise<void> {
    if (keys !== undefined && !options.once) await untilDone(keys.follow(scope));
  }

  /** Waits until everything committed before the start is acknowledged. */
  async function caughtUp({ anchor }: Ground, scope: AbortSignal): Promise<void> {
    while (pipeline.capture.confirmed().through < anchor.now) await sleep(CAUGHT_UP_MS, scope);
    observe({ type: "caughtUp", through: pipeline.capture.confirmed().through });
  }

  /** Saves the acknowledged position, at most once a second. */
  async function remember(checkpoints: Checkpoints, scope: AbortSignal): Promise<void> {
    await untilDone((async () => {
      while (true) {
        await pipeline.capture.advanced(scope);
        await checkpoints.save(scope);
        await sleep(SAVE_MS, scope);
      }
    })());
  }

  /** A task that `done` ended has ended well. */
  async function untilDone(task: Promise<void>): Promise<void> {
    try {
      await task;
    } catch (error) {
      if (!done.signal.aborted || error !== done.signal.reason) throw error;
    }
  }
}

function keysOf(
  pipeline: Pipeline,
  { anchor, epoch, keysCompared: compared, filling }: Ground,
  options: EngineOptions,
): KeySweep | undefined {
  if (options.keys === undefined) return undefined;
  const clock = runningClock(anchor.now);
  return keySweep({ pipeline, epoch, filling, engine: options, ...options.keys, compared, clock });
}

/** 5.4: a checkpoint is saved at most once a second. */
const SAVE_MS = 1000;
const CAUGHT_UP_MS = 20;
