import { FatalError } from "../../core/errors.ts";
import { sourceChanged } from "../identity.ts";
import type { PollCursor } from "./cursor.ts";
import type { Clock } from "./listing.ts";

/**
 * Throws SOURCE_CHANGED when the server is at an earlier moment than the one that was followed. Not
 * by the xids alone: a crash forgets those of transactions that left nothing behind.
 */
export function refuseThePast({ position, wal }: PollCursor, clock: Clock): void {
  if (clock.wal < wal) throw wentBack(`its WAL ends at ${clock.wal}, before ${wal}`);
  if (clock.pm === position.pm && clock.sx < position.sx) {
    throw wentBack(`its next transaction id is ${clock.sx}, below ${position.sx}`);
  }
}

function wentBack(how: string): FatalError {
  return sourceChanged(`${how}: it went back in time`);
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
