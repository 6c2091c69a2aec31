import type { Database, Row, Statement } from "../../src/postgres/client.ts";

export interface StatementHooks {
  /** Runs before each statement; those of a sequence are then sent one at a time. */
  readonly before?: (statement: Statement) => Promise<void>;
  /** Alters what a statement returned. */
  readonly after?: (statement: Statement, rows: readonly Row[]) => readonly Row[];
}

/** The database with hooks around each statement; the same one where there is none. */
export function hooked(database: Database, { before, after }: StatementHooks): Database {
  if (before === undefined && after === undefined) return database;
  const hookedDatabase: Database = {
    ...database,
    async query(statement, signal) {
      await before?.(statement);
      const rows = await database.query(statement, signal);
      return after?.(statement, rows) ?? rows;
    },
    async sequence(statements, signal) {
      const results: (readonly Row[])[] = [];
      for (const statement of statements) {
        results.push(await hookedDatabase.query(statement, signal));
      }
      return results;
    },
  };
  return hookedDatabase;
}
