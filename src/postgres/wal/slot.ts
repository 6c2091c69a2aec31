import { FatalError, RetryableError } from "../../core/errors.ts";
import { sleep } from "../../flow/sleep.ts";
import { type Database, quote, type Row } from "../client.ts";
import type { SessionSettings } from "../session_settings.ts";
import type { SlotState } from "./facts.ts";
import { foreignText, holderText } from "./slot_text.ts";

/** Making a slot waits for every transaction that is running, however long that takes. */
export const SLOT_SESSION: SessionSettings = { statement_timeout: "0", lock_timeout: "0" };

/** Undefined: there is none. Every role may look. */
export async function readSlot(
  database: Database,
  name: string,
  signal: AbortSignal,
): Promise<SlotState | undefined> {
  const [row] = await database.query({ text: SLOT, params: [name] }, signal);
  return row && slotOf(row);
}

/**
 * Makes a durable slot for pgoutput in this database and returns it; from its position on every
 * commit is sent. `database` may write and has `SLOT_SESSION`: the server first waits until every
 * transaction of any of its databases that had written by then has ended. Where the server can (17),
 * the slot is one that a standby may copy, so that it outlives a fail-over.
 *
 * Fails with RetryableError SLOT_EXISTS (somebody made it meanwhile), NO_FREE_SLOT; FatalError
 * WAL_NOT_PERMITTED, WAL_LEVEL.
 */
export async function createSlot(
  database: Database,
  name: string,
  signal: AbortSignal,
): Promise<SlotState> {
  const [server] = await database.query({ text: SERVER }, signal);
  const failover = Number(server?.[0]) >= 170_000 ? ", failover => true" : "";
  try {
    await database.query({
      text:
        `SELECT lsn::text FROM pg_create_logical_replication_slot($1::name, 'pgoutput', false, ` +
        `false${failover})`,
      params: [name],
    }, signal);
  } catch (error) {
    throw refused(error, name, server?.[1] ?? "");
  }
  const slot = await readSlot(database, name, signal);
  if (slot === undefined) {
    throw new RetryableError(
      "SLOT_MISSING",
      `Cannot use slot "${name}": somebody dropped it as soon as it was made`,
    );
  }
  return slot;
}

/**
 * Drops our slot, of pgoutput and of this database; that there is none is no error. Waits up to 10 s
 * for whoever reads it to leave, then fails with RetryableError SLOT_ACTIVE. What another tool made
 * under this name is left alone: FatalError SLOT_FOREIGN.
 */
export async function dropSlot(
  database: Database,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + HELD_MS;
  for (;;) {
    try {
      const [row] = await database.query({ text: DROP, params: [name] }, signal);
      if (row === undefined) await refuseForeign(database, name, signal);
      return;
    } catch (error) {
      const code = error instanceof RetryableError || error instanceof FatalError ? error.code : "";
      // Somebody else dropped it between our looking and our dropping.
      if (code === "42704") return;
      if (code !== "55006") throw error;
      if (performance.now() >= deadline) {
        const holder = (await readSlot(database, name, signal))?.holder;
        throw new RetryableError(
          "SLOT_ACTIVE",
          `Cannot drop slot "${name}": ${holder === undefined ? "somebody" : holderText(holder)} ` +
            "reads it",
          { cause: error },
        );
      }
      await sleep(AGAIN_MS, signal);
    }
  }
}

const HELD_MS = 10_000;
const AGAIN_MS = 100;

function refused(error: unknown, name: string, role: string): unknown {
  if (!(error instanceof FatalError) && !(error instanceof RetryableError)) return error;
  const options = { cause: error };
  switch (error.code) {
    case "42710":
      return new RetryableError(
        "SLOT_EXISTS",
        `Cannot make slot "${name}": another process made it meanwhile`,
        options,
      );
    case "53400":
      return new RetryableError(
        "NO_FREE_SLOT",
        `Cannot make slot "${name}": all of the server's replication slots are in use; drop one ` +
          "that nobody reads (SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots " +
          "WHERE slot_name = …), or raise max_replication_slots and restart the server",
        options,
      );
    case "42501":
      return new FatalError(
        "WAL_NOT_PERMITTED",
        `Cannot make slot "${name}": role "${role}" may not use replication`,
        `ALTER ROLE ${quote(role)} REPLICATION;`,
        options,
      );
    case "55000":
      return new FatalError(
        "WAL_LEVEL",
        `Cannot make slot "${name}": the server's wal_level doesn't allow it`,
        "ALTER SYSTEM SET wal_level = logical; then restart the server.",
        options,
      );
    default:
      return error;
  }
}

/** Throws for a slot of that name that isn't ours to drop. */
async function refuseForeign(database: Database, name: string, signal: AbortSignal): Promise<void> {
  const left = await readSlot(database, name, signal);
  const [server] = await database.query({ text: SERVER }, signal);
  const what = left && foreignText(left, server?.[2] ?? "");
  if (what === undefined) return;
  throw new FatalError(
    "SLOT_FOREIGN",
    `Cannot drop slot "${name}": it ${what}, so it isn't ours`,
    "Give another name in source.wal.slot, or drop it by hand if nobody needs it.",
  );
}

function slotOf(row: Row): SlotState {
  const text = (at: number) => row[at] ?? "";
  const bytes = (at: number) => {
    const value = row[at];
    return value === null || value === undefined ? undefined : BigInt(value);
  };
  const walStatus = row[8] ?? "reserved";
  return {
    name: text(0),
    plugin: row[1] ?? "physical",
    database: row[2] ?? undefined,
    temporary: row[3] === "t",
    holder: row[4] === null || row[4] === undefined
      ? undefined
      : { pid: Number(row[4]), application: text(5), address: text(6) },
    invalid: row[7] ?? (walStatus === "lost" ? "wal_removed" : undefined),
    walStatus,
    confirmed: bytes(9) ?? 0n,
    restart: bytes(10),
    retained: bytes(11) ?? 0n,
    safe: bytes(12),
  };
}

/**
 * What a server doesn't have of the view's columns is NULL: 16 brought `conflicting`, 17
 * `invalidation_reason`. A slot that is being made has no confirmed position yet.
 */
const SLOT = `
SELECT s.slot_name, s.plugin, s.database, s.temporary, s.active_pid,
  a.application_name, host(a.client_addr),
  coalesce(to_jsonb(s)->>'invalidation_reason',
    CASE WHEN to_jsonb(s)->>'conflicting' = 'true' THEN 'conflict with recovery' END),
  s.wal_status, (s.confirmed_flush_lsn - '0/0')::text, (s.restart_lsn - '0/0')::text,
  greatest(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
    - s.restart_lsn, 0)::text,
  s.safe_wal_size::text
FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
WHERE s.slot_name = $1`;

const SERVER = "SELECT current_setting('server_version_num'), current_user::text, " +
  "current_database()::text";

const DROP = `SELECT pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots
WHERE slot_name = $1 AND plugin = 'pgoutput' AND database = current_database()`;
