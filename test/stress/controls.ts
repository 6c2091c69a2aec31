/**
 * How most tools poll: the largest stamp seen is the cursor. Everything else, connections, crashes,
 * acknowledgements, is as for ours.
 */
import type { Change } from "../../src/core/change.ts";
import type { Delivery } from "../../src/core/delivery.ts";
import type { Row, Statement } from "../../src/postgres/client.ts";
import { sleep } from "../../src/flow/sleep.ts";
import { pollDeliveries } from "../../src/postgres/poll/deliveries.ts";
import { readClock } from "../../src/postgres/poll/listing.ts";
import type { Micros } from "../../src/postgres/poll/micros.ts";
import type { ChangeStream, StreamContext } from "../../src/postgres/stream.ts";

/** `updated_at > cursor`, all rows of it. */
export function naiveStream(context: StreamContext): ChangeStream {
  return cursorStream(context, ([stamp = "-infinity"]) => ({
    text: `SELECT id, updated_at::text FROM item i WHERE i.updated_at > $1::timestamptz
      ORDER BY i.updated_at, i.id`,
    params: [stamp],
  }));
}

/** `(updated_at, id) > (cursor)`, in pages. */
export function keysetStream(context: StreamContext): ChangeStream {
  return cursorStream(context, ([stamp = "-infinity", id = "0"]) => ({
    text:
      `SELECT id, updated_at::text FROM item i WHERE (i.updated_at, i.id) > ($1::timestamptz, $2::bigint)
      ORDER BY i.updated_at, i.id LIMIT ${context.pageSize}`,
    params: [stamp, id],
  }));
}

const ITEM = { schema: "public", name: "item" };

function cursorStream(
  context: StreamContext,
  page: (cursor: readonly string[]) => Statement,
): ChangeStream {
  const database = context.open(1);
  let cursor: readonly string[] = [];
  let through: Micros | undefined;

  async function* live(signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    while (true) {
      const { clock } = await readClock(database, signal);
      const rows = await database.query(page(cursor), signal);
      const delivery = pollDeliveries(() => false, 0);
      yield* delivery.of(rows.map(found));
      yield* delivery.last();
      await delivery.acknowledged(signal);
      const last = rows.at(-1);
      if (last !== undefined) cursor = [last[1] ?? "", last[0] ?? ""];
      if (rows.length === 0) through = clock;
      context.moved();
      if (rows.length === 0) await sleep(context.timing.minIntervalMs, signal);
    }
  }

  return {
    prepare({ stored }) {
      if (Array.isArray(stored)) cursor = stored.map(String);
      return Promise.resolve({ gaps: new Map() });
    },
    live,
    confirmed: () => ({ cursor, through }),
  };
}

function found(row: Row) {
  const change: Change = { table: ITEM, op: "upsert", key: [row[0] ?? ""] };
  return { change, version: "" };
}
