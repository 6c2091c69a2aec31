import type { EngineOptions, Pipeline } from "./pipeline.ts";
import type { Ground } from "./prepare.ts";
import { retrying } from "./retrying.ts";

/** Saves what was acknowledged. */
export interface Checkpoints {
  /**
   * Stores the capture's acknowledged position in every sink; nothing when it hasn't moved. A sink
   * that is away is waited for.
   */
  save(signal: AbortSignal): Promise<void>;
}

/**
 * Each sink keeps its own copy with its own coverage: one that is lost or new takes no other with
 * it. The copies differ by a save at most, and the lowest is resumed from.
 */
export function checkpoints(
  { capture, sinks }: Pipeline,
  ground: Ground,
  options: EngineOptions,
  keysCompared: () => Readonly<Record<string, string>>,
): Checkpoints {
  const policy = { observe: options.observe, limitMs: options.retryLimitMs };
  let sequence = ground.sequence;
  let saved = "";
  return {
    async save(signal: AbortSignal): Promise<void> {
      const { cursor, through } = capture.confirmed();
      if (saved === through + cursor) return;
      sequence++;
      for (const sink of sinks) {
        const checkpoint = {
          identity: ground.anchor.identity,
          epoch: ground.epoch,
          sequence,
          cursor,
          confirmedThrough: through,
          coverage: ground.coverage.get(sink.name) ?? {},
          keysCompared: keysCompared(),
        };
        const save = () => sink.saveCheckpoint(checkpoint, signal);
        await retrying(sink.name, save, policy, signal);
      }
      saved = through + cursor;
      capture.stored(cursor);
    },
  };
}
