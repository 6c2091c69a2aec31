import process from "node:process";
import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodePgOutput,
  PgOutputError,
  type PgOutputMessage,
  type Relation,
  type Tuple,
} from "../../src/postgres/wal/pgoutput.ts";
import { messagesOf, readRecording, recordedMajors } from "../support/wal_recordings/recording.ts";
import { name, text, u16, u32, u64, u8, wire } from "../support/wal_recordings/wire.ts";

/** `SEED=…` replays; fast-check's own message has the path to the case. */
const SEED = Number(process.env["SEED"] || Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env["RUNS"] || 3000);

const recorded = recordedMajors.flatMap((major) =>
  Object.values(readRecording(major).streams).flatMap(messagesOf).map(({ bytes }) => bytes)
);
const oid = fc.nat({ max: 0xffffffff });
const position = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const label = fc.string({ unit: "binary", maxLength: 12 })
  .map((value) => value.replaceAll("\0", "").toWellFormed());
const value = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(null), fc.constant(undefined));
const tuple: fc.Arbitrary<Tuple> = fc.oneof(
  fc.array(value, { maxLength: 8 }),
  fc.array(value, { minLength: 250, maxLength: 300 }),
);
const committedAt = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  .map((micros) => micros + EPOCH);
const old = fc.record({ full: fc.boolean(), values: tuple }, { noNullPrototype: true });
const relation: fc.Arbitrary<Relation> = fc.record({
  oid,
  schema: label.map((schema) => schema || "pg_catalog"),
  name: label,
  identity: fc.constantFrom("default", "nothing", "full", "index"),
  columns: fc.array(
    fc.record({
      name: label,
      type: oid,
      modifier: fc.integer(),
      inIdentity: fc.boolean(),
    }, { noNullPrototype: true }),
    { maxLength: 8 },
  ),
}, { noNullPrototype: true });

const message: fc.Arbitrary<PgOutputMessage> = fc.oneof(
  kind("begin", { commit: position, xid: oid, committedAt }),
  kind("commit", { commit: position, end: position, committedAt }),
  kind("origin", { commit: position, name: label }),
  kind("type", { oid, schema: label.map((schema) => schema || "pg_catalog"), name: label }),
  kind("relation", { relation }),
  kind("insert", { oid, after: tuple }),
  kind("update", { oid, after: tuple }),
  kind("update", { oid, old, after: tuple }),
  kind("delete", { oid, old }),
  kind("truncate", {
    oids: fc.array(oid),
    cascade: fc.boolean(),
    restartIdentity: fc.boolean(),
  }),
  kind("message", {
    transactional: fc.boolean(),
    at: position,
    prefix: label,
    content: fc.uint8Array({ maxLength: 30 }),
  }),
);
const valid = fc.oneof(message.map(encode), fc.constantFrom(...recorded));

property("what is written is what is read", fc.tuple(message), ([written]) => {
  assert.deepEqual(within(encode(written)), written);
});

test("what servers sent is read to the last byte, and written again is the same", () => {
  for (const bytes of recorded) assert.ok(accepted(bytes));
});

property(
  "whatever the bytes are, they are one message to the last of them or PgOutputError",
  fc.tuple(fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.constantFrom(..."BCORYIUDTM"), fc.uint8Array({ maxLength: 80 }))
      .map(([letter, rest]) => wire(letter, rest)),
  )),
  ([bytes]) => accepted(bytes),
);

property(
  "a message that is cut off anywhere is PgOutputError",
  fc.tuple(valid, fc.nat({ max: 2 ** 30 })),
  ([bytes, at]) => {
    const cut = bytes.subarray(0, at % bytes.length);
    assert.equal(accepted(cut), false, `${cut.length} of ${bytes.length} bytes are a message`);
  },
);

property(
  "a message with a wrong byte is another message or PgOutputError",
  fc.tuple(valid, fc.nat({ max: 2 ** 30 }), fc.integer({ min: 1, max: 255 })),
  ([bytes, place, bits]) => {
    const at = place % bytes.length;
    accepted(bytes.with(at, (bytes[at] ?? 0) ^ bits));
  },
);

