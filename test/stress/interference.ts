import { setTimeout as pause } from "node:timers/promises";
import type { Database, Row, Statement } from "../../src/postgres/client.ts";
import type { Random } from "../support/stress_random.ts";

/** Thrown where a follower's process is made to end. */
export class Crash extends Error {
  override readonly name = "Crash";
}

/** What a mutant does to the statements of the real code; nothing, for ours. */
export interface Interference {
  /** It works between statements: none is sent before the one before has returned. */
  readonly apart?: boolean;
  /** Before it is sent. `database` isn't interfered with. */
  before?(statement: Statement, database: Database, signal: AbortSignal): Promise<void>;
  /** The answer, without asking the server. */
  answer?(statement: Statement): readonly Row[] | undefined;
  /** What the server is taken to have returned. */
  after?(
    statement: Statement,
    rows: readonly Row[],
  ): readonly Row[] | Promise<readonly Row[]>;
}

export interface Disturbed {
  readonly random: Random;
  /** Throws a Crash when it is time for one. */
  mayCrash(): void;
  /** Disturbs no more: the run is being drained. */
  calm(): boolean;
  readonly interferences: readonly Interference[];
}

/**
 * A database whose statements are delayed at random, crash between each other, and are altered by the
 * interferences. What is sent as one sequence mostly is, and one by one otherwise.
 */
export function disturbed(database: Database, how: Disturbed): Database {
  const { random, mayCrash, calm, interferences } = how;
  const apart = interferences.some((each) => each.apart === true);

  async function begin(statement: Statement, signal: AbortSignal): Promise<void> {
    mayCrash();
    if (!calm() && random.chance(0.03)) await pause(random.between(5, 80));
    for (const each of interferences) await each.before?.(statement, database, signal);
  }

  async function finish(statement: Statement, rows: readonly Row[]): Promise<readonly Row[]> {
    let result = rows;
    for (const each of interferences) result = await each.after?.(statement, result) ?? result;
    mayCrash();
    return result;
  }

  function answer(statement: Statement): readonly Row[] | undefined {
    for (const each of interferences) {
      const rows = each.answer?.(statement);
      if (rows !== undefined) return rows;
    }
    return undefined;
  }

  async function one(statement: Statement, signal: AbortSignal): Promise<readonly Row[]> {
    await begin(statement, signal);
    return await finish(statement, answer(statement) ?? await database.query(statement, signal));
  }

  return {
    ...database,
    query: one,
    async sequence(statements, signal) {
      const results: (readonly Row[])[] = [];
      if (apart || random.chance(0.3)) {
        for (const statement of statements) results.push(await one(statement, signal));
        return results;
      }
      for (const statement of statements) await begin(statement, signal);
      const answers = await database.sequence(statements, signal);
      for (const [i, statement] of statements.entries()) {
        results.push(await finish(statement, answers[i] ?? []));
      }
      return results;
    },
  };
}
