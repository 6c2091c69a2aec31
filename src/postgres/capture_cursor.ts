import type { Json } from "../core/json.ts";
import type { SourceIdentity } from "../core/source.ts";
import { unreadable } from "./poll/cursor.ts";

/** Everything a restart of the capture needs. */
export interface CaptureCursor {
  readonly source: SourceIdentity;
  /** WAL position that the server had reached, in bytes. */
  readonly wal: bigint;
  /** When the primary that it was read on was started; undefined: it was read on a standby. */
  readonly pm: string | undefined;
  /** By stream name. */
  readonly streams: StoredStreams;
}

export type StoredStreams = Readonly<Record<string, StoredStream>>;

export interface StoredStream {
  /** Tables that the position speaks of, by `tableId`: the `Way.signature` they were followed under. */
  readonly tables: Readonly<Record<string, string>>;
  /** The stream's own. */
  readonly cursor: Json;
}

/** The cursor's stored text. */
export function formatCaptureCursor({ source, wal, pm, streams }: CaptureCursor): string {
  return JSON.stringify({ v: 2, source, wal: String(wal), pm: pm ?? null, streams });
}

/** The inverse; throws FatalError CURSOR_UNREADABLE for what it can't have written. */
export function parseCaptureCursor(text: string): CaptureCursor {
  try {
    const { v, source, wal, pm, streams } = JSON.parse(text) as Stored;
    if (v !== 2) throw new RangeError(`Cannot read a cursor: version ${v} is unknown`);
    const { systemId, timeline, database } = source;
    for (const { tables } of Object.values(streams)) Object.keys(tables);
    return {
      source: { systemId, timeline, database },
      wal: BigInt(wal),
      pm: pm ?? undefined,
      streams,
    };
  } catch (cause) {
    throw unreadable(cause);
  }
}

interface Stored {
  readonly v: number;
  readonly source: SourceIdentity;
  readonly wal: string;
  readonly pm?: string | null;
  readonly streams: StoredStreams;
}
