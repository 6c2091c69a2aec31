import postgres from "postgres";
import { RetryableError } from "../../core/errors.ts";
import { quote } from "../client.ts";
import { sessionSettings } from "../session_settings.ts";
import { tlsOf, type TlsOptions } from "../tls.ts";
import { formatLsn } from "./frames.ts";
import { type SessionNames, translateStart } from "./session_errors.ts";

export interface ReplicationOptions extends SessionNames {
  readonly tls?: TlsOptions;
  readonly rowSecurity: "refuse" | "allow";
  readonly applicationName: string;
  readonly from: bigint;
}

/** A connection in copy-both mode. */
export interface Replication {
  readonly stream: CopyBoth;
  /** `wal_sender_timeout` of the session; 0: none. */
  readonly timeoutMs: number;
  /** The SQLSTATE of each warning. */
  onNotice(listener: (code: string) => void): void;
  /** Resolves when the server has closed the connection, or after `waitMs`. */
  hangUp(waitMs: number): Promise<void>;
}

/** What postgres.js gives for it: each `data` is the payload of one CopyData, while it flows. */
export interface CopyBoth {
  on(event: "data", listener: (payload: Uint8Array) => void): void;
  on(event: "error", listener: (error: unknown) => void): void;
  on(event: "end" | "finish" | "close", listener: () => void): void;
  /** Sends a CopyData. */
  write(payload: Uint8Array, written: () => void): void;
  /** Sends CopyDone; `finish` when the server has ended the copy too. */
  end(): void;
  /** Sends CopyFail, at which a walsender ends itself. */
  destroy(): void;
  pause(): void;
  resume(): void;
}

/**
 * Connects and starts a replication, which `use` listens to before any of it, or an error, can come.
 * Throws as `openWalSession`.
 */
export async function openReplication<T extends AsyncDisposable>(
  options: ReplicationOptions,
  use: (replication: Replication) => T,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  let listener = (_: string) => {};
  let closed = () => {};
  const closing = new Promise<void>((resolve) => closed = resolve);
  const sql = connect(options, (code) => listener(code), () => closed());
  let used: T | undefined;
  const onAbort = () => void sql.end({ timeout: 0 });
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const [row] = await sql.unsafe(
      "SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'",
    );
    const statement = sql.unsafe(startStatement(options));
    // Whoever awaited this could listen only after an error that came right behind it was raised.
    const settling = statement as unknown as Settling;
    const settle = settling.resolve;
    settling.resolve = (stream) => {
      // It is called once more when the copy has ended.
      settling.resolve = settle;
      used = use({
        stream: stream as CopyBoth,
        timeoutMs: Number(row?.["setting"] ?? 0),
        onNotice: (each) => listener = each,
        async hangUp(waitMs: number): Promise<void> {
          await sql.end({ timeout: 0 });
          let timer: ReturnType<typeof setTimeout> | undefined;
          await Promise.race([closing, new Promise((done) => timer = setTimeout(done, waitMs))]);
          clearTimeout(timer);
        },
      });
      settle(undefined);
    };
    await statement;
    signal.throwIfAborted();
    if (used !== undefined) return used;
    throw new RetryableError("WAL_PROTOCOL", "Cannot read the WAL: the server sent no stream");
  } catch (error) {
    await (used === undefined ? sql.end({ timeout: 0 }) : used[Symbol.asyncDispose]());
    throw translateStart(error, options, signal);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function connect(
  options: ReplicationOptions,
  warned: (code: string) => void,
  closed: () => void,
): postgres.Sql {
  const tls = tlsOf(options.tls);
  const settings = sessionSettings({
    rowSecurity: options.rowSecurity,
    statementTimeoutMs: 0,
    // What only a warning says has to come.
    settings: { client_min_messages: "warning" },
  });
  return postgres(options.url, {
    max: 1,
    fetch_types: false,
    connect_timeout: 10,
    backoff: 0 as unknown as boolean,
    max_lifetime: null,
    idle_timeout: 0,
    onnotice: (said) => warned(said["code"] ?? ""),
    onclose: () => closed(),
    ...(tls === undefined ? {} : { ssl: tls }),
    connection: {
      ...settings,
      replication: "database",
      application_name: options.applicationName,
    } as Record<string, string>,
  });
}

function startStatement({ slot, publication, from }: ReplicationOptions): string {
  const names = quote(publication).replaceAll("'", "''");
  return `START_REPLICATION SLOT ${quote(slot)} LOGICAL ${formatLsn(from)} ` +
    `(proto_version '1', publication_names '${names}')`;
}

/** A statement of postgres.js, which gives its stream by this. */
interface Settling {
  resolve: (result: unknown) => void;
}
