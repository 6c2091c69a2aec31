import postgres from "postgres";
import { cancel, type Cancellable } from "./cancellable.ts";
import { translate } from "./errors.ts";
import { type Lane, lanePool } from "./lanes.ts";
import { type SessionSettings, sessionSettings, settingsStatement } from "./session_settings.ts";
import { tlsOf, type TlsOptions } from "./tls.ts";

/** A statement with its parameters, all as text; arrays by `arrayLiteral`. */
export interface Statement {
  readonly text: string;
  readonly params?: readonly (string | null)[];
}

/** A row: each column's text as Postgres prints it. Numbers, booleans and times stay text. */
export type Row = readonly (string | null)[];

/** Read-only access to the source database with the session settings driftless relies on. */
export interface Database extends AsyncDisposable {
  /** `user@host:port/database`, without the password. */
  readonly detail: string;
  readonly pooled: boolean;
  /** Runs one statement in a transaction of its own. */
  query(statement: Statement, signal: AbortSignal): Promise<readonly Row[]>;
  /**
   * Runs statements in order on one connection, each in a transaction of its own and so with a
   * snapshot of its own, taken after the one before has finished; one round trip on direct
   * connections. Fails as a whole with the first error.
   */
  sequence(
    statements: readonly Statement[],
    signal: AbortSignal,
  ): Promise<readonly (readonly Row[])[]>;
  /**
   * Pids of this Database's own backends, as far as they are known; [] behind a pooler, where a pid
   * names somebody else's transaction next. A pid may be stale: match the application name, which
   * no other direct connection can bear, and the role too.
   */
  ownPids(): readonly number[];
  readonly applicationName: string;
  /** Whether a pooler answers in place of the server: the pid of the handshake isn't the backend's. */
  behindPooler(signal: AbortSignal): Promise<boolean>;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly tls?: TlsOptions;
  /** "transaction": behind PgBouncer in transaction mode. */
  readonly pooler: "none" | "transaction";
  /** "refuse": a table whose rows a policy hides is an error, not a smaller table (design 3.8). */
  readonly rowSecurity: "refuse" | "allow";
  readonly maxConnections: number;
  /** Random per process: see `ownPids`. */
  readonly applicationName: string;
  /** 0: none. */
  readonly statementTimeoutMs: number;
  /** Statements may write: for what acknowledges in the database. Default: read-only. */
  readonly writes?: boolean;
  /** More settings for each session, or over the usual ones; by each transaction behind a pooler. */
  readonly settings?: SessionSettings;
}

