import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { exerciseSink } from "./exercise_sink.ts";
import type { SinkSubject, Stored } from "./sink_subject.ts";

exerciseSink("sqlite", sqliteSubject, {
  versions: true,
  generations: true,
  remembers: true,
  searches: true,
  keys: true,
  refs: true,
  poison: `{"title": poison}`,
});

async function sqliteSubject(): Promise<SinkSubject> {
  const folder = await mkdtemp(join(tmpdir(), "driftless-sqlite-"));
  const path = join(folder, "documents.db");
  return {
    open: () => Promise.resolve(sqliteSink({ name: "sqlite", path })),
    read: (index, id) => Promise.resolve(observe(path, newest(path, index), "body", id)),
    served: (index, id) => Promise.resolve(observe(path, served(path, index), "document", id)),
    dispose: () => rm(folder, { recursive: true }),
  };
}

/** The table of the newest filling, by the file's own description of itself. */
function newest(path: string, index: string): string | undefined {
  const [row] = query(path, "SELECT max(number) AS n FROM _generations WHERE name = ?", index);
  return typeof row?.["n"] === "bigint" ? `_documents_${row["n"]}` : undefined;
}

function served(path: string, index: string): string | undefined {
  const sql = "SELECT name FROM sqlite_schema WHERE type = 'view' AND name = ?";
  return query(path, sql, index).length === 1 ? `"${index}"` : undefined;
}

/** Reads on a connection of its own, as another process would. */
function observe(
  path: string,
  table: string | undefined,
  column: string,
  id: string,
): Stored | undefined {
  if (table === undefined) return undefined;
  const sql = `SELECT version, ${column} AS body FROM ${table} WHERE id = ?`;
  const [row] = query(path, sql, id);
  const { version, body } = row ?? {};
  return typeof version === "bigint" && typeof body === "string" ? { body, version } : undefined;
}

function query(path: string, sql: string, value: string): readonly Record<string, unknown>[] {
  const observer = new DatabaseSync(path, { readOnly: true });
  try {
    const statement = observer.prepare(sql);
    statement.setReadBigInts(true);
    return statement.all(value);
  } finally {
    observer.close();
  }
}
