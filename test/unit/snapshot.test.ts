import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import {
  below,
  covers,
  fence,
  formatSnapshot,
  isVisible,
  parseSnapshot,
  type Snapshot,
  union,
} from "../../src/postgres/changelog/snapshot.ts";

/** What it sees of 0 to 9. */
function seen(snapshot: Snapshot): readonly number[] {
  return Array.from({ length: 10 }, (_, i) => i).filter((i) => isVisible(BigInt(i), snapshot));
}

/** Every snapshot over xids below 5. */
const ALL: readonly Snapshot[] = Array.from({ length: 6 }, (_, xmax) => xmax).flatMap((xmax) =>
  Array.from({ length: 1 << xmax }, (_, bits) => {
    const xip = Array.from({ length: xmax }, (_, i) => i).filter((i) => bits >> i & 1).map(BigInt);
    return { xmin: xip[0] ?? BigInt(xmax), xmax: BigInt(xmax), xip };
  })
);

describe("snapshots", () => {
  test("a snapshot's text is read and written as it was", () => {
    for (const text of ["10:10:", "10:20:10,14,15", "3:5:3", "4294967290:4294967300:4294967296"]) {
      equal(formatSnapshot(parseSnapshot(text)), text);
    }
    deepEqual(parseSnapshot("10:20:10,14"), { xmin: 10n, xmax: 20n, xip: [10n, 14n] });
  });

  test("a standby's snapshot lists nothing and keeps its xmin", () => {
    deepEqual(parseSnapshot("7:20:"), { xmin: 7n, xmax: 20n, xip: [] });
    equal(formatSnapshot(fence(parseSnapshot("7:20:"))), "7:7:");
  });

  test("what isn't a snapshot is refused", () => {
    for (
      const text of [
        "",
        "10",
        "10:20",
        "10:20:,",
        "10:20:20",
        "10:20:14,10",
        "10:20:14,14",
        "21:20:",
        "15:20:14",
        "-1:2:",
        "1:2: ",
        "123456789012345678901:2:",
      ]
    ) throws(() => parseSnapshot(text), RangeError, text);
  });

  test("xids around 2^32 and at the end of 64 bits compare by their whole value", () => {
    const around = parseSnapshot("4294967295:4294967298:4294967295,4294967297");
    deepEqual(
      [4294967294n, 4294967295n, 4294967296n, 4294967297n, 4294967298n].map((xid) =>
        isVisible(xid, around)
      ),
      [true, false, true, false, false],
    );
    equal(
      isVisible(
        1n << 63n,
        parseSnapshot(
          "18446744073709551614:18446744073709551615:" +
            "18446744073709551614",
        ),
      ),
      true,
    );
  });

  test("with 500 in progress each one is found and nothing else is", () => {
    const xip = Array.from({ length: 500 }, (_, i) => BigInt(1000 + 2 * i));
    const snapshot = parseSnapshot(`1000:3000:${xip.join(",")}`);
    for (let xid = 900n; xid < 3100n; xid++) {
      equal(isVisible(xid, snapshot), xid < 3000n && !xip.includes(xid), String(xid));
    }
  });

  test("a snapshot below a bound sees what it saw there", () => {
    for (const snapshot of ALL) {
      for (let bound = 0; bound < 7; bound++) {
        const part = below(snapshot, BigInt(bound));
        deepEqual(seen(part), seen(snapshot).filter((xid) => xid < bound));
        deepEqual(parseSnapshot(formatSnapshot(part)), part);
      }
    }
  });

  test("a union sees what either sees, and covers says which sees more, for all small snapshots", () => {
    for (const a of ALL) {
      for (const b of ALL) {
        const both = union(a, b);
        const expected = [...new Set([...seen(a), ...seen(b)])].sort((x, y) => x - y);
        deepEqual(seen(both), expected, `${formatSnapshot(a)} and ${formatSnapshot(b)}`);
        deepEqual(parseSnapshot(formatSnapshot(both)), both, "it is a snapshot");
        equal(covers(a, b), seen(b).every((xid) => seen(a).includes(xid)));
      }
    }
  });
});
