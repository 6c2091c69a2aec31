/**
 * Waits for the transactions that may have written what the stream won't send: called when a table
 * has joined the publication or a slot was made, and before any seed reads its first row. Histories
 * that would lose rows without it (T a table, X another session's transaction):
 *
 * 1. X inserts into T. `ALTER PUBLICATION … ADD TABLE T` commits: it doesn't wait for writers. The seed
 *    reads X's place in T: nothing is visible there. X commits. The stream is sent X's commit without
 *    that row: a change is decoded under the catalog as it was when it was made, and then T wasn't
 *    published.
 * 2. A slot is being made: the server notes three times who is running (R1, R2, R3) and waits, but for R3,
 *    until these have really ended; the slot's first position is R3's. X begins behind R2, its commit
 *    record is written before R3, and it waits for its synchronous standby: it is not yet visible. The
 *    seed reads X's place: nothing there. The standby answers, X is visible; nobody sends it, for its
 *    commit lies before the slot.
 *
 * Both X had an xid when we began to wait, so it is below the F that is taken then, and every snapshot
 * lists it as running until it is visible to all later ones. F is an xid of our own. The xmax of a
 * snapshot wouldn't do: it is one more than the last xid that has *ended*, so the newest transactions,
 * these X among them, are not below it and not listed (seen: X alone at 757, snapshot `757:757:`). Nor
 * would its xmin: an X that began after the oldest running one is no less lost.
 */
import { durationText } from "../../core/duration_text.ts";
import { sleep } from "../../flow/sleep.ts";
import { arrayLiteral, type Database } from "../client.ts";

export interface Waiting {
  /** Those of other databases are waited for too, as the server does when it makes a slot; default false. */
  readonly everywhere?: boolean;
  /** When it is first said who is waited for, and how often after that, in ms. */
  readonly sayAfterMs?: number;
  readonly sayAgainMs?: number;
}

/**
 * Resolves when every transaction that had an xid when it was called has ended, prepared ones too;
 * those known to be of other databases aren't waited for: they can't have written to our tables. On a
 * primary alone. `say` gets a sentence of who is waited for, as far as the role may see, and of what
 * ends them.
 */
export async function untilOlderEnded(
  database: Database,
  say: (message: string) => void,
  signal: AbortSignal,
  { everywhere = false, sayAfterMs = 5_000, sayAgainMs = 60_000 }: Waiting = {},
): Promise<void> {
  const [row] = await database.query({ text: NEXT }, signal);
  const fence = row?.[0] ?? "";
  const began = performance.now();
  /** Of other databases. */
  const others = new Set<string>();
  let sayAt = began + sayAfterMs;
  for (let waitMs = 20;; waitMs = Math.min(waitMs * 1.5, 1_000)) {
    const rows = await database.query({ text: RUNNING, params: [fence] }, signal);
    const running = rows.flatMap(([xid]) => xid === null || xid === undefined ? [] : [xid]);
    const left = running.filter((xid) => !others.has(xid));
    if (left.length === 0) return;
    const owners = await ownersOf(database, left, signal);
    for (const [xid, { here }] of owners) if (!here && !everywhere) others.add(xid);
    const here = left.filter((xid) => !others.has(xid));
    if (here.length === 0) return;
    if (performance.now() >= sayAt) {
      sayAt = performance.now() + sayAgainMs;
      say(sentence(here.map((xid) => owners.get(xid)?.text ?? `transaction ${xid}`), began));
    }
    await sleep(waitMs, signal);
  }
}

interface Owner {
  /** It is of our database, or of nobody's that we know. */
  readonly here: boolean;
  readonly text: string;
}

/** Who holds these xids; nothing of one that ended meanwhile, or that isn't listed yet. */
async function ownersOf(
  database: Database,
  xids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Owner>> {
  const rows = await database.query({ text: OWNERS, params: [arrayLiteral(xids)] }, signal);
  return new Map(rows.map(([xid, gid, pid, name, user, since, here]): [string, Owner] => {
    const where = `database ${name}${user === null ? "" : `, user ${user}`}${
      since === null ? "" : `, since ${since}`
    }`;
    const text = gid === null || gid === undefined
      ? `process ${pid} (${where}; SELECT pg_terminate_backend(${pid}) ends it)`
      : `prepared transaction ${literal(gid)} (${where}; COMMIT PREPARED or ROLLBACK PREPARED ` +
        `${literal(gid)} ends it)`;
    return [xid ?? "", { here: here !== "f", text }];
  }));
}

function sentence(who: readonly string[], began: number): string {
  const more = who.length > SHOWN ? ` and ${who.length - SHOWN} more` : "";
  return `Waiting for ${durationText(performance.now() - began)} until transactions have ended ` +
    `that began before the WAL could be followed: ${who.slice(0, SHOWN).join(", ")}${more}`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

const SHOWN = 5;

/** In a transaction of its own, which is over when it returns: snapshots list all below it. */
const NEXT = "SELECT pg_current_xact_id()::text";

const RUNNING = `SELECT x::text FROM pg_snapshot_xip(pg_current_snapshot()) AS x
WHERE x < $1::xid8 ORDER BY x`;

/** An xid is one transaction's for as long as it runs, and a session never changes its database. */
const OWNERS = `
WITH wanted AS MATERIALIZED (SELECT x, x::xid AS xid FROM unnest($1::xid8[]) x),
running AS MATERIALIZED (SELECT l.transactionid AS xid, l.pid FROM pg_locks l
  WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock')
SELECT w.x::text, NULL, a.pid::text, a.datname::text, a.usename::text,
  date_trunc('second', a.xact_start)::text, a.datname = current_database()
FROM wanted w JOIN running r ON r.xid = w.xid JOIN pg_stat_activity a ON a.pid = r.pid
UNION ALL
SELECT w.x::text, p.gid, NULL, p.database::text, p.owner::text,
  date_trunc('second', p.prepared)::text, p.database = current_database()
FROM wanted w JOIN pg_prepared_xacts p ON p.transaction = w.xid`;
