import { FatalError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { formatMicros, type Micros, parseMicros } from "./micros.ts";
import type { OpenEntry, Position } from "./position.ts";
import type { Rescan, Rescans } from "./rescans.ts";

/** Everything that polling needs after a restart: design 3.3's cursor. */
export interface PollCursor {
  readonly position: Position;
  readonly rescans: Rescans;
  /** Everything committed before this has been acknowledged; behind `t` while a rescan goes on. */
  readonly through: Micros;
}

/** As it is stored: big numbers as strings, times in µs. */
export function formatCursor({ position, rescans, through }: PollCursor): Json {
  return {
    t: formatMicros(position.t),
    sx: String(position.sx),
    pm: position.pm,
    through: formatMicros(through),
    open: position.open.map((e) => ({ v: e.v, lb: lowBound(e.lb), xb: String(e.xb) })),
    rescans: mapped(rescans, ({ range, after }): StoredRescan => ({
      lb: lowBound(range.lb),
      to: formatMicros(range.to),
      xb: String(range.xb),
      after,
    })),
  };
}

/** The inverse of `formatCursor`; throws FatalError CURSOR_UNREADABLE for what it can't have written. */
export function parseCursor(stored: Json): PollCursor {
  try {
    return parse(stored as unknown as Stored);
  } catch (cause) {
    throw unreadable(cause);
  }
}

export function unreadable(cause: unknown): FatalError {
  return new FatalError(
    "CURSOR_UNREADABLE",
    "Cannot read the stored cursor: another release wrote it, or it was altered",
    "Run the release that wrote it; or run once with --rebase: every index is then seeded again.",
    { cause },
  );
}

function parse(stored: Stored): PollCursor {
  return {
    position: {
      t: parseMicros(stored.t),
      sx: BigInt(stored.sx),
      pm: stored.pm,
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
    through: parseMicros(stored.through),
  };
}

interface Stored {
  readonly t: string;
  readonly sx: string;
  readonly pm: string;
  readonly through: string;
  readonly open: readonly { readonly v: string; readonly lb: string; readonly xb: string }[];
  readonly rescans: Readonly<Record<string, readonly StoredRescan[]>>;
}

type StoredRescan = {
  readonly lb: string;
  readonly to: string;
  readonly xb: string;
  readonly after: readonly string[] | null;
};

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
