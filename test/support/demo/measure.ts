import { setTimeout as pause } from "node:timers/promises";
import type { ShownDocument, SinkView } from "./sink_view.ts";

/** What a change must lead to: every document of `ids` satisfies `arrived`. */
export interface Expectation {
  readonly index: string;
  readonly ids: readonly string[];
  /** A search for them finds the documents before the change, if they are to go, or after it. */
  readonly words: string;
  /** Undefined: there is no such document. */
  arrived(document: ShownDocument | undefined): boolean;
}

/** Milliseconds since the server had confirmed the commit; absent: not within the time given. */
export interface Arrival {
  readonly durableMs?: number;
  readonly searchableMs?: number;
}

/**
 * Commits, then looks into the sink every few milliseconds until it shows what is expected, both
 * stored and found. Throws when the sink shows it before the change: then nothing is measured.
 */
export async function measureArrival(
  commit: () => Promise<void>,
  expected: Expectation,
  view: SinkView,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Arrival> {
  const { index, ids, words } = expected;
  const all = (shown: ReadonlyMap<string, ShownDocument>) =>
    ids.every((id) => expected.arrived(shown.get(id)));
  const stored = async () => all(await view.read(index, ids));
  const found = async () => all(await view.search(index, words));
  if (ids.length === 0 || await stored() || await found()) {
    throw new Error(`Cannot measure "${words}" in ${index}: it is there before the change`);
  }
  await commit();
  const began = performance.now();
  const since = () => performance.now() - began;
  let durableMs: number | undefined;
  while (since() < timeoutMs) {
    signal.throwIfAborted();
    if (durableMs === undefined && await stored()) durableMs = since();
    // What searches find is stored, so the order of the two is sure.
    if (durableMs !== undefined && await found()) return { durableMs, searchableMs: since() };
    await pause(POLL_MS);
  }
  return durableMs === undefined ? {} : { durableMs };
}

const POLL_MS = 3;
