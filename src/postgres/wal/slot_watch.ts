import { RetryableError } from "../../core/errors.ts";
import type { Observer } from "../../core/events.ts";
import { sizeText } from "../../core/size_text.ts";
import { sleep } from "../../flow/sleep.ts";
import type { Database } from "../client.ts";
import type { WalSettings } from "../ways.ts";
import type { SlotState } from "./facts.ts";
import { dropSlot, readSlot } from "./slot.ts";

export interface SlotWatch {
  /** May write: it drops the slot. */
  readonly database: Database;
  readonly settings: WalSettings;
  readonly observe: Observer;
  /** The slot has to go: ends the session, so that it can be dropped. */
  readonly letGo: () => Promise<void>;
  /** Looks at what else there is to look at, as often; what it throws ends the watching. */
  readonly also?: (signal: AbortSignal) => Promise<void>;
  /** 10,000 when absent. */
  readonly everyMs?: number;
}

/**
 * Looks at the slot now and then: warns of what it keeps (SLOT_LAGS) and that it may be lost
 * (SLOT_UNRESERVED), once for each turn for the worse, and drops it when it keeps more than
 * `maxSlotLag`: a full disk would stop the database. Endless; fails with RetryableError SLOT_MISSING,
 * SLOT_LOST, SLOT_DROPPED, and 57P03 of a server that shuts down. Another look that fails is passed over.
 */
export async function watchSlot(watch: SlotWatch, signal: AbortSignal): Promise<never> {
  const { database, settings, observe, letGo, also, everyMs = EVERY_MS } = watch;
  const { slot: name, maxSlotLag } = settings;
  let before: ReadonlyMap<string, string> = new Map();
  for (;;) {
    const slot = await look(database, name, signal);
    if (slot !== undefined) {
      if (slot === "missing") {
        throw new RetryableError(
          "SLOT_MISSING",
          `Cannot follow the WAL on: replication slot "${name}" is gone; it is made anew`,
        );
      }
      if (slot.invalid !== undefined || slot.walStatus === "lost") {
        throw new RetryableError(
          "SLOT_LOST",
          `Cannot follow the WAL on: replication slot "${name}" was lost ` +
            `(${slot.invalid ?? slot.walStatus}); it is made anew`,
        );
      }
      if (maxSlotLag > 0 && slot.retained > BigInt(maxSlotLag)) await drop(slot);
      const now = warningsOf(slot, maxSlotLag);
      for (const [code, message] of now) {
        if (!before.has(code)) observe({ type: "warning", code, message });
      }
      before = now;
    }
    await also?.(signal);
    await sleep(everyMs, signal);
  }

  async function drop({ retained, restart = 0n, confirmed }: SlotState): Promise<never> {
    await letGo();
    await dropSlot(database, name, signal);
    // From where the oldest transaction began that was open at the confirmed position.
    const behind = restart + retained - confirmed;
    const why = behind * 2n > retained
      ? "the sinks were behind by as much"
      : "a transaction has been open for so long";
    const message =
      `Dropped replication slot "${name}": it kept ${sizeText(retained)} of WAL, more than ` +
      `source.wal.maxSlotLag (${sizeText(BigInt(maxSlotLag))}) allows, because ${why}; the ` +
      "indexes are filled anew as soon as the sinks can be written to";
    observe({ type: "warning", code: "SLOT_DROPPED", message });
    throw new RetryableError(
      "SLOT_DROPPED",
      `Cannot follow the WAL on: replication slot "${name}" was dropped, for it kept ` +
        `${sizeText(retained)} of WAL`,
    );
  }
}

const EVERY_MS = 10_000;

/**
 * cannot_connect_now. A server that shuts down waits for whoever reads its WAL; a session that is
 * paused, because a sink is away, doesn't hear of it.
 */
const SHUTTING_DOWN = "57P03";

/** Undefined: it couldn't be looked at. */
async function look(
  database: Database,
  name: string,
  signal: AbortSignal,
): Promise<SlotState | "missing" | undefined> {
  try {
    return await readSlot(database, name, signal) ?? "missing";
  } catch (error) {
    if (error instanceof RetryableError && error.code !== SHUTTING_DOWN) return undefined;
    throw error;
  }
}

/** What is to be said of it now, by code. */
function warningsOf(slot: SlotState, maxSlotLag: number): ReadonlyMap<string, string> {
  const { name, retained, safe, walStatus } = slot;
  const warnings = new Map<string, string>();
  const kept = `Replication slot "${name}" keeps ${sizeText(retained)} of WAL`;
  if (maxSlotLag > 0 && retained * 2n > BigInt(maxSlotLag)) {
    warnings.set(
      "SLOT_LAGS",
      `${kept}, more than half of source.wal.maxSlotLag: beyond ` +
        `${sizeText(BigInt(maxSlotLag))} it is dropped and the indexes are filled anew; are the ` +
        "sinks writable, and fast enough?",
    );
  } else if (walStatus === "extended") {
    warnings.set(
      "SLOT_LAGS",
      `${kept}, more than the server's max_wal_size: are the sinks writable, and fast enough?`,
    );
  }
  // The server's limit is what it keeps and what it would still keep: max_slot_wal_keep_size.
  const scarce = safe !== undefined && safe * 10n < safe + retained;
  if (walStatus === "unreserved" || scarce) {
    warnings.set(
      "SLOT_UNRESERVED",
      `${kept}, and the server may soon remove it (max_slot_wal_keep_size): then the slot is lost ` +
        "and the indexes are filled anew; are the sinks writable, and fast enough?",
    );
  }
  return warnings;
}
