import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RetryableError } from "../../src/core/errors.ts";
import { decodeFrame, encodeStatus, formatLsn, parseLsn } from "../../src/postgres/wal/frames.ts";

const data = "77" + "00000016b374d848" + "00000016b374d900" + "0002c5a4ad1c8e40" + "4201ff";
const alive = "6b" + "ffffffff00000001" + "0002c5a4ad1c8e40" + "01";

describe("WAL frames", () => {
  test("a data frame has its positions and its payload, wherever its bytes lie", () => {
    const bytes = new Uint8Array([9, 9, 9, ...hex(data), 9]);
    const frame = decodeFrame(bytes.subarray(3, bytes.length - 1));
    assert.deepEqual(frame, {
      kind: "data",
      start: 0x16b374d848n,
      end: 0x16b374d900n,
      payload: hex("4201ff"),
    });
  });

  test("a data frame may be empty", () => {
    const frame = decodeFrame(hex(data.slice(0, 50)));
    assert.ok(frame.kind === "data" && frame.payload.length === 0);
  });

  test("a keepalive has its position, beyond what a signed number holds, and its wish", () => {
    assert.deepEqual(decodeFrame(hex(alive)), {
      kind: "alive",
      end: 0xffffffff00000001n,
      replyWanted: true,
    });
    const calm = decodeFrame(hex(`${alive.slice(0, -2)}00`));
    assert.ok(calm.kind === "alive" && !calm.replyWanted);
  });

  test("anything else is an error that says nothing of the bytes", () => {
    const broken = ["", "77", data.slice(0, 48), alive.slice(0, -2), `${alive}00`, "72", "00ff"];
    for (const bytes of broken) {
      assert.throws(() => decodeFrame(hex(bytes)), (error) => {
        assert.ok(error instanceof RetryableError && error.code === "WAL_PROTOCOL", String(error));
        assert.match(error.message, /^Cannot read a replication message: \d+ bytes of type /);
        return true;
      });
    }
  });

  test("a status says one position three times, the clock in microseconds since 2000, and a wish", () => {
    const nowMs = Date.UTC(2000, 0, 1) + 1.5;
    const position = "00000016b374d848".repeat(3);
    assert.deepEqual(
      encodeStatus(0x16b374d848n, true, nowMs),
      hex(`72${position}00000000000003e801`),
    );
    assert.equal(encodeStatus(0n, false, Date.now())[33], 0);
    assert.equal(encodeStatus(0xffffffff00000001n, false, Date.now())[1], 0xff);
  });

  test("positions are read and printed as Postgres does", () => {
    for (const text of ["0/0", "0/1", "16/B374D848", "FFFFFFFF/FFFFFFFF", "1/A"]) {
      assert.equal(formatLsn(parseLsn(text)), text);
    }
    assert.equal(parseLsn("16/b374d848"), 0x16b374d848n);
    assert.equal(parseLsn("0/0A"), 10n);
    for (const text of ["", "16", "16/", "/1", "16/B374D848 ", "123456789/0", "x/1"]) {
      assert.throws(() => parseLsn(text), { code: "WAL_PROTOCOL" }, text);
    }
  });
});

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
