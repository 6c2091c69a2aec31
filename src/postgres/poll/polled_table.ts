import type { TableRef } from "../../core/table.ts";

/** A table whose changes are found by its stamp column (design 3.3). */
export interface PolledTable {
  readonly table: TableRef;
  /** `tableId(table)`. */
  readonly id: string;
  /** A row with a NULL in its key names nothing: it is left out. */
  readonly key: readonly {
    readonly name: string;
    readonly type: string;
    readonly nullable: boolean;
  }[];
  /** Columns delivered with each change, for finding parents without another look at the row. */
  readonly joinColumns: readonly string[];
  readonly stamp: {
    readonly name: string;
    readonly type: "timestamptz" | "timestamp";
    /** Zone of a stamp without one. */
    readonly zone: string;
  };
  /** How much earlier than its transaction's beginning a row may be stamped. */
  readonly marginMs: number;
  /** A plain table without children: it can be read in ctid order. */
  readonly heap: boolean;
}
