import * as v from "valibot";
import { say } from "./issue_text.ts";
import { keysOf } from "./json_value.ts";
import { secret, type SecretRef } from "./secret_ref.ts";
import { later, size, text, whole, word } from "./units.ts";

/** One of `sinks`, with its secrets not resolved yet. */
export type SinkSection = OpenSearchSection | SqliteSection | StdoutSection;

export interface OpenSearchSection {
  readonly type: "opensearch";
  readonly nodes: readonly SecretRef[];
  readonly auth?: AuthSection;
  readonly tls?: { readonly ca?: SecretRef };
  readonly indexPrefix: string;
  readonly bulk: {
    readonly maxBytes: number;
    readonly maxDocuments: number;
    readonly writers: number;
    readonly gzip: boolean;
  };
}

export interface AuthSection {
  readonly basic?: { readonly username: SecretRef; readonly password: SecretRef };
  readonly apiKey?: SecretRef;
  readonly bearer?: SecretRef;
}

export interface SqliteSection {
  readonly type: "sqlite";
  readonly path: string;
}

export interface StdoutSection {
  readonly type: "stdout";
}

const auth = v.pipe(
  v.strictObject({
    basic: v.exactOptional(v.strictObject({ username: secret, password: secret })),
    apiKey: v.exactOptional(v.pipe(secret, v.description("The encoded key: id:key in base64."))),
    bearer: v.exactOptional(secret),
    sigv4: v.exactOptional(later("sigv4")),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const ways = Object.keys(keysOf(dataset.value)).filter((key) => key !== "sigv4");
    if (ways.length === 1) return;
    const message = 'auth needs one of "basic", "apiKey" and "bearer"';
    addIssue({ message: say("INVALID_VALUE", message, "Leave auth out when there is none.") });
  }),
);

const bulk = v.strictObject({
  maxBytes: v.optional(v.pipe(size, v.description("Of one bulk request.")), "8MiB"),
  maxDocuments: v.optional(
    v.pipe(whole(1, 100_000), v.description("In one bulk request.")),
    5000,
  ),
  writers: v.optional(v.pipe(whole(1, 32), v.description("Requests in flight.")), 2),
  gzip: v.optional(v.pipe(v.boolean(), v.description("Compress requests.")), false),
});

const opensearch = v.strictObject({
  type: v.literal("opensearch"),
  nodes: v.pipe(
    v.array(secret),
    v.nonEmpty(say("INVALID_VALUE", "No node is named", 'Like ["https://search:9200"].')),
    v.description("URLs of the cluster's nodes."),
  ),
  auth: v.exactOptional(auth),
  tls: v.exactOptional(v.strictObject({
    ca: v.exactOptional(v.pipe(secret, v.description("PEM of the cluster's CA."))),
    cert: v.exactOptional(later("cert")),
    key: v.exactOptional(later("key")),
  })),
  indexPrefix: v.optional(
    v.pipe(
      v.string(say("INVALID_VALUE", "Expected a text", 'Like "shop-", or "" for none.')),
      v.check(
        (prefix) => /^([^A-Z\\/*?"<>| ,#:+_.-][^A-Z\\/*?"<>| ,#:]*)?$/.test(prefix),
        say(
          "INVALID_NAME",
          "An index prefix is lower-case and begins with a letter or a digit",
          "Use letters, digits, - and _.",
        ),
      ),
      v.description("Put before every index's name."),
    ),
    "",
  ),
  bulk: v.optional(bulk, {}),
});

const sqlite = v.strictObject({
  type: v.literal("sqlite"),
  path: v.optional(
    v.pipe(text("a path"), v.description("The file, relative to the config file.")),
    "driftless.db",
  ),
});

const stdout = v.strictObject({ type: v.literal("stdout") });

const unknownType = v.looseObject({ type: word(["opensearch", "sqlite", "stdout"]) });

/** Where documents go. */
export const sink: v.GenericSchema<unknown, SinkSection> = v.lazy((input) => {
  if (input === undefined) return SINK;
  const { type } = keysOf(input);
  if (type === "opensearch") return opensearch;
  if (type === "sqlite") return sqlite;
  if (type === "stdout") return stdout;
  return unknownType as v.GenericSchema<unknown, SinkSection>;
});

/** What `sink` is for an editor. */
export const SINK: v.GenericSchema<unknown, SinkSection> = v.union([opensearch, sqlite, stdout]);

/** The name of a sink. */
export const sinkName: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.check(
    // Its state file is named for it, and "source" means Postgres in messages.
    (name) => /^[A-Za-z0-9_-]+$/.test(name) && name !== "source",
    say(
      "INVALID_NAME",
      'A sink\'s name is a plain word, and not "source"',
      "Use letters, digits, - and _.",
    ),
  ),
);
