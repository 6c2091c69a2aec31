import { setImmediate as nextTurn } from "node:timers/promises";
import type { Checkpoint } from "../core/checkpoint.ts";
import type { Document, Rejection, WriteMode } from "../core/document.ts";
import { FatalError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Searchable, Sink } from "../core/ports.ts";
import {
  checkPlace,
  type Database,
  databaseExists,
  openDatabase,
  sqliteVersion,
} from "./database.ts";
import { findDocuments, indexPage, storeDocument, type WordsOf } from "./documents.ts";
import {
  createGeneration,
  dropGeneration,
  fieldsOf,
  type Generation,
  generationsOf,
  saveProgress,
  serveGeneration,
  standingOf,
} from "./generations.ts";
import { fileKeys } from "./keys.ts";
import { fileRefs } from "./refs.ts";
import { searchableText } from "./searchable_text.ts";

export interface SqliteSinkOptions {
  readonly name: string;
  /** The file; created by the first `ensure`, never by a read. */
  readonly path: string;
}

/**
 * The embedded sink: one SQLite file with the documents, FTS5 over their text and the state. Each
 * index is a view `(id, version, document)` under its name once it is seeded. node:sqlite blocks the
 * thread, so each transaction is short and the event loop turns between two.
 */
export function sqliteSink({ name, path }: SqliteSinkOptions): Sink & Searchable {
  let opening: Promise<Database> | undefined;
  /** The generation that `ensure` chose for each index. */
  const ensured = new Map<string, number>();
  const words = new Map<number, WordsOf>();

  const opened = async (signal: AbortSignal): Promise<Database> => {
    signal.throwIfAborted();
    opening ??= openDatabase(path);
    try {
      return await opening;
    } catch (error) {
      opening = undefined;
      throw error;
    }
  };
  const openedToRead = async (signal: AbortSignal): Promise<Database | undefined> => {
    signal.throwIfAborted();
    return opening !== undefined || await databaseExists(path) ? await opened(signal) : undefined;
  };
  const wordsOf = (database: Database, { number }: Generation): WordsOf => {
    const known = words.get(number);
    if (known !== undefined) return known;
    const made = searchableText(fieldsOf(database, number));
    words.set(number, made);
    return made;
  };
  const chosen = (database: Database, index: string): Generation => {
    const number = ensured.get(index);
    if (number === undefined) throw unknownIndex(index);
    const found = generationsOf(database, index).find((each) => each.number === number);
    if (found === undefined) throw lostIndex(index, path);
    return found;
  };

  return {
    name,

    keys: fileKeys(async (index, signal) => {
      const database = await opened(signal);
      return { database, number: chosen(database, index).number };
    }),

    refs: fileRefs(
      async (index, signal) => {
        const database = await opened(signal);
        const targets = targetsOf(database, chosen(database, index), index, "live");
        return { database, numbers: targets.map(({ number }) => number) };
      },
      async (index, signal) => {
        const database = await openedToRead(signal);
        const known = ensured.get(index);
        const served = database && generationsOf(database, index)
          .find(({ number, state }) => known === undefined ? state.seeded : number === known);
        if (database === undefined || served === undefined) throw unknownIndex(index);
        return { database, numbers: [served.number] };
      },
    ),

    async connect(signal) {
      signal.throwIfAborted();
      if (await openedToRead(signal) === undefined) await checkPlace(path);
      return `sqlite ${sqliteVersion()} file ${path}`;
    },

    async seedState(plan, signal) {
      const database = await openedToRead(signal);
      if (database === undefined) return undefined;
      return generationsOf(database, plan.name).find(({ hash }) => hash === plan.hash)?.state;
    },

    async inspect(plan, signal) {
      return standingOf(await openedToRead(signal), plan);
    },

    async ensure(plan, fresh, signal) {
      const database = await opened(signal);
      const number = database.transaction(() => chooseGeneration(database, plan, fresh, path));
      ensured.set(plan.name, number);
    },

    async saveSeed(index, progress, signal) {
      const database = await opened(signal);
      database.transaction(() => saveProgress(database, chosen(database, index).number, progress));
    },

    async markSeeded(index, signal) {
      const database = await opened(signal);
      const step = (): boolean => {
        const generation = chosen(database, index);
        if (generation.state.seeded) return false;
        if (indexPage(database, generation, wordsOf(database, generation))) return true;
        serveGeneration(database, index, generation.number);
        return false;
      };
      while (database.transaction(step)) {
        await nextTurn();
        signal.throwIfAborted();
      }
    },

    async write(documents, mode, signal) {
      const database = await opened(signal);
      for (const { index } of documents) if (!ensured.has(index)) throw unknownIndex(index);
      const rejections: Rejection[] = [];
      for (const [n, chunk] of chunks(documents).entries()) {
        if (n > 0) await nextTurn();
        signal.throwIfAborted();
        const writeChunk = (): readonly Rejection[] => {
          const targets = new Map<string, readonly Generation[]>();
          return chunk.flatMap((document) => {
            const known = targets.get(document.index) ??
              targetsOf(database, chosen(database, document.index), document.index, mode);
            targets.set(document.index, known);
            return known.flatMap((generation, target) => {
              const words = wordsOf(database, generation);
              const rejection = storeDocument(database, generation, document, mode, words);
              return rejection === undefined || target > 0 ? [] : [rejection];
            });
          });
        };
        rejections.push(...database.transaction(writeChunk));
      }
      return rejections;
    },

    // A served generation's documents are found as soon as their write resolves.
    async refresh(_indexes, signal) {
      await openedToRead(signal);
    },

    async loadCheckpoint(signal) {
      const database = await openedToRead(signal);
      const row = database?.get("SELECT value FROM _checkpoint");
      return row === undefined ? undefined : JSON.parse(String(row["value"])) as Checkpoint;
    },

    async saveCheckpoint(checkpoint, signal) {
      const database = await opened(signal);
      // Commits to a file that was deleted or replaced succeed, and are lost.
      if (!await database.inPlace()) throw lostIndex([...ensured.keys()].join(", "), path);
      signal.throwIfAborted();
      database.transaction(() => {
        for (const index of ensured.keys()) chosen(database, index);
        const sql = "INSERT OR REPLACE INTO _checkpoint (one, value) VALUES (1, ?)";
        database.get(sql, JSON.stringify(checkpoint));
      });
    },

    async search(index, query, limit, signal) {
      const database = await openedToRead(signal);
      const served = database && generationsOf(database, index).find(({ state }) => state.seeded);
      if (database === undefined || served === undefined) {
        throw new FatalError(
          "INDEX_NOT_SEEDED",
          `Cannot search index ${index}: no filling of it is finished in ${path}`,
          "Check the name, or fill it first: driftless sync.",
        );
      }
      return findDocuments(database, served.number, query, limit);
    },

    async [Symbol.asyncDispose]() {
      const database = await opening?.catch(() => undefined);
      opening = undefined;
      database?.close();
    },
  };
}

