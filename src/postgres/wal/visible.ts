import { isVisible, type Snapshot } from "../changelog/snapshot.ts";

/**
 * Whether a snapshot sees what a transaction did. Logical decoding shows a commit as soon as its
 * record is flushed; others see it only when its backend has left the list of running transactions,
 * which may be much later where commits wait for a synchronous standby. A document built between the
 * two would lack it, with nothing to come that mends that.
 *
 * `xid` is what the WAL holds: 32 bits of a top-level xid. The 64 bits are the nearest to the
 * snapshot's xmax: no transaction is 2^31 away from one that runs. It may be above xmax, which is one
 * more than the highest that ended.
 */
export function isVisibleXid(xid: number, snapshot: Snapshot): boolean {
  return isVisible(nearestXid(xid, snapshot.xmax), snapshot);
}

/** The 64-bit xid with these low 32 bits that is nearest to another one. */
export function nearestXid(xid: number, to: bigint): bigint {
  const near = BigInt.asIntN(32, BigInt(xid) - to);
  return to + near;
}
