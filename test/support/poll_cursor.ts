/** The stored form of polling's own position: what src/postgres/poll/cursor.ts writes. */
export interface StoredPoll {
  readonly t: string;
  readonly sx: string;
  readonly open: readonly unknown[];
  readonly rescans: Readonly<Record<string, readonly { readonly after: unknown }[]>>;
}

/** Polling's own part of a capture's stored cursor. */
export function pollPart(cursor: string): StoredPoll {
  return (JSON.parse(cursor) as Stored).streams.updated_at.cursor;
}

/** The same cursor with that part altered. */
export function withPollPart(cursor: string, part: Readonly<Record<string, unknown>>): string {
  const stored = JSON.parse(cursor) as Stored;
  const { updated_at } = stored.streams;
  const altered = { ...updated_at, cursor: { ...updated_at.cursor, ...part } };
  return JSON.stringify({ ...stored, streams: { ...stored.streams, updated_at: altered } });
}

interface Stored {
  readonly streams: { readonly updated_at: { readonly cursor: StoredPoll } };
}
