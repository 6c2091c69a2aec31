/**
 * Which documents list a row (design 3.7): rows `(ref, seq)` beside a generation's documents. The
 * document's `listed` says whether it has any, now and before the last write, so that a document
 * without refs costs no statement.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { SyncMark } from "../core/document.ts";
import type { RefDirectory } from "../core/ports.ts";
import type { Database } from "./database.ts";
import { documentsTable, refsTable } from "./generations.ts";

/** Where documents are looked for. */
export interface Reading {
  readonly database: Database;
  /** The generations to look into. */
  readonly numbers: readonly number[];
}

/** What a write stores in `listed`; with `WAS_LISTED` where it replaces a document that had some. */
export function listedOf(sync: SyncMark | undefined): number {
  return sync?.refs === undefined && sync?.over !== true ? 0 : IS_LISTED;
}

/** An expression: `listed` after a write over the row of that table. SQLite ranks | and << the same. */
export function listedAfter(documents: string): string {
  return `excluded.listed | ((${documents}.listed & ${IS_LISTED}) << 1)`;
}

/** Keeps the refs of a document that was just written; `listed` is its column. */
export function storeRefs(
  database: Database,
  number: number,
  { seq, listed }: { readonly seq: number; readonly listed: number },
  sync: SyncMark | undefined,
): void {
  const table = refsTable(number);
  if ((listed & WAS_LISTED) !== 0) database.get(`DELETE FROM ${table} WHERE seq = ?`, seq);
  if ((listed & IS_LISTED) === 0) return;
  const insert = `INSERT OR IGNORE INTO ${table} (ref, seq) SELECT value, ? FROM json_each(?)`;
  if (sync?.refs !== undefined) database.get(insert, seq, sync.refs);
  if (sync?.over === true) database.get(insert, seq, JSON.stringify([OVER]));
}

/** `locate` says what to look into for each statement; `serving` is where one counts. */
export function fileRefs(
  locate: (index: string, signal: AbortSignal) => Promise<Reading>,
  serving: (index: string, signal: AbortSignal) => Promise<Reading>,
): RefDirectory {
  return {
    async holders(index, refs, signal) {
      const found = new Set<string>();
      await locate(index, signal);
      for (let from = 0; from < refs.length; from += AT_ONCE) {
        if (from > 0) await nextTurn();
        const { database, numbers } = await locate(index, signal);
        const some = JSON.stringify(refs.slice(from, from + AT_ONCE));
        for (const number of numbers) {
          const sql = `SELECT id FROM ${refsTable(number)} JOIN ${
            documentsTable(number)
          } USING (seq)
            WHERE ref IN (SELECT value FROM json_each(?)) AND ref <> ?`;
          for (const { id } of database.all(sql, some, OVER)) found.add(String(id));
        }
      }
      return [...found];
    },
    async over(index, signal) {
      const { database, numbers } = await serving(index, signal);
      return numbers.reduce((count, number) => {
        const sql = `SELECT count(*) AS n FROM ${refsTable(number)} WHERE ref = ?`;
        return count + Number(database.get(sql, OVER)?.["n"]);
      }, 0);
    },
  };
}

const IS_LISTED = 1;
const WAS_LISTED = 2;
/** In place of the refs where they are too many: none is ever empty. */
const OVER = "";
const AT_ONCE = 500;
