/** `driftless wal drop`: takes away what following the WAL has left on the server. */
import type { Config } from "../config/config.ts";
import { defaultSlot } from "../config/slot_name.ts";
import { FatalError, messageOf, RetryableError } from "../core/errors.ts";
import { sleep } from "../flow/sleep.ts";
import { type Database, quote } from "../postgres/client.ts";
import type { WalServer } from "../postgres/wal/facts.ts";
import { loadWal } from "../postgres/wal/load_facts.ts";
import { dropSlot, readSlot, SLOT_SESSION } from "../postgres/wal/slot.ts";
import { foreignText, holderText } from "../postgres/wal/slot_text.ts";
import { openAdmin } from "./source.ts";

export interface WalTarget {
  /** Of whoever may drop slot and publication; absent: `source.url`. */
  readonly adminUrl?: string;
  /** Runs what would be printed. */
  readonly apply: boolean;
  /** A line for people. */
  say(line: string): void;
}

/** What was done, or would be. */
export interface DroppedWal {
  /** For psql: all of it, or what this role may not do. "": nothing. */
  readonly sql: string;
  /** A line for each thing that was dropped, or wasn't there. */
  readonly done: readonly string[];
  /** Why something stays; [] when all is gone. */
  readonly left: readonly string[];
}

/**
 * Drops the slot and the publication of the config: `source.wal`, or with that off what it would be
 * called. Waits half a minute for whoever reads the slot to leave. A publication stays where other slots
 * may be read by it.
 */
export async function dropWal(
  config: Config,
  target: WalTarget,
  signal: AbortSignal,
): Promise<DroppedWal> {
  const names = config.source.wal ?? {
    slot: await defaultSlot(config.source.url.reveal()),
    publication: "driftless",
    maxSlotLag: 0,
  };
  const publicationSql = `DROP PUBLICATION IF EXISTS ${quote(names.publication)};`;
  const slotSql = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots " +
    `WHERE slot_name = '${names.slot}';`;
  if (!target.apply) {
    const header =
      "-- driftless wal drop. While driftless doesn't run; in the source's database.\n" +
      "-- Not the publication, where another slot is read by it.";
    return { sql: `${header}\n${slotSql}\n${publicationSql}\n`, done: [], left: [] };
  }
  await using admin = openAdmin(config, { ...target, settings: SLOT_SESSION });
  const server = await loadWal(admin, names, [], signal);
  const done: string[] = [];
  const left: string[] = [];
  const sql: string[] = [];
  const held = await dropOwnSlot(admin, server, names.slot, target.say, signal);
  if (held !== undefined) {
    left.push(`slot "${names.slot}" stays: ${held} reads it; stop that driftless`);
    return { sql: "", done, left };
  }
  const there = server.slot !== undefined;
  done.push(there ? `dropped slot "${names.slot}"` : `there was no slot "${names.slot}"`);
  const kept = await dropPublication(admin, server, publicationSql, signal);
  const publication = `publication "${names.publication}"`;
  if (kept === undefined) {
    const gone = server.publication === undefined ? "there was no" : "dropped";
    done.push(`${gone} ${publication}`);
  } else {
    left.push(`${publication} stays: ${kept}`);
    sql.push(publicationSql);
  }
  return { sql: sql.map((each) => `${each}\n`).join(""), done, left };
}

/** Who holds it, when it has to stay. Throws for a slot that isn't of this kind. */
async function dropOwnSlot(
  admin: Database,
  { slot: first, database }: WalServer,
  name: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (first === undefined) return undefined;
  for (let looks = 0;; looks++) {
    const slot = await readSlot(admin, name, signal);
    if (slot === undefined) return undefined;
    const { holder } = slot;
    // What isn't ours is refused, whoever reads it.
    if (holder === undefined || foreignText(slot, database) !== undefined) {
      try {
        await dropSlot(admin, name, signal);
        return undefined;
      } catch (error) {
        if (!(error instanceof RetryableError && error.code === "SLOT_ACTIVE")) throw error;
      }
    } else if (looks >= MOST_LOOKS) {
      return holderText(holder);
    } else if (looks % SAY_EVERY === 0) {
      say(`Slot "${name}" is read by ${holderText(holder)}: stop that driftless. Waiting …`);
    }
    await sleep(LOOK_MS, signal);
  }
}

/** Why it stays; undefined: it's gone. */
async function dropPublication(
  admin: Database,
  { publication, version }: WalServer,
  statement: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (publication === undefined) return undefined;
  const others = await otherSlots(admin, signal);
  if (others.length > 0) {
    return `other slots of this database may be read by it (${others.join(", ")}). If not:`;
  }
  if (!publication.owned) return "this role doesn't own it. Its owner runs:";
  const wider = publication.allTables ||
    version >= 150_000 && await sendsSchemas(admin, publication.name, signal);
  if (wider) {
    return "it isn't one that driftless makes (it sends whole schemas). If nobody needs it:";
  }
  try {
    await admin.query({ text: statement }, signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof FatalError)) throw error;
    return `${messageOf(error)}. Its owner runs:`;
  }
}

/** Called when ours is gone. Which publication a slot is read by, nothing says. */
async function otherSlots(admin: Database, signal: AbortSignal): Promise<readonly string[]> {
  const rows = await admin.query({
    text: `SELECT slot_name FROM pg_replication_slots
 WHERE plugin = 'pgoutput' AND database = current_database() ORDER BY slot_name`,
  }, signal);
  return rows.map(([name]) => name ?? "");
}

async function sendsSchemas(
  admin: Database,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const rows = await admin.query({
    text: `SELECT 1 FROM pg_publication_namespace n JOIN pg_publication p ON p.oid = n.pnpubid
 WHERE p.pubname = $1 LIMIT 1`,
    params: [name],
  }, signal);
  return rows.length > 0;
}

const LOOK_MS = 250;
/** Looks: ten seconds, half a minute. */
const SAY_EVERY = 40;
const MOST_LOOKS = 120;
