/** By name, as `SET` takes them. */
export type SessionSettings = Readonly<Record<string, string>>;

export interface SessionOptions {
  /** "refuse": a table whose rows a policy hides is an error, not a smaller table (design 3.8). */
  readonly rowSecurity: "refuse" | "allow";
  /** 0: none. */
  readonly statementTimeoutMs: number;
  /** Statements may write. Default: read-only. */
  readonly writes?: boolean;
  /** More settings, or over the usual ones. */
  readonly settings?: SessionSettings;
}

/**
 * What makes texts, plans and waiting independent of the role's, the database's and the server's
 * defaults. A replication session renders the values it sends by the same.
 */
export function sessionSettings(options: SessionOptions): Record<string, string> {
  return {
    TimeZone: "UTC",
    DateStyle: "ISO, MDY",
    IntervalStyle: "iso_8601",
    extra_float_digits: "1",
    bytea_output: "hex",
    lc_monetary: "C",
    lc_numeric: "C",
    lc_time: "C",
    timezone_abbreviations: "Default",
    // What a piece of sql from the config reads as, and what it gives.
    standard_conforming_strings: "on",
    backslash_quote: "safe_encoding",
    transform_null_equals: "off",
    array_nulls: "on",
    quote_all_identifiers: "off",
    xmloption: "content",
    xmlbinary: "base64",
    default_text_search_config: "pg_catalog.simple",
    search_path: "public",
    row_security: options.rowSecurity === "refuse" ? "off" : "on",
    default_transaction_read_only: options.writes ? "off" : "on",
    statement_timeout: String(options.statementTimeoutMs),
    lock_timeout: "5000",
    idle_in_transaction_session_timeout: "60000",
    jit: "off",
    max_parallel_workers_per_gather: "0",
    // The size of a batch changes from call to call: a plan made for another one may not fit.
    plan_cache_mode: "force_custom_plan",
    ...options.settings,
  };
}

/** The same for one transaction: behind a pooler, which refuses unknown startup parameters. */
export function settingsStatement(settings: SessionSettings): string {
  const calls = Object.entries(settings).map(([name, value]) =>
    `set_config('${name}', '${value.replaceAll("'", "''")}', true)`
  );
  return `SELECT ${calls.join(", ")}`;
}
