import type { OpenSearchClient } from "./client.ts";
import { entriesAt, textAt } from "./reply.ts";

/** How one physical index is searched by us. */
export interface Searching {
  /** Query parameters of a search that has to see all that the refresh before it made visible. */
  readonly copies: Readonly<Record<string, string>>;
  /** Hits in a page, at most. */
  readonly page: number;
  /** Texts in a `terms` query, at most. */
  readonly terms: number;
}

export type SearchingOf = (physical: string, signal: AbortSignal) => Promise<Searching>;

/**
 * What an index's settings leave to searches of ours; a config or a template of the cluster may set
 * them lower than is usual, and more would be refused.
 *
 * A refresh returns when each copy of a shard shows what was written, but not where replicas copy
 * segments (`index.replication.type: SEGMENT`, which a remote store always has): they follow later, and
 * a search that meets one misses documents (27 of 100, on two idle nodes). There the primaries alone
 * are asked, which OpenSearch knows how to do since 2.8; elsewhere any copy will do, and all share the
 * work. Looked at once for each index: the type is one for life.
 */
export function searchingOf(client: OpenSearchClient): SearchingOf {
  const known = new Map<string, Searching>();
  return async (physical, signal) => {
    const before = known.get(physical);
    if (before !== undefined) return before;
    const { body } = await client.send({
      method: "GET",
      path: `/${encodeURIComponent(physical)}/_settings/${SETTINGS.join(",")}`,
      query: { ignore_unavailable: "true", flat_settings: "true" },
      purpose: { what: `look at index "${physical}"` },
    }, signal);
    const [type, window, terms] = SETTINGS.map((name) =>
      entriesAt(body).map(([, found]) => textAt(found, "settings", name))[0]
    );
    const searching: Searching = {
      copies: type === "SEGMENT" ? { preference: "_primary" } : {},
      page: Math.min(PAGE, Number(window ?? PAGE)),
      terms: Math.min(TERMS, Number(terms ?? TERMS)),
    };
    known.set(physical, searching);
    return searching;
  };
}

const SETTINGS = [
  "index.replication.type",
  "index.max_result_window",
  "index.max_terms_count",
] as const;
/** 10,000 are usual. */
const PAGE = 5_000;
/** 65,536 are usual, if their texts fit into a request. */
const TERMS = 8_192;
