import { RetryableError } from "../../core/errors.ts";
import type { Observer } from "../../core/events.ts";
import type { Database } from "../client.ts";
import { sourceChanged } from "../identity.ts";
import type { ReplicatedTable, WalSettings } from "../ways.ts";
import { serverStatement } from "../changelog/statements.ts";
import type { WalCursor, WalGap } from "./cursor.ts";
import type { SlotState } from "./facts.ts";
import { untilOlderEnded } from "./older_transactions.ts";
import { ensurePublication, type Published } from "./publication.ts";
import { createSlot, dropSlot, readSlot } from "./slot.ts";

export interface ClaimOptions {
  /** That may write, with the settings SLOT_SESSION. */
  readonly managing: Database;
  readonly settings: WalSettings;
  readonly tables: readonly ReplicatedTable[];
  /** The stored position, of whichever slot. */
  readonly found: WalCursor | undefined;
  readonly observe: Observer;
}

/** A slot that can be read from now on. */
export interface ClaimedSlot {
  /** Where reading begins; in bytes. */
  readonly from: bigint;
  /** Tables whose changes since the stored position aren't in it, with the reason. */
  readonly gaps: ReadonlyMap<string, string>;
  /** Which publication it is, by `Published.publication`. */
  readonly publication: string;
  /** Tables that are seeded, or followed by others, up to there: what came before is of no concern. */
  readonly anew: WalGap;
  /** By `tableId`: what publishes each table. */
  readonly published: ReadonlyMap<string, string>;
  /**
   * Called when its session has begun. Resolves when everything that isn't sent from `from` on is
   * visible: only then may a seed read its first row. (older_transactions.ts) Throws RetryableError
   * SLOT_MOVED when somebody had it between our look and the session: the server begins where the slot
   * is by then, and says nothing.
   */
  settled(signal: AbortSignal): Promise<void>;
}

/**
 * Makes sure of the publication first, then of the slot: decoding reads the catalog as it was, so a slot
 * that is older than its publication can't be read. Unless the slot goes on where the stored position
 * is, it is made anew: whatever it once had behind it then is of no concern.
 */
export async function claimSlot(
  { managing, settings, tables, found, observe }: ClaimOptions,
  signal: AbortSignal,
): Promise<ClaimedSlot> {
  const name = settings.slot;
  const say = (message: string) => observe({ type: "warning", code: "SLOT_WAITS", message });
  const published = await ensurePublication(managing, settings, tables, signal);
  const { marks } = published;
  const known = found?.slot === name ? found : undefined;
  const joining = tables.filter(({ id }) => known?.published[id] !== marks.get(id));
  const before = await readSlot(managing, name, signal);
  // Flushed: no crash takes it back. Read before what is waited for, so that everything committed
  // before it is visible then.
  const [server] = await managing.query(serverStatement(), signal);
  const flushed = BigInt(server?.[3] ?? 0);
  // What was decoded was flushed.
  if (known !== undefined && known.lsn > flushed) {
    throw sourceChanged(`its WAL ends at ${flushed}, before ${known.lsn}: it went back in time`);
  }
  const lost = known === undefined
    ? undefined
    : lostBy(known, before, published, joining.length > 0);
  const goesOn = known !== undefined && lost === undefined;
  const slot = goesOn && before !== undefined ? before : await makeAnew();
  const gaps = new Map<string, string>();
  for (const [id, mark] of Object.entries(known?.published ?? {})) {
    const now = marks.get(id);
    if (lost !== undefined) gaps.set(id, lost);
    else if (now !== undefined && now !== mark) {
      gaps.set(id, "it left the publication for a while, or that was altered");
    }
  }
  const anew = goesOn ? joining : tables;
  const from = goesOn ? known.lsn : slot.confirmed;
  return {
    from,
    publication: published.publication,
    gaps,
    anew: { at: flushed, tables: anew.map(({ id }) => id), reason: "it is seeded" },
    published: new Map(tables.flatMap(({ id }) => {
      const mark = marks.get(id);
      return mark === undefined ? [] : [[id, mark] as const];
    })),
    settled: async (signal) => {
      const held = await readSlot(managing, name, signal);
      if (held === undefined || held.confirmed > from) throw moved(name);
      if (anew.length > 0) await untilOlderEnded(managing, say, signal);
    },
  };

  async function makeAnew(): Promise<SlotState> {
    if (before !== undefined) await dropSlot(managing, name, signal);
    // Making it waits for them too, and says nothing.
    await untilOlderEnded(managing, say, signal, { everywhere: true });
    // Nor of those that have begun since.
    const late = setTimeout(() => say(stillMaking(name)), SAY_AFTER_MS);
    const made = await createSlot(managing, name, signal).finally(() => clearTimeout(late));
    observe({
      type: "warning",
      code: "SLOT_CREATED",
      message: `Made replication slot "${name}": Postgres keeps all WAL that driftless has not ` +
        "read, also while it doesn't run, up to max_slot_wal_keep_size (by default without " +
        "limit); `driftless wal drop --apply` removes it",
    });
    return made;
  }
}

const SAY_AFTER_MS = 5_000;

function stillMaking(slot: string): string {
  return `Still making replication slot "${slot}": the server waits until transactions that have ` +
    "written, in any of its databases, have ended (SELECT pid, datname, xact_start FROM " +
    "pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start)";
}

function moved(slot: string): RetryableError {
  return new RetryableError(
    "SLOT_MOVED",
    `Cannot follow the WAL: another process used slot "${slot}" while it was being opened`,
  );
}

/** Why the slot can't go on from the stored position; undefined: it can. */
function lostBy(
  known: WalCursor,
  slot: SlotState | undefined,
  { created, publication, losesJoined }: Published,
  joins: boolean,
): string | undefined {
  if (slot === undefined) return "its replication slot is gone";
  if (slot.invalid !== undefined) return `its replication slot was lost (${slot.invalid})`;
  if (created || known.publication !== publication) return "its publication was made anew";
  if (known.lsn < slot.confirmed) {
    return "its replication slot has moved on without us: another process reads it, it was made " +
      "anew, or the sink's state is an older copy";
  }
  if (!joins || !losesJoined) return undefined;
  return "a table joined the publication, which this release of Postgres tells older slots too late";
}
