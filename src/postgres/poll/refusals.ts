import { FatalError } from "../../core/errors.ts";
import { sourceChanged } from "../identity.ts";
import type { PollCursor } from "./cursor.ts";
import type { Clock } from "./listing.ts";

/**
 * Throws SOURCE_CHANGED when the server is at an earlier moment than the one that was followed: by
 * the WAL that was flushed, which no crash takes back. (It does forget xids of transactions that left
 * nothing behind, even while the postmaster lives on.)
 */
export function refuseThePast({ wal }: PollCursor, clock: Clock): void {
  if (clock.wal >= wal) return;
  throw sourceChanged(`its WAL ends at ${clock.wal}, before ${wal}: it went back in time`);
}

export function standby(): FatalError {
  return new FatalError(
    "STANDBY",
    "Cannot follow stamps on a standby: the primary's open transactions aren't visible there",
    "Point source.url to the primary; following a standby is not supported yet.",
  );
}

export function behindPooler(): FatalError {
  return new FatalError(
    "POOLER_UNDECLARED",
    "Cannot poll: a connection pooler answers in place of Postgres",
    'Set "source": { "pooler": "transaction" }, or give source.url a direct connection.',
  );
}
