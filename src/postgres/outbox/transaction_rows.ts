import { tableId } from "../../core/table.ts";
import { snapshotDifference } from "../changelog/difference.ts";
import { IN_ORDER } from "../changelog/statements.ts";
import { quote } from "../client.ts";
import type { StreamContext } from "../stream.ts";
import type { OutboxSettings } from "../ways.ts";
import type { OutboxRows } from "./hinted_stream.ts";
import type { OutboxShape } from "./shape.ts";

/** The outbox's rows by the transaction that wrote them: the snapshot difference (design 3.4). */
export function transactionRows(
  { table, columns }: OutboxSettings,
  { positionType }: OutboxShape,
  context: StreamContext,
): OutboxRows {
  if (columns.xid === undefined) {
    throw new Error(`Cannot read the outbox ${tableId(table)} by xid: no column is named for it`);
  }
  const difference = snapshotDifference({
    database: context.open(1, { settings: IN_ORDER }),
    relation: {
      from: `${quote(table.schema)}.${quote(table.name)}`,
      columns: [`t.${quote(columns.table)} AS n`, `t.${quote(columns.key)} AS k`],
      xid: columns.xid,
      order: { column: columns.position, type: positionType },
    },
    pageSize: context.pageSize,
    timing: context.timing,
    saw: context.saw,
    moved: context.moved,
  });
  return {
    async prepare({ clock }, stored, signal) {
      await difference.prepare(stored, clock, signal);
    },
    async *pages(signal) {
      for await (const { rows, drained, ack } of difference.pages(signal)) {
        const hints = rows.map(({ values: [name = null, key = null] }) => ({ name, key }));
        yield { hints, drained, ack };
      }
    },
    confirmed: () => difference.confirmed(),
    seedBegins: () => {},
  };
}
