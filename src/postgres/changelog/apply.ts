import { FatalError, messageOf, RetryableError } from "../../core/errors.ts";
import { backoffDelay } from "../../flow/backoff.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Database, Row, Statement } from "../client.ts";
import type { Script } from "./install.ts";

export interface ApplyOptions {
  /** How often a script is tried that meets a lock. */
  readonly attempts: number;
  readonly delay: { readonly baseMs: number; readonly capMs: number };
  /** A line for people. */
  say(line: string): void;
}

/**
 * Runs scripts, each in a transaction, in order. One that needs a table's lock gives up after
 * `lock_timeout`, so that writers don't queue behind it for long, and tries again. A table that
 * fails for good is left out and the others go on; a script without a table fails all. `database`
 * is a direct connection that may write, and speaks as the schema's owner.
 *
 * Returns, by table, why it was left out.
 */
export async function applyScripts(
  database: Database,
  scripts: readonly Script[],
  options: ApplyOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const left = new Map<string, string>();
  for (const script of scripts) {
    const why = await tryScript(database, script, options, signal);
    if (why !== undefined && script.table !== undefined) left.set(script.table, why);
  }
  return left;
}

/** One statement that needs the owner's rights: says so when they are missing. */
export async function runAsOwner(
  database: Database,
  statement: Statement,
  signal: AbortSignal,
): Promise<readonly Row[]> {
  try {
    return await database.query(statement, signal);
  } catch (error) {
    throw error instanceof FatalError ? hinted(error, error.message) : error;
  }
}

/** Why a table was left out; undefined: it wasn't. */
async function tryScript(
  database: Database,
  script: Script,
  { attempts, delay, say }: ApplyOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let attempt = 1;; attempt++) {
    try {
      // One connection: an error leaves the transaction broken, and its COMMIT rolls it back.
      await database.sequence(
        ["BEGIN", ...script.statements, "COMMIT"].map((text) => ({ text })),
        signal,
      );
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (script.table === undefined) throw named(script, error);
      const locked = error instanceof RetryableError && LOCKED.has(error.code);
      if (!locked) {
        if (!(error instanceof FatalError)) throw error;
        say(`Cannot change ${script.table}: ${reasonOf(error)}`);
        return reasonOf(error);
      }
      if (attempt >= attempts) {
        say(`Cannot lock ${script.table}: others hold it, after ${attempts} tries`);
        return "others hold its lock";
      }
      const ms = backoffDelay(attempt, delay);
      say(`${script.table} is locked by others: trying again in ${ms} ms (${attempt}/${attempts})`);
      await sleep(ms, signal);
    }
  }
}

function named(script: Script, error: unknown): unknown {
  if (!(error instanceof FatalError)) return error;
  return hinted(error, `Cannot run "${script.title}": ${reasonOf(error)}`);
}

function hinted(error: FatalError, message: string): FatalError {
  return new FatalError(error.code, message, HINTS[error.code] ?? error.hint, { cause: error });
}

/** The server's own words: these statements hold names, never a row's values. */
function reasonOf(error: FatalError): string {
  return error.cause === undefined ? error.message : messageOf(error.cause);
}

const HINTS: Readonly<Record<string, string>> = {
  "2BP01": "Something else was put into the changelog's schema: move or drop it, and remove again.",
  "42501": "Give --admin-url of the tables' owner, who may create a schema in this database.",
  "25006": "It has to be run on the primary: give --admin-url.",
};
const LOCKED: ReadonlySet<string> = new Set(["55P03", "40P01"]);
