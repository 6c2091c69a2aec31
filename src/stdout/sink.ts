import type { Document } from "../core/document.ts";
import { FatalError, messageOf } from "../core/errors.ts";
import type { Sink } from "../core/ports.ts";
import { stateFile } from "./state_file.ts";

/** Where lines go. */
export interface LineWriter {
  /**
   * Resolves when the text is handed over and the reader keeps up (drained); rejects with the
   * signal's reason, or with FatalError or the system's error when nobody reads any more.
   */
  write(text: string, signal: AbortSignal): Promise<void>;
}

export interface StdoutSinkOptions {
  readonly name: string;
  readonly out: LineWriter;
  /** The file that remembers seeds and the checkpoint; created by the first `ensure`. */
  readonly statePath: string;
}

/**
 * One line of JSON for each document, as it is written:
 * `{"op":"index","index":"users","id":"1","version":"8","document":{…}}`, for a deletion
 * `{"op":"delete","index":"users","id":"1","version":"8"}`. `version` is text: it exceeds what a
 * double holds. A stream can't refuse an older version: its reader keeps the greatest, and of equal
 * ones the last.
 */
export function stdoutSink({ name, out, statePath }: StdoutSinkOptions): Sink {
  const file = stateFile(statePath);
  const ensured = new Set<string>();

  const updateSeed = (index: string, progress: object): Promise<void> =>
    file.change((state) => {
      const known = state.seeds[index];
      if (known === undefined || !ensured.has(index)) throw unknownIndex(index);
      return { ...state, seeds: { ...state.seeds, [index]: { ...known, ...progress } } };
    });

  return {
    name,

    async connect(signal) {
      signal.throwIfAborted();
      await file.check();
      await file.read();
      return `stdout with state in ${statePath}`;
    },

    async seedState(plan, signal) {
      signal.throwIfAborted();
      const known = (await file.read()).seeds[plan.name];
      if (known === undefined || known.hash !== plan.hash) return undefined;
      const { hash: _, ...state } = known;
      return state;
    },

    async ensure({ name: index, hash }, fresh, signal) {
      signal.throwIfAborted();
      const known = (await file.read()).seeds[index];
      if (known?.hash !== hash || fresh !== undefined && known.seed !== fresh) {
        if (fresh === undefined) throw lostIndex(index, statePath);
        const begun = { hash, seed: fresh, seeded: false, rows: 0 };
        await file.change((state) => ({ ...state, seeds: { ...state.seeds, [index]: begun } }));
      }
      ensured.add(index);
    },

    async saveSeed(index, { after, rows }, signal) {
      signal.throwIfAborted();
      await updateSeed(index, { after, rows });
    },

    async markSeeded(index, signal) {
      signal.throwIfAborted();
      await updateSeed(index, { seeded: true });
    },

    async write(documents, _mode, signal) {
      signal.throwIfAborted();
      for (const { index } of documents) if (!ensured.has(index)) throw unknownIndex(index);
      for (const text of pieces(documents)) {
        try {
          await out.write(text, signal);
        } catch (error) {
          signal.throwIfAborted();
          throw error instanceof FatalError ? error : closedOutput(error);
        }
        signal.throwIfAborted();
      }
      return [];
    },

    // A line is visible once it is written.
    async refresh(_indexes, signal) {
      signal.throwIfAborted();
    },

    async loadCheckpoint(signal) {
      signal.throwIfAborted();
      return (await file.read()).checkpoint;
    },

    async saveCheckpoint(checkpoint, signal) {
      signal.throwIfAborted();
      await file.change((state) => ({ ...state, checkpoint }));
    },

    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Whole lines, in pieces of about a MiB: a slow reader holds us back before memory fills. */
function* pieces(documents: readonly Document[]): Generator<string> {
  let text = "";
  for (const document of documents) {
    text += line(document);
    if (text.length < PIECE_CHARACTERS) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}

const PIECE_CHARACTERS = 1024 * 1024;

/** The document's own JSON goes in as it is. */
function line({ index, id, version, body }: Document): string {
  const op = body === null ? "delete" : "index";
  const head = `{"op":"${op}","index":${JSON.stringify(index)},"id":${JSON.stringify(id)}` +
    `,"version":"${version}"`;
  return body === null ? `${head}}\n` : `${head},"document":${body}}\n`;
}

function unknownIndex(index: string): FatalError {
  const hint = "This is a defect of driftless: please report it.";
  return new FatalError("INDEX_UNKNOWN", `Cannot write to ${index}: it was never ensured`, hint);
}

function lostIndex(index: string, path: string): FatalError {
  return new FatalError(
    "INDEX_LOST",
    `Cannot go on with index ${index}: state file ${path} doesn't know it in this shape`,
    "Start again: it is filled anew.",
  );
}

/** A part of a line may be out: sending it again would repeat what the reader has. */
function closedOutput(cause: unknown): FatalError {
  return new FatalError(
    "OUTPUT_CLOSED",
    `Cannot write to stdout: ${messageOf(cause)}`,
    "Keep the reader running; start again, and what it may have missed is sent once more.",
    { cause },
  );
}
