import { FatalError, RetryableError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { OpenSearchClient } from "./client.ts";
import { aliasName, generationOf } from "./names.ts";
import { at, entriesAt, textAt } from "./reply.ts";

/** One physical index of ours behind, or to be behind, an index's alias. */
export interface Generation {
  readonly physical: string;
  readonly hash: string;
  readonly number: number;
  /** Whether searches of the alias see it. */
  readonly served: boolean;
}

export interface Generations {
  readonly ours: readonly Generation[];
  /** The highest number that any index of such a name has, ours or not; 0 when there is none. */
  readonly highest: number;
}

/** A physical index as it stands. */
export interface LiveIndex {
  readonly uuid: string;
  readonly closed: boolean;
  readonly mappings: JsonObject;
  readonly settings: JsonObject;
}

/** The mark in a mapping's `_meta` without which no index is ever altered or deleted. */
export function ownershipMark(index: string): JsonObject {
  return { driftless: { index } };
}

/**
 * The generations of an index that are there. Throws FatalError ALIAS_TAKEN when an index of
 * someone else stands under or behind the alias.
 */
export async function listGenerations(
  client: OpenSearchClient,
  prefix: string,
  index: string,
  signal: AbortSignal,
): Promise<Generations> {
  const alias = aliasName(prefix, index);
  const { body } = await client.send({
    method: "GET",
    path: `/${encodeURIComponent(alias)},${encodeURIComponent(alias)}_*`,
    query: {
      ignore_unavailable: "true",
      allow_no_indices: "true",
      expand_wildcards: "all",
      filter_path: "*.aliases,*.mappings._meta.driftless",
    },
    purpose: { what: `look for index "${alias}"` },
  }, signal);
  const generations: Generation[] = [];
  let highest = 0;
  for (const [physical, found] of entriesAt(body)) {
    const served = at(found, "aliases", alias) !== undefined;
    const name = generationOf(prefix, index, physical);
    highest = Math.max(highest, name?.number ?? 0);
    const ours = textAt(found, "mappings", "_meta", "driftless", "index") === index;
    if (ours && name !== undefined) generations.push({ physical, ...name, served });
    else if (served || physical === alias) throw taken(alias, physical);
  }
  return { ours: generations, highest };
}

/** The physical index; undefined when there is none of this name. */
export async function readLive(
  client: OpenSearchClient,
  physical: string,
  signal: AbortSignal,
): Promise<LiveIndex | undefined> {
  const { body } = await client.send({
    method: "GET",
    path: `/${encodeURIComponent(physical)}`,
    query: { flat_settings: "true" },
    purpose: { what: `look at index "${physical}"` },
    accept: [404],
  }, signal);
  const found = at(body, physical);
  if (found === undefined) return undefined;
  return {
    uuid: textAt(found, "settings", "index.uuid") ?? "",
    closed: textAt(found, "settings", "index.verified_before_close") === "true",
    mappings: (at(found, "mappings") ?? {}) as JsonObject,
    settings: (at(found, "settings") ?? {}) as JsonObject,
  };
}

/** The uuids of those of the named indexes that are there: one request, more for very many. */
export async function readUuids(
  client: OpenSearchClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const uuids = new Map<string, string>();
  for (const list of pathLists(names)) {
    const { body } = await client.send({
      method: "GET",
      path: `/${list}/_settings/index.uuid`,
      query: { ignore_unavailable: "true", flat_settings: "true" },
      purpose: { what: "look for the indexes" },
    }, signal);
    for (const [name, found] of entriesAt(body)) {
      const uuid = textAt(found, "settings", "index.uuid");
      if (uuid !== undefined) uuids.set(name, uuid);
    }
  }
  return uuids;
}

/** Points the alias to one generation alone, in one step that no search sees the middle of. */
export async function swapAlias(
  client: OpenSearchClient,
  alias: string,
  to: string,
  from: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const actions = [
    ...from.map((index) => ({ remove: { index, alias } })),
    { add: { index: to, alias } },
  ];
  await client.send({
    method: "POST",
    path: "/_aliases",
    body: { actions },
    purpose: { what: `point alias "${alias}" to "${to}"` },
    timeoutMs: 60_000,
  }, signal);
}

export async function deleteIndex(
  client: OpenSearchClient,
  physical: string,
  signal: AbortSignal,
): Promise<void> {
  await client.send({
    method: "DELETE",
    path: `/${encodeURIComponent(physical)}`,
    purpose: { what: `delete index "${physical}"` },
    accept: [404],
    timeoutMs: 60_000,
  }, signal);
}

/** Makes everything written to the physical indexes visible to searches. */
export async function refreshIndexes(
  client: OpenSearchClient,
  physicals: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const list of pathLists(physicals)) {
    const { body } = await client.send({
      method: "POST",
      path: `/${list}/_refresh`,
      purpose: { what: "refresh the indexes" },
      timeoutMs: 300_000,
    }, signal);
    if (Number(at(body, "_shards", "failed")) > 0) {
      throw new RetryableError("SHARDS_FAILED", "Cannot refresh the indexes: some shards failed");
    }
  }
}

/** Comma-separated lists that fit into a request's first line, 4 KiB by default. */
function pathLists(names: readonly string[]): string[] {
  const lists: string[] = [];
  for (const name of names.map(encodeURIComponent)) {
    const last = lists.at(-1);
    if (last !== undefined && last.length + name.length < 3_000) {
      lists[lists.length - 1] = `${last},${name}`;
    } else lists.push(name);
  }
  return lists;
}

function taken(alias: string, physical: string): FatalError {
  const state = physical === alias
    ? "an index that driftless didn't make has this name"
    : `it is an alias of "${physical}", which driftless didn't make`;
  return new FatalError(
    "ALIAS_TAKEN",
    `Cannot use "${alias}" in OpenSearch: ${state}`,
    "Rename the index in the config, set the sink's indexPrefix, or delete what stands there.",
  );
}