/** Runs it with the seed, said beside the test. */
function property<T extends [unknown, ...unknown[]]>(
  what: string,
  cases: fc.Arbitrary<T>,
  check: (one: T) => void,
): void {
  test(what, (t) => {
    t.diagnostic(`SEED=${SEED} RUNS=${RUNS}`);
    fc.assert(fc.property(cases, (one) => void check(one)), { seed: SEED, numRuns: RUNS });
  });
}

/** False: PgOutputError. What is taken says every byte of the message: written again it is the same. */
function accepted(bytes: Uint8Array): boolean {
  let read: PgOutputMessage;
  try {
    read = within(bytes);
  } catch (error) {
    assert.ok(error instanceof PgOutputError, `it threw ${error}`);
    assert.match(error.message, TOLD);
    return false;
  }
  assert.deepEqual(encode(read), wire(bytes));
  return true;
}

/** As a driver gives it: a view, with the bytes of its neighbours around. */
function within(bytes: Uint8Array): PgOutputMessage {
  const around = wire("tttttttt", bytes, "\0\0\0\0tttt");
  return decodePgOutput(around.subarray(8, 8 + bytes.length));
}

function kind<K extends PgOutputMessage["kind"], T extends object>(
  kind: K,
  fields: { [Field in keyof T]: fc.Arbitrary<T[Field]> },
): fc.Arbitrary<{ kind: K } & T> {
  const all = { kind: fc.constant(kind), ...fields } as unknown as {
    [Field in keyof ({ kind: K } & T)]: fc.Arbitrary<({ kind: K } & T)[Field]>;
  };
  return fc.record(all, { noNullPrototype: true }) as fc.Arbitrary<{ kind: K } & T>;
}

/** Written from the protocol's documentation, apart from the decoder. */
function encode(message: PgOutputMessage): Uint8Array {
  switch (message.kind) {
    case "begin":
      return wire("B", u64(message.commit), time(message.committedAt), u32(message.xid));
    case "commit": {
      const { commit, end, committedAt } = message;
      return wire("C", u8(0), u64(commit), u64(end), time(committedAt));
    }
    case "origin":
      return wire("O", u64(message.commit), name(message.name));
    case "type":
      return wire("Y", u32(message.oid), schema(message.schema), name(message.name));
    case "relation": {
      const { oid, identity, columns } = message.relation;
      return wire(
        ...["R", u32(oid), schema(message.relation.schema), name(message.relation.name)],
        ...[IDENTITIES[identity], u16(columns.length)],
        ...columns.flatMap((column) => [
          u8(column.inIdentity ? 1 : 0),
          name(column.name),
          u32(column.type),
          u32(column.modifier),
        ]),
      );
    }
    case "insert":
      return wire("I", u32(message.oid), "N", row(message.after));
    case "update": {
      const { oid, old, after } = message;
      const before = old === undefined ? [] : [old.full ? "O" : "K", row(old.values)];
      return wire("U", u32(oid), ...before, "N", row(after));
    }
    case "delete": {
      const { oid, old } = message;
      return wire("D", u32(oid), old.full ? "O" : "K", row(old.values));
    }
    case "truncate": {
      const { oids, cascade, restartIdentity } = message;
      const flags = (cascade ? 1 : 0) + (restartIdentity ? 2 : 0);
      return wire("T", u32(oids.length), u8(flags), ...oids.map(u32));
    }
    case "message": {
      const { transactional, at, prefix, content } = message;
      const rest = [u64(at), name(prefix), u32(content.length), content];
      return wire("M", u8(transactional ? 1 : 0), ...rest);
    }
  }
}

function row(values: Tuple): Uint8Array {
  const written = values.map((value) =>
    value === undefined ? "u" : value === null ? "n" : text(value)
  );
  return wire(u16(values.length), ...written);
}

function schema(of: string): Uint8Array {
  return name(of === "pg_catalog" ? "" : of);
}

function time(micros: bigint): Uint8Array {
  return u64(micros - EPOCH);
}

const IDENTITIES = { default: "d", nothing: "n", full: "f", index: "i" } as const;

const TOLD =
  /^Cannot decode (an empty message|message ("[!-~]"|0x[0-9a-f]{2})) of pgoutput: ([a-zA-Z0-9' -]+), at byte \d+ of \d+$/;

/** 2000-01-01 in µs since 1970. */
const EPOCH = 946_684_800_000_000n;
