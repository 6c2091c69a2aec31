import { FatalError, messageOf, RetryableError } from "../core/errors.ts";

/**
 * Translates what node:sqlite threw, once, at this adapter's edge, by SQLite's primary result code.
 * Only a lock held by another process passes by waiting. An error without a code is fatal.
 */
export function translate(error: unknown, path: string): unknown {
  if (error instanceof FatalError || error instanceof RetryableError) return error;
  const primary = primaryCode(error);
  const [code, hint] = FATAL[primary] ?? ["SQLITE_ERROR", `Check the file ${path}.`];
  const message = `Cannot use sqlite file ${path}: ${messageOf(error)}`;
  if (primary === BUSY) return new RetryableError("SQLITE_BUSY", message, { cause: error });
  if (primary === LOCKED) return new RetryableError("SQLITE_LOCKED", message, { cause: error });
  return new FatalError(code, message, hint, { cause: error });
}

/** Whether a statement failed on a constraint: of our tables, a body that is no JSON. */
export function isConstraint(error: unknown): boolean {
  return primaryCode(error) === CONSTRAINT;
}

const BUSY = 5;
const LOCKED = 6;
const CONSTRAINT = 19;

const FATAL: Readonly<Record<number, readonly [code: string, hint: string]>> = {
  8: ["SQLITE_READONLY", "Let this user write the file and its folder."],
  10: ["SQLITE_IOERR", "Check the disk that holds the file."],
  11: ["SQLITE_CORRUPT", "Delete the file: the next run fills a new one."],
  13: ["SQLITE_FULL", "Free space on the disk that holds the file."],
  14: ["SQLITE_CANTOPEN", "Check that the folder exists and that this user may write it."],
  26: ["SQLITE_NOTADB", "Choose another path, or move the file that is there away."],
};

/** The low byte of SQLite's result code; 0 when the error carries none. */
function primaryCode(error: unknown): number {
  if (typeof error !== "object" || error === null || !("errcode" in error)) return 0;
  const { errcode } = error as { errcode: unknown };
  return typeof errcode === "number" ? errcode & 0xff : 0;
}
