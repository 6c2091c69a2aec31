import { randomBytes } from "node:crypto";
import { spawnSync } from "node:child_process";
import { chownSync, cpSync, mkdtempSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { freePort } from "./free_port.ts";
import { removeAtExit } from "./janitor.ts";
import { logTail, type ServerProcess, startServerProcess } from "./server_process.ts";
import { postgresHome, type PostgresMajor } from "./toolchain.ts";

export interface TestPostgres {
  /** As superuser, database postgres. */
  readonly url: string;
  readonly major: number;
  /** As the server says it: "18.4". */
  readonly version: string;
}

export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** As superuser. */
  readonly url: string;
  /** As superuser. */
  readonly sql: postgres.Sql;
  /** As a role with SELECT alone, on every table the superuser has made here or will make. */
  readonly readerUrl: string;
  readonly readerRole: string;
}

export interface PrivatePostgres extends TestPostgres {
  readonly dataDir: string;
  readonly port: number;
  readonly log: string;
  /** SIGTERM waits for clients to leave; absent: clients are cut off, data is flushed. */
  stop(signal?: PostgresStop): Promise<void>;
  /** Stops it if it runs and starts it again: same data, same port. */
  restart(): Promise<void>;
}

export type PostgresStop = "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGKILL";

// postgres.js may write to a socket in the moment the server closes it. Deno's node:net raises that to
// nobody, where Bun and Node tell the socket's error listener; the close that follows is handled.
globalThis.addEventListener?.("error", (event) => {
  const { error } = event as ErrorEvent;
  if (error instanceof Error && error.message.includes("ended by the other party")) {
    event.preventDefault();
  }
});

const shared = new Map<PostgresMajor, Promise<TestPostgres>>();

/** The run's server, by environment; without one a server of this process, stopped at its exit. */
export function postgresServer(major: PostgresMajor = 18): Promise<TestPostgres> {
  let server = shared.get(major);
  if (server === undefined) {
    const url = process.env[`DRIFTLESS_TEST_PG${major}`];
    server = url === undefined || url === "" ? startPostgres({ major }) : describe(url);
    shared.set(major, server);
  }
  return server;
}

/**
 * A database of its own, dropped with its connections on disposal. A role that is to need a password
 * is made `in role with_password`; all others come in without.
 */
export async function createDatabase(
  ddl = "",
  on: PostgresMajor | TestPostgres = 18,
): Promise<TestDatabase> {
  const server = typeof on === "object" ? on : await postgresServer(on);
  const name = `t_${randomBytes(6).toString("hex")}`;
  const readerRole = `${name}_reader`;
  await asSuperuser(server.url, async (sql) => {
    await sql.unsafe(`create database ${name}`);
    await sql.unsafe(`create role ${readerRole} login`);
    await sql.unsafe(`revoke temporary on database ${name} from public`);
  });
  const url = at(server.url, { database: name });
  const sql = postgres(url, { max: 4, onnotice: () => undefined });
  const drop = async () => {
    await sql.end({ timeout: 1 });
    await asSuperuser(server.url, async (admin) => {
      await dropSlots(admin, name);
      await admin.unsafe(`drop database if exists ${name} with (force)`);
      await admin.unsafe(`drop role if exists ${readerRole}`);
    });
  };
  try {
    await sql.unsafe(`
      alter default privileges grant usage on schemas to ${readerRole};
      alter default privileges grant select on tables to ${readerRole};
      ${ddl}
    `).simple();
  } catch (error) {
    await drop();
    throw error;
  }
  const readerUrl = at(server.url, { database: name, user: readerRole });
  return { name, url, sql, readerUrl, readerRole, [Symbol.asyncDispose]: drop };
}

/** A server of the caller's own; fsync is off unless `settings` turn it on. */
export async function startPostgres(
  options: { major: PostgresMajor; settings?: Record<string, string> },
): Promise<PrivatePostgres> {
  const { major } = options;
  const place = await serverPlace(major);
  initialise(place);
  const server = await launchPostgres(place, options.settings);
  await asSuperuser(server.url, (sql) => sql.unsafe("create role with_password"));
  return server;
}

/** Where a server of the caller's own lives: a temporary folder, removed at exit. */
export interface ServerPlace {
  readonly major: PostgresMajor;
  readonly home: string;
  readonly folder: string;
  /** Made by `initialise`, or a copy of another server's. */
  readonly dataDir: string;
  readonly user: User;
}

export async function serverPlace(major: PostgresMajor): Promise<ServerPlace> {
  const folder = mkdtempSync(join(tmpdir(), `driftless-pg${major}-`));
  removeAtExit(folder);
  const user = serverUser();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const home = reachable(await postgresHome(major), folder, user !== undefined);
  return { major, home, folder, dataDir: join(folder, "data"), user };
}

