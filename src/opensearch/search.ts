import { FatalError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { Hit } from "../core/ports.ts";
import type { OpenSearchClient } from "./client.ts";
import { withoutMark } from "./marks.ts";
import { rawSources } from "./raw-sources.ts";
import { at, entriesAt, textAt } from "./reply.ts";

/**
 * Searches all fields, those of nested objects too, in the simple query syntax, which no input
 * makes fail. Throws FatalError NOT_SEARCHABLE while nothing serves the alias.
 */
export async function searchIndex(
  client: OpenSearchClient,
  alias: string,
  query: string,
  limit: number,
  signal: AbortSignal,
): Promise<readonly Hit[]> {
  const path = `/${encodeURIComponent(alias)}`;
  const purpose = { what: `search "${alias}"` };
  const accept = [404];
  const mapping = await client.send(
    { method: "GET", path: `${path}/_mapping`, purpose, accept },
    signal,
  );
  if (mapping.status === 404) throw notSearchable(alias);
  const nested = entriesAt(mapping.body).flatMap(([, found]) => nestedPaths(at(found, "mappings")));
  const body: JsonObject = {
    size: limit,
    query: {
      bool: {
        should: [
          anywhere(query, "*"),
          ...nested.map((nestedPath) => within(query, nestedPath)),
        ],
      },
    },
  };
  const answer = await client.send(
    { method: "POST", path: `${path}/_search`, body, purpose, accept },
    signal,
  );
  if (answer.status === 404) throw notSearchable(alias);
  const hits = at(answer.body, "hits", "hits");
  if (!Array.isArray(hits)) return [];
  const bodies = rawSources(answer.text);
  return hits.map((hit, i) => hitOf(hit, withoutMark(bodies[i] ?? "null")));
}

function anywhere(query: string, fields: string): JsonObject {
  return { simple_query_string: { query, fields: [fields], lenient: true } };
}

function within(query: string, path: string): JsonObject {
  return { nested: { path, query: anywhere(query, `${path}.*`), ignore_unmapped: true } };
}

function nestedPaths(mapping: unknown, prefix = ""): string[] {
  return entriesAt(mapping, "properties").flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const below = nestedPaths(field, `${path}.`);
    return textAt(field, "type") === "nested" ? [path, ...below] : below;
  });
}

function hitOf(hit: unknown, body: string): Hit {
  const score = at(hit, "_score");
  return {
    id: textAt(hit, "_id") ?? "",
    ...(typeof score === "number" ? { score } : {}),
    body,
  };
}

function notSearchable(alias: string): FatalError {
  return new FatalError(
    "NOT_SEARCHABLE",
    `Cannot search "${alias}": OpenSearch has no such index (404)`,
    "It appears when its first filling is done: see that `run` or `sync` has finished seeding it.",
  );
}
