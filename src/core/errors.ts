/**
 * A failure that may pass: only engine/ retries it. `code` is stable (a SQLSTATE, a client
 * library's code or one of ours); decisions are made by code, never by message.
 */
export class RetryableError extends Error {
  override readonly name = "RetryableError";
  readonly code: string;
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** A failure that waiting won't mend. `hint` says what the reader can do. */
export class FatalError extends Error {
  override readonly name = "FatalError";
  readonly code: string;
  readonly hint: string;
  constructor(code: string, message: string, hint: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** One line about any thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? error.name : error.message;
  return String(error);
}
