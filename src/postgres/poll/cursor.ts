import { FatalError } from "../../core/errors.ts";
import type { SourceIdentity } from "../../core/source.ts";
import { formatMicros, type Micros, parseMicros } from "./micros.ts";
import type { OpenEntry, Position } from "./position.ts";
import type { Rescan, Rescans } from "./rescans.ts";

/** Everything a restart needs: design 3.3's cursor. */
export interface PollCursor {
  readonly source: SourceIdentity;
  readonly position: Position;
  readonly rescans: Rescans;
  /**
   * WAL position that was flushed when A was read: a server never comes back before it. (Its xids may:
   * a crash forgets those of aborted transactions.)
   */
  readonly wal: bigint;
  /** Everything committed before this has been acknowledged; behind `t` while a rescan goes on. */
  readonly through: Micros;
}

/** The cursor's stored text: JSON, big numbers as strings, times in µs. */
export function formatCursor(
  { source, position, rescans, wal, through }: PollCursor,
): string {
  return JSON.stringify({
    v: 1,
    source: { ...source, postmasterStart: position.pm },
    t: formatMicros(position.t),
    sx: String(position.sx),
    wal: String(wal),
    through: formatMicros(through),
    open: position.open.map((e) => ({ v: e.v, lb: lowBound(e.lb), xb: String(e.xb) })),
    rescans: mapped(rescans, ({ range, after }): StoredRescan => ({
      lb: lowBound(range.lb),
      to: formatMicros(range.to),
      xb: String(range.xb),
      after,
    })),
  });
}

/** The inverse of `formatCursor`; throws FatalError CURSOR_UNREADABLE for what it can't have written. */
export function parseCursor(text: string): PollCursor {
  try {
    return parse(JSON.parse(text) as Stored);
  } catch (cause) {
    throw new FatalError(
      "CURSOR_UNREADABLE",
      "Cannot read the stored cursor: another release wrote it, or it was altered",
      "Run the release that wrote it; or run once with --rebase: every index is then seeded again.",
      { cause },
    );
  }
}

function parse(stored: Stored): PollCursor {
  if (stored.v !== 1) throw new RangeError(`Cannot read a cursor: version ${stored.v} is unknown`);
  const { systemId, timeline, database, postmasterStart } = stored.source;
  return {
    source: { systemId, timeline, database },
    position: {
      t: parseMicros(stored.t),
      sx: BigInt(stored.sx),
      pm: postmasterStart,
      open: stored.open.map((e): OpenEntry => ({
        v: e.v,
        lb: parseLowBound(e.lb),
        xb: Number(e.xb),
      })),
    },
    rescans: mapped(stored.rescans, ({ lb, to, xb, after }): Rescan => ({
      range: { lb: parseLowBound(lb), to: parseMicros(to), xb: Number(xb) },
      after,
    })),
    wal: BigInt(stored.wal),
    through: parseMicros(stored.through),
  };
}

interface Stored {
  readonly v: number;
  readonly source: SourceIdentity & { readonly postmasterStart: string };
  readonly t: string;
  readonly sx: string;
  readonly wal: string;
  readonly through: string;
  readonly open: readonly { readonly v: string; readonly lb: string; readonly xb: string }[];
  readonly rescans: Readonly<Record<string, readonly StoredRescan[]>>;
}

interface StoredRescan {
  readonly lb: string;
  readonly to: string;
  readonly xb: string;
  readonly after: readonly string[] | null;
}

function mapped<A, B>(
  lists: Readonly<Record<string, readonly A[]>>,
  map: (each: A) => B,
): Record<string, readonly B[]> {
  return Object.fromEntries(Object.entries(lists).map(([id, list]) => [id, list.map(map)]));
}

function lowBound(lb: Micros | null): string {
  return lb === null ? "-infinity" : formatMicros(lb);
}

function parseLowBound(text: string): Micros | null {
  return text === "-infinity" ? null : parseMicros(text);
}
