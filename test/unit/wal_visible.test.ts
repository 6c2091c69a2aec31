import { equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSnapshot } from "../../src/postgres/changelog/snapshot.ts";
import { isVisibleXid, nearestXid } from "../../src/postgres/wal/visible.ts";

describe("whether a snapshot sees a transaction that the WAL names by 32 bits", () => {
  test("below xmax and not in progress it does", () => {
    const snapshot = parseSnapshot("100:110:100,105");
    for (const [xid, seen] of [[99, true], [100, false], [101, true], [105, false]] as const) {
      equal(isVisibleXid(xid, snapshot), seen, String(xid));
    }
    for (const xid of [110, 111, 5000]) equal(isVisibleXid(xid, snapshot), false, String(xid));
  });

  test("beyond 2^32 the nearest transaction of these bits is meant", () => {
    const epoch = 3n << 32n;
    const wrapped = parseSnapshot(`${epoch - 2n}:${epoch + 10n}:${epoch - 2n},${epoch + 4n}`);
    equal(isVisibleXid(0xffffffff, wrapped), true);
    equal(isVisibleXid(0xfffffffe, wrapped), false);
    equal(isVisibleXid(4, wrapped), false);
    equal(isVisibleXid(9, wrapped), true);
    equal(isVisibleXid(10, wrapped), false);
    equal(nearestXid(5, epoch - 3n), epoch + 5n);
    equal(nearestXid(0xfffffff0, epoch + 3n), epoch - 16n);
  });
});
