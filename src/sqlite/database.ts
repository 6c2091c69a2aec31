import { constants } from "node:fs";
import { access, open, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { FatalError } from "../core/errors.ts";
import { translate } from "./errors.ts";

export type SqlRow = Readonly<Record<string, unknown>>;

/** One open file. All methods are synchronous, and throw errors that are already translated. */
export interface Database {
  /** Runs a statement, kept prepared by its text; the rows it gives, integers as numbers. */
  all(sql: string, ...values: SQLInputValue[]): readonly SqlRow[];
  /** The first row; the statement runs to its end only when it gives at most one. */
  get(sql: string, ...values: SQLInputValue[]): SqlRow | undefined;
  /** Runs a statement once, unprepared: for DDL. */
  execute(sql: string): void;
  /** All or nothing, and durable on return: `body` must not await. */
  transaction<T>(body: () => T): T;
  /** The file under the path is still the one that was opened. */
  inPlace(): Promise<boolean>;
  close(): void;
}

/** Whether there is a file to open: reading must not create one. */
export async function databaseExists(path: string): Promise<boolean> {
  return await fileNumber(path) !== undefined;
}

/**
 * Opens the file, or creates it. Write-ahead log, so that readers in other processes never wait;
 * every commit is on disk before it returns. Throws FatalError for a file that is not ours.
 */
export async function openDatabase(path: string): Promise<Database> {
  await checkPlace(path);
  const open = openFile(path);
  try {
    const database = statementsOf(open, path);
    // Looked at first: another program's file is left as it is, and a search of ours never waits
    // for the lock of a run that writes.
    const ours = isOurs(database, path);
    for (const setting of SETTINGS) database.get(setting);
    if (!ours) database.transaction(() => adopt(database, path));
    const opened = await fileNumber(path);
    return { ...database, inPlace: async () => await fileNumber(path) === opened };
  } catch (error) {
    open.close();
    throw error;
  }
}

/** What SQLite calls itself: `3.x.y`. */
export function sqliteVersion(): string {
  const memory = new DatabaseSync(":memory:");
  try {
    return String(memory.prepare("SELECT sqlite_version() AS version").get()?.["version"]);
  } finally {
    memory.close();
  }
}

/**
 * Says in plain words what SQLite would only number, and does so before SQLite touches anything: the
 * folder is missing or closed to us, or the file is something else.
 */
export async function checkPlace(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new FatalError(
      "SQLITE_CANTOPEN",
      `Cannot open sqlite file ${path}: folder ${folder} is missing or not writable`,
      "Create the folder, or choose another path.",
      { cause },
    );
  }
  const start = await firstBytes(path);
  if (start !== "" && start !== MAGIC) {
    throw new FatalError(
      "SQLITE_NOTADB",
      `Cannot open sqlite file ${path}: it is not an SQLite database`,
      "Choose another path, or move the file that is there away.",
    );
  }
}

const MAGIC = "SQLite format 3\0";
/** "DRFT": marks the file as ours. */
const APPLICATION = 0x44524654;
/** Rises when the tables below change. */
const FORMAT = 1;
/** How long SQLite blocks this thread for another process's lock; beyond, the engine retries. */
const LOCK_WAIT_MS = 500;

const SETTINGS: readonly string[] = [
  "PRAGMA journal_mode = wal",
  // NORMAL would lose the last commits on a power cut, after they were acknowledged.
  "PRAGMA synchronous = full",
  "PRAGMA cache_size = -16384",
  "PRAGMA journal_size_limit = 67108864",
];

/** Our own tables begin with an underscore, which no index name may: those are views. */
const TABLES: readonly string[] = [
  `CREATE TABLE _generations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    seed TEXT NOT NULL,
    hash TEXT NOT NULL,
    fields TEXT NOT NULL,
    seeded INTEGER NOT NULL DEFAULT 0,
    after TEXT,
    rows INTEGER NOT NULL DEFAULT 0,
    searchable INTEGER NOT NULL DEFAULT 0
  )`,
  "CREATE TABLE _checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL)",
];

type OpenFile = Omit<Database, "inPlace">;

function openFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: LOCK_WAIT_MS });
  } catch (error) {
    throw translate(error, path);
  }
}

function statementsOf(open: DatabaseSync, path: string): OpenFile {
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = open.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const translated = <T>(run: () => T): T => {
    try {
      return run();
    } catch (error) {
      throw translate(error, path);
    }
  };
  return {
    all: (sql, ...values) => translated(() => prepared(sql).all(...values)),
    get: (sql, ...values) => translated(() => prepared(sql).get(...values)),
    execute: (sql) => void translated(() => open.prepare(sql).run()),
    transaction: (body) =>
      translated(() => {
        prepared("BEGIN IMMEDIATE").run();
        try {
          const result = body();
          prepared("COMMIT").run();
          return result;
        } catch (error) {
          // A full disk has already rolled it back.
          if (open.isTransaction) prepared("ROLLBACK").run();
          throw error;
        }
      }),
    close: () => open.close(),
  };
}

/** False for a file that nothing was ever written to; throws for one that isn't ours. */
function isOurs(database: OpenFile, path: string): boolean {
  const pragma = (name: string) => Number(database.get(`PRAGMA ${name}`)?.[name]);
  const application = pragma("application_id");
  if (application === APPLICATION && pragma("user_version") === FORMAT) return true;
  if (application === APPLICATION) {
    throw new FatalError(
      "SQLITE_FORMAT",
      `Cannot open sqlite file ${path}: another release of driftless wrote it`,
      "Use that release, or delete the file: the next run fills a new one.",
    );
  }
  if (application === 0 && database.get("SELECT 1 FROM sqlite_schema LIMIT 1") === undefined) {
    return false;
  }
  throw new FatalError(
    "SQLITE_FOREIGN",
    `Cannot open sqlite file ${path}: another program's tables are in it`,
    "Choose another path.",
  );
}

function adopt(database: OpenFile, path: string): void {
  if (isOurs(database, path)) return;
  for (const table of TABLES) database.execute(table);
  database.execute(`PRAGMA application_id = ${APPLICATION}`);
  database.execute(`PRAGMA user_version = ${FORMAT}`);
}

/** What tells this file from another under the same path; undefined when there is none. */
async function fileNumber(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/** The first 16 bytes as Latin-1; "" for a missing or an empty file. */
async function firstBytes(path: string): Promise<string> {
  let file;
  try {
    file = await open(path, "r");
  } catch {
    return "";
  }
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(16), 0, 16, 0);
    return String.fromCharCode(...buffer.subarray(0, bytesRead));
  } catch {
    return "";
  } finally {
    await file.close();
  }
}
