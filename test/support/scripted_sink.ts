import { setTimeout as sleep } from "node:timers/promises";
import type { Checkpoint, SeedState } from "../../src/core/checkpoint.ts";
import {
  type Document,
  type KeySum,
  type Rejection,
  type SyncMark,
  UNMARKED,
  type WriteMode,
} from "../../src/core/document.ts";
import { FatalError } from "../../src/core/errors.ts";
import type { IndexPlan } from "../../src/core/plan.ts";
import type { Sink } from "../../src/core/ports.ts";

/** A method of the port that a script can act on. */
export type SinkMethod =
  | Exclude<keyof Sink, "name" | "keys" | "refs" | symbol>
  | "keySums"
  | "idsIn"
  | "holders"
  | "over";

/** What happens to one call. A script's steps are used up one a call, in order, per method. */
export type ScriptStep =
  /** Lists the documents for which `when` holds as rejected; the rest is durable. `write` only. */
  | {
    readonly kind: "reject";
    readonly when: (document: Document) => boolean;
    readonly type?: string;
  }
  /** Throws, having done nothing. */
  | { readonly kind: "failBefore"; readonly error: unknown }
  /** Does it, then throws: a response lost. */
  | { readonly kind: "failAfter"; readonly error: unknown }
  /** Waits before doing it, until released or aborted. */
  | { readonly kind: "hold"; readonly hold: Hold }
  /** Waits so many ms before doing it. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Does it as ever: a step to pass over a call. */
  | { readonly kind: "pass" };

export interface ScriptOptions {
  /** Default: write. */
  readonly on?: SinkMethod;
  /** How many calls the step serves; default 1. Infinity: all that follow. */
  readonly times?: number;
  /** The step is for calls of which this holds, and waits while others pass it. */
  readonly when?: (call: SinkCall) => boolean;
}

/** A gate: `reached` resolves when a call waits at it. */
export interface Hold {
  readonly reached: Promise<void>;
  release(): void;
  /** For the sink: resolves when released; rejects with the signal's reason. */
  wait(signal: AbortSignal): Promise<void>;
}

/** One call as it came in, with what it was about. */
export type SinkCall =
  | {
    readonly method: "write";
    readonly documents: readonly Document[];
    readonly mode: WriteMode;
  }
  | { readonly method: Exclude<SinkMethod, "write">; readonly index?: string };

export interface StoredDocument {
  readonly version: bigint;
  /** null: deleted; the version stays, so that a late write loses. */
  readonly body: string | null;
  readonly sync?: SyncMark;
}

interface Filling {
  readonly plan: IndexPlan;
  state: SeedState;
  readonly documents: Map<string, StoredDocument>;
}

/** What survives a restart of the fake: give one to two scripted sinks in turn. */
export interface ScriptedStorage {
  readonly served: Map<string, Filling>;
  readonly filling: Map<string, Filling>;
  checkpoint: Checkpoint | undefined;
}

export interface ScriptedSink extends Sink {
  /** What an index holds where it is written to, its tombstones too. */
  documents(index: string): ReadonlyMap<string, StoredDocument>;
  readonly storage: ScriptedStorage;
  /** All calls so far, in order, also those that failed. */
  readonly calls: readonly SinkCall[];
  /** Adds a step for calls to come. */
  script(step: ScriptStep, options?: ScriptOptions): void;
  /** Forgets the steps that are left. */
  unscript(): void;
}

export function scriptedStorage(): ScriptedStorage {
  return { served: new Map(), filling: new Map(), checkpoint: undefined };
}

