import { FatalError } from "../core/errors.ts";
import type { Searchable, Sink } from "../core/ports.ts";
import { openClient, type OpenSearchClient, type OpenSearchOptions } from "./client.ts";
import { openIndices } from "./indices.ts";
import { indexKeys } from "./keys.ts";
import { aliasName } from "./names.ts";
import { indexRefs } from "./refs.ts";
import { textAt } from "./reply.ts";
import { searchIndex } from "./search.ts";
import { stateStore } from "./state.ts";
import { bulkWriter } from "./write.ts";

/**
 * Writes to OpenSearch 2.x and 3.x (design 5.4), and to what speaks their protocol: each index is
 * an alias over one physical index, its state is kept beside it under the same prefix.
 */
export function openSearchSink(options: OpenSearchOptions): Sink & Searchable {
  const client = openClient(options);
  const prefix = options.indexPrefix;
  const store = stateStore(client, prefix);
  const indices = openIndices(client, store, prefix);
  const write = bulkWriter(client, options.bulk);
  /**
   * Work on generations that are about to be dropped: a late write would create one again, a late
   * lookup would find it gone.
   */
  const usingBeside = new Set<Promise<unknown>>();
  const untilDone = async <T>(using: Promise<T>): Promise<T> => {
    usingBeside.add(using);
    try {
      return await using;
    } finally {
      usingBeside.delete(using);
    }
  };
  const refs = indexRefs(client, indices);

  return {
    name: options.name,
    keys: indexKeys(client, indices),
    refs: {
      ...refs,
      holders: (index, list, signal) => untilDone(refs.holders(index, list, signal)),
    },
    connect: (signal) => connect(client, signal),
    seedState: indices.seedState,
    inspect: indices.inspect,
    ensure: indices.ensure,
    saveSeed: indices.saveSeed,
    markSeeded: (index, signal) =>
      indices.markSeeded(index, () => Promise.allSettled(usingBeside), signal),
    async write(documents, mode, signal) {
      signal.throwIfAborted();
      // Before the first request: an index that nothing ensured must not fail half-way.
      for (const { index } of documents) indices.physical(index);
      const rejections = await write(documents, mode, indices.physical, signal);
      if (mode === "live") {
        const besides = documents.filter(({ index }) => indices.beside(index) !== undefined);
        const beside = (index: string) => indices.beside(index) ?? indices.physical(index);
        // Of the same shape: it rejects the same documents, for the same reasons.
        await untilDone(write(besides, mode, beside, signal));
      }
      return rejections;
    },
    refresh: indices.refresh,
    loadCheckpoint: store.checkpoint,
    async saveCheckpoint(checkpoint, signal) {
      await indices.checkPresent(signal);
      await store.saveCheckpoint(checkpoint, signal);
    },
    search: (index, query, limit, signal) =>
      searchIndex(client, aliasName(prefix, index), query, limit, signal),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

async function connect(client: OpenSearchClient, signal: AbortSignal): Promise<string> {
  const purpose = { what: `connect to OpenSearch at ${client.detail}` };
  const { body } = await client.send({ method: "GET", path: "/", purpose }, signal);
  const version = textAt(body, "version", "number");
  if (version === undefined) {
    throw new FatalError(
      "NOT_OPENSEARCH",
      `Cannot ${purpose.what}: what answers there isn't OpenSearch`,
      "Check the sink's nodes.",
    );
  }
  const product = textAt(body, "version", "distribution") ?? "elasticsearch";
  if (!SUPPORTED[product]?.test(version)) {
    throw new FatalError(
      "VERSION_UNSUPPORTED",
      `Cannot ${purpose.what}: it is ${product} ${version}`,
      "OpenSearch 2.x and 3.x are supported, and Elasticsearch 7.x.",
    );
  }
  return `${product} ${version} at ${client.detail}`;
}

const SUPPORTED: Readonly<Record<string, RegExp>> = {
  opensearch: /^([2-9]|[1-9][0-9])\.|^7\.10\.2$/,
  elasticsearch: /^7\./,
};