/** Starts the server over what is in the data folder. */
export async function launchPostgres(
  { major, home, folder, dataDir, user }: ServerPlace,
  ownSettings: Record<string, string> = {},
): Promise<PrivatePostgres> {
  const log = join(folder, "server.log");
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: folder,
    fsync: "off",
    wal_level: "logical",
    max_connections: "200",
    max_prepared_transactions: "50",
    shared_preload_libraries: "pg_stat_statements",
    ...ownSettings,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const start = async (): Promise<ServerProcess> => {
    const deadline = performance.now() + 120_000;
    for (;;) {
      const server = await startServerProcess({
        command: join(home, "bin", "postgres"),
        args: ["-D", dataDir, ...args],
        cwd: folder,
        env: environment(),
        user,
        log,
      });
      while (server.ended() === undefined && !isReady(dataDir, server.pid)) {
        if (performance.now() > deadline) await server.stop("SIGKILL");
        else await pause(20);
      }
      if (server.ended() === undefined) return server;
      // After SIGKILL the old backends may hold the shared memory for a moment.
      if (performance.now() > deadline || !logTail(log, 5).includes("still in use")) {
        throw new Error(
          `Cannot start Postgres ${major}: it ended (${server.ended()}). Its log:\n${logTail(log)}`,
        );
      }
      await pause(100);
    }
  };

  let server = await start();
  return {
    ...await describe(url),
    dataDir,
    port,
    log,
    stop: (signal = "SIGINT") => server.stop(signal),
    async restart() {
      await server.stop("SIGINT");
      server = await start();
    },
  };
}

/** The same server by another database or user. */
export function at(url: string, other: { database?: string; user?: string }): string {
  const changed = new URL(url);
  if (other.database !== undefined) changed.pathname = `/${other.database}`;
  if (other.user !== undefined) changed.username = other.user;
  return changed.href;
}

export type User = { readonly uid: number; readonly gid: number } | undefined;

/** Postgres refuses to run as root: then another user that exists. */
export function serverUser(): User {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"));
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = users.find((user) => user[0] === name) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    'Cannot start Postgres as root: there is no user "postgres" or "nobody" to run it',
  );
}

/** The programs where another user can read them: beside the data when our folder is private. */
function reachable(home: string, folder: string, asOther: boolean): string {
  if (!asOther) return home;
  for (let parent = home; parent !== dirname(parent); parent = dirname(parent)) {
    if ((statSync(parent).mode & 0o005) === 0o005) continue;
    const copy = join(folder, "programs");
    cpSync(home, copy, { recursive: true, verbatimSymlinks: true });
    return copy;
  }
  return home;
}

function initialise({ home, folder, dataDir, user }: ServerPlace): void {
  // Only these roles must show a password; the role is made when the server is up.
  const rules = "host all +with_password all scram-sha-256\nhost all all all trust\n" +
    "host replication all all trust\nlocal all all trust\nlocal replication all trust\n";
  const initdb = (locale: string) =>
    spawnSync("/bin/sh", [
      "-c",
      'umask 077; "$1" -D "$2" -U postgres -A trust -E UTF8 --locale="$3" --no-sync &&' +
      ' printf "%s" "$4" > "$2/pg_hba.conf"',
      "initdb",
      join(home, "bin", "initdb"),
      dataDir,
      locale,
      rules,
    ], { cwd: folder, env: environment(), encoding: "utf8", ...user });
  let result = initdb("C.UTF-8");
  if (result.status !== 0) result = initdb("C");
  if (result.status !== 0) {
    throw new Error(`Cannot create a Postgres data folder:\n${result.stdout}${result.stderr}`);
  }
}

function environment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
}

/** The server keeps its pid in the first line of this file and its state in the eighth. */
function isReady(dataDir: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(dataDir, "postmaster.pid"), "utf8").split("\n");
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
  } catch {
    return false;
  }
}

function describe(url: string): Promise<TestPostgres> {
  return asSuperuser(url, async (sql) => {
    const [row] = await sql<{ version: string }[]>`
      select split_part(current_setting('server_version'), ' ', 1) as version`;
    const version = row?.version ?? "";
    return { url, version, major: Number.parseInt(version) };
  });
}

/** Slots outlive whoever made them, and a database can't be dropped while one of its is read. */
async function dropSlots(admin: postgres.Sql, database: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const slots = await admin<{ name: string; pid: number | null }[]>`
      select slot_name as name, active_pid as pid from pg_replication_slots
      where database = ${database}`;
    if (slots.length === 0) return;
    for (const { name, pid } of slots) {
      if (pid !== null) await admin`select pg_terminate_backend(${pid})`;
      // It may be gone by itself, or not yet be let go of.
      else await admin`select pg_drop_replication_slot(${name})`.catch(() => undefined);
    }
    if (performance.now() > deadline) throw new Error(`Cannot drop the slots of ${database}`);
    await pause(20);
  }
}

async function asSuperuser<T>(url: string, use: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined, fetch_types: false });
  try {
    return await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
