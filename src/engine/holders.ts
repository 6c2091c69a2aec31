import type { DocumentId } from "../core/document.ts";
import type { RefDirectory } from "../core/ports.ts";
import type { Fence } from "../flow/fence.ts";
import { type EngineOptions, type Pipeline, routesOf } from "./pipeline.ts";
import { retrying } from "./retrying.ts";

/** What one sink is asked: which documents of an index list any of the refs. */
export interface Question {
  readonly index: string;
  readonly sink: string;
  readonly directory: RefDirectory;
  readonly refs: readonly string[];
}

/**
 * Finds the documents that changed rows left unseen (design 3.7): a row that now hangs on Q may still
 * be shown by P, where it hung before, and nothing in the source says so. The documents that list it
 * are asked for by its ref, built and written, and only then is the change acknowledged.
 *
 * None is missed. The change was committed before it was read, so a build that begins after that shows
 * it. One that began before is P's last state in the sink, which the lookup sees, or its write is still
 * to come, and that is waited for first. What would break it:
 *
 * - **Overlapped batches.** Batch 1 builds P with the row; the row moves; batch 2 looks P up while
 *   batch 1's write is under way, finds nothing, and P arrives with the row in it. So the lookup comes
 *   after the write before has landed; only this batch's own may still be under way, built with the move.
 * - **A seed's slice or a key repair** builds P with the row, is held up, and is written after the
 *   lookup. Each enters the fence `filling` before it builds and leaves when its write has ended; the
 *   lookup waits for those that are inside. Who enters later builds what is true by then.
 * - **A crash between the rounds**: the new parent is written, the old one isn't. Nothing of the batch
 *   is acknowledged before the second round's write: all of it is read and looked up again.
 * - **Searches see late.** P was written and isn't visible to a search: `holders` sees everything whose
 *   `write` resolved, so it refreshes first.
 * - **A generation beside.** Searches see the old filling until the new one is complete, and P may be
 *   in that one alone: `holders` looks into both, and live writes go to both.
 * - **P was filled without refs**, by a plan that didn't need them: it is found by none. An index
 *   whose checkpoint doesn't cover the refs of its plan is filled anew (prepare.ts).
 * - **P lists none** because it has more than `maxRefs` (`SyncMark.over`), **or its id is a digest** that
 *   doesn't show its key: such a P stays as it was until something else changes it. The first are counted
 *   in the sink, the second are said.
 *
 * What is left: a request that was sent just before its process died, or opened everything again, and
 * that the sink carries out only after the change was read again and P was looked up. And a P that was
 * rejected since it was stored ("onRejected": "skip"): the sink lists what P was made of before.
 */
export interface Holders {
  /** What there is to ask; [] when nothing is sought or no sink of those indexes can be asked. */
  questions(sought: ReadonlyMap<string, readonly string[]>): readonly Question[];
  /**
   * The documents to build and write, each once, without those `built` since the changes were read.
   * The caller has waited for every live write that was begun before that.
   */
  find(
    questions: readonly Question[],
    built: readonly DocumentId[],
    signal: AbortSignal,
  ): Promise<readonly DocumentId[]>;
}

export function holdersIn(
  { builder, sinks }: Pipeline,
  filling: Fence,
  { observe, retryLimitMs }: EngineOptions,
): Holders {
  const policy = { observe, limitMs: retryLimitMs };
  let saidUnknown = false;

  return {
    questions: (sought) =>
      builder.plans.flatMap((plan) => {
        const refs = sought.get(plan.name) ?? [];
        return refs.length === 0
          ? []
          : routesOf(plan, sinks).flatMap((sink) =>
            sink.refs === undefined
              ? []
              : [{ index: plan.name, sink: sink.name, directory: sink.refs, refs }]
          );
      }),

    async find(questions, built, signal) {
      await filling.passed(signal);
      const known = new Set(built.map(({ index, id }) => nameOf(index, id)));
      const found: DocumentId[] = [];
      for (const { index, sink, directory, refs } of questions) {
        const ask = () => directory.holders(index, refs, signal);
        let unknown = 0;
        for (const id of await retrying(sink, ask, policy, signal)) {
          const name = nameOf(index, id);
          if (known.has(name)) continue;
          known.add(name);
          const key = builder.keyOf(index, id);
          if (key === undefined) unknown++;
          else found.push({ index, id, key });
        }
        if (unknown > 0) sayUnknown(index, sink, unknown);
      }
      return found;
    },
  };

  function sayUnknown(index: string, sink: string, count: number): void {
    if (saidUnknown) return;
    saidUnknown = true;
    observe({
      type: "warning",
      code: "HOLDER_UNKNOWN",
      message:
        `${count} documents of index "${index}" in sink "${sink}" list rows that changed, and ` +
        "may show them though they left: an id that is a digest doesn't show which row to build " +
        "from. Touch the parent when a child leaves it (UPDATE its row), or fill the index anew " +
        "(--rebase). Said once a run",
    });
  }
}

function nameOf(index: string, id: string): string {
  return `${index}\n${id}`;
}
