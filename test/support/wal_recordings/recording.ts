import { readFileSync } from "node:fs";

/** What a server sent for `scenario.ts`, and what it says of it elsewhere. */
export interface Recording {
  /** "18.4". */
  readonly version: string;
  /** The server's clock before and behind the writes: µs since 1970. */
  readonly from: string;
  readonly to: string;
  /** By oid: each table's schema and name. */
  readonly tables: Readonly<Record<string, readonly [string, string]>>;
  /** By publication: `lsn xid payload` of each message, the payload in base64. */
  readonly streams: Readonly<Record<"leaf" | "root", readonly string[]>>;
}

/** A row of `pg_logical_slot_peek_binary_changes`. */
export interface RecordedMessage {
  readonly lsn: bigint;
  readonly xid: number;
  readonly bytes: Uint8Array;
}

export const recordedMajors = [15, 18] as const;

export function recordingFile(major: number): URL {
  return new URL(`pg${major}.json`, import.meta.url);
}

export function readRecording(major: number): Recording {
  return JSON.parse(readFileSync(recordingFile(major), "utf8"));
}

export function messagesOf(stream: readonly string[]): readonly RecordedMessage[] {
  return stream.map((line) => {
    const [lsn = "", xid = "", payload = ""] = line.split(" ");
    const [high = "", low = ""] = lsn.split("/");
    return {
      lsn: BigInt(`0x${high}`) << 32n | BigInt(`0x${low}`),
      xid: Number(xid),
      bytes: Uint8Array.from(atob(payload), (character) => character.charCodeAt(0)),
    };
  });
}
