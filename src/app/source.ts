import type { Config } from "../config/config.ts";
import { RetryableError } from "../core/errors.ts";
import { sleep } from "../flow/sleep.ts";
import { type Database, openDatabase } from "../postgres/client.ts";
import { planSource, type SourceWishes } from "../postgres/source_plan.ts";
import type { Opened, ReplicationStart } from "../postgres/stream.ts";
import { openWalSession, type WalSession } from "../postgres/wal/session.ts";

/** Opens the source; nothing connects before the first statement. */
export function openSource(
  config: Config,
  maxConnections: number,
  how: Opened & { readonly applicationName?: string } = {},
): Database {
  const { url, tls, pooler, rowSecurity } = config.source;
  return openDatabase({
    url: url.reveal(),
    ...(tls === undefined ? {} : { tls }),
    pooler,
    rowSecurity,
    maxConnections,
    applicationName: how.applicationName ?? uniqueName(),
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    ...(how.writes === true ? { writes: true } : {}),
    ...(how.settings === undefined ? {} : { settings: how.settings }),
  });
}

/** Opens a session that reads the source's WAL; see `openWalSession`. */
export function openReplication(
  { source: { url, tls, rowSecurity } }: Config,
  applicationName: string,
  from: ReplicationStart,
  signal: AbortSignal,
): Promise<WalSession> {
  const session = {
    url: url.reveal(),
    ...(tls === undefined ? {} : { tls }),
    rowSecurity,
    applicationName,
    ...from,
  };
  return openWalSession(session, signal);
}

export interface AdminOptions {
  /** Absent: `source.url`. */
  readonly adminUrl?: string;
  /** It may write. */
  readonly apply: boolean;
  readonly settings?: Opened["settings"];
}

/** Who owns what is in the database. A transaction in several statements needs a direct connection. */
export function openAdmin(config: Config, { adminUrl, apply, settings }: AdminOptions): Database {
  const { tls, url } = config.source;
  const ownTls = adminUrl !== undefined && /[?&]sslmode=/.test(adminUrl);
  return openDatabase({
    url: adminUrl ?? url.reveal(),
    ...(tls === undefined || ownTls ? {} : { tls }),
    pooler: apply || adminUrl !== undefined ? "none" : config.source.pooler,
    rowSecurity: "allow",
    maxConnections: 1,
    applicationName: uniqueName(),
    statementTimeoutMs: 60_000,
    writes: apply,
    ...(settings === undefined ? {} : { settings }),
  });
}

/** No other direct connection bears it. */
export function uniqueName(): string {
  return `driftless/${crypto.randomUUID()}`;
}

export function wishesOf({ source, indexes }: Config): SourceWishes {
  return { ...source, indexes, stamps: source.poll, lagMs: source.poll.lagMs };
}

/** 3.8: a schema that no longer is what was planned for is planned for anew. */
export async function watchSchema(
  config: Config,
  database: Database,
  digest: string,
  signal: AbortSignal,
): Promise<void> {
  while (true) {
    await sleep(SCHEMA_INTERVAL_MS, signal);
    const plan = await planSource(database, wishesOf(config), signal).catch((error) => {
      // The stream itself finds out when the source is away.
      if (error instanceof RetryableError) return undefined;
      throw error;
    });
    if (plan === undefined || plan.digest === digest) continue;
    throw new RetryableError(
      "SCHEMA_CHANGED",
      "Cannot go on with the plans made at the start: the schema has changed since",
    );
  }
}

const SCHEMA_INTERVAL_MS = 60_000;
/** A guest's statements end. */
const STATEMENT_TIMEOUT_MS = 60_000;
