import type { Json } from "../../core/json.ts";
import { unreadable } from "../poll/cursor.ts";
import { formatMicros, type Micros, parseMicros } from "../poll/micros.ts";

/** Everything a restart needs. */
export interface WalCursor {
  /** Whose position it is. */
  readonly slot: string;
  /** Every transaction whose commit record ends here or before is acknowledged; in bytes. */
  readonly lsn: bigint;
  /** Everything committed before this moment is acknowledged. */
  readonly through: Micros;
  /** Which publication it is: another one of the same name is another one. */
  readonly publication: string;
  /** By `tableId`: what published the table (`WalTableFacts.published`). */
  readonly published: Readonly<Record<string, string>>;
  /** What was met behind `lsn` and can't be followed row by row, in the order it was met. */
  readonly gaps: readonly WalGap[];
}

/** Tables whose rows changed in a way that no row of the WAL tells. */
export interface WalGap {
  /** The commit record that it came with; in bytes. */
  readonly at: bigint;
  /** By `tableId`. */
  readonly tables: readonly string[];
  readonly reason: string;
}

export function formatWalCursor(cursor: WalCursor): Json {
  const { slot, publication, lsn, through, published, gaps } = cursor;
  return {
    slot,
    publication,
    lsn: String(lsn),
    through: formatMicros(through),
    published,
    gaps: gaps.map(({ at, tables, reason }) => ({ at: String(at), tables, reason })),
  };
}

/** The inverse of `formatWalCursor`; throws FatalError CURSOR_UNREADABLE for what it can't have written. */
export function parseWalCursor(json: Json): WalCursor {
  try {
    const { slot, publication, lsn, through, published, gaps } = json as unknown as Stored;
    if (typeof slot !== "string") throw new TypeError("Cannot read a cursor: it names no slot");
    return {
      slot,
      publication,
      lsn: BigInt(lsn),
      through: parseMicros(through),
      published: Object.fromEntries(Object.entries(published)),
      gaps: gaps.map(({ at, tables, reason }) => ({ at: BigInt(at), tables, reason })),
    };
  } catch (cause) {
    throw unreadable(cause);
  }
}

interface Stored {
  readonly slot: string;
  readonly publication: string;
  readonly lsn: string;
  readonly through: string;
  readonly published: Readonly<Record<string, string>>;
  readonly gaps: readonly {
    readonly at: string;
    readonly tables: readonly string[];
    readonly reason: string;
  }[];
}
