import { FatalError } from "../../core/errors.ts";
import { decodePgOutput, type PgOutputMessage } from "./pgoutput.ts";

/** Decodes one message of the stream; throws FatalError WAL_UNREADABLE: the next run would meet it again. */
export function decode(payload: Uint8Array): PgOutputMessage {
  try {
    return decodePgOutput(payload);
  } catch (cause) {
    throw unreadable(cause instanceof Error ? cause.message : "it isn't pgoutput", cause);
  }
}

export function unreadable(why: string, cause?: unknown): FatalError {
  return new FatalError(
    "WAL_UNREADABLE",
    `Cannot read the WAL: ${why}`,
    'Follow the tables another way ("wal": false), and tell us which Postgres this is.',
    { cause },
  );
}
