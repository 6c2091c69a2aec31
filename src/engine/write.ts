import type { Document, Rejection, WriteMode } from "../core/document.ts";
import { FatalError } from "../core/errors.ts";
import type { Built, Sink } from "../core/ports.ts";
import { type EngineOptions, type Pipeline, routesOf } from "./pipeline.ts";
import { retrying } from "./retrying.ts";

/** One batch's documents, where they go and who writes them. */
export interface WriteJob {
  readonly built: Built;
  readonly builtAt: number;
  readonly sinks: readonly Sink[];
  readonly mode: WriteMode;
  /** Builds the same documents again, from the rows as they are by then. */
  readonly rebuild: () => Promise<Built>;
}

/**
 * Writes a batch to every sink concerned and resolves when all of it is durable in all of them, but
 * for what was rejected, in a build or by any of the sinks, under the policy "skip": that is returned.
 * Throws FatalError DOCUMENT_REJECTED before anything is acknowledged when a rejection's policy is
 * "stop". A sink that is away is waited for; what is older than five minutes by then is rebuilt, so
 * that no old position is written over newer rows of an index that was restored meanwhile.
 */
export async function write(
  pipeline: Pipeline,
  job: WriteJob,
  options: EngineOptions,
  signal: AbortSignal,
): Promise<readonly Rejection[]> {
  let { built, builtAt } = job;
  const policy = { observe: options.observe, limitMs: options.retryLimitMs };
  const skipped: Rejection[] = [];
  judge(built.rejections);
  const failing = new AbortController();
  const within = AbortSignal.any([signal, failing.signal]);
  let failure: { readonly error: unknown } | undefined;
  const writeTo = async (sink: Sink) => {
    const rejections = await retrying(
      sink.name,
      async () => {
        if (performance.now() - builtAt > STALE_MS) {
          built = await job.rebuild();
          builtAt = performance.now();
          judge(built.rejections);
        }
        const documents = documentsFor(sink, built.documents);
        return documents.length === 0 ? [] : await sink.write(documents, job.mode, within);
      },
      policy,
      within,
    );
    judge(rejections);
  };
  // One that fails ends the others, which may be waiting for a sink that is away; none is left running.
  await Promise.all(job.sinks.map((sink) =>
    writeTo(sink).catch((error) => {
      failure ??= { error };
      failing.abort(error);
    })
  ));
  if (failure !== undefined) throw failure.error;
  return skipped;

  function documentsFor(sink: Sink, documents: readonly Document[]): readonly Document[] {
    const here = new Set(
      pipeline.builder.plans.filter((plan) => routesOf(plan, [sink]).length > 0).map((p) => p.name),
    );
    return documents.every((d) => here.has(d.index))
      ? documents
      : documents.filter((d) => here.has(d.index));
  }

  /** Says each rejection before the first "stop" among them ends the run. */
  function judge(rejections: readonly Rejection[]): void {
    let stop: FatalError | undefined;
    for (const rejection of rejections) {
      const { index, id, type, field } = rejection;
      const plan = pipeline.builder.plans.find((p) => p.name === index);
      const policy = plan?.onRejected ?? "stop";
      const reason = field === undefined ? type : `${type} in field "${field}"`;
      options.observe({ type: "rejected", index, id, reason, policy });
      if (policy === "stop") stop ??= rejected(rejection, reason);
      else skipped.push(rejection);
    }
    if (stop !== undefined) throw stop;
  }
}

/** 5.3: a write whose position is over 5 minutes old is rebuilt, not resent. */
const STALE_MS = 300_000;

function rejected({ index, id }: Rejection, reason: string): FatalError {
  return new FatalError(
    "DOCUMENT_REJECTED",
    `Cannot index document "${id}" of "${index}": ${reason}`,
    `Mend the row or the field's type and start again: nothing was acknowledged, nothing is lost. ` +
      `"onRejected": "skip" on the index counts such documents and goes on without them.`,
  );
}
