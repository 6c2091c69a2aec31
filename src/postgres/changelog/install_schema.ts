import { quote } from "../client.ts";
import { fingerprintOf } from "./registry_state.ts";

/** Rows that one call of `acknowledge` trims at most: it answers a poll, which waits for it. */
const TRIM_ROWS = 20_000;

/** The changelog's own tables and function; leaves what is there. */
export function schemaStatements(schema: string): readonly string[] {
  const s = quote(schema);
  return [
    `CREATE SCHEMA IF NOT EXISTS ${s}`,
    `-- What was written. The log's order is (xid, seq): xids say what a snapshot sees.
CREATE TABLE IF NOT EXISTS ${s}.log (
  seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 32),
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  rel oid NOT NULL,
  op "char" NOT NULL, -- i insert, u update, d delete, t truncate
  k jsonb,            -- texts of the key columns
  before jsonb,       -- texts of the join columns
  after jsonb,
  PRIMARY KEY (xid, seq))`,
    `CREATE TABLE IF NOT EXISTS ${s}.tables (
  rel oid PRIMARY KEY, key text[] NOT NULL, columns text[], joins text[] NOT NULL, since xid8 NOT NULL)`,
    `-- Who reads the log, and what each has passed for good.
CREATE TABLE IF NOT EXISTS ${s}.consumers (
  name text PRIMARY KEY, snapshot text NOT NULL, seen_at timestamptz NOT NULL,
  retention interval NOT NULL DEFAULT '0')`,
    `-- When every consumer had passed all transactions below xid.
CREATE TABLE IF NOT EXISTS ${s}.passed (at timestamptz PRIMARY KEY, xid xid8 NOT NULL)`,
    `-- Of transactions below xid, rows may be gone.
CREATE TABLE IF NOT EXISTS ${s}.trimmed (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), xid xid8 NOT NULL)`,
    `INSERT INTO ${s}.trimmed (xid) VALUES ('0') ON CONFLICT DO NOTHING`,
    // A dump that was restored into another cluster brings xids that are yet to come here.
    ...["log", "passed", "trimmed"].map((table) =>
      table === "trimmed"
        ? `UPDATE ${s}.trimmed SET xid = pg_current_xact_id() WHERE xid > pg_current_xact_id()`
        : `DELETE FROM ${s}.${table} WHERE xid > pg_current_xact_id()`
    ),
    `DELETE FROM ${s}.consumers
WHERE pg_snapshot_xmax(snapshot::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())`,
    acknowledgeFunction(schema),
    `-- One text that alters with a table's triggers, their function, its registration or its heirs.
CREATE OR REPLACE FUNCTION ${s}.state_of(rel oid) RETURNS text LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $driftless$
SELECT ${fingerprintOf(schema, "$1", true)}
$driftless$`,
    hasColumnsFunction(s),
    `REVOKE ALL ON ${tablesOf(s)} FROM PUBLIC`,
    `REVOKE ALL ON FUNCTION ${s}.acknowledge(text, text, interval), ${s}.state_of(oid),
  ${s}.has_columns(oid, name[], oid[]) FROM PUBLIC`,
  ];
}

/** What a role needs that reads the log and says how far it is. */
export function grantStatements(schema: string, role: string): readonly string[] {
  const s = quote(schema);
  const to = quote(role);
  return [
    `GRANT USAGE ON SCHEMA ${s} TO ${to}`,
    `GRANT SELECT ON ${tablesOf(s)} TO ${to}`,
    `GRANT EXECUTE ON FUNCTION ${s}.acknowledge(text, text, interval) TO ${to}`,
  ];
}

/**
 * Whether a table has columns, each of a type unless that is 0. Called IMMUTABLE, which it isn't, so
 * that a trigger's plan holds its value and a write pays next to nothing. Such a plan has to go when
 * the table is altered (triggers_function.ts).
 */
function hasColumnsFunction(s: string): string {
  return `CREATE OR REPLACE FUNCTION ${s}.has_columns(rel oid, names name[], types oid[]) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $driftless$
SELECT count(*) = cardinality($2) FROM unnest($2, $3) AS w(name, type)
JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = w.name AND a.attnum > 0
  AND NOT a.attisdropped AND (w.type = 0 OR a.atttypid = w.type)
$driftless$`;
}

