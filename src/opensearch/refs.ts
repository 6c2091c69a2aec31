import { RetryableError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { RefDirectory } from "../core/ports.ts";
import type { OpenSearchClient } from "./client.ts";
import { refreshIndexes } from "./generations.ts";
import type { Indices } from "./indices.ts";
import { listIds } from "./listing.ts";
import { MARK_FIELD } from "./marks.ts";
import { at } from "./reply.ts";
import { searchingOf } from "./searching.ts";

/**
 * Which documents list a row (design 3.7): of the physical index that is written to and, while that
 * is filled, of the one beside it that searches see. What was written is visible to searches after a
 * refresh alone, so there is one before each look.
 */
export function indexRefs(client: OpenSearchClient, indices: Indices): RefDirectory {
  const searchingIn = searchingOf(client);

  /** Throws FatalError INDEX_LOST rather than that something wasn't found. */
  async function refreshed(
    index: string,
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await refreshIndexes(client, names, signal);
    } catch (error) {
      await indices.checkPresent(signal, [index]);
      throw error;
    }
  }

  return {
    async holders(index, refs, signal) {
      const physical = indices.physical(index);
      if (refs.length === 0) return [];
      const beside = indices.beside(index);
      const names = beside === undefined ? [physical] : [physical, beside];
      await refreshed(index, names, signal);
      const found = new Set<string>();
      for (const physical of names) {
        const purpose = { what: `look up rows in index "${physical}"`, rows: true };
        const searching = await searchingIn(physical, signal);
        const { terms } = searching;
        for (let from = 0; from < refs.length; from += terms) {
          const query = { terms: { [`${MARK_FIELD}.refs`]: refs.slice(from, from + terms) } };
          const pages = listIds(client, { physical, query, searching, purpose, few: true }, signal);
          for await (const ids of pages) for (const id of ids) found.add(id);
        }
      }
      return [...found];
    },
    async over(index, signal) {
      const name = indices.readable(index);
      await refreshIndexes(client, [name], signal);
      const query: JsonObject = { term: { [`${MARK_FIELD}.over`]: true } };
      const purpose = { what: `count documents of index "${name}"` };
      const { body } = await client.send({
        method: "POST",
        path: `/${encodeURIComponent(name)}/_count`,
        body: { query },
        purpose,
        timeoutMs: 120_000,
      }, signal);
      const count = at(body, "count");
      if (typeof count === "number" && Number(at(body, "_shards", "failed")) === 0) return count;
      throw new RetryableError("BAD_RESPONSE", `Cannot ${purpose.what}: some shards failed`);
    },
  };
}
