import type { TableRef } from "./table.ts";

/** A row's key: the text of each key column as Postgres prints it, in the key's column order. */
export type RowKey = readonly string[];

/** Column values by name, as Postgres prints them; null is SQL's NULL. */
export type Columns = Readonly<Record<string, string | null>>;

/**
 * A row that changed. State is re-read when documents are built, so a replayed or reordered
 * change is harmless.
 */
export interface Change {
  readonly table: TableRef;
  readonly op: "upsert" | "delete";
  readonly key: RowKey;
  /** Join columns before the change, where the capture saw them: a moved child's old parent. */
  readonly before?: Columns;
  /** Join columns after the change, where the capture saw them. */
  readonly after?: Columns;
  /**
   * The capture saw the row as it was before, or knows that there was none: what `before` doesn't name
   * did not change. Absent: the row may have left documents that its present state doesn't lead to.
   */
  readonly sawBefore?: true;
}
