import * as v from "valibot";
import type { RejectionPolicy } from "../core/description.ts";
import { say } from "./issue_text.ts";
import { indexName, indexOrFile, type IndexSection, onRejected } from "./index_section.ts";
import { sink, sinkName, type SinkSection } from "./sinks.ts";
import { source, type SourceSection } from "./source.ts";
import { durationOrOff, later, size, text, whole, word } from "./units.ts";

/** The config as its file says it: defaults filled in, secrets not resolved. Times in ms. */
export interface ConfigSection {
  readonly $schema?: string;
  readonly source: SourceSection;
  readonly sinks?: Readonly<Record<string, SinkSection>>;
  readonly pipeline: {
    readonly batch: { readonly maxChanges: number; readonly maxDelay: number };
    readonly queue: { readonly capacity: number };
    readonly seed: { readonly parallel: number; readonly chunk: number };
  };
  readonly onRejected: RejectionPolicy;
  readonly maxDocumentBytes: number;
  readonly maxRefs: number;
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "pretty" | "json";
  };
  readonly indexes: Readonly<Record<string, IndexSection>>;
}

const pipeline = v.strictObject({
  batch: v.optional(
    v.strictObject({
      maxChanges: v.optional(
        v.pipe(whole(1, 100_000), v.description("Changes in a batch.")),
        1000,
      ),
      maxDelay: v.optional(
        v.pipe(durationOrOff, v.description("How long a batch waits for more.")),
        "50ms",
      ),
    }),
    {},
  ),
  queue: v.optional(
    v.strictObject({
      capacity: v.optional(
        v.pipe(whole(1, 10_000_000), v.description("Changes held between reading and writing.")),
        10_000,
      ),
    }),
    {},
  ),
  seed: v.optional(
    v.strictObject({
      parallel: v.optional(v.pipe(whole(1, 8), v.description("Chunks in flight.")), 2),
      chunk: v.optional(v.pipe(whole(1, 100_000), v.description("Rows of a chunk.")), 2000),
    }),
    {},
  ),
});

const log = v.strictObject({
  level: v.optional(word(["debug", "info", "warn", "error"]), "info"),
  format: v.optional(
    v.pipe(
      word(["auto", "pretty", "json"]),
      v.description("auto: pretty on a terminal, JSON lines otherwise."),
    ),
    "auto",
  ),
});

/** The whole config (design 6.1): the single source of its types, defaults and JSON Schema. */
export const configSchema: v.GenericSchema<unknown, ConfigSection> = v.strictObject({
  $schema: v.exactOptional(text("the path of a JSON Schema")),
  source: v.optional(v.pipe(source, v.description("Where the rows are.")), {}),
  sinks: v.exactOptional(v.pipe(
    v.record(sinkName, sink),
    v.minEntries(1, say("INVALID_VALUE", "No sink is described", "Leave it out for the default.")),
    v.description("Where documents go; default: OPENSEARCH_URL if set, else sqlite."),
  )),
  pipeline: v.optional(v.pipe(pipeline, v.description("Sizes of what flows.")), {}),
  onRejected: v.optional(
    v.pipe(onRejected, v.description("What to do with a document that a sink rejects.")),
    "stop",
  ),
  maxDocumentBytes: v.optional(
    v.pipe(size, v.description("A larger document is rejected.")),
    "10MiB",
  ),
  server: v.exactOptional(later("server")),
  lease: v.exactOptional(later("lease")),
  maxRefs: v.optional(
    v.pipe(
      whole(1, 100_000),
      v.description(
        "Rows of other tables that a document names, so that it is found when one moves away.",
      ),
    ),
    1000,
  ),
  log: v.optional(v.pipe(log, v.description("What is said on stderr.")), {}),
  indexes: v.pipe(
    v.record(indexName, indexOrFile),
    v.minEntries(1, say("INVALID_VALUE", "No index is described", "Describe at least one.")),
    v.description("The search documents, by index name."),
  ),
});