/** Opens a pool lazily: nothing connects before the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const pooled = options.pooler === "transaction";
  const settings = sessionSettings(options);
  const tls = tlsOf(options.tls);
  const open = () =>
    postgres(options.url, {
      max: 1,
      fetch_types: false,
      prepare: !pooled,
      connect_timeout: 10,
      // The engine decides when to try again; a long-lived poller isn't recycled.
      backoff: 0 as unknown as boolean,
      max_lifetime: null,
      idle_timeout: 0,
      onnotice: () => {},
      types: TEXT_TYPES,
      ...(tls === undefined ? {} : { ssl: tls }),
      // A pooler refuses unknown startup parameters: there each transaction sets its own.
      connection: {
        ...(pooled ? {} : settings),
        application_name: options.applicationName,
      } as Record<string, string>,
    });
  const lanes = lanePool(Array.from({ length: options.maxConnections }, (): Lane => ({
    sql: open(),
    pid: undefined,
  })));

  async function sequence(
    statements: readonly Statement[],
    signal: AbortSignal,
  ): Promise<readonly (readonly Row[])[]> {
    signal.throwIfAborted();
    const lane = await lanes.take();
    const pending = new Set<Cancellable>();
    const send = (text: string, params: readonly (string | null)[], frame = false) => {
      const query = lane.sql.unsafe(text, [...params], { prepare: !pooled });
      const result = query.values().execute() as unknown as PromiseLike<Result>;
      // A cancelled COMMIT would leave the transaction open.
      if (frame) return result;
      pending.add(query);
      const settled = () => {
        pending.delete(query);
        if (signal.aborted) onAbort();
      };
      result.then(settled, settled);
      return result;
    };
    // Again and again: a request that reaches the server between two statements hits neither.
    let again: ReturnType<typeof setInterval> | undefined;
    const onAbort = () => {
      for (const query of pending) cancel(query);
      if (pending.size > 0) again ??= setInterval(onAbort, CANCEL_AGAIN_MS);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      // All are sent before the first has answered: the one connection runs them in this order.
      const results = statements.map(({ text, params }) => {
        if (!pooled) return send(text, params ?? []);
        const around = [send(options.writes ? "BEGIN READ WRITE" : "BEGIN READ ONLY", [], true)];
        around.push(send(settingsStatement(settings), [], true));
        const result = send(text, params ?? []);
        around.push(send("COMMIT", [], true));
        for (const other of around) Promise.resolve(other).catch(() => {});
        return result;
      });
      // None is left running behind the caller's back when one fails.
      const settled = await Promise.allSettled(results);
      return settled.map((result) => {
        if (result.status === "rejected") throw result.reason;
        lane.pid = result.value.state?.pid;
        return dense(result.value);
      });
    } catch (error) {
      throw translate(error, signal);
    } finally {
      signal.removeEventListener("abort", onAbort);
      clearInterval(again);
      lanes.give(lane);
    }
  }

  return {
    detail: detailOf(options.url),
    pooled,
    applicationName: options.applicationName,
    ownPids: () => pooled ? [] : lanes.all.flatMap(({ pid }) => pid === undefined ? [] : [pid]),
    sequence,
    async query(statement: Statement, signal: AbortSignal): Promise<readonly Row[]> {
      const [rows] = await sequence([statement], signal);
      return rows ?? [];
    },
    async behindPooler(signal: AbortSignal): Promise<boolean> {
      const [rows] = await sequence([{ text: "SELECT pg_backend_pid()" }], signal);
      return Number(rows?.[0]?.[0]) !== (rows as Result | undefined)?.state?.pid;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(lanes.all.map((lane) => lane.sql.end({ timeout: 1 })));
    },
  };
}

/**
 * postgres.js 3.4.9 goes on counting rows where a statement failed in the middle of its result: the
 * next result on that connection begins with as many holes, and its first row would be undefined.
 */
function dense(rows: Result): Result {
  let holes = 0;
  while (holes < rows.length && !(holes in rows)) holes++;
  if (holes > 0) (rows as unknown as Row[]).splice(0, holes);
  return rows;
}

/** A Postgres array's text: `{"a",NULL,"b\"c"}`. Bind it and cast: `$1::bigint[]`. */
export function arrayLiteral(values: readonly (string | null)[]): string {
  let text = "{";
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (i > 0) text += ",";
    text += value === null || value === undefined
      ? "NULL"
      : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  }
  return text + "}";
}

/**
 * SQL: the name that a text is cast to for column `a` (of pg_attribute), without a length. With NULL
 * for the modifier it would be `character` and `bit`, which mean a length of one and cut a key.
 */
export const CAST_TYPE = "format_type(a.atttypid, -1)";

/** A quoted identifier. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

const CANCEL_AGAIN_MS = 250;

type Result = readonly Row[] & { readonly state?: { readonly pid?: number } };

function detailOf(url: string): string {
  try {
    const { username, hostname, port, pathname } = new URL(url);
    const user = username === "" ? "" : `${decodeURIComponent(username)}@`;
    return `${user}${hostname}:${port === "" ? "5432" : port}${pathname}`;
  } catch {
    return "(unparsable url)";
  }
}

/**
 * Every value crosses as the text Postgres prints and reads. postgres.js would turn a timestamp
 * into a Date (ms, so a cursor would loop for ever on ties), 't' into true, and JSON-encode a text
 * bound to a json parameter.
 */
const asText = (from: readonly number[]) => ({
  to: from[0] ?? 25,
  from: [...from],
  serialize: (value: unknown) => String(value),
  parse: (value: unknown) => value,
});
const TEXT_TYPES = {
  string: asText([25]),
  number: asText([23, 21, 26, 700, 701]),
  json: asText([114, 3802]),
  boolean: asText([16]),
  date: asText([1184, 1114, 1082]),
  bytea: asText([17]),
};
