/** One message of the pgoutput plugin's protocol 1, as the server frames it. Positions are WAL LSNs in bytes. */
export type PgOutputMessage =
  | {
    readonly kind: "begin";
    /** Of the commit record: what `commit` says again. */
    readonly commit: bigint;
    /** Top level, 32 bits, without its epoch. */
    readonly xid: number;
    /** µs since 1970, by the clock of the server it comes from: see origin. */
    readonly committedAt: bigint;
  }
  | {
    readonly kind: "commit";
    readonly commit: bigint;
    /** Behind the commit record: what may be confirmed. May be the next one's `commit`. */
    readonly end: bigint;
    readonly committedAt: bigint;
  }
  /** The transaction was replicated here from another server; `commit` is its position there. */
  | { readonly kind: "origin"; readonly commit: bigint; readonly name: string }
  /** Comes before a relation with a column of it, but for built-in ones. A domain bears its base's name. */
  | { readonly kind: "type"; readonly oid: number; readonly schema: string; readonly name: string }
  /** Comes before a relation's first change in a session, and again after it may have been altered. */
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "insert"; readonly oid: number; readonly after: Tuple }
  | {
    readonly kind: "update";
    readonly oid: number;
    /**
     * Only where an identity column changed, or is held out of line (then `after` may lack it), or where
     * the identity is full.
     */
    readonly old?: OldTuple;
    readonly after: Tuple;
  }
  | { readonly kind: "delete"; readonly oid: number; readonly old: OldTuple }
  | {
    readonly kind: "truncate";
    readonly oids: readonly number[];
    readonly cascade: boolean;
    readonly restartIdentity: boolean;
  }
  /** Of pg_logical_emit_message(); one that isn't transactional stands outside begin and commit. */
  | {
    readonly kind: "message";
    readonly transactional: boolean;
    readonly at: bigint;
    readonly prefix: string;
    /** A view. */
    readonly content: Uint8Array;
  };

/**
 * One per column: its text's bytes (a view, valid as long as the message's bytes), null for NULL, undefined
 * for an unchanged TOAST value that isn't sent.
 */
export type Tuple = readonly (Uint8Array | null | undefined)[];

export interface OldTuple {
  /** The whole row, of identity full; else only identity columns hold values, all others are null. */
  readonly full: boolean;
  readonly values: Tuple;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly identity: "default" | "nothing" | "full" | "index";
  /** Those that are published, in the order of the tuples' values. */
  readonly columns: readonly {
    readonly name: string;
    /** An oid. */
    readonly type: number;
    /** -1: none. */
    readonly modifier: number;
    /** With identity full it is every column, whatever the key is. */
    readonly inIdentity: boolean;
  }[];
}

/** The bytes aren't a message of protocol 1. Says the message's letter and where, never what it holds. */
export class PgOutputError extends Error {
  override readonly name = "PgOutputError";
}

/**
 * Reads one message: pure, and never larger in memory than a small multiple of `bytes`. Whether a tuple has
 * as many columns as its relation isn't checked. `proto_version '1'` without `binary` and with UTF8 as the
 * client's encoding is assumed.
 * @throws PgOutputError on anything else than exactly one message, and nothing else.
 */
