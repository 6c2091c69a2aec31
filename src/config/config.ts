import type { IndexDescription } from "../core/description.ts";
import type { TableRef } from "../core/table.ts";
import type { OutboxSection } from "./capture_sections.ts";
import type { Secret } from "./secret.ts";
import type { Capture, TableSection, TlsMode } from "./source.ts";

/** The config as the rest of the program uses it: defaults filled in, secrets resolved. */
export interface Config {
  readonly source: SourceConfig;
  /** At least one; names are unique. */
  readonly sinks: readonly SinkConfig[];
  readonly pipeline: {
    /** `maxDelayMs` 0: a batch never waits for more. */
    readonly batch: { readonly maxChanges: number; readonly maxDelayMs: number };
    readonly queue: { readonly capacity: number };
    /** `parallel`: chunks in flight, 1 to 8; `chunk`: rows. */
    readonly seed: { readonly parallel: number; readonly chunk: number };
  };
  readonly maxDocumentBytes: number;
  /** Of a document with more refs than these none is listed: `SyncMark.over`. */
  readonly maxRefs: number;
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "pretty" | "json";
  };
  /** In the order of the file; at least one. */
  readonly indexes: readonly IndexDescription[];
}

export interface SourceConfig {
  /** Without its sslmode and the other parameters that are folded into `tls`. */
  readonly url: Secret;
  readonly tls?: TlsConfig;
  readonly capture: Capture;
  readonly pooler: "none" | "transaction";
  readonly rowSecurity: "refuse" | "allow";
  readonly poll: {
    readonly minIntervalMs: number;
    readonly maxIntervalMs: number;
    readonly marginMs: number;
    /** False: `marginMs` is the default, and a table with application stamps takes 30 s. */
    readonly marginGiven: boolean;
    /** How far back each poll reads where open transactions can't be seen; 0: not followed so. */
    readonly lagMs: number;
    readonly pageSize: number;
  };
  readonly sweeps: SweepsConfig;
  /** Absent: not used, permitted or not. */
  readonly wal?: WalConfig;
  /** Absent: not used, installed or not. */
  readonly changelog?: ChangelogConfig;
  readonly outbox?: OutboxConfig;
  /** By `tableId`. */
  readonly tables: ReadonlyMap<string, TableConfig>;
}

export interface TableConfig extends TableSection {
  readonly table: TableRef;
}

/** Undefined times: never. */
export interface SweepsConfig {
  readonly keysMs: number | undefined;
  readonly rowsMs: number | undefined;
  /** Share of wall time, over 0 to 1. */
  readonly dutyCycle: number;
  readonly massDeletes: boolean;
}

/** Whose position in the write-ahead log is ours. */
export interface WalConfig {
  readonly slot: string;
  readonly publication: string;
  /** Bytes of WAL that may be kept for the slot; 0: any number. */
  readonly maxSlotLag: number;
}

export interface ChangelogConfig {
  readonly schema: string;
  readonly consumer: string;
  readonly retentionMs: number;
}

/** The application's own outbox. */
export interface OutboxConfig {
  readonly table: TableRef;
  /** How its rows are read: by transaction, by stamp; or claimed, and then marked or deleted. */
  readonly mode: "xid" | "stamp" | "mark" | "delete";
  readonly columns: OutboxSection["columns"];
  /** By `tableId`: what the outbox calls it. */
  readonly names: ReadonlyMap<string, readonly string[]>;
}

/** PEM texts. */
export interface TlsConfig {
  readonly mode: TlsMode;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export type SinkConfig = OpenSearchConfig | SqliteConfig | StdoutConfig;

export interface OpenSearchConfig {
  readonly type: "opensearch";
  readonly name: string;
  /** Base URLs without user or password. */
  readonly nodes: readonly string[];
  readonly auth?: OpenSearchAuth;
  /** PEM text. */
  readonly ca?: string;
  readonly indexPrefix: string;
  readonly bulk: {
    readonly maxBytes: number;
    readonly maxDocuments: number;
    readonly writers: number;
    readonly gzip: boolean;
  };
}

export type OpenSearchAuth =
  | { readonly kind: "basic"; readonly username: string; readonly password: Secret }
  | { readonly kind: "apiKey"; readonly value: Secret }
  | { readonly kind: "bearer"; readonly token: Secret };

export interface SqliteConfig {
  readonly type: "sqlite";
  readonly name: string;
  /** Relative to the working directory, or absolute. */
  readonly path: string;
}

export interface StdoutConfig {
  readonly type: "stdout";
  readonly name: string;
  /** Its state file: relative to the working directory, or absolute. */
  readonly statePath: string;
}