export function hold(): Hold {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    release: () => released.resolve(),
    async wait(signal) {
      reached.resolve();
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<never>();
      const onAbort = () => aborted.reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await Promise.race([released.promise, aborted.promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}

interface Scripted {
  readonly step: ScriptStep;
  left: number;
  readonly when: ScriptOptions["when"];
}

/**
 * The call writes one of these documents. A run has writes that no test asked for: what a transaction
 * that was open at the anchor may have written is read again when it ends.
 */
export function writing(...ids: readonly (number | string)[]): (call: SinkCall) => boolean {
  const wanted = new Set(ids.map(String));
  return (call) => call.method === "write" && call.documents.some(({ id }) => wanted.has(id));
}

/** The call writes a seed's slice. */
export function fills(call: SinkCall): boolean {
  return call.method === "write" && call.mode === "fill";
}

/** An in-memory sink that keeps the whole contract until a script makes it misbehave. */
export function scriptedSink(
  name: string,
  storage: ScriptedStorage = scriptedStorage(),
): ScriptedSink {
  const calls: SinkCall[] = [];
  const steps = new Map<SinkMethod, Scripted[]>();
  const ensured = new Set<string>();

  const take = (call: SinkCall): ScriptStep => {
    const queue = steps.get(call.method) ?? [];
    const at = queue.findIndex(({ when }) => when === undefined || when(call));
    const found = queue[at];
    if (found === undefined) return { kind: "pass" };
    found.left--;
    if (found.left <= 0) queue.splice(at, 1);
    return found.step;
  };

  const perform = async <T>(
    call: SinkCall,
    signal: AbortSignal,
    act: (step: ScriptStep) => T,
  ): Promise<T> => {
    calls.push(call);
    const step = take(call);
    if (step.kind === "slow") {
      await sleep(step.ms, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
    if (step.kind === "hold") await step.hold.wait(signal);
    signal.throwIfAborted();
    if (step.kind === "failBefore") throw step.error;
    const result = act(step);
    if (step.kind === "failAfter") throw step.error;
    return result;
  };

  const writable = (index: string): Filling => {
    const filling = storage.filling.get(index) ?? storage.served.get(index);
    if (filling === undefined || !ensured.has(index)) {
      throw new FatalError(
        "INDEX_UNKNOWN",
        `Cannot write to index ${index}: it was never ensured`,
        "Call ensure first.",
      );
    }
    return filling;
  };

  return {
    name,
    storage,
    calls,
    documents: (index) =>
      (storage.filling.get(index) ?? storage.served.get(index))?.documents ?? new Map(),
    script(step, { on = "write", times = 1, when } = {}) {
      const queue = steps.get(on) ?? [];
      steps.set(on, [...queue, { step, left: times, when }]);
    },
    unscript: () => steps.clear(),

    keys: {
      keySums: (index, signal) =>
        perform({ method: "keySums", index }, signal, () => {
          const sums = new Map<number, KeySum>();
          for (const { body, sync } of writable(index).documents.values()) {
            if (body === null) continue;
            const { count, sum } = sums.get(sync?.bucket ?? UNMARKED) ?? { count: 0, sum: 0 };
            const more = { count: count + 1, sum: sum + (sync?.key ?? 0) };
            sums.set(sync?.bucket ?? UNMARKED, more);
          }
          return sums;
        }),
      async *idsIn(index, buckets, signal) {
        const ids = await perform(
          { method: "idsIn", index },
          signal,
          () =>
            [...writable(index).documents]
              .filter(([, { body, sync }]) =>
                body !== null && buckets.includes(sync?.bucket ?? UNMARKED)
              )
              .map(([id]) => id),
        );
        for (let at = 0; at < ids.length; at += 1_000) yield ids.slice(at, at + 1_000);
      },
    },

    refs: {
      holders: (index, refs, signal) =>
        perform({ method: "holders", index }, signal, () => {
          const target = writable(index);
          const served = storage.served.get(index);
          const places = served?.plan.hash === target.plan.hash ? [target, served] : [target];
          const wanted = new Set(refs);
          const found = places.flatMap(({ documents }) =>
            [...documents].flatMap(([id, { sync }]) =>
              (JSON.parse(sync?.refs ?? "[]") as string[]).some((ref) => wanted.has(ref)) ? id : []
            )
          );
          return [...new Set(found)];
        }),
      over: (index, signal) =>
        perform({ method: "over", index }, signal, () => {
          const served = ensured.has(index) ? undefined : storage.served.get(index);
          const documents = [...(served ?? writable(index)).documents.values()];
          return documents.filter(({ sync }) => sync?.over === true).length;
        }),
    },

    connect: (signal) => perform({ method: "connect" }, signal, () => `scripted sink ${name}`),

    seedState: (plan, signal) =>
      perform({ method: "seedState", index: plan.name }, signal, () => {
        const found = [storage.filling, storage.served]
          .map((fillings) => fillings.get(plan.name))
          .find((filling) => filling?.plan.hash === plan.hash);
        return found?.state;
      }),

    ensure: (plan, fresh, signal) =>
      perform({ method: "ensure", index: plan.name }, signal, () => {
        const known = storage.filling.get(plan.name) ?? storage.served.get(plan.name);
        const goesOn = known?.plan.hash === plan.hash &&
          (fresh === undefined || known.state.seed === fresh);
        if (!goesOn && fresh !== undefined) {
          const state = { seed: fresh, seeded: false, rows: 0 };
          storage.filling.set(plan.name, { plan, state, documents: new Map() });
        } else if (!goesOn) {
          throw new FatalError(
            "INDEX_LOST",
            `Cannot go on filling index ${plan.name}: there is none`,
            "Start a new filling.",
          );
        }
        ensured.add(plan.name);
      }),

    saveSeed: (index, progress, signal) =>
      perform({ method: "saveSeed", index }, signal, () => {
        const filling = writable(index);
        filling.state = { ...filling.state, ...progress };
      }),

    markSeeded: (index, signal) =>
      perform({ method: "markSeeded", index }, signal, () => {
        const filling = writable(index);
        filling.state = { ...filling.state, seeded: true };
        storage.served.set(index, filling);
        storage.filling.delete(index);
      }),

    write: (documents, mode, signal) =>
      perform({ method: "write", documents, mode }, signal, (step) => {
        for (const { index } of documents) writable(index);
        return documents.flatMap((document): Rejection[] => {
          const { index, id } = document;
          if (step.kind === "reject" && step.when(document)) {
            const type = step.type ?? "scripted_rejection";
            return [{ index, id, type, reason: `scripted: ${document.body}` }];
          }
          const target = writable(index);
          const served = storage.served.get(index);
          store(target.documents, document, mode);
          if (mode === "live" && served !== undefined && served !== target) {
            if (served.plan.hash === target.plan.hash) store(served.documents, document, mode);
          }
          return [];
        });
      }),

    refresh: (indexes, signal) =>
      perform({ method: "refresh", index: indexes.join(",") }, signal, () => undefined),

    loadCheckpoint: (signal) =>
      perform({ method: "loadCheckpoint" }, signal, () => storage.checkpoint),

    saveCheckpoint: (checkpoint, signal) =>
      perform({ method: "saveCheckpoint" }, signal, () => {
        storage.checkpoint = structuredClone(checkpoint);
      }),

    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function store(
  documents: Map<string, StoredDocument>,
  { id, version, body, sync }: Document,
  mode: WriteMode,
): void {
  const known = documents.get(id)?.version;
  const wins = known === undefined || (mode === "live" ? version >= known : version > known);
  if (wins) documents.set(id, { version, body, ...(sync === undefined ? {} : { sync }) });
}
