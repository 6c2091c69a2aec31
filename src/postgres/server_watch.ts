import { RetryableError } from "../core/errors.ts";
import { sourceChanged } from "./identity.ts";
import type { Clock } from "./poll/listing.ts";

/** Looks at each clock that is read: whether it still is the server that was anchored. */
export interface ServerWatch {
  saw(clock: Clock): void;
  /** The highest WAL position seen, in bytes: a server never comes back before it. */
  wal(): bigint;
}

/**
 * `wal` is what an earlier run saw. A server at an earlier moment is refused: by the WAL that was
 * flushed, which no crash takes back. (It does forget xids of transactions that left nothing behind,
 * even while the postmaster lives on.) A standby that is behind it is waited for: it gets there.
 *
 * That is looked at once: a server that goes back in time restarts, which every clock shows. Clocks
 * of a run don't compare with each other: they are read on several connections.
 */
export function serverWatch(wal: bigint, anchored: Clock): ServerWatch {
  if (anchored.wal < wal) {
    if (anchored.inRecovery) throw behind(anchored, wal);
    throw sourceChanged(`its WAL ends at ${anchored.wal}, before ${wal}: it went back in time`);
  }
  let highest = anchored.wal;
  return {
    wal: () => highest,
    saw(clock: Clock): void {
      if (clock.pm !== anchored.pm) {
        throw new RetryableError(
          "SOURCE_RESTARTED",
          "Cannot go on: Postgres was restarted; its identity is looked at again",
        );
      }
      if (clock.inRecovery !== anchored.inRecovery) {
        throw new RetryableError(
          "EPOCH_CHANGED",
          "Cannot go on: the server was promoted; its identity is looked at again",
        );
      }
      if (clock.wal > highest) highest = clock.wal;
    },
  };
}

/**
 * Refuses a server that went back in time and has written as much WAL as it lost since: each read after
 * a start may write some. A primary writes a checkpoint before it answers, behind all WAL that was
 * flushed before it ended, however it ended; so on one that was started since, no checkpoint begins
 * before `wal`. Two primaries of one timeline are one server, or copies of one.
 */
export function refuseEarlier(wal: bigint, checkpoint: bigint): void {
  if (checkpoint >= wal) return;
  throw sourceChanged(
    `its last checkpoint is at ${checkpoint}, before ${wal}, though it was restarted since: ` +
      "it went back in time",
  );
}

function behind(clock: Clock, highest: bigint): RetryableError {
  return new RetryableError(
    "STANDBY_BEHIND",
    `Cannot read from this standby yet: it has replayed up to ${clock.wal}, and what was read ` +
      `before reached ${highest}`,
  );
}
