import { quote } from "../client.ts";
import type { Refusal } from "../poll/stamps.ts";
import type { WalFacts, WalServer } from "./facts.ts";
import { foreignText } from "./slot_text.ts";

/**
 * What keeps every table from being followed by the WAL; undefined: nothing does. Several reasons are
 * one refusal: the code is the first one's. Pure.
 */
export function serverRefusal({ settings, server, role }: WalFacts): Refusal | undefined {
  if (settings === undefined || server === undefined) return undefined;
  if (server.pooled) {
    return {
      code: "WAL_POOLER",
      state: "source.url leads to a connection pooler, through which nothing can replicate",
      hint: 'Point source.url to the server itself, and leave out "pooler".',
      sql: [],
    };
  }
  if (server.inRecovery) {
    return {
      code: "WAL_STANDBY",
      state: "this is a standby, and the WAL is followed on the primary alone",
      hint: "Point source.url to the primary.",
      sql: [],
    };
  }
  const found = [
    ...levelRefusals(server),
    ...standbyRefusals(server),
    ...roleRefusals(server, role),
    ...slotRefusals(server, settings.slot),
  ];
  const [first] = found;
  if (first === undefined) return undefined;
  const sql = found.flatMap((each) => each.sql);
  return {
    code: first.code,
    state: found.map(({ state }) => state).join("; and "),
    hint: sql.length > 0 ? sql.join("\n") : first.hint,
    sql,
  };
}

/** Codes of refusals that concern the server as a whole: no table's reason. */
export const SERVER_WIDE: ReadonlySet<string> = new Set([
  "WAL_OFF",
  "WAL_POOLER",
  "WAL_STANDBY",
  "WAL_LEVEL",
  "WAL_SYNCHRONOUS",
  "WAL_ROLE",
  "WAL_NO_SLOT",
  "WAL_SLOT_TAKEN",
]);

function levelRefusals({ walLevel }: WalServer): readonly Refusal[] {
  if (walLevel === "logical") return [];
  const sql = ["ALTER SYSTEM SET wal_level = logical;"];
  const state = `wal_level is ${walLevel} and has to be logical, which takes a restart of the ` +
    "server (a managed one has a parameter for it: rds.logical_replication on RDS and Aurora, " +
    "cloudsql.logical_decoding on Cloud SQL)";
  return [{ code: "WAL_LEVEL", state, hint: sql.join("\n"), sql }];
}

/**
 * With `*` commits would wait until we have made them durable, and we wait until they are visible:
 * for ever. No other name is ours.
 */
function standbyRefusals({ standbyNames }: WalServer): readonly Refusal[] {
  if (!standbyNames.includes("*")) return [];
  const state = `synchronous_standby_names is ${standbyNames}, which would make driftless a ` +
    "standby that commits wait for: name the standbys instead";
  const sql = ["ALTER SYSTEM SET synchronous_standby_names = 'name_of_your_standby';"];
  return [{ code: "WAL_SYNCHRONOUS", state, hint: sql.join("\n"), sql }];
}

function roleRefusals({ mayReplicate }: WalServer, role: string): readonly Refusal[] {
  if (mayReplicate) return [];
  const sql = [`ALTER ROLE ${quote(role)} REPLICATION;`];
  const state = `role ${role} lacks REPLICATION (on RDS and Aurora: GRANT rds_replication TO ` +
    `${quote(role)};)`;
  return [{ code: "WAL_ROLE", state, hint: sql.join("\n"), sql }];
}

function slotRefusals(
  { slot, slots, idleSlots, database }: WalServer,
  name: string,
): readonly Refusal[] {
  if (slot !== undefined) {
    const what = foreignText(slot, database);
    if (what === undefined) return [];
    const hint = 'Name another one: "wal": { "slot": "driftless_2" }.';
    const state = `the replication slot "${name}" is taken: it ${what}`;
    return [{ code: "WAL_SLOT_TAKEN", state, hint, sql: [] }];
  }
  if (slots.used < slots.max) return [];
  const idle = idleSlots.length === 0
    ? ""
    : `; of those that nobody reads now (${idleSlots.join(", ")}) one that isn't needed any more ` +
      `makes room: SELECT pg_drop_replication_slot('${idleSlots[0]}');`;
  const sql = [`ALTER SYSTEM SET max_replication_slots = ${slots.max + 5};`];
  const state =
    `no replication slot is free: all ${slots.max} of max_replication_slots are used, ` +
    `and more take a restart of the server${idle}`;
  return [{ code: "WAL_NO_SLOT", state, hint: sql.join("\n"), sql }];
}
