import { FatalError, messageOf, RetryableError } from "../../core/errors.ts";
import { quote } from "../client.ts";
import { codeOf, translate } from "../errors.ts";

/** What the errors of one session speak of. */
export interface SessionNames {
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
}

/** What connecting or START_REPLICATION threw. */
export function translateStart(error: unknown, names: SessionNames, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const options = { cause: error };
  const cannot = `Cannot start replication slot "${names.slot}"`;
  switch (codeOf(error)) {
    case "55006": {
      const [, pid] = /PID (\d+)/.exec(messageOf(error)) ?? [];
      const holder = pid === undefined ? "for another session" : `for PID ${pid}`;
      return new RetryableError("SLOT_ACTIVE", `${cannot}: it is active ${holder}`, options);
    }
    case "42704":
      return new RetryableError("SLOT_MISSING", `${cannot}: it doesn't exist`, options);
    case "42501": {
      const role = roleOf(names.url);
      return new FatalError(
        "42501",
        `Cannot replicate as ${role}: it has no right to`,
        `ALTER ROLE ${role} REPLICATION;`,
        options,
      );
    }
  }
  return slotLost(error, cannot) ?? translate(error, signal);
}

/** What ended a session that was reading. */
export function translateStream(error: unknown, names: SessionNames): unknown {
  if (codeOf(error) === "42704") return publicationMissing(names, { cause: error });
  return slotLost(error, `Cannot read replication slot "${names.slot}"`) ??
    translate(error, NEVER);
}

export function publicationMissing(
  { slot, publication }: SessionNames,
  options?: { cause: unknown },
): RetryableError {
  const state = `there is no publication "${publication}" where its WAL was written`;
  return new RetryableError(
    "PUBLICATION_MISSING",
    `Cannot read replication slot "${slot}": ${state}`,
    options,
  );
}

/** The texts of these speak of slots, files and settings, never of a row. */
function slotLost(error: unknown, cannot: string): RetryableError | undefined {
  const code = codeOf(error);
  if (code !== "55000" && code !== "58P01") return undefined;
  return new RetryableError("SLOT_LOST", `${cannot}: ${messageOf(error)}`, { cause: error });
}

function roleOf(url: string): string {
  try {
    const role = decodeURIComponent(new URL(url).username);
    return role === "" ? "<role>" : quote(role);
  } catch {
    return "<role>";
  }
}

const NEVER = new AbortController().signal;
