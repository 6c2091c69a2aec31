import { RetryableError } from "../../core/errors.ts";
import type { Epoch } from "../../core/source.ts";
import type { Row, Statement } from "../client.ts";

/**
 * Reads where the server stands: the kind of position, its number, and the timeline. On a primary it is
 * the WAL that was flushed, not the one inserted: a crash takes the rest back, and a document built
 * before it would outrank what is committed after. Builds between two flushes tie: the live stream's
 * writes are in order and win ties, a seed's or a repair's lose them. On a primary
 * the timeline is the one that WAL is being written to: the control file lags after a promotion.
 */
export function positionStatement(kind: Epoch["kind"]): Statement {
  return { text: kind === "clock" ? CLOCK : LSN };
}

/**
 * The version of documents built after this position was read (design 5.3): the epoch's number above
 * 55 bits of position. Throws RetryableError EPOCH_CHANGED when the position isn't of the epoch's
 * timeline and kind: the server was promoted or another one answers.
 */
export function versionOf(rows: readonly Row[], epoch: Epoch): bigint {
  const [kind, position, timeline] = rows[0] ?? [];
  if (kind !== epoch.kind || epoch.kind !== "clock" && Number(timeline) !== epoch.timeline) {
    throw new RetryableError(
      "EPOCH_CHANGED",
      `Cannot version documents: the position is of kind ${kind} on timeline ${timeline}, not ` +
        `${epoch.kind} on ${epoch.timeline}`,
    );
  }
  return BigInt(epoch.number) << 55n | BigInt(position ?? "0");
}

/** Writes one commit record, which moves the position past everything used before, once flushed. */
export const ADVANCE: Statement = {
  text: `SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_xact_id()::text END`,
};

/** [WAL inserted so far], null on a standby. */
export const INSERTED: Statement = {
  text: `SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END`,
};

/** [whether that much of it is flushed]. */
export function flushedStatement(inserted: string): Statement {
  return {
    text: "SELECT (pg_current_wal_flush_lsn() >= $1::pg_lsn)::text",
    params: [inserted],
  };
}

const LSN = `
SELECT CASE WHEN pg_is_in_recovery() THEN 'replay' ELSE 'flush' END,
  (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::text,
  CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END`;

const CLOCK =
  `SELECT 'clock', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text, NULL`;
