/** Something found wrong before anything ran: in the config, the database or the cluster. */
export interface Problem {
  /** "error" would stop `run`; "warning" would not. */
  readonly severity: "error" | "warning";
  /** Stable: `UNKNOWN_KEY`, `COLUMN_MISSING`, … */
  readonly code: string;
  /** Where in the config, dotted: `indexes.users.fields.email.column`; "" when nowhere. */
  readonly path: string;
  readonly message: string;
  /** What the reader can do: a nearest key, a SQL statement to run. */
  readonly hint?: string;
  /** 1-based line of the config file, when the problem stands in it. */
  readonly line?: number;
  /** The file, when it isn't the main config: a per-index file. */
  readonly file?: string;
}
