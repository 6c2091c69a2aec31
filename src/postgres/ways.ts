import type { TableRef } from "../core/table.ts";
import type { PolledTable } from "./poll/polled_table.ts";

/**
 * A way to follow one table. `stream` names the stream that goes it (and its part of the cursor);
 * `signature` what that stream's position means for the table: under another signature the position
 * says nothing of it (design 3.8).
 */
export type Way =
  | { readonly kind: "updated_at"; readonly table: PolledTable } & Named
  /** L1: no transactions are tracked; the last `lagMs` are read again by each poll. */
  | { readonly kind: "lag"; readonly table: PolledTable } & Named
  | { readonly kind: "wal"; readonly table: ReplicatedTable } & Named
  | { readonly kind: "changelog"; readonly table: LoggedTable } & Named
  | { readonly kind: "outbox"; readonly table: HintedTable } & Named
  /** Sweeps alone. */
  | { readonly kind: "sweep"; readonly table: SweptTable } & Named;

interface Named {
  readonly stream: "updated_at" | "lag" | "wal" | "changelog" | "outbox" | "sweep";
  readonly signature: string;
}

/** A table whose changes are decoded from the write-ahead log. */
export interface ReplicatedTable {
  readonly table: TableRef;
  /** `tableId(table)`. */
  readonly id: string;
  readonly oid: string;
  /** Columns of `Change.key`; its replica identity has them all. */
  readonly key: readonly string[];
  readonly joinColumns: readonly string[];
  /**
   * Beside the key: an update that is seen to change none of them is passed over, where the WAL holds
   * the whole old row. Null: every column counts.
   */
  readonly columns: readonly string[] | null;
  /** The WAL holds the old row's links: they are part of its replica identity. */
  readonly seesBefore: boolean;
}

/** Whose position in the WAL is ours, and what is published to it. */
export interface WalSettings {
  readonly slot: string;
  readonly publication: string;
  /** The slot is dropped when it retains more than so many bytes of WAL; 0: never. */
  readonly maxSlotLag: number;
}

/** A table whose triggers write to the changelog. */
export interface LoggedTable {
  readonly table: TableRef;
  /** `tableId(table)`. */
  readonly id: string;
  /** What the log's `rel` holds; partitions log under their root's. */
  readonly oid: string;
  /** Columns of the log's `k`, in order; the same as `CaptureTable.key`. */
  readonly key: readonly string[];
}

/** A table whose changes the application writes to its outbox. */
export interface HintedTable {
  readonly table: TableRef;
  readonly id: string;
  readonly key: readonly string[];
  /** What the outbox's table column holds for it: table names, or names of aggregates. */
  readonly names: readonly string[];
}

/** A table that the row sweep reads. */
export interface SweptTable {
  readonly table: TableRef;
  readonly id: string;
  readonly key: PolledTable["key"];
  readonly joinColumns: readonly string[];
  /** Nothing else follows it. */
  readonly alone: boolean;
  /** From the end of one sweep of it to the next; of no meaning where it is swept alone. */
  readonly everyMs: number;
  /** What follows it keeps the versions it delivered in `StreamContext.seen`: polling does. */
  readonly recorded: boolean;
}

/** Where the changelog is and whose position in it is ours. */
export interface ChangelogSettings {
  readonly schema: string;
  readonly consumer: string;
  /** Rows are kept this long after every consumer has passed them. */
  readonly retentionMs: number;
}

/** The user's own outbox (design 3.5). */
export interface OutboxSettings {
  readonly table: TableRef;
  /** `xid`: snapshot difference; `stamp`: 3.3 on it; `mark` and `delete`: claimed, oldest first. */
  readonly mode: "xid" | "stamp" | "mark" | "delete";
  readonly columns: {
    readonly table: string;
    readonly key: string;
    /** A unique, growing number: orders what one transaction wrote; claims are made by it. */
    readonly position: string;
    /** Of type xid8, DEFAULT pg_current_xact_id(). */
    readonly xid?: string;
    readonly stamp?: string;
    /** Set when a row was dealt with. */
    readonly processed?: string;
  };
  /** By `tableId`: what the outbox calls it. */
  readonly names: ReadonlyMap<string, readonly string[]>;
}

export interface SweepSettings {
  /** From the end of one key sweep of an index to the next; undefined: never. */
  readonly keysMs: number | undefined;
  /** The same for the row sweep of a table whose changes are followed by its stamp. */
  readonly rowsMs: number | undefined;
  /** Share of wall time a sweep may use, over 0 to 1. */
  readonly dutyCycle: number;
  /** Deletes found by keys go through however many they are. */
  readonly massDeletes: boolean;
}

/** How all tables of a source are followed. */
export interface CapturePlan {
  /** By `tableId`: every way that works now, the chosen one first. */
  readonly ways: ReadonlyMap<string, readonly [Way, ...Way[]]>;
  /** What the row sweep reads, beside what is swept alone. */
  readonly swept: readonly SweptTable[];
  readonly wal?: WalSettings;
  readonly changelog?: ChangelogSettings;
  readonly outbox?: OutboxSettings;
  readonly sweeps: SweepSettings;
}
