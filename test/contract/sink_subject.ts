import assert from "node:assert/strict";
import type { Document, WriteMode } from "../../src/core/document.ts";
import type { Sink } from "../../src/core/ports.ts";

/** What is stored for one document; `version` where an observer can see it. */
export interface Stored {
  readonly body: string;
  readonly version?: bigint;
}

/** A sink under test and the storage behind it, fresh for each test. */
export interface SinkSubject {
  /** A new sink on this storage: called again after the last one's dispose, it is a restart. */
  open(): Promise<Sink>;
  /**
   * What is durably there now, seen by an observer that is not the sink where there can be one: in
   * the newest filling of the index, served or not. Undefined: no document.
   */
  read(index: string, id: string): Promise<Stored | undefined>;
  /** The same, as a search would see it: in the filling that is served. */
  served(index: string, id: string): Promise<Stored | undefined>;
  dispose(): Promise<void>;
}

/** What a sink can do; a clause about what it can't is not registered. */
export interface SinkAbilities {
  /** Refuses older versions. */
  readonly versions: boolean;
  /** A new filling grows unseen beside the served one. */
  readonly generations: boolean;
  /** Seeds and checkpoints survive a restart. */
  readonly remembers: boolean;
  readonly searches: boolean;
  /** Says which documents it has. */
  readonly keys: boolean;
  /** Says which documents list a row. */
  readonly refs: boolean;
  /** A body that its mapping must reject; absent: it rejects nothing. Quotes the word "poison". */
  readonly poison?: string;
}

export const never: AbortSignal = new AbortController().signal;

/** Opens and connects, as every command does. */
export async function connected(subject: SinkSubject): Promise<Sink> {
  const sink = await subject.open();
  await sink.connect(never);
  return sink;
}

/** Runs `body` on a subject of its own. */
export function onSubject(
  make: () => Promise<SinkSubject>,
  body: (subject: SinkSubject) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const subject = await make();
    try {
      await body(subject);
    } finally {
      await subject.dispose();
    }
  };
}

/** A write that must reject nothing. */
export async function write(
  sink: Sink,
  documents: readonly Document[],
  mode: WriteMode = "live",
): Promise<void> {
  assert.deepEqual(await sink.write(documents, mode, never), []);
}
