import type { ChangeStream, StreamContext } from "../stream.ts";
import type { HintedTable, OutboxSettings } from "../ways.ts";
import { claimOutbox } from "./claim.ts";
import { hintedStream } from "./hinted_stream.ts";
import { hintsOf } from "./hints.ts";
import { loadShape, type OutboxShape } from "./shape.ts";
import { stampedRows } from "./stamped_rows.ts";
import { transactionRows } from "./transaction_rows.ts";

export interface OutboxOptions {
  readonly settings: OutboxSettings;
  /** The tables that are followed this way. */
  readonly tables: readonly HintedTable[];
  /** `stamp`: how much earlier than its transaction's beginning a row may be stamped. */
  readonly marginMs: number;
}

/**
 * Follows tables by what the application writes to its outbox (design 3.5). `prepare` throws
 * RetryableError SCHEMA_CHANGED when the outbox or a table isn't what it was planned for.
 */
export function captureOutbox(options: OutboxOptions, context: StreamContext): ChangeStream {
  const { settings, tables } = options;
  const { mode } = settings;
  let stream: ChangeStream | undefined;

  function opened(shape: OutboxShape): ChangeStream {
    const { readers: database, observe } = context;
    const hints = hintsOf({ settings, tables, shape, database, observe });
    if (mode === "xid") {
      const rows = transactionRows(settings, shape, context);
      return hintedStream(rows, { settings, tables, hints });
    }
    if (mode === "stamp") {
      const rows = stampedRows(options, shape, context);
      return hintedStream(rows, { settings, tables, hints });
    }
    const writing = context.open(1, { writes: true });
    return claimOutbox({ settings, tables, shape, hints, database: writing }, context);
  }

  function current(): ChangeStream {
    if (stream === undefined) throw new Error("Cannot follow the outbox: it is not prepared");
    return stream;
  }

  return {
    async prepare(start, signal) {
      stream = opened(await loadShape(context.readers, settings, tables, signal));
      return stream.prepare(start, signal);
    },
    live: (signal) => current().live(signal),
    confirmed: () => current().confirmed(),
    seedBegins: () => stream?.seedBegins?.(),
  };
}
