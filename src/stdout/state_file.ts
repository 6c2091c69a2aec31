import { constants } from "node:fs";
import { access, open, readFile, rename } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Checkpoint, SeedState } from "../core/checkpoint.ts";
import { FatalError, messageOf } from "../core/errors.ts";

/** What a sink that is only a stream must remember elsewhere. */
export interface StreamState {
  readonly format: 1;
  readonly checkpoint?: Checkpoint;
  /** By index: how far it is filled, and the shape of its documents. */
  readonly seeds: Readonly<Record<string, SeedState & { readonly hash: string }>>;
}

export interface StateFile {
  /** Nothing stored yet is an empty state. Reads only. */
  read(): Promise<StreamState>;
  /** Stores what `change` makes of the state; changes are made one after another. */
  change(change: (state: StreamState) => StreamState): Promise<void>;
  /** Throws FatalError when the file's folder can't be written. */
  check(): Promise<void>;
}

/**
 * State in a JSON file that is always whole: written beside, flushed to disk, then renamed over the
 * old one. Throws FatalError when it can't be read or written.
 */
export function stateFile(path: string): StateFile {
  let state: StreamState | undefined;
  let last: Promise<void> = Promise.resolve();
  const read = async (): Promise<StreamState> => state ??= await readState(path);
  return {
    read,
    change(change) {
      const changing = last.then(async () => {
        const changed = change(await read());
        await replaceFile(path, `${JSON.stringify(changed)}\n`);
        state = changed;
      });
      // The one that waits for it hears of the failure; the next starts from what is stored.
      last = changing.catch(() => undefined);
      return changing;
    },
    async check() {
      try {
        await access(dirname(resolve(path)), constants.W_OK | constants.X_OK);
      } catch (cause) {
        throw unusable("write", path, cause);
      }
    },
  };
}

async function readState(path: string): Promise<StreamState> {
  let text;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return { format: 1, seeds: {} };
    throw unusable("read", path, cause);
  }
  try {
    const state = JSON.parse(text) as Partial<StreamState> | null;
    if (state?.format === 1 && typeof state.seeds === "object") return state as StreamState;
  } catch {
    // Not JSON: as foreign as JSON of another shape.
  }
  throw new FatalError(
    "STATE_FOREIGN",
    `Cannot read state file ${path}: it is not one of this release of driftless`,
    "Choose another path, or delete the file: the next run fills anew.",
  );
}

async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  try {
    await writeThrough(beside, text);
    await rename(beside, path);
    await flushFolder(dirname(resolve(path)));
  } catch (cause) {
    throw unusable("write", path, cause);
  }
}

async function writeThrough(path: string, text: string): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the rename itself durable. */
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function unusable(verb: "read" | "write", path: string, cause: unknown): FatalError {
  return new FatalError(
    codeOf(cause),
    `Cannot ${verb} state file ${path}: ${messageOf(cause)}`,
    "Check that its folder exists, that this user may write it, and that the disk has space.",
    { cause },
  );
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "STATE_UNUSABLE";
}
