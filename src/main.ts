/** The process's edge: arguments, signals, exit code; the only file that touches the process. */
import process from "node:process";
import { dispatch } from "./cli/dispatch.ts";
import { FatalError, messageOf } from "./core/errors.ts";

/** Draining may take this long after the first signal (design 5.8). */
const DRAIN_MS = 25_000;
/** What a stream says once nobody reads it. */
const READER_LEFT: ReadonlySet<string> = new Set(["EPIPE", "ERR_STREAM_DESTROYED"]);
/** What still holds the process after everything was closed is let go after this. */
const LINGER_MS = 2_000;

const stop = new AbortController();
const end = new AbortController();

for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(code);
    stop.abort(new Error(`${name} received`));
    setTimeout(() => {
      end.abort(new Error(`Cannot drain within ${DRAIN_MS / 1000} s: what is left is read again`));
    }, DRAIN_MS).unref();
  });
}
process.on("unhandledRejection", (error) => {
  end.abort(error instanceof Error ? error : new Error(messageOf(error)));
});
// A reader of our output that left is told to the writer, which waits for it.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

process.exitCode = await dispatch(process.argv.slice(2), {
  env: process.env,
  stdout: { write: writeOut },
  stderr: (text) => {
    if (text !== "") process.stderr.write(text);
  },
  stdoutIsTty: process.stdout.isTTY === true,
  isTty: process.stderr.isTTY === true,
  columns: () => process.stderr.columns ?? 80,
  stop: stop.signal,
  signal: end.signal,
}).catch((error) => {
  process.stderr.write(`Cannot go on: ${messageOf(error)}\n`);
  return 1;
});
setTimeout(() => process.exit(), LINGER_MS).unref();

/** Resolves when the text is handed over, so that a slow reader slows the writer. */
function writeOut(text: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    process.stdout.write(text, (error) => {
      signal.removeEventListener("abort", onAbort);
      if (error === null || error === undefined) resolve();
      else reject(closedOutput(error));
    });
  });
}

/** A part of the text may be out: writing it again would repeat what the reader has. */
function closedOutput(cause: Error): FatalError {
  const left = "code" in cause && READER_LEFT.has(String(cause.code));
  return new FatalError(
    "OUTPUT_CLOSED",
    `Cannot write to stdout: ${left ? "its reader has left" : messageOf(cause)}`,
    "Keep what reads it running until this ends, and start again.",
    { cause },
  );
}
