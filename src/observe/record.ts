import type { SyncEvent } from "../core/events.ts";
import { count, seconds } from "./figures.ts";
import { foundBy } from "./found_by.ts";

export type Level = "debug" | "info" | "warn" | "error";

/** What is logged of one event: never a row's content. */
export interface LogRecord {
  readonly level: Level;
  readonly event: SyncEvent["type"];
  /** For a person, one line. */
  readonly message: string;
  /** What to do, where there is something. */
  readonly hint?: string;
  /** Good news: marked as such on a terminal. */
  readonly good?: boolean;
  /** For machines: the same keys for every event of a type. */
  readonly fields: Fields;
}

export type Fields = Readonly<Record<string, Field | undefined>>;
type Field = string | number | boolean | readonly string[];

export function recordOf(event: SyncEvent): LogRecord {
  const record = (
    level: Level,
    message: string,
    fields: Fields,
    more: Pick<LogRecord, "hint" | "good"> = {},
  ): LogRecord => ({ level, event: event.type, message, fields, ...more });

  switch (event.type) {
    case "connected": {
      const { to, detail } = event;
      return record("info", `${to}: ${detail}`, { to, detail }, { good: true });
    }
    case "table": {
      const { table, level, capture, claim, why, deletes, found, stamp, sql } = event.level;
      return record("info", `${table}: ${level} by ${foundBy(event.level)}: ${claim}`, {
        table,
        captureLevel: level,
        capture,
        claim,
        why,
        deletes,
        changesFound: found.changes,
        deletesFound: found.deletes,
        stamp: stamp ?? "",
        sql,
      });
    }
    case "problem": {
      const { severity, code, path, message, hint, line, file } = event.problem;
      const text = path === "" ? message : `${path}: ${message}`;
      const fields = { code, path, problem: message, hint, line, file };
      const level = severity === "error" ? "error" : "warn";
      return record(level, text, fields, hint === undefined ? {} : { hint });
    }
    case "anchored": {
      const { fresh, through } = event;
      const message = fresh ? `Starting at ${through}` : `Going on from ${through}`;
      return record("info", message, { fresh, through });
    }
    case "seedStarted": {
      const { index, sinks, estimate, rows } = event;
      const total = estimate < 1 ? "" : `, about ${count(estimate)} rows`;
      const done = rows === 0 ? "" : `, ${count(rows)} of them done`;
      const message = `Seeding ${index} into ${sinks.join(", ")}${total}${done}`;
      return record("info", message, { index, sinks, estimate, rows });
    }
    case "seedProgress":
      return record("info", `Seeding ${event.index}: ${count(event.rows)} rows`, {
        index: event.index,
        rows: event.rows,
      });
    case "seedFinished": {
      const { index, rows, ms } = event;
      const message = `${index} is seeded: ${count(rows)} rows in ${seconds(ms / 1000)}`;
      return record("info", message, { index, rows, ms }, { good: true });
    }
    case "caughtUp": {
      const message = `Caught up: everything committed before ${event.through} is durable`;
      return record("info", message, { through: event.through }, { good: true });
    }
    case "batch": {
      const { mode, changes, documents, deletes, ms } = event;
      const done = `${count(changes)} changes, ${count(documents)} documents, ${count(deletes)}`;
      const message = `Batch (${mode}): ${done} deletes in ${count(ms)} ms`;
      return record("debug", message, { mode, changes, documents, deletes, ms });
    }
    case "rejected": {
      const { index, id, policy } = event;
      const reason = kindOf(event.reason);
      const then = policy === "stop" ? "stopping before it is acknowledged" : "left out";
      const message = `Document ${id} of ${index} was rejected: ${reason}; ${then}`;
      return record(policy === "stop" ? "error" : "warn", message, { index, id, reason, policy });
    }
    case "retry": {
      const { edge, attempt, delayMs, code, planned } = event;
      const delay = delayMs < 1000 ? `${Math.round(delayMs)} ms` : seconds(delayMs / 1000);
      const away = edge === WHOLE_RUN ? "" : `${edge} is away: `;
      const what = code === "SCHEMA_CHANGED" ? "The schema has changed" : event.message;
      const message = planned
        ? `${what}: planning anew${delayMs === 0 ? "" : ` in ${delay}`}`
        : `${away}${event.message} (${code}); attempt ${attempt} failed, next in ${delay}`;
      const fields = { edge, attempt, delayMs, code, error: event.message };
      return record(retryLevel(delayMs), message, fields);
    }
    case "recovered": {
      const { edge, attempts } = event;
      const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
      const back = edge === WHOLE_RUN ? "Running again" : `${edge} is back`;
      return record("info", `${back} after ${tries}`, { edge, attempts }, { good: true });
    }
    case "rescued": {
      const { table, rows, by } = event;
      const what = rows === 1 ? "1 row" : `${count(rows)} rows`;
      const how = by === "tracking" ? "behind the cursor" : "by the sweep alone: mend their stamps";
      return record("info", `${what} of ${table} found ${how}`, { table, rows, by });
    }
    case "swept": {
      const { index, sink, missing, orphans, ms } = event;
      const found = `${count(missing)} missing, ${count(orphans)} without a row`;
      const message = `Compared the keys of ${index} in ${sink}: ${found}`;
      const level = missing + orphans > 0 ? "info" : "debug";
      return record(level, message, { index, sink, missing, orphans, ms });
    }
    case "warning":
      return record("warn", event.message, { code: event.code });
    case "draining":
      return record("info", "Finishing what is in flight; another signal exits at once", {});
    case "stopped": {
      const { through } = event;
      const message = through === undefined
        ? "Stopped"
        : `Stopped; everything committed before ${through} is durable`;
      return record("info", message, { through: through ?? "" });
    }
  }
}

/** The edge of a run that is opened again as a whole: its error says what was away. */
const WHOLE_RUN = "run";

/** Louder as the delay grows. */
export function retryLevel(delayMs: number): Level {
  if (delayMs < 2000) return "info";
  return delayMs < 15_000 ? "warn" : "error";
}

/**
 * A rejection's kind and field alone: its whole reason quotes the value it is about. What isn't of
 * that form is withheld.
 */
function kindOf(reason: string): string {
  const match = /^[A-Za-z0-9_]+(?: in field "[^"]+")?$/.exec(reason);
  if (match !== null) return reason;
  const [kind] = /^(?:[a-z]+(?:_[a-z]+)+|[0-9A-Z]{5})(?=[^A-Za-z0-9_]|$)/.exec(reason) ?? [];
  return kind ?? "reason withheld, it may quote the row";
}
