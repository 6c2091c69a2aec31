/** Which server and database a cursor belongs to (design 3.2.10). */
export interface SourceIdentity {
  /** `pg_control_system().system_identifier`: unique to a cluster, kept by its standbys. */
  readonly systemId: string;
  /** Rises with each fail-over. */
  readonly timeline: number;
  readonly database: string;
}

/** What versions are made of: where their position is read (design 5.3). */
export type PositionKind = "flush" | "replay" | "clock";

/**
 * The high bits of every version: rises when the timeline or the kind of position changes, so that
 * old versions can't shadow new rows.
 */
export interface Epoch {
  /** 0 to 255. */
  readonly number: number;
  readonly timeline: number;
  readonly kind: PositionKind;
}

/** What a table's capture may honestly claim (design 3.1). */
export interface TableLevel {
  /** `tableId` form. */
  readonly table: string;
  readonly level: "L1" | "L2" | "L3" | "L4" | "L5";
  /** How its changes are found. */
  readonly capture: "updated_at" | "changelog" | "outbox" | "wal" | "sweep";
  readonly claim: string;
  /** Why this way and no better one was picked. */
  readonly why: string;
  /** Whether a hard delete of a row of it is seen as it happens. */
  readonly deletes: boolean;
  /** When each is found, in a few words: `at once`, `within 15 min`, `not seen`. */
  readonly found: { readonly changes: string; readonly deletes: string };
  /** The stamp column, where the level uses one. */
  readonly stamp?: string;
  /** SQL that would lift the level or make it cheaper; [] when there is none. */
  readonly sql: readonly string[];
}
