import type { Database } from "../client.ts";
import type { WalSettings } from "../ways.ts";
import type { WalServer } from "./facts.ts";
import { readSlot } from "./slot.ts";
import { loadTableFacts } from "./table_facts.ts";

/**
 * What the server says of following these tables by its WAL. Changes nothing; four statements, which
 * a role with SELECT alone may run, on a standby and behind a pooler too.
 */
export async function loadWal(
  database: Database,
  settings: WalSettings,
  tables: readonly { readonly id: string; readonly oid: string }[],
  signal: AbortSignal,
): Promise<WalServer> {
  const [[row], slot] = await Promise.all([
    database.query({ text: SERVER, params: [settings.slot] }, signal),
    readSlot(database, settings.slot, signal),
  ]);
  const version = Number(row?.[0]);
  const found = await loadTableFacts(database, version, settings.publication, tables, signal);
  return {
    version,
    database: row?.[8] ?? "",
    inRecovery: row?.[1] === "t",
    pooled: database.pooled,
    walLevel: row?.[2] ?? "",
    standbyNames: row?.[9] ?? "",
    mayReplicate: row?.[3] === "t",
    slots: { used: Number(row?.[4]), max: Number(row?.[5]) },
    idleSlots: JSON.parse(row?.[6] ?? "[]") as string[],
    slot,
    publication: found.publication,
    mayCreate: row?.[7] === "t",
    tables: found.tables,
  };
}

/** Managed servers let members of a role of their own replicate: Amazon's, Yandex's. */
const SERVER = `
SELECT current_setting('server_version_num'), pg_is_in_recovery(), current_setting('wal_level'),
  EXISTS (SELECT FROM pg_roles r WHERE r.rolname = current_user AND (r.rolreplication OR r.rolsuper))
  OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname IN ('rds_replication', 'mdb_replication')
    AND pg_has_role(r.oid, 'USAGE')),
  (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots'),
  (SELECT json_agg(s.slot_name ORDER BY s.slot_name)::text FROM pg_replication_slots s
   WHERE NOT s.active AND NOT s.temporary AND s.slot_name <> $1),
  has_database_privilege(current_database(), 'CREATE'), current_database(),
  current_setting('synchronous_standby_names')`;
