import { RetryableError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { OpenSearchClient } from "./client.ts";
import type { Purpose } from "./errors.ts";
import { at, textAt } from "./reply.ts";
import type { Searching } from "./searching.ts";

/** The ids of one physical index's documents that match a query. */
export interface Listing {
  readonly physical: string;
  readonly query: JsonObject;
  readonly searching: Searching;
  readonly purpose: Purpose;
  /** Rarely more than a page: a look that keeps nothing open in the server comes first. */
  readonly few?: boolean;
}

/**
 * Pages of ids, each id once, as searches see the index when it begins. Throws RetryableError
 * SCROLL_LOST when it can't be listed to its end: the caller begins again.
 */
export async function* listIds(
  client: OpenSearchClient,
  { physical, query, searching, purpose, few = false }: Listing,
  signal: AbortSignal,
): AsyncGenerator<readonly string[]> {
  const path = `/${encodeURIComponent(physical)}/_search`;
  const { copies, page: size } = searching;
  const body = { size, sort: ["_doc"], _source: false, query: { bool: { filter: [query] } } };
  const whole = { allow_partial_search_results: "false", ...copies };
  if (few) {
    const { ids } = await ask(client, { path, query: whole, body }, purpose, signal);
    if (ids.length < size) return yield ids;
  }
  let scroll: string | undefined;
  try {
    while (true) {
      const request = scroll === undefined
        ? { path, query: { ...whole, scroll: KEEP }, body }
        : { path: "/_search/scroll", body: { scroll: KEEP, scroll_id: scroll } };
      const page = await ask(client, request, purpose, signal);
      scroll = page.scroll;
      if (page.ids.length > 0) yield page.ids;
      if (page.ids.length < size || scroll === undefined) return;
    }
  } finally {
    if (scroll !== undefined) await forget(client, scroll, purpose);
  }
}

const KEEP = "5m";

interface Question {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

interface Page {
  readonly ids: readonly string[];
  readonly scroll: string | undefined;
}

async function ask(
  client: OpenSearchClient,
  { path, query, body }: Question,
  purpose: Purpose,
  signal: AbortSignal,
): Promise<Page> {
  const reply = await client.send({
    method: "POST",
    path,
    query: { ...query, filter_path: "_scroll_id,hits.hits._id,_shards.failed" },
    body,
    purpose,
    // A node that restarted has forgotten the scroll.
    accept: [404],
    timeoutMs: 120_000,
  }, signal);
  if (reply.status === 404 || Number(at(reply.body, "_shards", "failed")) > 0) {
    throw new RetryableError("SCROLL_LOST", `Cannot ${purpose.what}: the listing broke off`);
  }
  const hits = at(reply.body, "hits", "hits");
  return {
    ids: Array.isArray(hits) ? hits.map((hit) => textAt(hit, "_id") ?? "") : [],
    scroll: textAt(reply.body, "_scroll_id"),
  };
}

/** It would end by itself; one that can't be ended now is left to that. */
async function forget(client: OpenSearchClient, scroll: string, purpose: Purpose): Promise<void> {
  const request = {
    method: "DELETE",
    path: "/_search/scroll",
    body: { scroll_id: scroll },
    purpose,
    accept: [404],
  } as const;
  await client.send(request, AbortSignal.timeout(5_000)).catch(() => {});
}