/** The generation to write to: the one named, or made; unfinished others are given up. */
function chooseGeneration(
  database: Database,
  plan: IndexPlan,
  fresh: string | undefined,
  path: string,
): number {
  const all = generationsOf(database, plan.name);
  const found = all.find(({ hash, state }) =>
    hash === plan.hash && (fresh === undefined || state.seed === fresh)
  );
  if (found === undefined && fresh === undefined) {
    if (all.length === 0) throw lostIndex(plan.name, path);
    throw new FatalError(
      "MAPPING_CONFLICT",
      `Cannot go on with index ${plan.name}: ${path} holds documents of another shape`,
      "Fill it again.",
    );
  }
  for (const { number, state } of all) {
    if (!state.seeded && number !== found?.number) dropGeneration(database, number);
  }
  return found?.number ?? createGeneration(database, plan, fresh ?? "");
}

/** Where a document goes: live changes also keep another generation of the same shape current. */
function targetsOf(
  database: Database,
  chosen: Generation,
  index: string,
  mode: WriteMode,
): readonly Generation[] {
  if (mode === "fill") return [chosen];
  const others = generationsOf(database, index)
    .filter(({ number, hash }) => number !== chosen.number && hash === chosen.hash);
  return [chosen, ...others];
}

/** Cut so that one transaction stays short. */
function chunks(documents: readonly Document[]): readonly (readonly Document[])[] {
  const cut: Document[][] = [];
  let size = Infinity;
  for (const document of documents) {
    const length = (document.body?.length ?? 0) + document.id.length;
    if (size + length > CHUNK_CHARACTERS || (cut.at(-1)?.length ?? 0) >= CHUNK_DOCUMENTS) {
      cut.push([]);
      size = 0;
    }
    cut.at(-1)?.push(document);
    size += length + (document.sync?.refs?.length ?? 0);
  }
  return cut;
}

const CHUNK_DOCUMENTS = 2_000;
const CHUNK_CHARACTERS = 8 * 1024 * 1024;

function unknownIndex(index: string): FatalError {
  const hint = "This is a defect of driftless: please report it.";
  return new FatalError("INDEX_UNKNOWN", `Cannot write to ${index}: it was never ensured`, hint);
}

function lostIndex(index: string, path: string): FatalError {
  return new FatalError(
    "INDEX_LOST",
    `Cannot go on with index ${index}: it is no longer in ${path}, or the file was replaced`,
    "Start again: what is missing is filled anew.",
  );
}
