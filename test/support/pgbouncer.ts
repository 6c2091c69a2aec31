import { chownSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { freePort } from "./free_port.ts";
import { removeAtExit } from "./janitor.ts";
import { serverUser, type TestPostgres } from "./postgres.ts";
import { logTail, startServerProcess } from "./server_process.ts";
import { pgBouncerProgram } from "./toolchain.ts";

/** PgBouncer in transaction mode before a server. */
export interface PgBouncer extends AsyncDisposable {
  /** The target's url through it: the same user and database. Any other user or database works too. */
  readonly url: string;
  readonly port: number;
  readonly log: string;
  stop(): Promise<void>;
}

/**
 * Starts one on a free port; it never outlives this process. Nobody needs a password, as on the
 * servers themselves. `poolSize`, sessions for each pair of user and database, is small: clients
 * that work at the same time do share them.
 */
export async function startPgBouncer(
  target: Pick<TestPostgres, "url"> | string,
  { poolSize = 3 }: { readonly poolSize?: number } = {},
): Promise<PgBouncer> {
  const program = await pgBouncerProgram();
  const to = new URL(typeof target === "string" ? target : target.url);
  const folder = mkdtempSync(join(tmpdir(), "driftless-pgbouncer-"));
  removeAtExit(folder);
  const user = serverUser();
  const log = join(folder, "pgbouncer.log");
  const users = join(folder, "users.txt");
  const config = join(folder, "pgbouncer.ini");
  // Users that aren't listed are looked up by this one.
  writeFileSync(users, '"postgres" ""\n');
  const port = await freePort();
  writeFileSync(
    config,
    `[databases]
* = host=${to.hostname} port=${to.port === "" ? 5432 : to.port} auth_user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 500
server_login_retry = 1
log_connections = 0
log_disconnections = 0
log_stats = 0
`,
  );
  if (user !== undefined) {
    for (const path of [folder, users, config]) chownSync(path, user.uid, user.gid);
  }
  const server = await startServerProcess({
    command: program,
    args: [config],
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
    user,
    log,
  });
  const url = new URL(to);
  url.hostname = "127.0.0.1";
  url.port = String(port);
  const deadline = performance.now() + 60_000;
  while (!await answers(url.href)) {
    if (server.ended() !== undefined || performance.now() > deadline) {
      await server.stop("SIGTERM");
      throw new Error(`Cannot start PgBouncer (${server.ended()}). Its log:\n${logTail(log)}`);
    }
    await pause(20);
  }
  const stop = () => server.stop("SIGTERM");
  return { url: url.href, port, log, stop, [Symbol.asyncDispose]: stop };
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, prepare: false, fetch_types: false, connect_timeout: 2 });
  try {
    await sql.unsafe("SELECT 1").simple();
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
