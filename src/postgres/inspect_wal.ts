import type { Problem } from "../core/problem.ts";
import { sizeText } from "../core/size_text.ts";
import type { SlotState, WalFacts } from "./wal/facts.ts";
import { publishingSql } from "./choose_wal.ts";
import { serverRefusal } from "./wal/server_refusal.ts";
import { foreignText, holderText } from "./wal/slot_text.ts";
import { walWarning } from "./wal_problems.ts";
import type { WalSettings } from "./ways.ts";

/**
 * How following the WAL stands: a line each, and what a person had better know in time. `told`: why
 * it can't be followed at all is said already. Pure.
 */
export function inspectWal(
  facts: WalFacts,
  followed: readonly string[],
  told: readonly Problem[],
): { readonly lines: readonly string[]; readonly problems: readonly Problem[] } {
  const { settings, server, wanted } = facts;
  if (settings === undefined || server === undefined) return NOTHING;
  const refusal = serverRefusal(facts);
  const { slot } = server;
  const ours = slot !== undefined && foreignText(slot, server.database) === undefined
    ? slot
    : undefined;
  const { publication } = server;
  if (refusal === undefined && followed.length === 0 && ours === undefined) {
    const sql = publishingSql(facts);
    const said = told.some(({ code }) => code === "WAL_UNPUBLISHED");
    if (said || wanted.size === 0 || sql.length === 0) return NOTHING;
    const state = publication === undefined ? "nothing publishes" : "its publication has none of";
    return { lines: [`not used: ${state} the tables`, WOULD, ...sql], problems: [] };
  }
  if (refusal !== undefined && wanted.size === 0 && ours === undefined) return NOTHING;
  const lines = [
    ...(refusal === undefined || told.some(({ code }) => code === refusal.code) ? [] : [
      `not used: ${refusal.state}`,
      WOULD,
      ...(refusal.sql.length > 0 ? refusal.sql : [refusal.hint]),
      ...(server.publication === undefined && !canPublish(facts) ? publishingSql(facts) : []),
      '"wal": false in source: it isn\'t looked at again.',
    ]),
    ...(ours === undefined ? [] : [slotLine(ours)]),
    ...(refusal === undefined && ours === undefined
      ? [`slot "${settings.slot}": not there yet, run makes it`]
      : []),
    ...(refusal !== undefined || followed.length === 0
      ? []
      : publication === undefined
      ? [`publication "${settings.publication}": not there yet, run makes it`]
      : [publicationLine(facts, followed)]),
  ];
  return { lines, problems: ours === undefined ? [] : slotProblems(ours, settings) };
}

/** Whether the role can see to the publication itself, once it may replicate. */
function canPublish({ server, wanted }: WalFacts): boolean {
  return server?.mayCreate === true &&
    [...wanted].every((id) => server.tables.get(id)?.owned !== false);
}

const WOULD =
  "It would show every change as it happens, deletes and what fires no trigger too (L5).";
const NOTHING = { lines: [], problems: [] };

function slotLine({ name, walStatus, invalid, retained, safe, holder }: SlotState): string {
  const state = invalid === undefined ? `${STATES[walStatus] ?? walStatus}` : `lost (${invalid})`;
  const room = safe === undefined
    ? ""
    : safe <= 0n
    ? "; lost at the server's next checkpoint"
    : `; lost when ${sizeText(safe)} more are written`;
  const who = holder === undefined ? "nobody reads it now" : `read by ${holderText(holder)}`;
  const kept = invalid === undefined ? `; ${sizeText(retained)} of WAL are kept for it${room}` : "";
  return `slot "${name}": ${state}; ${who}${kept}`;
}

/** `pg_replication_slots.wal_status`. */
const STATES: Readonly<Record<string, string>> = {
  reserved: "well",
  extended: "well, but behind by more than max_wal_size",
  unreserved: "about to be lost",
  lost: "lost",
};

function publicationLine(
  { settings, server }: WalFacts,
  followed: readonly string[],
): string {
  const joining = followed.filter((id) => server?.tables.get(id)?.published === undefined);
  const what = server?.publication?.allTables === true
    ? "sends all tables"
    : joining.length === 0
    ? `sends the ${
      followed.length === 1 ? "table that is" : `${followed.length} tables that are`
    } followed by it`
    : `run adds ${joining.join(", ")}`;
  return `publication "${settings?.publication}": ${what}`;
}

function slotProblems(
  slot: SlotState,
  { maxSlotLag }: WalSettings,
): readonly Problem[] {
  const { name, invalid, walStatus, retained, holder } = slot;
  const drop = "If it isn't needed any more: driftless wal drop --apply";
  if (invalid !== undefined || walStatus === "lost") {
    return [walWarning(
      "WAL_SLOT_LOST",
      `Slot "${name}" is lost (${invalid ?? "the server has removed its WAL"}): what was ` +
        "changed since can't be read from it",
      "The next run makes it anew and fills the indexes again from their tables.\n" +
        "max_slot_wal_keep_size says how much WAL the server keeps for a slot.",
    )];
  }
  const remedy = holder === undefined
    ? `Nobody reads it: start driftless.\n${drop}`
    : "Its reader is behind: see its log for what it waits for (a sink, or a transaction).";
  if (walStatus === "unreserved") {
    return [walWarning(
      "WAL_SLOT_UNRESERVED",
      `Slot "${name}" is about to be lost: the server may remove the WAL that it needs at any ` +
        "checkpoint",
      `${remedy}\nmax_slot_wal_keep_size says how much WAL the server keeps for a slot.`,
    )];
  }
  if (maxSlotLag === 0 || Number(retained) <= maxSlotLag / 2) return [];
  return [walWarning(
    "WAL_SLOT_LAGS",
    `Slot "${name}" keeps ${sizeText(retained)} of WAL on the server's disk; from ` +
      `${sizeText(BigInt(maxSlotLag))} on (source.wal.maxSlotLag) a run drops it, and fills the ` +
      "indexes anew",
    remedy,
  )];
}
