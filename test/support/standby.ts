import {
  chown,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readlink,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { eventually } from "./eventually.ts";
import { launchPostgres, type PrivatePostgres, type ServerPlace, serverPlace } from "./postgres.ts";
import type { PostgresMajor } from "./toolchain.ts";

/** A physical standby: read-only, a moment behind its primary, with the same databases and roles. */
export interface Standby extends PrivatePostgres {
  /** Resolves when everything that was committed on the primary before the call can be read here. */
  caughtUp(): Promise<void>;
  /** Ends recovery: a primary of its own from then on, on a new timeline. */
  promote(): Promise<void>;
}

/**
 * Copies the running primary as its documentation describes for a backup tool (there is no
 * pg_basebackup) and streams from it. A replication slot keeps the WAL it needs while it is stopped.
 */
export async function startStandby(
  primary: PrivatePostgres,
  settings: Record<string, string> = {},
): Promise<Standby> {
  const place = await serverPlace(primary.major as PostgresMajor);
  const slot = `standby_${crypto.randomUUID().slice(0, 8)}`;
  await copyRunning(primary, place, slot);
  const { hostname, port } = new URL(primary.url);
  const server = await launchPostgres(place, {
    hot_standby: "on",
    // The database: for slots that are copied from there.
    primary_conninfo:
      `host=${hostname} port=${port} user=postgres application_name=${slot} dbname=postgres`,
    primary_slot_name: slot,
    // Replayed at once: a query that is in the way is cancelled, as a test may want to see.
    wal_retrieve_retry_interval: "100ms",
    ...settings,
  });
  return {
    ...server,
    async caughtUp(): Promise<void> {
      const flushed = await scalar(primary.url, "SELECT pg_current_wal_flush_lsn()::text");
      await eventually(`the standby at ${flushed}`, async () =>
        await scalar(
          server.url,
          `SELECT (pg_last_wal_replay_lsn() >= '${flushed}')::text`,
        ) === "true");
    },
    async promote(): Promise<void> {
      await scalar(server.url, "SELECT pg_promote(true, 30)::text");
      await eventually(
        "the promotion",
        async () => await scalar(server.url, "SELECT pg_is_in_recovery()::text") === "false",
      );
    },
  };
}

async function copyRunning(
  primary: PrivatePostgres,
  place: ServerPlace,
  slot: string,
): Promise<void> {
  // The backup belongs to this session: it ends with it.
  const sql = postgres(primary.url, { max: 1, onnotice: () => undefined, fetch_types: false });
  try {
    await sql`SELECT pg_create_physical_replication_slot(${slot}, true)`;
    await sql`SELECT pg_backup_start('standby', true)`;
    await copyFolder(primary.dataDir, place.dataDir, place);
    const [stopped] = await sql<{ labelfile: string }[]>`
      SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)`;
    await put(join(place.dataDir, "backup_label"), stopped?.labelfile ?? "", place);
    await put(join(place.dataDir, "standby.signal"), "", place);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** The server's own, or of no use to another: its folder is copied empty. */
const EMPTY = new Set([
  "pg_wal",
  "pg_replslot",
  "pg_dynshmem",
  "pg_notify",
  "pg_serial",
  "pg_snapshots",
  "pg_stat_tmp",
  "pg_subtrans",
]);
const LEFT_OUT = new Set(["postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map"]);

async function copyFolder(from: string, to: string, place: ServerPlace, depth = 0): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  await own(to, place);
  for (const name of await readdir(from)) {
    if (depth === 0 && LEFT_OUT.has(name)) continue;
    const [source, target] = [join(from, name), join(to, name)];
    try {
      const entry = await lstat(source);
      if (entry.isDirectory() && depth === 0 && EMPTY.has(name)) {
        await mkdir(target, { mode: 0o700 });
        await own(target, place);
        if (name !== "pg_wal") continue;
        await mkdir(join(target, "archive_status"), { mode: 0o700 });
        await own(join(target, "archive_status"), place);
      } else if (entry.isDirectory()) await copyFolder(source, target, place, depth + 1);
      else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
      else if (entry.isFile()) {
        await copyFile(source, target);
        await own(target, place);
      }
    } catch (error) {
      // Removed meanwhile: replay will remove it here too.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

async function put(file: string, text: string, place: ServerPlace): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await own(file, place);
}

async function own(path: string, { user }: ServerPlace): Promise<void> {
  if (user !== undefined) await chown(path, user.uid, user.gid);
}

/** One text, asked on a connection of its own: a stopped or promoted server leaves none behind. */
async function scalar(url: string, query: string): Promise<string | undefined> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined, fetch_types: false });
  try {
    const [row] = await sql.unsafe<{ [column: string]: string }[]>(query);
    return row === undefined ? undefined : Object.values(row)[0];
  } finally {
    await sql.end({ timeout: 1 });
  }
}
