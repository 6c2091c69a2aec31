import { BUCKETS, type KeySum, type KeySums, UNMARKED } from "../core/document.ts";
import { RetryableError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { KeyDigest } from "../core/ports.ts";
import type { OpenSearchClient } from "./client.ts";
import { refreshIndexes } from "./generations.ts";
import type { Indices } from "./indices.ts";
import { listIds } from "./listing.ts";
import { bucketOf, bucketTerm, MARK_FIELD } from "./marks.ts";
import { at, textAt } from "./reply.ts";
import { searchingOf } from "./searching.ts";

/**
 * What an index holds, of the physical index that is written to. A document without a mark, or with
 * one that isn't ours, was put there by hand: it counts as one of bucket `UNMARKED`.
 */
export function indexKeys(client: OpenSearchClient, indices: Indices): KeyDigest<string> {
  const searchingIn = searchingOf(client);

  /** The physical index, with all that was written to it visible. Throws FatalError INDEX_LOST. */
  async function refreshed(index: string, signal: AbortSignal): Promise<string> {
    await indices.checkPresent(signal, [index]);
    const physical = indices.physical(index);
    await refreshIndexes(client, [physical], signal);
    return physical;
  }

  return {
    async keySums(index, signal): Promise<KeySums> {
      const physical = await refreshed(index, signal);
      const { body } = await client.send({
        method: "POST",
        path: `/${encodeURIComponent(physical)}/_search`,
        query: {
          allow_partial_search_results: "false",
          request_cache: "false",
          ...(await searchingIn(physical, signal)).copies,
        },
        body: { size: 0, track_total_hits: true, aggs: SUMS },
        purpose: { what: `sum up the keys of index "${physical}"` },
        timeoutMs: 300_000,
      }, signal);
      const total = at(body, "hits", "total", "value");
      const found = at(body, "aggregations", "buckets", "buckets");
      if (typeof total !== "number" || !Array.isArray(found)) throw unreadable(physical);
      const sums = new Map<number, KeySum>();
      let marked = 0;
      for (const each of found) {
        const bucket = bucketOf(textAt(each, "key") ?? "");
        const count = Number(at(each, "doc_count"));
        if (bucket === undefined || bucket >= BUCKETS) continue;
        sums.set(bucket, { count, sum: Number(at(each, "sum", "value")) });
        marked += count;
      }
      if (total > marked) sums.set(UNMARKED, { count: total - marked, sum: 0 });
      return sums;
    },
    async *idsIn(index, buckets, signal) {
      if (buckets.length === 0) return;
      const physical = await refreshed(index, signal);
      const purpose = { what: `list the keys of index "${physical}"` };
      const searching = await searchingIn(physical, signal);
      yield* listIds(client, { physical, query: inBuckets(buckets), searching, purpose }, signal);
    },
  };
}

/** More terms than there are buckets: of a document that somebody else marked. */
const SUMS: JsonObject = {
  buckets: {
    terms: { field: `${MARK_FIELD}.b`, size: BUCKETS + 1_000 },
    aggs: { sum: { sum: { field: `${MARK_FIELD}.k` } } },
  },
};

function inBuckets(buckets: readonly number[]): JsonObject {
  const named = buckets.filter((bucket) => bucket !== UNMARKED);
  const should: Json[] = [termsOf(named)];
  if (named.length < buckets.length) {
    const all = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
    should.push({ bool: { must_not: [termsOf(all)] } });
  }
  return { bool: { should, minimum_should_match: 1 } };
}

function termsOf(buckets: readonly number[]): JsonObject {
  return { terms: { [`${MARK_FIELD}.b`]: buckets.map(bucketTerm) } };
}

function unreadable(physical: string): RetryableError {
  const message = `Cannot sum up the keys of index "${physical}": the answer doesn't hold the sums`;
  return new RetryableError("BAD_RESPONSE", message);
}
