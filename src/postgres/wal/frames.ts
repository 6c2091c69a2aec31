import { RetryableError } from "../../core/errors.ts";

/** What a walsender sends inside CopyData. Positions are bytes of WAL. */
export type WalFrame =
  /**
   * A message of the output plugin. `start`: where in the WAL it was logged; `end`: the same, or 0
   * where the message has no place of its own.
   */
  | {
    readonly kind: "data";
    readonly start: bigint;
    readonly end: bigint;
    readonly payload: Uint8Array;
  }
  /** `end`: everything before it that is ours was sent. */
  | { readonly kind: "alive"; readonly end: bigint; readonly replyWanted: boolean };

/** Reads one CopyData payload; the frame's payload is a view of it. Throws RetryableError WAL_PROTOCOL. */
export function decodeFrame(bytes: Uint8Array): WalFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] === DATA && bytes.length >= DATA_HEADER) {
    return {
      kind: "data",
      start: view.getBigUint64(1),
      end: view.getBigUint64(9),
      payload: bytes.subarray(DATA_HEADER),
    };
  }
  if (bytes[0] === ALIVE && bytes.length === ALIVE_LENGTH) {
    return { kind: "alive", end: view.getBigUint64(1), replyWanted: bytes[17] !== 0 };
  }
  const what = `${bytes.length} bytes of type ${bytes[0] ?? "none"}`;
  throw new RetryableError("WAL_PROTOCOL", `Cannot read a replication message: ${what}`);
}

/**
 * Standby status update: written, flushed and applied are all `confirmed`; 0 confirms nothing.
 * `nowMs` as Date.now.
 */
export function encodeStatus(confirmed: bigint, replyWanted: boolean, nowMs: number): Uint8Array {
  const bytes = new Uint8Array(STATUS_LENGTH);
  const view = new DataView(bytes.buffer);
  bytes[0] = STATUS;
  view.setBigUint64(1, confirmed);
  view.setBigUint64(9, confirmed);
  view.setBigUint64(17, confirmed);
  view.setBigInt64(25, BigInt(Math.trunc(nowMs) - POSTGRES_EPOCH_MS) * 1000n);
  bytes[33] = replyWanted ? 1 : 0;
  return bytes;
}

/** As pg_lsn prints it: `16/B374D848`. */
export function formatLsn(lsn: bigint): string {
  return `${hex(lsn >> 32n)}/${hex(lsn & LOW)}`;
}

/** Throws RetryableError WAL_PROTOCOL for anything that pg_lsn wouldn't print. */
export function parseLsn(text: string): bigint {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? [];
  if (high === undefined || low === undefined) {
    throw new RetryableError("WAL_PROTOCOL", `Cannot read the WAL position "${text}"`);
  }
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

function hex(half: bigint): string {
  return half.toString(16).toUpperCase();
}

const DATA = 0x77; // w
const ALIVE = 0x6b; // k
const STATUS = 0x72; // r
/** Type, start, end, the server's clock. */
const DATA_HEADER = 25;
/** Type, end, the server's clock, whether a reply is wanted. */
const ALIVE_LENGTH = 18;
const STATUS_LENGTH = 34;
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);
const LOW = 0xffff_ffffn;
