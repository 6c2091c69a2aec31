import type { Json } from "../../core/json.ts";
import { unreadable } from "../poll/cursor.ts";
import { formatMicros, type Micros, parseMicros } from "../poll/micros.ts";
import type { Batch, DifferencePosition } from "./legs.ts";
import { formatSnapshot, parseSnapshot } from "./snapshot.ts";

/** Everything a restart needs: design 3.4's cursor. */
export interface DifferenceCursor {
  readonly position: DifferencePosition;
  /** Everything committed before this has been acknowledged, by the clock of the server it was read on. */
  readonly through: Micros;
  /** Whether that was a standby: its clock is another one. */
  readonly standby: boolean;
}

export function formatDifferenceCursor({ position, through, standby }: DifferenceCursor): Json {
  const { done, batch } = position;
  return {
    s1: formatSnapshot(done),
    ...(batch === null ? {} : {
      s2: formatSnapshot(batch.to),
      leg: batch.leg,
      after: batch.after === null ? null : [String(batch.after.xid), batch.after.seq],
    }),
    through: formatMicros(through),
    standby,
  };
}

/** The inverse of `formatDifferenceCursor`; throws FatalError CURSOR_UNREADABLE for what it can't have written. */
export function parseDifferenceCursor(json: Json): DifferenceCursor {
  try {
    const stored = json as unknown as Stored;
    return {
      position: { done: parseSnapshot(stored.s1), batch: batchOf(stored) },
      through: parseMicros(stored.through),
      standby: stored.standby === true,
    };
  } catch (cause) {
    throw unreadable(cause);
  }
}

interface Stored {
  readonly s1: string;
  readonly s2?: string;
  readonly leg?: number;
  readonly after?: readonly [string, string] | null;
  readonly through: string;
  readonly standby: boolean;
}

function batchOf({ s2, leg, after }: Stored): Batch | null {
  if (s2 === undefined) return null;
  if (leg !== 1 && leg !== 2) throw new RangeError(`Cannot read a cursor: there is no leg ${leg}`);
  return {
    to: parseSnapshot(s2),
    leg,
    after: after === null || after === undefined
      ? null
      : { xid: BigInt(after[0]), seq: String(after[1]) },
  };
}
