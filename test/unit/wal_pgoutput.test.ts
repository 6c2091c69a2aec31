import { describe, test } from "node:test";
import assert from "node:assert/strict";
import {
  decodePgOutput,
  PgOutputError,
  type PgOutputMessage,
} from "../../src/postgres/wal/pgoutput.ts";
import { name, text, u16, u32, u64, u8, wire } from "../support/wal_recordings/wire.ts";

const ascii = (value: string) => Uint8Array.from(value, (character) => character.charCodeAt(0));

/** 2024-02-29 12:00:00.123456+00 */
const MOMENT = 1_709_208_000_123_456n;
const WIRE_MOMENT = u64(762_523_200_123_456n);

describe("every message of protocol 1 is read", () => {
  const cases: Readonly<Record<string, readonly [Uint8Array, PgOutputMessage]>> = {
    "begin": [
      wire("B", u64(0x1a_2b3c_4d5en), WIRE_MOMENT, u32(0xfffffffe)),
      { kind: "begin", commit: 0x1a_2b3c_4d5en, committedAt: MOMENT, xid: 4_294_967_294 },
    ],
    "begin, before 2000 and behind the last position": [
      wire("B", u64(0xffff_ffff_ffff_ffffn), u64(0xffff_ffff_ffff_ffffn), u32(3)),
      {
        kind: "begin",
        commit: 0xffff_ffff_ffff_ffffn,
        committedAt: 946_684_799_999_999n,
        xid: 3,
      },
    ],
    "commit": [
      wire("C", u8(0), u64(0x1_0000_0010n), u64(0x1_0000_0040n), WIRE_MOMENT),
      { kind: "commit", commit: 0x1_0000_0010n, end: 0x1_0000_0040n, committedAt: MOMENT },
    ],
    "origin": [
      wire("O", u64(0x80_0000_0001n), name("élsewhere")),
      { kind: "origin", commit: 0x80_0000_0001n, name: "élsewhere" },
    ],
    "type": [
      wire("Y", u32(0x80000001), name("public"), name("mood")),
      { kind: "type", oid: 2_147_483_649, schema: "public", name: "mood" },
    ],
    "type of pg_catalog, whose name is left empty": [
      wire("Y", u32(16_400), name(""), name("varchar")),
      { kind: "type", oid: 16_400, schema: "pg_catalog", name: "varchar" },
    ],
    "relation": [
      wire(
        ...["R", u32(0xfffffffd), name('odd "schema". Ü'), name("🦊"), "i", u16(3)],
        ...[u8(1), name("\uFEFFid"), u32(23), u32(0xffffffff)],
        ...[u8(0), name(""), u32(0xfffffffc), u32(655_366)],
        ...[u8(1), name("c"), u32(25), u32(0x80000000)],
      ),
      {
        kind: "relation",
        relation: {
          oid: 4_294_967_293,
          schema: 'odd "schema". Ü',
          name: "🦊",
          identity: "index",
          columns: [
            { name: "\uFEFFid", type: 23, modifier: -1, inIdentity: true },
            { name: "", type: 4_294_967_292, modifier: 655_366, inIdentity: false },
            { name: "c", type: 25, modifier: -2_147_483_648, inIdentity: true },
          ],
        },
      },
    ],
    ...Object.fromEntries(
      ([["d", "default"], ["n", "nothing"], ["f", "full"], ["i", "index"]] as const).map((
        [letter, identity],
      ) => [`relation without columns, of identity ${identity}`, [
        wire("R", u32(1), name(""), name("t"), letter, u16(0)),
        {
          kind: "relation",
          relation: { oid: 1, schema: "pg_catalog", name: "t", identity, columns: [] },
        },
      ]]),
    ),
    "insert": [
      wire("I", u32(0xfffffffd), "N", u16(4), text("1"), "n", text(""), text("é🦊")),
      {
        kind: "insert",
        oid: 4_294_967_293,
        after: [ascii("1"), null, ascii(""), wire("é🦊")],
      },
    ],
    "insert of 300 columns": [
      wire("I", u32(7), "N", u16(300), ...Array.from({ length: 300 }, (_, i) => text(`${i}`))),
      { kind: "insert", oid: 7, after: Array.from({ length: 300 }, (_, i) => ascii(`${i}`)) },
    ],
    "insert of a value whose length takes three bytes": [
      wire("I", u32(7), "N", u16(1), text("y".repeat(70_000))),
      { kind: "insert", oid: 7, after: [ascii("y".repeat(70_000))] },
    ],
    "insert of no columns": [
      wire("I", u32(7), "N", u16(0)),
      { kind: "insert", oid: 7, after: [] },
    ],
    "update without the old row, a value of it unchanged and not sent": [
      wire("U", u32(7), "N", u16(3), text("1"), "u", "n"),
      { kind: "update", oid: 7, after: [ascii("1"), undefined, null] },
    ],
    "update with the old key": [
      wire("U", u32(7), "K", u16(2), text("1"), "n", "N", u16(2), text("2"), "u"),
      {
        kind: "update",
        oid: 7,
        old: { full: false, values: [ascii("1"), null] },
        after: [ascii("2"), undefined],
      },
    ],
    "update with the whole old row": [
      wire("U", u32(7), "O", u16(2), text("1"), text("a"), "N", u16(2), text("1"), text("b")),
      {
        kind: "update",
        oid: 7,
        old: { full: true, values: [ascii("1"), ascii("a")] },
        after: [ascii("1"), ascii("b")],
      },
    ],
    "delete with the key": [
      wire("D", u32(7), "K", u16(2), text("1"), "n"),
      { kind: "delete", oid: 7, old: { full: false, values: [ascii("1"), null] } },
    ],
    "delete with the whole row": [
      wire("D", u32(7), "O", u16(2), text("1"), "n"),
      { kind: "delete", oid: 7, old: { full: true, values: [ascii("1"), null] } },
    ],
    "truncate": [
      wire("T", u32(1), u8(0), u32(0xfffffffd)),
      { kind: "truncate", oids: [4_294_967_293], cascade: false, restartIdentity: false },
    ],
    "truncate of several with cascade": [
      wire("T", u32(3), u8(1), u32(9), u32(8), u32(7)),
      { kind: "truncate", oids: [9, 8, 7], cascade: true, restartIdentity: false },
    ],
    "truncate with restart identity": [
      wire("T", u32(1), u8(2), u32(9)),
      { kind: "truncate", oids: [9], cascade: false, restartIdentity: true },
    ],
    "truncate with both": [
      wire("T", u32(1), u8(3), u32(9)),
      { kind: "truncate", oids: [9], cascade: true, restartIdentity: true },
    ],
    "message in a transaction": [
      wire("M", u8(1), u64(0x1_0000_0010n), name("prefix"), u32(2), u8(0), u8(255)),
      {
        kind: "message",
        transactional: true,
        at: 0x1_0000_0010n,
        prefix: "prefix",
        content: Uint8Array.of(0, 255),
      },
    ],
    "message outside of one, with nothing in it": [
      wire("M", u8(0), u64(16n), name(""), u32(0)),
      { kind: "message", transactional: false, at: 16n, prefix: "", content: new Uint8Array() },
    ],
  };
  for (const [what, [bytes, message]] of Object.entries(cases)) {
    test(what, () => assert.deepEqual(decodePgOutput(bytes), message));
  }

  test("values are views of the message, of a message that lies within other bytes too", () => {
    const message = wire("I", u32(7), "N", u16(2), text("abc"), text(""));
    const around = wire("########", message, "########");
    const decoded = decodePgOutput(around.subarray(8, 8 + message.length));
    assert.equal(decoded.kind, "insert");
    const [value, empty] = decoded.kind === "insert" ? decoded.after : [];
    assert.deepEqual([value, empty], [ascii("abc"), ascii("")]);
    assert.equal(value?.buffer, around.buffer);
    assert.equal(value?.byteOffset, around.indexOf(0x61));
  });

  test("a column that isn't sent is a value of its own, not a hole in the row", () => {
    const decoded = decodePgOutput(wire("U", u32(7), "N", u16(1), "u"));
    assert.ok(decoded.kind === "update" && 0 in decoded.after && !("old" in decoded));
  });
});

