import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { seededRandom } from "../support/stress_random.ts";
import type { Ledger } from "./ledger.ts";
import type { Meetings, Moment } from "./meetings.ts";
import { type Kind, type Script, scripts, type Write } from "./script.ts";

export interface WriterCounts {
  readonly writers: number;
  readonly transactions: number;
  readonly rolledBack: number;
  readonly prepared: number;
}

export interface WritersOptions {
  /** As the tables' owner. */
  readonly url: string;
  readonly seed: number;
  readonly ledger: Ledger;
  readonly meetings: Meetings;
  readonly kinds: readonly Kind[];
  /** Whether somebody reads for seconds in one snapshot. */
  readonly longReader: boolean;
  /** No transaction begins after. */
  readonly signal: AbortSignal;
}

/** Ends when `signal` is aborted and every prepared transaction has ended. */
export async function runWriters(options: WritersOptions): Promise<WriterCounts> {
  const { kinds, longReader } = options;
  const counts = { writers: kinds.length, transactions: 0, rolledBack: 0, prepared: 0 };
  const turns: Turns = { last: Promise.resolve() };
  const running = kinds.map((kind, n) => write(kind, n + 1, options, counts, turns));
  if (longReader) running.push(readLong(options));
  await Promise.all(running);
  return counts;
}

type Counts = { -readonly [K in keyof WriterCounts]: WriterCounts[K] };
/** Of those that are alone: each begins when the one before has ended. */
interface Turns {
  last: Promise<void>;
}
type Versions = ReadonlyMap<number, number | null>;

