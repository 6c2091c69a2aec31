import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { pollPart, withPollPart } from "../support/poll_cursor.ts";
import { openPoller } from "../support/polling.ts";
import { createDatabase } from "../support/postgres.ts";

const TABLES = [{ name: "item", key: ["a", "b"] }];

/** As an earlier run left them: where it had got to by the key, or in the blocks, of its day. */
const STORED: readonly { name: string; lb: string; after: readonly string[] }[] = [
  {
    name: "by a key of another shape",
    lb: "2020-01-01T00:00:00.000000Z",
    after: ["2026-01-01 00:00:00+00", "1"],
  },
  {
    name: "by a key of another type",
    lb: "2020-01-01T00:00:00.000000Z",
    after: ["2020-01-01 00:00:00+00", "abc", "def"],
  },
  {
    name: "in the blocks of a table that is read by its stamp now",
    lb: "2020-01-01T00:00:00.000000Z",
    after: ["4096", "16384"],
  },
  {
    name: "by a key in a table that is read by blocks now",
    lb: "-infinity",
    after: ["2026-01-01 00:00:00+00", "1"],
  },
];
for (const { name, lb, after } of STORED) {
  test(`a rescan that had got somewhere ${name} begins anew at a restart`, async () => {
    await using db = await createDatabase(
      `CREATE TABLE item (a bigint, b bigint, updated_at timestamptz NOT NULL DEFAULT now(),
         PRIMARY KEY (a, b));
       CREATE INDEX ON item (updated_at, a, b);
       INSERT INTO item VALUES (1, 1, '2024-01-01Z'), (1, 2, '2024-01-01Z'), (2, 1, '2024-01-02Z');`,
    );
    let cursor: string;
    {
      await using poller = await openPoller({ url: db.readerUrl, tables: TABLES });
      await poller.polls();
      cursor = poller.capture.confirmed().cursor;
    }
    const rescans = { "public.item": [{ lb, to: pollPart(cursor).t, xb: "3", after }] };
    await using poller = await openPoller({
      url: db.readerUrl,
      tables: TABLES,
      cursor: withPollPart(cursor, { rescans }),
    });
    await poller.polls(3);
    deepEqual(poller.delivered.toSorted(), ["item:1,1", "item:1,2", "item:2,1"]);
  });
}
