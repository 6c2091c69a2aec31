import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { FatalError } from "../../core/errors.ts";
import { tableId } from "../../core/table.ts";
import type { PolledTable } from "../poll/polled_table.ts";
import { captureUpdatedAt } from "../poll/updated_at.ts";
import type { StreamContext, StreamStart } from "../stream.ts";
import type { HintedTable, OutboxSettings } from "../ways.ts";
import type { HintPage, OutboxRows } from "./hinted_stream.ts";
import type { OutboxShape } from "./shape.ts";

export interface StampedOptions {
  readonly settings: OutboxSettings;
  readonly tables: readonly HintedTable[];
  readonly marginMs: number;
}

/** The outbox's rows by the time they were written (design 3.3, on the outbox's own table). */
export function stampedRows(
  { settings, tables, marginMs }: StampedOptions,
  shape: OutboxShape,
  context: StreamContext,
): OutboxRows {
  const { columns } = settings;
  const options = { tables: [polled(settings, shape, marginMs)], tracking: true, marginMs };
  const stream = captureUpdatedAt(options, context);
  return {
    async prepare(start: StreamStart, stored, signal) {
      // It follows the outbox: nothing is due from it only when whatever it hints at is seeded.
      const isSeeded = tables.every(({ id }) => start.seeded.has(id));
      const seeded = new Set(isSeeded ? [tableId(settings.table)] : []);
      await stream.prepare({ ...start, stored, seeded }, signal);
    },
    async *pages(signal) {
      let rows: Delivery<Change>[] = [];
      for await (const row of stream.live(signal)) {
        rows.push(row);
        if (!row.drained && rows.length < context.pageSize) continue;
        yield pageOf(rows, row.drained === true);
        rows = [];
      }
    },
    confirmed: () => stream.confirmed(),
    seedBegins: () => stream.seedBegins?.(),
  };

  function pageOf(rows: readonly Delivery<Change>[], drained: boolean): HintPage {
    return {
      hints: rows.map(({ value: { after } }) => ({
        name: after?.[columns.table] ?? null,
        key: after?.[columns.key] ?? null,
      })),
      drained,
      ack: () => {
        for (const row of rows) row.ack();
      },
    };
  }
}

function polled(
  { table, columns }: OutboxSettings,
  { positionType, stampType, heap }: OutboxShape,
  marginMs: number,
): PolledTable {
  if (columns.stamp === undefined || stampType !== "timestamptz") {
    throw new FatalError(
      "OUTBOX_STAMP_TYPE",
      `Cannot read the outbox ${tableId(table)} by its stamp: it is no timestamptz`,
      "Name a column of type timestamptz in source.outbox.columns.stamp.",
    );
  }
  return {
    table,
    id: tableId(table),
    key: [{ name: columns.position, type: positionType, nullable: false }],
    joinColumns: [...new Set([columns.table, columns.key])],
    stamp: { name: columns.stamp, type: stampType, zone: "UTC" },
    marginMs,
    heap,
  };
}
