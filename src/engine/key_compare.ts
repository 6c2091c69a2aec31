import { type DocumentId, type KeySum, type KeySums, UNMARKED } from "../core/document.ts";
import { FatalError, RetryableError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Sink } from "../core/ports.ts";
import type { Epoch } from "../core/source.ts";
import type { Fence } from "../flow/fence.ts";
import { sleep } from "../flow/sleep.ts";
import { keyRepair } from "./key_repair.ts";
import type { EngineOptions, Pipeline } from "./pipeline.ts";
import { retrying } from "./retrying.ts";

/**
 * Compares which documents one sink's index has with which the source says it should have, and
 * mends what differs, beside live writes and without stopping them. What may happen meanwhile:
 *
 * - **The two sides are listed at different moments**, and each in pieces. Whatever changed in
 *   between looks missing or too much. So a listing only makes suspects: each is built from its row
 *   as it is now, and that decides. No row: it is deleted; a row: it is written, which does nothing
 *   that the live stream wouldn't do.
 * - **Live deletes or writes the same document** before or after ours. Both builds read a position
 *   before their rows and the later change is in a build with no lower one; "fill" is strictly newer
 *   or refused, so on a tie live wins, whichever arrives first (design 5.3).
 * - **A row is inserted after our build found none.** Its own build reads its position after ours and
 *   wins. With a capture that doesn't show it (an odd stamp) the row is missing until it is swept.
 * - **A row is deleted after our build found it**, unseen by the capture: the document stays until
 *   the next comparison, as one deleted just after this would.
 * - **The filling is exchanged** by another process: the sink looks the physical index up for each
 *   request and throws INDEX_LOST. An index that isn't seeded isn't compared at all.
 * - **A version above all of ours**, put there by hand: the delete is refused as too old, which counts
 *   as success in a bulk answer. So what was repaired is listed again, and what is still wrong is
 *   reported and left: the next comparison will say so again, and there is no loop.
 */
export interface KeyComparison {
  readonly pipeline: Pipeline;
  readonly plan: IndexPlan;
  readonly sink: Sink;
  readonly epoch: Epoch;
  readonly filling: Fence;
  readonly engine: EngineOptions;
  /** Share of wall time that listing the sink and repairs may take. */
  readonly dutyCycle: number;
  /** However many orphans there are, they are deleted. */
  readonly massDeletes: boolean;
}

/** What was found and mended. */
export interface Compared {
  /** Documents written that weren't there. */
  readonly missing: number;
  /** Documents deleted whose row isn't there. */
  readonly orphans: number;
  /** Orphans that weren't deleted because they were too many: about as many; 0: none. */
  readonly refused: number;
  /** Documents that can't be told to be orphans: their id is a digest of a key. */
  readonly unknown: number;
  /** Documents that are as wrong after the repair as before: it was refused as too old. */
  readonly left: number;
}

/**
 * Throws RetryableError KEYS_NOT_COMPARED when the source can't list its keys: nothing is wrong with
 * what it delivers. Else what reading and writing throw.
 */
export async function compareKeys(
  comparison: KeyComparison,
  signal: AbortSignal,
): Promise<Compared> {
  const { pipeline: { builder }, plan: { name }, sink, engine, dutyCycle } = comparison;
  const { keys } = sink;
  if (keys === undefined) throw new Error(`Cannot compare keys: ${sink.name} can't list its own`);
  const policy = { observe: engine.observe, limitMs: engine.retryLimitMs };
  let spentMs = 0;

  // The sink first: a row that comes in between is missing for a moment, not too much.
  const held = await ofSink(() => keys.keySums(name, signal));
  await rest();
  const rows = await ofSource(() => builder.keySums(name, signal));
  const differing = [...new Set([...held.keys(), ...rows.keys()])]
    .filter((bucket) => bucket !== UNMARKED && !isSame(held.get(bucket), rows.get(bucket)));
  const repair = keyRepair(comparison, mostOrphans(comparison, held));
  for (const buckets of groupsOf(differing, held, rows)) {
    const found = await ofSink(() => idSet(keys.idsIn(name, buckets, signal)));
    const { missing, suspects } = await ofSource(() =>
      difference(found, builder.idsIn(name, buckets, signal))
    );
    await ofSink(() => repair.mend(missing, suspects, buckets, signal));
    await rest();
  }
  if (held.has(UNMARKED)) {
    // Nothing in the source belongs to it: each is looked for by its key, a page at a time.
    await retrying(
      sink.name,
      async () => {
        for await (const page of keys.idsIn(name, [UNMARKED], signal)) {
          await ofSink(() => repair.mend([], page, [UNMARKED], signal));
          await rest();
        }
      },
      policy,
      signal,
    );
  }
  return await ofSink(() => repair.finish(signal));

  async function ofSink<T>(ask: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await retrying(sink.name, ask, policy, signal);
    spentMs += performance.now() - startedAt;
    return result;
  }

  /** The source's own listing rests between its statements. */
  async function ofSource<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await retrying("source", ask, policy, signal);
    } catch (error) {
      if (!(error instanceof FatalError) || error.code === "RETRIES_EXHAUSTED") throw error;
      const message = `${error.message} (${error.code}). ${error.hint}`;
      throw new RetryableError("KEYS_NOT_COMPARED", message, { cause: error });
    }
  }

  async function rest(): Promise<void> {
    const pauseMs = Math.min(LONGEST_REST_MS, spentMs * (1 / dutyCycle - 1));
    spentMs = 0;
    await sleep(pauseMs, signal);
  }
}

/** A sink that was away for a while isn't left alone for ten times as long. */
const LONGEST_REST_MS = 60_000;
/** Ids of both sides that are in memory at once, unless one bucket alone has more. */
const GROUP_IDS = 40_000;

function isSame(a: KeySum | undefined, b: KeySum | undefined): boolean {
  return a?.count === b?.count && a?.sum === b?.sum;
}

/**
 * More than 1 % of the documents, and more than 1,000, isn't drift but an accident: a table emptied
 * by mistake, the wrong database. 100,000 is as many as are remembered until the decision.
 */
function mostOrphans({ massDeletes }: KeyComparison, held: KeySums): number {
  if (massDeletes) return Infinity;
  let documents = 0;
  for (const { count } of held.values()) documents += count;
  return Math.min(100_000, Math.max(1_000, Math.floor(documents / 100)));
}

function* groupsOf(
  buckets: readonly number[],
  held: KeySums,
  rows: KeySums,
): Generator<readonly number[]> {
  let group: number[] = [];
  let ids = 0;
  for (const bucket of buckets.toSorted((a, b) => a - b)) {
    const more = (held.get(bucket)?.count ?? 0) + (rows.get(bucket)?.count ?? 0);
    if (group.length > 0 && ids + more > GROUP_IDS) {
      yield group;
      group = [];
      ids = 0;
    }
    group.push(bucket);
    ids += more;
  }
  if (group.length > 0) yield group;
}

async function idSet(pages: AsyncIterable<readonly string[]>): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for await (const page of pages) for (const id of page) ids.add(id);
  return ids;
}

async function difference(
  found: ReadonlySet<string>,
  pages: AsyncIterable<readonly DocumentId[]>,
): Promise<{ readonly missing: readonly DocumentId[]; readonly suspects: readonly string[] }> {
  const suspects = new Set(found);
  const missing: DocumentId[] = [];
  for await (const page of pages) {
    for (const id of page) if (!suspects.delete(id.id) && !found.has(id.id)) missing.push(id);
  }
  return { missing, suspects: [...suspects] };
}