async function write(
  kind: Kind,
  n: number,
  { url, seed, ledger, meetings, signal }: WritersOptions,
  counts: Counts,
  turns: Turns,
): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined, fetch_types: false });
  const run = (text: string) => sql.unsafe<Result[]>(text).simple();
  const silent = kind === "silent";
  const committed = (versions: Versions) => ledger.committed(versions, silent);
  if (silent) await run("SET session_replication_role = replica");
  if (kind === "awaiting") await run("SET synchronous_commit = on");
  await using _impatient = kind === "awaiting" ? await lettingGo(url, sql, seed) : undefined;
  const pending: { left: number; readonly name: string; readonly versions: Versions }[] = [];

  async function inTurn(script: Script): Promise<void> {
    const before = turns.last;
    const { promise, resolve } = Promise.withResolvers<void>();
    turns.last = promise;
    try {
      await before;
      if (!signal.aborted) await transact(script);
      // Until the pollers have seen that it ended.
      await pause(50);
    } finally {
      resolve();
    }
  }

  async function transact(script: Script): Promise<void> {
    await run("BEGIN");
    if (script.idleMs > 0) {
      await run("SELECT count(*) FROM pg_class");
      await pause(script.idleMs);
    }
    const versions = new Map<number, number | null>();
    for (const each of script.writes) {
      for (const [id, v] of written(each, await run(statement(each, silent)))) versions.set(id, v);
    }
    if (script.holdMs > 0) await pause(script.holdMs);
    if (script.end === "rollback") {
      await run("ROLLBACK");
      counts.rolledBack++;
    } else if (script.end === "commit") {
      await (script.watched ? meet("ending", script, "COMMIT") : run("COMMIT"));
      committed(versions);
    } else {
      const name = `w${n}_${counts.transactions}`;
      const prepare = `PREPARE TRANSACTION '${name}'`;
      await (script.alone ? meet("preparing", script, prepare) : run(prepare));
      counts.prepared++;
      if (script.alone) {
        await pause(script.preparedMs);
        await run(`COMMIT PREPARED '${name}'`);
        committed(versions);
      } else pending.push({ left: script.preparedFor, name, versions });
    }
  }

  /** Ends the transaction when a poller holds still for it, or after a while. */
  async function meet(moment: Moment, { writes }: Script, end: string): Promise<void> {
    const [row] = await sql.unsafe<{ v: string; x: string }[]>(
      `SELECT (SELECT virtualxid FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'virtualxid') AS v,
       (SELECT xmin::text FROM item WHERE id = ${writes.at(-1)?.ids[0]}) AS x`,
    );
    const { met, over } = meetings.announce(moment, row?.v ?? "", row?.x ?? "");
    await Promise.race([met.then(() => pause(5)), pause(500)]);
    await run(end);
    over();
  }

  async function endPrepared(all: boolean): Promise<void> {
    for (const entry of pending) entry.left--;
    while (pending[0] !== undefined && (all || pending[0].left < 0)) {
      await run(`COMMIT PREPARED '${pending[0].name}'`);
      committed(pending[0].versions);
      pending.shift();
    }
  }

  try {
    for (const script of scripts(seededRandom(seed, `writer ${n}`), kind, n * 1_000_000)) {
      if (signal.aborted) break;
      await endPrepared(false);
      await (script.alone ? inTurn(script) : transact(script));
      counts.transactions++;
      await pause(script.pauseMs);
    }
    await endPrepared(true);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

type Result = readonly { readonly id?: string; readonly v?: string }[];

function statement({ op, ids, savepoint }: Write, silent: boolean): string {
  const list = ids.join(", ");
  // What the trigger does otherwise.
  const [columns, values, set] = silent
    ? [", v, updated_at", ", nextval('item_v'), now()", ", v = nextval('item_v')"]
    : ["", "", ""];
  const text = op === "insert"
    ? `INSERT INTO item (id, note${columns}) VALUES ${
      ids.map((id) => `(${id}, 'new'${values})`).join(", ")
    } RETURNING id, v`
    : op === "update"
    ? `UPDATE item SET note = 'changed'${set} WHERE id IN (${list}) RETURNING id, v`
    : `DELETE FROM item WHERE id IN (${list}) RETURNING id, v`;
  if (savepoint === undefined) return text;
  return `SAVEPOINT s; ${text}; ${savepoint === "released" ? "RELEASE s" : "ROLLBACK TO s"}`;
}

/** What it leaves, if its transaction commits. */
function written({ op, ids, savepoint }: Write, result: unknown): Versions {
  const rows = savepoint === undefined ? result as Result : (result as Result[])[1] ?? [];
  if (rows.length !== ids.length) {
    throw new Error(`Cannot go on: ${op} met ${rows.length} rows of ${ids.length}`);
  }
  if (savepoint === "rolled back") return new Map();
  return new Map(rows.map(({ id, v }) => [Number(id), op === "delete" ? null : Number(v)]));
}

/** Cancels the waiting of that session's commits, each after a while: they are committed all the same. */
async function lettingGo(url: string, waits: postgres.Sql, seed: number): Promise<AsyncDisposable> {
  const random = seededRandom(seed, "impatient");
  const [row] = await waits`SELECT pg_backend_pid()::text AS pid`;
  const pid = String(row?.["pid"]);
  const stop = new AbortController();
  const sql = postgres(url, { max: 1, onnotice: () => undefined, fetch_types: false });
  const going = (async () => {
    while (!stop.signal.aborted) {
      await sql`SELECT pg_cancel_backend(pid) FROM pg_stat_activity
        WHERE pid = ${pid}::int AND wait_event = 'SyncRep'`;
      await pause(random.between(50, 300));
    }
  })();
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await going;
      await sql.end({ timeout: 1 });
    },
  };
}

/** A report that reads for seconds in one snapshot. */
async function readLong({ url, seed, signal }: WritersOptions): Promise<void> {
  const random = seededRandom(seed, "reader");
  const sql = postgres(url, { max: 1, onnotice: () => undefined, fetch_types: false });
  try {
    while (!signal.aborted) {
      await sql.unsafe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM item").simple();
      await pause(random.between(3000, 8000), undefined, { signal }).catch(() => undefined);
      await sql.unsafe("SELECT count(*) FROM item; COMMIT").simple();
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}
