import { RetryableError } from "../../core/errors.ts";
import type { Observer } from "../../core/events.ts";
import type { Database } from "../client.ts";
import type { ChangelogSettings } from "../ways.ts";
import { codeOf } from "../errors.ts";
import { acknowledgeStatement } from "./statements.ts";

/** Tells the database which snapshot we have passed, so that the log can be trimmed. */
export interface Acknowledging {
  /** Begins to, when it is time; `busy`: rows were passed since the last call. Never throws. */
  tick(snapshot: string, busy: boolean, signal: AbortSignal): void;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}

/**
 * Each call says what was passed at the call before: by then that is stored, so that a restart finds
 * its rows even when nothing is retained any longer. The first one says where this run begins.
 *
 * The call writes, so it changes the snapshot and with it what everybody's next poll sees: an idle
 * consumer calls once a minute, to be seen, a busy one every 10 s. It runs beside the polls: trimming
 * may take its time. When it fails for good, that is said once: the log grows, nothing is lost.
 */
export function acknowledging(
  database: Database,
  { schema, consumer, retentionMs }: ChangelogSettings,
  observe: Observer,
): Acknowledging {
  let running: Promise<void> | undefined;
  let lastAt = -Infinity;
  let stored: string | undefined;
  let any = false;
  let warned = false;

  return {
    tick(snapshot, busy, signal) {
      any ||= busy;
      const now = performance.now();
      if (running !== undefined || now - lastAt < (any ? BUSY_MS : IDLE_MS)) return;
      lastAt = now;
      any = false;
      const passed = stored ?? snapshot;
      stored = snapshot;
      running = call(passed, signal).finally(() => running = undefined);
    },
    async settled() {
      await running;
    },
  };

  async function call(snapshot: string, signal: AbortSignal): Promise<void> {
    try {
      const statement = acknowledgeStatement(schema, consumer, snapshot, retentionMs);
      await database.query(statement, signal);
    } catch (error) {
      // What passes is met by the next call, or by the polls first.
      if (signal.aborted || error instanceof RetryableError || warned) return;
      warned = true;
      observe({
        type: "warning",
        code: "CHANGELOG_NOT_ACKNOWLEDGED",
        message:
          `Cannot trim the changelog as consumer "${consumer}" (${codeOf(error)}): it grows ` +
          `until EXECUTE on ${schema}.acknowledge is granted and the source is the primary`,
      });
    }
  }
}

const BUSY_MS = 10_000;
const IDLE_MS = 60_000;
