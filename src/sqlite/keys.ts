import { setImmediate as nextTurn } from "node:timers/promises";
import { BUCKETS, type KeySum, UNMARKED } from "../core/document.ts";
import type { KeyDigest } from "../core/ports.ts";
import type { Database } from "./database.ts";
import { documentsTable } from "./generations.ts";

/** Where an index's documents are written to; looked up for each statement. */
export type Locate = (
  index: string,
  signal: AbortSignal,
) => Promise<{ readonly database: Database; readonly number: number }>;

/**
 * What a file holds, by the index over the marks: the documents aren't read. A document without a
 * mark was put there by hand. The event loop turns between two short statements.
 */
export function fileKeys(locate: Locate): KeyDigest<string> {
  return {
    async keySums(index, signal) {
      const sums = new Map<number, KeySum>();
      for (let from = 0; from < BUCKETS; from += SUMMED_AT_ONCE) {
        const { database, number } = await locate(index, signal);
        const rows = database.all(
          `SELECT bucket, count(*) AS n, sum(key_hash) AS sum FROM ${documentsTable(number)}
            WHERE body IS NOT NULL AND bucket >= ? AND bucket < ? GROUP BY bucket`,
          from,
          from + SUMMED_AT_ONCE,
        );
        for (const { bucket, n, sum } of rows) {
          sums.set(Number(bucket), { count: Number(n), sum: Number(sum) });
        }
        await nextTurn();
      }
      const { database, number } = await locate(index, signal);
      const sql = `SELECT count(*) AS n FROM ${documentsTable(number)}
        WHERE body IS NOT NULL AND bucket IS NULL`;
      const unmarked = Number(database.get(sql)?.["n"]);
      if (unmarked > 0) sums.set(UNMARKED, { count: unmarked, sum: 0 });
      return sums;
    },
    async *idsIn(index, buckets, signal) {
      let page: string[] = [];
      for (const bucket of new Set(buckets)) {
        let after = 0;
        for (let isLast = false; !isLast;) {
          const { database, number } = await locate(index, signal);
          const rows = database.all(
            `SELECT seq, id FROM ${documentsTable(number)}
              WHERE body IS NOT NULL AND bucket IS ? AND seq > ? ORDER BY seq LIMIT ${PAGE}`,
            bucket === UNMARKED ? null : bucket,
            after,
          );
          for (const { id } of rows) page.push(String(id));
          after = Number(rows.at(-1)?.["seq"] ?? after);
          isLast = rows.length < PAGE;
          if (page.length < PAGE) continue;
          yield page;
          page = [];
          await nextTurn();
        }
      }
      if (page.length > 0) yield page;
    },
  };
}

const SUMMED_AT_ONCE = 256;
const PAGE = 5_000;
