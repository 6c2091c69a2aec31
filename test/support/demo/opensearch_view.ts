import type { ShownDocument, SinkView } from "./sink_view.ts";

/** A cluster at a URL that may hold a user and a password. */
export interface Cluster {
  request(method: string, path: string, body?: unknown): Promise<unknown>;
}

/** Speaks plain HTTP, not through the tool's own client. */
export function connectCluster(url: string): Cluster {
  // One variable may name several nodes; one is enough to look.
  const node = new URL(url.split(",")[0]?.trim() ?? "");
  const credentials = [node.username, node.password].map(decodeURIComponent).join(":");
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (node.username !== "") headers["authorization"] = `Basic ${btoa(credentials)}`;
  const base = `${node.origin}${node.pathname.replace(/\/$/, "")}`;
  return {
    async request(method, path, body) {
      const response = await fetch(`${base}${path}`, {
        method,
        headers,
        signal: AbortSignal.timeout(15_000),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }).catch((cause: unknown) => {
        throw new Error(`Cannot reach OpenSearch at ${base}: ${String(cause)}`, { cause });
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text);
      throw new Error(`Cannot ${method} ${path}: OpenSearch answered ${response.status}: ${text}`);
    },
  };
}

/** Reads by realtime GETs, which need no refresh; searches as an application would. */
export function openSearchView(cluster: Cluster, indexPrefix: string): SinkView {
  return {
    async read(index, ids) {
      const path = `/${indexPrefix}${index}/_mget`;
      const { docs } = await cluster.request("POST", path, { ids }) as {
        docs: readonly { _id: string; found?: boolean; _source?: ShownDocument }[];
      };
      return new Map(docs.flatMap(({ _id, _source }) => _source ? [[_id, _source]] : []));
    },
    async search(index, words) {
      const query = { simple_query_string: { query: `"${words}"`, fields: ["*"], lenient: true } };
      const path = `/${indexPrefix}${index}/_search`;
      const { hits } = await cluster.request("POST", path, { size: 1_000, query }) as {
        hits: { hits: readonly { _id: string; _source: ShownDocument }[] };
      };
      return new Map(hits.hits.map(({ _id, _source }) => [_id, _source]));
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** Deletes every index whose name begins with the prefix, each by its name. */
export async function deleteIndexes(cluster: Cluster, indexPrefix: string): Promise<void> {
  const found = await cluster.request("GET", `/${indexPrefix}*/_settings/index.uuid`) as object;
  for (const name of Object.keys(found)) await cluster.request("DELETE", `/${name}`);
}