function tablesOf(schema: string): string {
  const names = ["log", "tables", "consumers", "passed", "trimmed"];
  return names.map((name) => `${schema}.${name}`).join(", ");
}

/**
 * A row may go when no consumer can ask for it again: its transaction is below the xmin of every
 * consumer's acknowledged snapshot (an open transaction of whatever age is at or above it), and has
 * been for `retention`, the longest that any consumer asked for. A consumer that is away for ever
 * holds everything until it is forgotten.
 *
 * Calls queue at the row of `trimmed`. Else one could read the consumers, another could register
 * and see that nothing of it was trimmed, and the first would then trim what the second needs.
 *
 * An acknowledgement never takes a consumer back: of two processes under one name, the one that is
 * behind may find its rows trimmed, which it sees in `trimmed`; it can't be shown rows that are
 * gone. A snapshot of the future is another server's: it is refused, and a stored one is replaced.
 */
function acknowledgeFunction(schema: string): string {
  const s = quote(schema);
  return `CREATE OR REPLACE FUNCTION ${s}.acknowledge(consumer text, snapshot text, retention interval)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $driftless$
#variable_conflict use_column
DECLARE
  stamp CONSTANT timestamptz := clock_timestamp();
  fresh CONSTANT pg_snapshot := $2::pg_snapshot;
  ahead CONSTANT xid8 := pg_snapshot_xmax(pg_current_snapshot());
  lowest xid8;
  longest interval;
  bound xid8;
  highest xid8;
  count bigint;
BEGIN
  IF pg_snapshot_xmax(fresh) > ahead THEN
    RAISE EXCEPTION 'snapshot % is ahead of this server', $2 USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  IF $1 IS NULL OR $2 IS NULL OR $3 IS NULL OR $3 < interval '0' THEN
    RAISE EXCEPTION 'a consumer, a snapshot and a retention are needed' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM FROM ${s}.trimmed FOR UPDATE;

  INSERT INTO ${s}.consumers AS c (name, snapshot, seen_at, retention) VALUES ($1, $2, stamp, $3)
  ON CONFLICT (name) DO UPDATE SET seen_at = stamp, retention = $3,
    snapshot = CASE
      WHEN pg_snapshot_xmax(c.snapshot::pg_snapshot) > ahead THEN $2
      WHEN pg_snapshot_xmax(fresh) >= pg_snapshot_xmax(c.snapshot::pg_snapshot)
       AND pg_snapshot_xmin(fresh) >= pg_snapshot_xmin(c.snapshot::pg_snapshot) THEN $2
      ELSE c.snapshot END;

  -- Postgres 14 has no min(xid8).
  SELECT CASE WHEN pg_snapshot_xmax(c.snapshot::pg_snapshot) > ahead THEN '0'
      ELSE pg_snapshot_xmin(c.snapshot::pg_snapshot) END AS passed
    INTO lowest FROM ${s}.consumers c ORDER BY passed LIMIT 1;
  SELECT max(c.retention) INTO longest FROM ${s}.consumers c;
  INSERT INTO ${s}.passed (at, xid) SELECT stamp, lowest
    WHERE NOT EXISTS (SELECT FROM ${s}.passed p WHERE p.xid >= lowest OR p.at > stamp - interval '1 minute')
    ON CONFLICT DO NOTHING;

  IF longest = interval '0' THEN
    bound := lowest;
  ELSE
    SELECT p.xid INTO bound FROM ${s}.passed p WHERE p.at <= stamp - longest ORDER BY p.xid DESC LIMIT 1;
    -- least() passes over NULL: then nothing has been passed for long enough.
    IF bound > lowest THEN bound := lowest; END IF;
  END IF;
  DELETE FROM ${s}.passed WHERE xid < bound;

  WITH gone AS (
    DELETE FROM ${s}.log WHERE ctid = ANY (ARRAY(
      SELECT l.ctid FROM ${s}.log l WHERE l.xid < bound ORDER BY l.xid, l.seq LIMIT ${TRIM_ROWS}))
    RETURNING xid
  ) SELECT (array_agg(xid ORDER BY xid DESC))[1], count(*) INTO highest, count FROM gone;
  IF count > 0 THEN
    UPDATE ${s}.trimmed SET xid = greatest(xid, (highest::text::numeric + 1)::text::xid8);
  END IF;
  RETURN count;
END
$driftless$`;
}
