import { Client, Serializer } from "@opensearch-project/opensearch";
import { FatalError, RetryableError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { CodedConnection } from "./connection.ts";
import { type Purpose, translate } from "./errors.ts";

export interface OpenSearchOptions {
  readonly name: string;
  readonly nodes: readonly string[];
  readonly auth?:
    | { readonly kind: "basic"; readonly username: string; readonly password: string }
    | { readonly kind: "apiKey"; readonly value: string }
    | { readonly kind: "bearer"; readonly token: string };
  /** PEM text of the CA that signed the nodes' certificates. */
  readonly ca?: string;
  /** Before the names of all indexes and aliases, the state's too. */
  readonly indexPrefix: string;
  readonly bulk: BulkOptions;
}

export interface BulkOptions {
  /** Of one request's body, uncompressed; a single larger document goes alone. */
  readonly maxBytes: number;
  readonly maxDocuments: number;
  /** Requests in flight in one `write`. */
  readonly writers: number;
  readonly gzip: boolean;
}

export interface Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Parts must have been through `encodeURIComponent` where they aren't constant. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: JsonObject;
  readonly purpose: Purpose;
  /** Statuses of 400 and more that are answers, not errors. */
  readonly accept?: readonly number[];
  /** 30 s when absent. */
  readonly timeoutMs?: number;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  /** The text that `body` was parsed from; "" when it wasn't. */
  readonly text: string;
}

/** Requests to the cluster. Each is sent once: nothing in here tries again. */
export interface OpenSearchClient extends AsyncDisposable {
  /** `https://search.internal:9200 as driftless`, without any secret. */
  readonly detail: string;
  send(request: Request, signal: AbortSignal): Promise<Reply>;
  /** A bulk body as NDJSON text. 413 is an answer. */
  bulk(body: string, signal: AbortSignal): Promise<Reply>;
}

/** Connects lazily: the first request opens the first socket. Throws FatalError NODE_INVALID. */
export function openClient(options: OpenSearchOptions): OpenSearchClient {
  const { auth } = options;
  if (options.nodes.length === 0 || !options.nodes.every(isHttpUrl)) {
    throw new FatalError(
      "NODE_INVALID",
      `Cannot use the nodes of sink "${options.name}": they aren't all http or https URLs`,
      "Write each as https://host:9200.",
    );
  }
  const client = new Client({
    nodes: [...options.nodes],
    Connection: CodedConnection,
    Serializer: TextKeepingSerializer,
    maxRetries: 0,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // The other strategy sends requests of its own that no one awaits.
    resurrectStrategy: "optimistic",
    agent: { keepAlive: true, maxSockets: options.bulk.writers + 2, maxFreeSockets: 4 },
    // Documents hold any key; nothing here merges parsed objects into others.
    disablePrototypePoisoningProtection: true,
    ...(options.ca === undefined ? {} : { ssl: { ca: options.ca } }),
    ...(auth?.kind === "basic"
      ? { auth: { username: auth.username, password: auth.password } }
      : {}),
    ...(auth?.kind === "apiKey" ? { headers: { authorization: `ApiKey ${auth.value}` } } : {}),
    ...(auth?.kind === "bearer" ? { headers: { authorization: `Bearer ${auth.token}` } } : {}),
  });

  let closed: Promise<void> | undefined;

  async function settle(
    start: () => Pending,
    purpose: Purpose,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Reply> {
    signal.throwIfAborted();
    const pending = start();
    // The library's own timeout watches the silence before the answer's first byte, no longer.
    let late = false;
    const deadline = setTimeout(() => {
      late = true;
      pending.abort();
    }, 2 * timeoutMs);
    const onAbort = () => void pending.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const { statusCode, body } = await pending;
      return { status: statusCode ?? 0, body, text: textOf(body) };
    } catch (error) {
      if (late && !signal.aborted) {
        const message = `Cannot ${purpose.what}: OpenSearch didn't answer in time`;
        throw new RetryableError("ETIMEDOUT", message, { cause: error });
      }
      throw translate(error, purpose, signal);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener("abort", onAbort);
    }
  }

  return {
    detail: detailOf(options),
    send({ method, path, query, body, purpose, accept, timeoutMs }, signal) {
      const requestTimeout = timeoutMs ?? REQUEST_TIMEOUT_MS;
      const params = {
        method,
        path,
        ...(query === undefined ? {} : { querystring: query }),
        ...(body === undefined ? {} : { body }),
      };
      const start = () =>
        client.transport.request(params, { ignore: [...(accept ?? [])], requestTimeout });
      return settle(start, purpose, requestTimeout, signal);
    },
    bulk(body, signal) {
      const start = () =>
        client.bulk(
          // The types know parsed operations alone; a text passes through as it is.
          { body: body as unknown as [], filter_path: BULK_FILTER },
          { ignore: [413], ...(options.bulk.gzip ? { compression: "gzip" } : {}) },
        );
      return settle(start, WRITING, REQUEST_TIMEOUT_MS, signal);
    },
    [Symbol.asyncDispose]() {
      // A second close of the library's client never resolves.
      closed ??= client.close();
      return closed;
    },
  };
}

/** The texts of the answers that are still in use: some are needed as they were written. */
const TEXTS = new WeakMap<object, string>();

class TextKeepingSerializer extends Serializer {
  override deserialize(json: string): ReturnType<Serializer["deserialize"]> {
    const body: unknown = super.deserialize(json);
    if (typeof body === "object" && body !== null) TEXTS.set(body, json);
    return body as ReturnType<Serializer["deserialize"]>;
  }
}

function textOf(body: unknown): string {
  return typeof body === "object" && body !== null ? TEXTS.get(body) ?? "" : "";
}

interface Pending extends PromiseLike<{ statusCode: number | null; body: unknown }> {
  abort(): unknown;
}

const REQUEST_TIMEOUT_MS = 30_000;
const WRITING: Purpose = { what: "write documents", rows: true };

/** Every item's status stays: a filter that drops whole items would shift the others' positions. */
const BULK_FILTER = [
  "errors",
  "items.*.status",
  "items.*.error.type",
  "items.*.error.reason",
  "items.*.error.caused_by.reason",
];

function detailOf({ nodes, auth }: OpenSearchOptions): string {
  const first = nodes[0] ?? "";
  const others = nodes.length > 1 ? ` and ${nodes.length - 1} more` : "";
  return `${originOf(first)}${others}${userOf(auth, first)}`;
}

function isHttpUrl(node: string): boolean {
  return URL.canParse(node) && /^https?:$/.test(new URL(node).protocol);
}

function originOf(node: string): string {
  return URL.canParse(node) ? new URL(node).origin : "(unparsable url)";
}

function userOf(auth: OpenSearchOptions["auth"], node: string): string {
  if (auth?.kind === "basic") return ` as ${auth.username}`;
  if (auth?.kind === "apiKey") return " by API key";
  if (auth?.kind === "bearer") return " by bearer token";
  const user = URL.canParse(node) ? decodeURIComponent(new URL(node).username) : "";
  return user === "" ? "" : ` as ${user}`;
}
