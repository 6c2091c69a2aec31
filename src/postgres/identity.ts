import { FatalError } from "../core/errors.ts";
import type { SourceIdentity } from "../core/source.ts";
import type { Database } from "./client.ts";

/**
 * Which server and database this is. The timeline is read from the WAL's own file name: after a
 * promotion the control file lags until the first checkpoint.
 */
export async function readIdentity(
  database: Database,
  signal: AbortSignal,
): Promise<SourceIdentity> {
  const [row] = await database.query({ text: IDENTITY }, signal);
  return {
    systemId: String(row?.[0]),
    timeline: parseInt(String(row?.[1]), 16),
    database: String(row?.[2]),
  };
}

/**
 * "same" server and database; "promoted": the same cluster on a later timeline. Throws
 * SOURCE_CHANGED for anything else.
 */
export function compareIdentity(
  stored: SourceIdentity,
  found: SourceIdentity,
): "same" | "promoted" {
  if (stored.systemId !== found.systemId) {
    throw sourceChanged(`its system identifier is ${found.systemId}, not ${stored.systemId}`);
  }
  if (stored.database !== found.database) {
    throw sourceChanged(`it is database "${found.database}", not "${stored.database}"`);
  }
  if (found.timeline < stored.timeline) {
    throw sourceChanged(`its timeline is ${found.timeline}, below ${stored.timeline}`);
  }
  return found.timeline > stored.timeline ? "promoted" : "same";
}

/** Where the last checkpoint begins in the WAL, in bytes. A server that starts makes one before it answers. */
export async function readCheckpoint(database: Database, signal: AbortSignal): Promise<bigint> {
  const [row] = await database.query({ text: CHECKPOINT }, signal);
  return BigInt(String(row?.[0]));
}

export function sourceChanged(how: string): FatalError {
  return new FatalError(
    "SOURCE_CHANGED",
    `Cannot follow this database: it is not the one that was followed before, ${how}`,
    "Point source.url back to the server that was followed; or, if the change is meant " +
      "(a restored dump, a new server), run once with --rebase: every index is then seeded again.",
  );
}

const IDENTITY = `SELECT (SELECT system_identifier::text FROM pg_control_system()),
 CASE WHEN pg_is_in_recovery()
  THEN (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_control_checkpoint())
  ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END,
 current_database()::text`;

const CHECKPOINT = "SELECT (checkpoint_lsn - '0/0')::text FROM pg_control_checkpoint()";
