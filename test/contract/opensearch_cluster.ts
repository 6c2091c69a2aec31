import assert from "node:assert/strict";
import { FatalError } from "../../src/core/errors.ts";
import type { IndexPlan } from "../../src/core/plan.ts";
import type { Searchable, Sink } from "../../src/core/ports.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { ask, newestGeneration, removeAll, sinkOptions } from "./opensearch_observer.ts";
import { samplePlan } from "./sink_samples.ts";

export interface Cluster {
  readonly url: string;
  readonly prefix: string;
  open(): Sink & Searchable;
}

/** Runs `body` with a prefix of its own on the run's server. */
export function onCluster(body: (cluster: Cluster) => Promise<void>): () => Promise<void> {
  return async () => {
    const { url } = await openSearchServer();
    const prefix = uniquePrefix();
    try {
      await body({ url, prefix, open: () => openSearchSink(sinkOptions(url, prefix)) });
    } finally {
      await removeAll(url, prefix);
    }
  };
}

export const PLAN: IndexPlan = samplePlan("things");
export function fatal(code: string, ...says: readonly string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FatalError, String(error));
    assert.equal(error.code, code, error.message);
    for (const text of says) assert.ok(error.message.includes(text), error.message);
    assert.notEqual(error.hint, "");
    return true;
  };
}

export async function settingsOf(url: string, index: string): Promise<Record<string, string>> {
  const { json } = await ask(url, "GET", `/${index}/_settings?flat_settings=true`);
  return json[index].settings;
}

export async function physicalOf({ url, prefix }: Cluster): Promise<string> {
  const physical = await newestGeneration(url, prefix, "things");
  assert.ok(physical !== undefined);
  return physical;
}