export function decodePgOutput(bytes: Uint8Array): PgOutputMessage {
  const from: Reader = { bytes, at: 0 };
  const message = decode(from);
  if (from.at !== bytes.length) throw malformed(from, "bytes are left over");
  return message;
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

/** An object's fields are read in the order in which they are written here: the order on the wire. */
function decode(from: Reader): PgOutputMessage {
  switch (letter(from)) {
    case "I":
      return { kind: "insert", oid: uint32(from), after: newTuple(from) };
    case "U":
      return update(from);
    case "D":
      return { kind: "delete", oid: uint32(from), old: oldTuple(from, letter(from)) };
    case "B":
      return { kind: "begin", commit: uint64(from), committedAt: time(from), xid: uint32(from) };
    case "C":
      flags(from, 0);
      return { kind: "commit", commit: uint64(from), end: uint64(from), committedAt: time(from) };
    case "R":
      return { kind: "relation", relation: relation(from) };
    case "T":
      return truncate(from);
    case "Y":
      return { kind: "type", oid: uint32(from), schema: schemaName(from), name: string(from) };
    case "O":
      return { kind: "origin", commit: uint64(from), name: string(from) };
    case "M":
      return {
        kind: "message",
        transactional: flags(from, 1) === 1,
        at: uint64(from),
        prefix: string(from),
        content: counted(from),
      };
    default:
      throw malformed(from, "protocol 1 has no such message", 1);
  }
}

function update(from: Reader): PgOutputMessage {
  const oid = uint32(from);
  const kind = letter(from);
  if (kind === "N") return { kind: "update", oid, after: tuple(from) };
  return { kind: "update", oid, old: oldTuple(from, kind), after: newTuple(from) };
}

function newTuple(from: Reader): Tuple {
  if (letter(from) !== "N") throw malformed(from, "a new row was expected", 1);
  return tuple(from);
}

function oldTuple(from: Reader, kind: string): OldTuple {
  if (kind !== "K" && kind !== "O") throw malformed(from, "an old row was expected", 1);
  return { full: kind === "O", values: tuple(from) };
}

function tuple(from: Reader): Tuple {
  const count = columnCount(from, 1);
  const values = new Array<Uint8Array | null | undefined>(count);
  for (let i = 0; i < count; i++) {
    const kind = letter(from);
    if (kind === "t") values[i] = counted(from);
    else if (kind === "n") values[i] = null;
    // Said, so that no hole is left: forEach() and map() pass over holes.
    else if (kind === "u") values[i] = undefined;
    else throw malformed(from, "a column is neither text nor NULL nor unchanged", 1);
  }
  return values;
}

function relation(from: Reader): Relation {
  const oid = uint32(from);
  const schema = schemaName(from);
  const name = string(from);
  const identity = IDENTITIES.get(letter(from));
  if (identity === undefined) throw malformed(from, "the replica identity is unknown", 1);
  const count = columnCount(from, 10);
  const columns = [];
  for (let i = 0; i < count; i++) {
    columns.push({
      inIdentity: flags(from, 1) === 1,
      name: string(from),
      type: uint32(from),
      modifier: uint32(from) | 0,
    });
  }
  return { oid, schema, name, identity, columns };
}

function truncate(from: Reader): PgOutputMessage {
  const count = uint32(from);
  const bits = flags(from, 3);
  // Of a negative count too: it reads as more than a message can hold.
  if (count > left(from) / 4) throw malformed(from, "it claims more tables than it holds");
  const oids = [];
  for (let i = 0; i < count; i++) oids.push(uint32(from));
  return { kind: "truncate", oids, cascade: (bits & 1) !== 0, restartIdentity: (bits & 2) !== 0 };
}

/** A count that the rest can hold, at `least` bytes a column: room is made by it. */
function columnCount(from: Reader, least: number): number {
  const count = byte(from) << 8 | byte(from);
  // A negative count reads as more than a table can have.
  if (count > 0x7fff) throw malformed(from, "the count of columns is negative", 2);
  if (count * least > left(from)) throw malformed(from, "it claims more columns than it holds");
  return count;
}

/** A length and as many bytes. */
function counted(from: Reader): Uint8Array {
  const length = uint32(from);
  if (length > left(from)) throw malformed(from, "a value is longer than the message", 4);
  const { bytes, at } = from;
  from.at += length;
  // subarray() of a driver's Buffer would be a Buffer.
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}

/** pg_catalog is sent as an empty name. */
function schemaName(from: Reader): string {
  return string(from) || "pg_catalog";
}

function string(from: Reader): string {
  const { bytes, at } = from;
  const end = bytes.indexOf(0, at);
  if (end === -1) throw malformed(from, "a name has no end");
  from.at = end + 1;
  try {
    return NAMES.decode(new Uint8Array(bytes.buffer, bytes.byteOffset + at, end - at));
  } catch {
    throw malformed(from, "a name isn't UTF-8", end + 1 - at);
  }
}

/** µs since 2000 on the wire. */
function time(from: Reader): bigint {
  return BigInt.asIntN(64, uint64(from)) + EPOCH;
}

/** Bits beyond those known would mean something that isn't understood here. */
function flags(from: Reader, known: number): number {
  const bits = byte(from);
  if ((bits & ~known) !== 0) throw malformed(from, "a flag is unknown", 1);
  return bits;
}

function uint64(from: Reader): bigint {
  return BigInt(uint32(from)) << 32n | BigInt(uint32(from));
}

function uint32(from: Reader): number {
  return (byte(from) << 24 | byte(from) << 16 | byte(from) << 8 | byte(from)) >>> 0;
}

/** A byte as the character the protocol's documentation calls it. */
function letter(from: Reader): string {
  return String.fromCharCode(byte(from));
}

function byte(from: Reader): number {
  const value = from.bytes[from.at];
  if (value === undefined) throw malformed(from, "it ends early");
  from.at++;
  return value;
}

function left(from: Reader): number {
  return from.bytes.length - from.at;
}

/** @param back how many bytes were read of what is wrong. */
function malformed(from: Reader, state: string, back = 0): PgOutputError {
  const { bytes, at } = from;
  const first = bytes[0];
  const what = first === undefined
    ? "an empty message"
    : first > 0x20 && first < 0x7f
    ? `message "${String.fromCharCode(first)}"`
    : `message 0x${first.toString(16).padStart(2, "0")}`;
  return new PgOutputError(
    `Cannot decode ${what} of pgoutput: ${state}, at byte ${at - back} of ${bytes.length}`,
  );
}

const IDENTITIES: ReadonlyMap<string, Relation["identity"]> = new Map([
  ["d", "default"],
  ["n", "nothing"],
  ["f", "full"],
  ["i", "index"],
]);

/** Names are taken to the letter: by default a BOM at their beginning would be dropped. */
const NAMES = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** 2000-01-01 in µs since 1970. */
const EPOCH = 946_684_800_000_000n;
