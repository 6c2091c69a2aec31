import type { Document, Rejection, WriteMode } from "../core/document.ts";
import { messageOf } from "../core/errors.ts";
import type { Hit } from "../core/ports.ts";
import type { Database } from "./database.ts";
import { isConstraint } from "./errors.ts";
import { documentsTable, type Generation, saveSearchable, searchTable } from "./generations.ts";
import { matchQuery } from "./match_query.ts";
import { listedAfter, listedOf, storeRefs } from "./refs.ts";

/**
 * A generation's documents and the FTS5 index over them.
 *
 * Filling is several times faster when FTS5 sees the documents once and late, so a generation that
 * isn't served is indexed afterwards, page by page, while writes go on. One invariant makes that
 * safe: a document is in the FTS5 index exactly when its `seq` is at most `searchable` and it has a
 * body. A write keeps a known document's `seq`; below the mark it updates FTS5, above it the page to
 * come will read what was written. A new document's `seq` is above every other, so above the mark
 * of an unfinished generation; the mark of a served one is above all. Page, mark and write are
 * transactions, so no write falls between a page and its mark.
 */
export type WordsOf = (body: string) => string;

/**
 * Stores a document if the version rules let it: a deletion as a row without body, so that a late
 * write still meets its version. Returns why it was refused, or undefined.
 */
export function storeDocument(
  database: Database,
  generation: Generation,
  document: Document,
  mode: WriteMode,
  wordsOf: WordsOf,
): Rejection | undefined {
  const { index, id, version, body, sync } = document;
  const documents = documentsTable(generation.number);
  const newer = mode === "live" ? ">=" : ">";
  const sql = `INSERT INTO ${documents} (id, version, body, bucket, key_hash, listed)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body,
      bucket = excluded.bucket, key_hash = excluded.key_hash, listed = ${listedAfter(documents)}
    WHERE excluded.version ${newer} ${documents}.version
    RETURNING seq, listed`;
  const mark = [sync?.bucket ?? null, sync?.key ?? null, listedOf(sync)] as const;
  let row;
  try {
    row = database.get(sql, id, version, body, ...mark);
  } catch (error) {
    const cause = (error as Error).cause;
    if (!isConstraint(cause)) throw error;
    return { index, id, type: "malformed_json", reason: messageOf(cause) };
  }
  if (row === undefined) return undefined;
  const seq = Number(row["seq"]);
  const listed = Number(row["listed"]);
  if (listed > 0) storeRefs(database, generation.number, { seq, listed }, sync);
  if (seq > generation.searchable) return undefined;
  const search = searchTable(generation.number);
  if (body === null) database.get(`DELETE FROM ${search} WHERE rowid = ?`, seq);
  else {
    const replace = `INSERT OR REPLACE INTO ${search} (rowid, words) VALUES (?, ?)`;
    database.get(replace, seq, wordsOf(body));
  }
  return undefined;
}

/** Puts the next page of documents into the FTS5 index; false when none are left. */
export function indexPage(database: Database, generation: Generation, wordsOf: WordsOf): boolean {
  const { number, searchable } = generation;
  const rows = database.all(
    `SELECT seq, body FROM ${documentsTable(number)} WHERE seq > ? ORDER BY seq LIMIT ${PAGE}`,
    searchable,
  );
  const insert = `INSERT INTO ${searchTable(number)} (rowid, words) VALUES (?, ?)`;
  for (const { seq, body } of rows) {
    if (typeof body === "string") database.get(insert, Number(seq), wordsOf(body));
  }
  const last = rows.at(-1);
  if (last !== undefined) saveSearchable(database, number, Number(last["seq"]));
  return rows.length === PAGE;
}

/** The best matches, best first. */
export function findDocuments(
  database: Database,
  number: number,
  query: string,
  limit: number,
): readonly Hit[] {
  const match = matchQuery(query);
  if (match === undefined) return [];
  const search = searchTable(number);
  const sql = `SELECT id, body, -rank AS score
    FROM ${search} JOIN ${documentsTable(number)} ON seq = ${search}.rowid
    WHERE ${search} MATCH ? ORDER BY rank LIMIT ?`;
  return database.all(sql, match, limit).map(({ id, body, score }) => ({
    id: String(id),
    score: Number(score),
    body: String(body),
  }));
}

/** Documents indexed in one transaction: a few ms, so that the event loop keeps turning. */
const PAGE = 1_000;
