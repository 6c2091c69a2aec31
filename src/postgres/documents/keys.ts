import type { RowKey } from "../../core/change.ts";
import type { DocumentId, KeySum, KeySums } from "../../core/document.ts";
import { BUCKETS } from "../../core/document.ts";
import { FatalError, RetryableError } from "../../core/errors.ts";
import type { KeyDigest } from "../../core/ports.ts";
import { tableId } from "../../core/table.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Database, Row, Statement } from "../client.ts";
import { TIMED_OUT } from "../errors.ts";
import { fitting } from "./fitting.ts";
import { documentId } from "./identify.ts";
import type { PlannedIndex } from "./plan.ts";
import {
  boundaryStatement,
  idsStatement,
  isOrdered,
  type KeyRange,
  sumsStatement,
} from "./render_keys.ts";

export interface SourceKeysOptions {
  readonly database: Database;
  readonly plans: readonly PlannedIndex[];
  /** Share of wall time its statements may take, over 0 to 1. */
  readonly dutyCycle: number;
  /** Rows a statement reads; fewer when that takes too long. Absent: 200,000. */
  readonly rows?: number;
}

/**
 * The source's side of the key comparison: of exactly the rows that have a document. The rows are
 * read in ranges of the key, each in a statement of its own with a snapshot of its own: no statement
 * is long, and nothing is held open. A row that moves between two ranges meanwhile may be missed or
 * counted twice: the caller looks at what differs once more.
 *
 * Throws FatalError KEYS_UNREADABLE when a statement is too slow and can't be made smaller.
 */
export function sourceKeys(options: SourceKeysOptions): KeyDigest<DocumentId> {
  const { database, plans, dutyCycle } = options;

  async function* scan(
    plan: PlannedIndex,
    statement: (range: KeyRange) => Statement,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Row[]> {
    const ordered = isOrdered(plan.bound);
    let rows = options.rows ?? ROWS;
    let after: RowKey | undefined;
    while (true) {
      const startedAt = performance.now();
      const from = after === undefined ? {} : { after };
      let to: RowKey | undefined;
      let found: readonly Row[] | undefined;
      try {
        if (ordered) {
          const boundary = boundaryStatement(plan.bound, from, rows);
          to = (await fitting(database.query(boundary, signal)))[0]?.map((part) => part ?? "");
        }
        const range = to === undefined ? from : { ...from, to };
        found = await fitting(database.query(statement(range), signal));
      } catch (error) {
        if (!(error instanceof RetryableError) || error.code !== TIMED_OUT) throw error;
        if (!ordered || rows <= LEAST_ROWS) throw unreadable(plan, ordered, error);
        rows = Math.ceil(rows / 2);
      }
      if (found !== undefined) {
        yield found;
        if (to === undefined) return;
        after = to;
      }
      await sleep((performance.now() - startedAt) * (1 / dutyCycle - 1), signal);
    }
  }

  function planOf(index: string): PlannedIndex {
    const plan = plans.find(({ name }) => name === index);
    if (plan === undefined) throw new Error(`Cannot list keys: no plan for index ${index}`);
    return plan;
  }

  return {
    async keySums(index, signal): Promise<KeySums> {
      const { bound } = planOf(index);
      const sums = new Map<number, KeySum>();
      const statement = (range: KeyRange) => sumsStatement(bound, range);
      for await (const rows of scan(planOf(index), statement, signal)) {
        for (const [bucket, count, sum] of rows) {
          const known = sums.get(Number(bucket));
          sums.set(Number(bucket), {
            count: Number(count) + (known?.count ?? 0),
            sum: Number(sum) + (known?.sum ?? 0),
          });
        }
      }
      return sums;
    },
    async *idsIn(index, buckets, signal) {
      const { bound } = planOf(index);
      const wanted = buckets.filter((bucket) => bucket >= 0 && bucket < BUCKETS);
      if (wanted.length === 0) return;
      const statement = (range: KeyRange) => idsStatement(bound, range, wanted);
      for await (const rows of scan(planOf(index), statement, signal)) {
        if (rows.length === 0) continue;
        yield rows.map((row): DocumentId => {
          const key = row.map((part) => part ?? "");
          return { index, id: documentId(key), key };
        });
      }
    },
  };
}

/** A quarter of a second of an index scan that hashes. */
const ROWS = 200_000;
const LEAST_ROWS = 100;

function unreadable(plan: PlannedIndex, ordered: boolean, cause: RetryableError): FatalError {
  const table = tableId(plan.root);
  return new FatalError(
    "KEYS_UNREADABLE",
    `Cannot list the keys of ${table}: the server ended the statement as too long`,
    ordered
      ? "Make the index's filters cheaper to evaluate."
      : `Create an index on ${table} (${plan.key.join(", ")}), so that it can be read in parts.`,
    { cause },
  );
}
