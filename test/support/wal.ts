import type { TestDatabase } from "./postgres.ts";
import { eventually } from "./eventually.ts";

/** The reader may follow the WAL from now on: it may replicate, publish, and owns all tables there are. */
export async function allowWal({ sql, name, readerRole }: TestDatabase): Promise<void> {
  await sql.unsafe(`
    ALTER ROLE ${readerRole} REPLICATION;
    GRANT CREATE ON DATABASE ${name} TO ${readerRole};
    DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p')
        AND relnamespace = 'public'::regnamespace
      LOOP EXECUTE format('ALTER TABLE %s OWNER TO ${readerRole}', t); END LOOP;
    END $$`).simple();
}

export interface Slot {
  readonly name: string;
  /** Who reads it. */
  readonly pid: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost`. */
  readonly status: string;
  /** Bytes of WAL that are kept for it. */
  readonly retained: number;
  /** A commit that ended at this position, or before it, is never sent again. */
  readonly confirmed: string;
}

/** The slot over that database, if there is one. */
export async function slotOf({ sql, name }: TestDatabase): Promise<Slot | undefined> {
  const [row] = await sql`SELECT slot_name::text AS name, active_pid AS pid, wal_status AS status,
      pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 AS retained,
      confirmed_flush_lsn::text AS confirmed
    FROM pg_replication_slots WHERE database = ${name} AND slot_type = 'logical'`;
  return row as Slot | undefined;
}

/** Resolves when what is committed now is confirmed to the slot. */
export async function slotAdvances(db: TestDatabase): Promise<void> {
  const [row] = await db.sql`SELECT pg_current_wal_insert_lsn()::text AS now`;
  const now = String(row?.["now"]);
  await eventually(`the slot at ${now}`, async () => {
    const [found] = await db.sql`SELECT confirmed_flush_lsn >= ${now}::pg_lsn AS passed
      FROM pg_replication_slots WHERE database = ${db.name}`;
    return found?.["passed"] === true;
  });
}

/** Nobody reads the slot. */
export async function slotIsFree(db: TestDatabase): Promise<Slot> {
  return await eventually("the slot without a reader", async () => {
    const slot = await slotOf(db);
    return slot?.pid === null && slot;
  });
}

/** What driftless left in the cluster: slots and publications of that database. */
export async function walTraces({ sql, name }: TestDatabase): Promise<readonly string[]> {
  const rows = await sql`
    SELECT 'slot ' || slot_name AS it FROM pg_replication_slots WHERE database = ${name}
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication ORDER BY 1`;
  return rows.map(({ it }) => String(it));
}