describe("what isn't a message of protocol 1 is told by its letter and where, without what it holds", () => {
  const cases: Readonly<Record<string, readonly [Uint8Array, string]>> = {
    "no bytes": [wire(), "an empty message of pgoutput: it ends early, at byte 0 of 0"],
    "an unknown letter": [
      wire("Z", u32(7)),
      'message "Z" of pgoutput: protocol 1 has no such message, at byte 0 of 5',
    ],
    "a letter of a later protocol": [
      wire("S", u32(7), u8(1)),
      'message "S" of pgoutput: protocol 1 has no such message, at byte 0 of 6',
    ],
    "a letter that can't be printed": [
      wire(u8(7), u32(7)),
      "message 0x07 of pgoutput: protocol 1 has no such message, at byte 0 of 5",
    ],
    "a lower-case letter": [
      wire("i", u32(7), "N", u16(0)),
      'message "i" of pgoutput: protocol 1 has no such message, at byte 0 of 8',
    ],
    "a position cut off": [
      wire("B", u32(7)),
      'message "B" of pgoutput: it ends early, at byte 5 of 5',
    ],
    "bytes behind the message": [
      wire("T", u32(1), u8(0), u32(9), u8(0)),
      'message "T" of pgoutput: bytes are left over, at byte 10 of 11',
    ],
    "a column behind the last one": [
      wire("I", u32(7), "N", u16(1), "n", "n"),
      'message "I" of pgoutput: bytes are left over, at byte 9 of 10',
    ],
    "a flag of commit": [
      wire("C", u8(1), u64(1n), u64(2n), u64(3n)),
      'message "C" of pgoutput: a flag is unknown, at byte 1 of 26',
    ],
    "an unknown flag of truncate": [
      wire("T", u32(1), u8(4), u32(9)),
      'message "T" of pgoutput: a flag is unknown, at byte 5 of 10',
    ],
    "an unknown flag of a message": [
      wire("M", u8(2), u64(1n), name("p"), u32(0)),
      'message "M" of pgoutput: a flag is unknown, at byte 1 of 16',
    ],
    "an unknown flag of a column": [
      wire("R", u32(1), name("s"), name("t"), "d", u16(1), u8(3), name("c"), u32(23), u32(0)),
      'message "R" of pgoutput: a flag is unknown, at byte 12 of 23',
    ],
    "an unknown replica identity": [
      wire("R", u32(1), name("s"), name("t"), "x", u16(0)),
      'message "R" of pgoutput: the replica identity is unknown, at byte 9 of 12',
    ],
    "a name without an end": [
      wire("Y", u32(1), name("public"), "mood"),
      'message "Y" of pgoutput: a name has no end, at byte 12 of 16',
    ],
    "a name that isn't UTF-8": [
      wire("Y", u32(1), name("public"), u8(0xe9), u8(0)),
      'message "Y" of pgoutput: a name isn\'t UTF-8, at byte 12 of 14',
    ],
    "an insert without a new row": [
      wire("I", u32(7), "K", u16(0)),
      'message "I" of pgoutput: a new row was expected, at byte 5 of 8',
    ],
    "an update with an old row and no new one": [
      wire("U", u32(7), "K", u16(0), "O", u16(0)),
      'message "U" of pgoutput: a new row was expected, at byte 8 of 11',
    ],
    "an update without a row": [
      wire("U", u32(7), "X", u16(0)),
      'message "U" of pgoutput: an old row was expected, at byte 5 of 8',
    ],
    "a delete with a new row": [
      wire("D", u32(7), "N", u16(0)),
      'message "D" of pgoutput: an old row was expected, at byte 5 of 8',
    ],
    "a binary column": [
      wire("I", u32(7), "N", u16(1), "b", u32(0)),
      'message "I" of pgoutput: a column is neither text nor NULL nor unchanged, at byte 8 of 13',
    ],
    "an unknown kind of column": [
      wire("I", u32(7), "N", u16(1), "T", u32(0)),
      'message "I" of pgoutput: a column is neither text nor NULL nor unchanged, at byte 8 of 13',
    ],
    "a negative count of columns": [
      wire("I", u32(7), "N", u16(0xffff), "nnn"),
      'message "I" of pgoutput: the count of columns is negative, at byte 6 of 11',
    ],
    "more columns than there are bytes": [
      wire("I", u32(7), "N", u16(4), "nnn"),
      'message "I" of pgoutput: it claims more columns than it holds, at byte 8 of 11',
    ],
    "more columns of a relation than there is room for": [
      wire("R", u32(1), name("s"), name("t"), "d", u16(2), u8(0), name("cc"), u32(23), u32(0)),
      'message "R" of pgoutput: it claims more columns than it holds, at byte 12 of 24',
    ],
    "more tables than there is room for": [
      wire("T", u32(2), u8(0), u32(9), u16(0), u8(0)),
      'message "T" of pgoutput: it claims more tables than it holds, at byte 6 of 13',
    ],
    "a negative count of tables": [
      wire("T", u32(0xffffffff), u8(0), u32(9)),
      'message "T" of pgoutput: it claims more tables than it holds, at byte 6 of 10',
    ],
    "a value one byte longer than the message": [
      wire("I", u32(7), "N", u16(1), "t", u32(4), "abc"),
      'message "I" of pgoutput: a value is longer than the message, at byte 9 of 16',
    ],
    "a value of 2 GB": [
      wire("I", u32(7), "N", u16(1), "t", u32(0x7fffffff), "abc"),
      'message "I" of pgoutput: a value is longer than the message, at byte 9 of 16',
    ],
    "a value of a negative length": [
      wire("D", u32(7), "K", u16(1), "t", u32(0xffffffff), "abc"),
      'message "D" of pgoutput: a value is longer than the message, at byte 9 of 16',
    ],
    "a message's content of 2 GB": [
      wire("M", u8(1), u64(1n), name("p"), u32(0x7fffffff), "abc"),
      'message "M" of pgoutput: a value is longer than the message, at byte 12 of 19',
    ],
  };
  for (const [what, [bytes, told]] of Object.entries(cases)) {
    test(what, () => {
      assert.throws(() => decodePgOutput(bytes), (error) => {
        assert.ok(error instanceof PgOutputError);
        assert.equal(error.name, "PgOutputError");
        assert.equal(error.message, `Cannot decode ${told}`);
        return true;
      });
    });
  }

  test("what it claims to hold is never read, nor made room for", () => {
    const claims = [
      wire("I", u32(7), "N", u16(0xffff), "nnn"),
      wire("I", u32(7), "N", u16(0x7fff), "nnn"),
      wire("I", u32(7), "N", u16(1), "t", u32(0x7fffffff), "abc"),
      wire("T", u32(0x7fffffff), u8(0), u32(9)),
    ];
    for (const claim of claims) {
      let reads = 0;
      const counted = new Proxy(claim, {
        get(target, key) {
          reads++;
          return Reflect.get(target, key, target);
        },
      });
      assert.throws(() => decodePgOutput(counted), PgOutputError);
      assert.ok(reads < 40, `${reads} reads of ${claim.length} bytes`);
    }
  });
});
