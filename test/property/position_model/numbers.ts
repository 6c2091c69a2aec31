/** Between the model's small numbers and what position.ts takes and returns. */
import type { Listing, Position, RescanRange } from "../../../src/postgres/poll/position.ts";
import type { Held, Range, World } from "./world.ts";

/** Xids of the model are these and up, on the circle: they wrap while a history runs. */
const FIRST_XID = 2 ** 32 - 3;
/** Two rounds of the circle later, as 64 bits. */
const XID_EPOCH = 2n * 2n ** 32n;
/** Time 0 of the model, before anything happened. */
export const FIRST_TIME = 1_000_000n;
const PREPARED_SLOT = 32;

/** What A and B returned, as `anchor` and `advance` take it. */
export function listingOf(w: World): Listing {
  const { t, sx, sn, virtual, prepared, xids } = w.seen;
  const every = w.shapes.map((_, i) => i);
  return {
    t: FIRST_TIME + BigInt(t),
    sx: XID_EPOCH + BigInt(FIRST_XID + sx),
    sn: circular(sn),
    pm: String(w.restarts),
    running: every.filter((i) => virtual >> i & 1).map((i) => ({
      v: `${w.names[i]}/1`,
      x: xids[i] ? circular(xids[i]) : null,
    })),
    prepared: every.filter((i) => prepared >> i & 1).map((i) => ({
      v: `prep:${circular(w.x[i] ?? 0)}`,
      x: circular(w.x[i] ?? 0),
    })),
  };
}

/** A position with its numbers. */
export function hold(w: World, position: Position): Held {
  return {
    position,
    t: Number(position.t - FIRST_TIME),
    entries: position.open.map(({ v, lb, xb }) => ({
      slot: v.startsWith("prep:")
        ? PREPARED_SLOT + w.x.indexOf(modelXid(Number(v.slice(5))))
        : Number.parseInt(v),
      lb: lb === null ? -1 : Number(lb - FIRST_TIME),
      xb: modelXid(xb),
    })),
  };
}

export function rangeOf({ lb, to, xb }: RescanRange): Range {
  return {
    lb: lb === null ? -1 : Number(lb - FIRST_TIME),
    to: Number(to - FIRST_TIME),
    xb: modelXid(xb),
  };
}

/** An xid as 32 bits. */
export function circular(xid: number): number {
  return (FIRST_XID + xid) >>> 0;
}

function modelXid(xid: number): number {
  return (xid - FIRST_XID) >>> 0;
}
