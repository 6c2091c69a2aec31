import type { MapValueType, RejectionPolicy, ScalarType } from "./description.ts";
import type { JsonObject } from "./json.ts";
import type { TableRef } from "./table.ts";

/** An index as it will be built: its description made concrete against the database's catalog. */
export interface IndexPlan {
  readonly name: string;
  readonly root: TableRef;
  /** Key columns of the root, in order. */
  readonly key: readonly string[];
  /** Every table whose rows can change a document, root first, each once. */
  readonly tables: readonly TableRef[];
  readonly fields: readonly FieldPlan[];
  readonly settings: JsonObject;
  readonly analysis: JsonObject;
  /** Merged over what a sink derives from `fields`. */
  readonly mappings: JsonObject;
  /**
   * Hex digest of a canonical form of what the documents and their mapping are, the first 8 digits
   * of SHA-256: another hash means another physical index.
   */
  readonly hash: string;
  /**
   * Digest of the catalog facts the documents depend on that no capture reports (column identity
   * and type, keys, partitions). Another fingerprint means the index must be filled again.
   */
  readonly fingerprint: string;
  /**
   * Tables (`tableId`, sorted) whose rows a document names in `SyncMark.refs`: those whose capture
   * doesn't see what a row was before, so that a row that left a document has to be looked for there.
   * One that is captured by another key than its primary key stands there with it: `public.codes (a)`.
   */
  readonly refs: readonly string[];
  readonly onRejected: RejectionPolicy;
  readonly sinks?: readonly string[];
}

/** A field of the document, in the terms of search; sinks derive their mapping from it. */
export type FieldPlan =
  | {
    readonly kind: "scalar";
    readonly name: string;
    readonly type: ScalarType | "geo_point";
    readonly scale?: number;
    readonly as?: "flat_object" | "object" | "disabled";
    readonly subfields?: boolean;
    readonly variants?: readonly string[];
    readonly values?: MapValueType;
    readonly dimension?: number;
    /** Merged over what the type gives; custom: the whole of it. */
    readonly mapping?: JsonObject;
  }
  | {
    readonly kind: "object";
    readonly name: string;
    readonly mapping: "object" | "nested";
    readonly fields: readonly FieldPlan[];
  };
