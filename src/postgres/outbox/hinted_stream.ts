import type { Change } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import type { Json } from "../../core/json.ts";
import { countdown } from "../../flow/countdown.ts";
import { fitting } from "../poll/fitting.ts";
import type { ChangeStream, StreamPosition, StreamStart } from "../stream.ts";
import type { HintedTable, OutboxSettings } from "../ways.ts";
import type { Hint, Hints } from "./hints.ts";

/** Reads the rows of an outbox and leaves them where they are. */
export interface OutboxRows {
  prepare(start: StreamStart, stored: Json | undefined, signal: AbortSignal): Promise<void>;
  /** Endless; goes on without waiting for what isn't drained. */
  pages(signal: AbortSignal): AsyncGenerator<HintPage>;
  confirmed(): StreamPosition;
  seedBegins(): void;
}

export interface HintPage {
  /** Not empty. */
  readonly hints: readonly Hint[];
  /** Nothing is right behind this page. (The last one needn't say so.) */
  readonly drained: boolean;
  /** All its rows are durable. Idempotent. */
  ack(): void;
}

export interface HintedStreamOptions {
  readonly settings: OutboxSettings;
  readonly tables: readonly HintedTable[];
  readonly hints: Hints;
}

/**
 * Follows the tables that an outbox hints at by the outbox's own rows: mode `xid` or `stamp`. The
 * position in the outbox is that of all its tables.
 */
export function hintedStream(
  rows: OutboxRows,
  { settings: { mode }, tables, hints }: HintedStreamOptions,
): ChangeStream {
  async function* live(signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    for await (const page of rows.pages(signal)) {
      const read = await hints.read(page.hints, signal);
      const changes = read.filter((change) => change !== undefined);
      const done = countdown(changes.length, page.ack);
      for (const [i, value] of changes.entries()) {
        const isLast = i === changes.length - 1;
        yield isLast && page.drained
          ? { value, ack: done(), drained: true }
          : { value, ack: done() };
      }
    }
  }

  return {
    async prepare(start: StreamStart, signal: AbortSignal) {
      const stored = storedBy(mode, start.stored);
      await rows.prepare(start, stored, signal);
      const lost = start.stored !== undefined && stored === undefined;
      const reason = "the outbox was followed in another way";
      return { gaps: new Map(lost ? tables.map(({ id }) => [id, reason]) : []) };
    },
    live: (signal) => fitting(live(signal)),
    confirmed() {
      const { cursor, through } = rows.confirmed();
      return { cursor: { mode, at: cursor }, through };
    },
    seedBegins: () => rows.seedBegins(),
  };
}

function storedBy(mode: OutboxSettings["mode"], stored: Json | undefined): Json | undefined {
  if (typeof stored !== "object" || stored === null) return undefined;
  return "at" in stored && "mode" in stored && stored["mode"] === mode ? stored["at"] : undefined;
}
