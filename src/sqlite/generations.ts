import type { RowKey } from "../core/change.ts";
import type { SeedState } from "../core/checkpoint.ts";
import type { IndexReport } from "../core/index_report.ts";
import type { FieldPlan, IndexPlan } from "../core/plan.ts";
import type { Database, SqlRow } from "./database.ts";

/**
 * One filling of an index: a table of documents, of the rows they were made of, and an FTS5 index
 * over them, of its own, so that dropping one is cheap. At most one of an index is seeded, and that one is served.
 */
export interface Generation {
  readonly number: number;
  readonly hash: string;
  readonly state: SeedState;
  /** Documents up to this `seq` are in the FTS5 index; what `documents.ts` writes keeps it so. */
  readonly searchable: number;
}

/** `searchable` of a generation that is served: all of it, also what will come. */
export const ALL: number = Number.MAX_SAFE_INTEGER;

/** The generations of an index, newest first. */
export function generationsOf(database: Database, index: string): readonly Generation[] {
  const sql = `SELECT number, seed, hash, seeded, after, rows, searchable
    FROM _generations WHERE name = ? ORDER BY number DESC`;
  return database.all(sql, index).map(generation);
}

/** What a run would find of a plan's index. */
export function standingOf(database: Database | undefined, plan: IndexPlan): IndexReport {
  const all = database === undefined ? [] : generationsOf(database, plan.name);
  const current = all.find(({ hash }) => hash === plan.hash);
  const shown = current ?? all.find(({ state }) => state.seeded) ?? all[0];
  if (shown === undefined) return { fate: "made", served: false };
  return {
    fate: current === undefined ? "replaced" : "kept",
    physical: documentsTable(shown.number),
    served: shown.state.seeded,
  };
}

/** The fields that its documents were planned with. */
export function fieldsOf(database: Database, number: number): readonly FieldPlan[] {
  const row = database.get("SELECT fields FROM _generations WHERE number = ?", number);
  return JSON.parse(String(row?.["fields"] ?? "[]")) as readonly FieldPlan[];
}

/** An empty generation. */
export function createGeneration(database: Database, plan: IndexPlan, seed: string): number {
  const row = database.get(
    "INSERT INTO _generations (name, seed, hash, fields) VALUES (?, ?, ?, ?) RETURNING number",
    plan.name,
    seed,
    plan.hash,
    JSON.stringify(plan.fields),
  );
  const number = Number(row?.["number"]);
  // Rows are never removed from it, so `seq` only rises: `searchable` relies on that.
  database.execute(
    `CREATE TABLE ${documentsTable(number)} (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      version INTEGER NOT NULL,
      body TEXT CHECK (body IS NULL OR json_valid(body)),
      bucket INTEGER,
      key_hash INTEGER,
      listed INTEGER NOT NULL DEFAULT 0
    )`,
  );
  // Keys are compared by it alone, without a look at the documents.
  database.execute(
    `CREATE INDEX _keys_${number} ON ${documentsTable(number)} (bucket, seq, key_hash)
      WHERE body IS NOT NULL`,
  );
  database.execute(
    `CREATE TABLE ${refsTable(number)} (
      ref TEXT NOT NULL,
      seq INTEGER NOT NULL,
      PRIMARY KEY (ref, seq)
    ) WITHOUT ROWID`,
  );
  database.execute(`CREATE INDEX _listed_${number} ON ${refsTable(number)} (seq)`);
  database.execute(
    `CREATE VIRTUAL TABLE ${searchTable(number)} USING fts5(
      words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
    )`,
  );
  return number;
}

export function dropGeneration(database: Database, number: number): void {
  database.execute(`DROP TABLE ${searchTable(number)}`);
  // An earlier release's has none.
  database.execute(`DROP TABLE IF EXISTS ${refsTable(number)}`);
  database.execute(`DROP TABLE ${documentsTable(number)}`);
  database.get("DELETE FROM _generations WHERE number = ?", number);
}

export function saveProgress(
  database: Database,
  number: number,
  progress: { readonly after: RowKey; readonly rows: number },
): void {
  const after = JSON.stringify(progress.after);
  const sql = "UPDATE _generations SET after = ?, rows = ? WHERE number = ?";
  database.get(sql, after, progress.rows, number);
}

export function saveSearchable(database: Database, number: number, searchable: number): void {
  database.get("UPDATE _generations SET searchable = ? WHERE number = ?", searchable, number);
}

/** Makes it the one that is served: under the index's name, as a view that anyone can read. */
export function serveGeneration(database: Database, index: string, number: number): void {
  const view = `"${index.replaceAll('"', '""')}"`;
  database.execute(`DROP VIEW IF EXISTS ${view}`);
  for (const other of generationsOf(database, index)) {
    if (other.number !== number) dropGeneration(database, other.number);
  }
  database.execute(
    `CREATE VIEW ${view} AS SELECT id, version, body AS document
      FROM ${documentsTable(number)} WHERE body IS NOT NULL`,
  );
  const sql = "UPDATE _generations SET seeded = 1, searchable = ? WHERE number = ?";
  database.get(sql, ALL, number);
}

export function documentsTable(number: number): string {
  return `_documents_${number}`;
}

/** Which documents were made of which rows: see refs.ts. */
export function refsTable(number: number): string {
  return `_refs_${number}`;
}

export function searchTable(number: number): string {
  return `_search_${number}`;
}

function generation(row: SqlRow): Generation {
  const after = row["after"];
  return {
    number: Number(row["number"]),
    hash: String(row["hash"]),
    searchable: Number(row["searchable"]),
    state: {
      seed: String(row["seed"]),
      seeded: row["seeded"] === 1,
      ...(typeof after === "string" ? { after: JSON.parse(after) as RowKey } : {}),
      rows: Number(row["rows"]),
    },
  };
}
