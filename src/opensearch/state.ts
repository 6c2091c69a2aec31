import type { RowKey } from "../core/change.ts";
import type { Checkpoint } from "../core/checkpoint.ts";
import { FatalError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { OpenSearchClient, Reply } from "./client.ts";
import { stateName } from "./names.ts";
import { at, textAt } from "./reply.ts";

/** The generation that an index's documents are written to, and how far it is filled. */
export interface IndexState {
  readonly index: string;
  readonly hash: string;
  readonly generation: number;
  readonly physical: string;
  /** Of the physical index: another one under its name isn't what was filled. */
  readonly uuid: string;
  readonly seed: string;
  readonly seeded: boolean;
  readonly after?: RowKey;
  readonly rows: number;
}

/** The mapping of one generation: as it was asked for, and as the server printed it then. */
export interface StoredMapping {
  readonly asked: JsonObject;
  readonly printed: JsonObject;
}

/** driftless's own documents in the cluster. They are read by id, which needs no refresh. */
export interface StateStore {
  readonly name: string;
  /** Creates the state's index where it is missing. Idempotent. */
  prepare(signal: AbortSignal): Promise<void>;
  index(name: string, signal: AbortSignal): Promise<IndexState | undefined>;
  saveIndex(state: IndexState, signal: AbortSignal): Promise<void>;
  mapping(physical: string, signal: AbortSignal): Promise<StoredMapping | undefined>;
  saveMapping(physical: string, mapping: StoredMapping, signal: AbortSignal): Promise<void>;
  removeMapping(physical: string, signal: AbortSignal): Promise<void>;
  checkpoint(signal: AbortSignal): Promise<Checkpoint | undefined>;
  saveCheckpoint(checkpoint: Checkpoint, signal: AbortSignal): Promise<void>;
}

export function stateStore(client: OpenSearchClient, prefix: string): StateStore {
  const name = stateName(prefix);
  const pathOf = (id: string) => `/${encodeURIComponent(name)}/_doc/${encodeURIComponent(id)}`;

  async function read<T>(id: string, signal: AbortSignal): Promise<T | undefined> {
    const { body } = await client.send({
      method: "GET",
      path: pathOf(id),
      purpose: { what: `read the state in "${name}"` },
      accept: [404],
    }, signal);
    const source = at(body, "_source");
    if (source === undefined) return undefined;
    if (at(source, "format") !== FORMAT) {
      throw new FatalError(
        "STATE_FORMAT",
        `Cannot read the state in "${name}": another release of driftless wrote it`,
        "Use that release or a newer one, or another indexPrefix.",
      );
    }
    return at(source, "value") as T;
  }

  async function save(id: string, value: unknown, signal: AbortSignal): Promise<void> {
    await client.send({
      method: "PUT",
      path: pathOf(id),
      body: { format: FORMAT, value: value as JsonObject },
      purpose: { what: `save the state in "${name}"` },
    }, signal);
  }

  return {
    name,
    async prepare(signal) {
      await createIndex(client, name, STATE_INDEX, signal);
    },
    index: (index, signal) => read(`index:${index}`, signal),
    saveIndex: (state, signal) => save(`index:${state.index}`, state, signal),
    mapping: (physical, signal) => read(`mapping:${physical}`, signal),
    saveMapping: (physical, mapping, signal) => save(`mapping:${physical}`, mapping, signal),
    async removeMapping(physical, signal) {
      await client.send({
        method: "DELETE",
        path: pathOf(`mapping:${physical}`),
        purpose: { what: `clear the state in "${name}"` },
        accept: [404],
      }, signal);
    },
    checkpoint: (signal) => read("checkpoint", signal),
    saveCheckpoint: (checkpoint, signal) => save("checkpoint", checkpoint, signal),
  };
}

/** Creates an index; false when one of this name is there. Throws FatalError INDEX_REFUSED. */
export async function createIndex(
  client: OpenSearchClient,
  name: string,
  body: JsonObject,
  signal: AbortSignal,
): Promise<boolean> {
  const reply = await client.send({
    method: "PUT",
    path: `/${encodeURIComponent(name)}`,
    body,
    purpose: { what: `create index "${name}"` },
    accept: [400],
    timeoutMs: 60_000,
  }, signal);
  if (reply.status !== 400) return true;
  if (textAt(reply.body, "error", "type") === "resource_already_exists_exception") return false;
  throw refusal(name, reply);
}

function refusal(name: string, { body }: Reply): FatalError {
  const type = textAt(body, "error", "type") ?? "no reason given";
  const reason = textAt(body, "error", "reason") ?? "";
  return new FatalError(
    "INDEX_REFUSED",
    `Cannot create index "${name}": OpenSearch refused it (${type}: ${reason})`,
    "Check the index's settings, analysis and mappings in the config, and that this version of " +
      "OpenSearch has its field types.",
  );
}

const FORMAT = 1;
/** Nothing in it is searched: no field is indexed, whatever a state holds. */
const STATE_INDEX: JsonObject = {
  settings: {
    "index.number_of_shards": 1,
    "index.auto_expand_replicas": "0-1",
    "index.translog.durability": "request",
  },
  mappings: { dynamic: false, properties: {} },
};
