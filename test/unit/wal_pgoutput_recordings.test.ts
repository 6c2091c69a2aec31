import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { decodePgOutput } from "../../src/postgres/wal/pgoutput.ts";
import { linesOf } from "../support/wal_recordings/lines.ts";
import { messagesOf, readRecording, recordedMajors } from "../support/wal_recordings/recording.ts";

const expected = readFileSync(
  new URL("../support/wal_recordings/lines.txt", import.meta.url),
  "utf8",
);

/** 2024-01-01 00:00:00+00, as the scenario says. */
const ELSEWHERE = "1704067200000000";

for (const major of recordedMajors) {
  describe(`what Postgres ${major} sent`, () => {
    const recording = readRecording(major);
    const streams = Object.entries(recording.streams).map(([stream, lines]) => ({
      stream,
      messages: messagesOf(lines).map((row) => ({ row, message: decodePgOutput(row.bytes) })),
    }));

    test("reads as the lines beside it, which are the same for every version", () => {
      assert.match(recording.version, new RegExp(`^${major}\\.`));
      const lines = streams.flatMap(({ stream, messages }) => [
        `${stream}:`,
        ...linesOf(messages.map(({ message }) => message)),
      ]);
      assert.deepEqual(lines, expected.trimEnd().split("\n"));
    });

    test("has the positions, xids and times that the server tells beside the messages", () => {
      for (const { messages } of streams) {
        let isLocal = true;
        let begun: { xid: number; commit: bigint; committedAt: bigint } | undefined;
        let last = 0n;
        let transactions = 0;
        for (const { row, message } of messages) {
          if (message.kind === "begin") {
            assert.equal(message.xid, row.xid);
            begun = message;
            isLocal = true;
          } else if (message.kind === "origin") {
            isLocal = false;
          } else if (message.kind === "commit") {
            assert.equal(message.end, row.lsn);
            // COMMIT PREPARED may be the very next record.
            assert.ok(message.commit >= last && message.end > message.commit);
            assert.equal(message.commit, begun?.commit);
            assert.equal(message.committedAt, begun?.committedAt);
            // A transaction from elsewhere has its time from there.
            const [from, to] = isLocal ? [recording.from, recording.to] : [ELSEWHERE, ELSEWHERE];
            assert.ok(message.committedAt >= BigInt(from) && message.committedAt <= BigInt(to));
            last = message.end;
            transactions++;
          } else if (message.kind === "message") {
            assert.equal(message.at, row.lsn);
          }
        }
        assert.ok(transactions > 5);
      }
    });

    test("has the oids and names of the server's catalog", () => {
      let relations = 0;
      for (const { message } of streams.flatMap(({ messages }) => messages)) {
        if (message.kind !== "relation") continue;
        const { oid, schema, name } = message.relation;
        assert.deepEqual([schema, name], recording.tables[`${oid}`]);
        relations++;
      }
      assert.ok(relations > 10);
    });
  });
}
