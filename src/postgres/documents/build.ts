import type { Document, DocumentId, Rejection } from "../../core/document.ts";
import { FatalError, messageOf, RetryableError } from "../../core/errors.ts";
import type { Built, DocumentBuilder } from "../../core/ports.ts";
import type { Epoch } from "../../core/source.ts";
import type { Catalog } from "../catalog.ts";
import { sleep } from "../../flow/sleep.ts";
import { arrayLiteral, type Database, type Row, type Statement } from "../client.ts";
import { blamesRow, TIMED_OUT } from "../errors.ts";
import { fitting } from "./fitting.ts";
import { documentId, documentKey } from "./identify.ts";
import { sourceKeys } from "./keys.ts";
import { cannotBeKey } from "./key_text.ts";
import type { PlannedIndex } from "./plan.ts";
import { ADVANCE, flushedStatement, INSERTED, positionStatement, versionOf } from "./position.ts";
import { OVER } from "./refs.ts";
import { markOf } from "./render_keys.ts";
import { add, createResolver } from "./resolve.ts";

export interface DocumentBuilderOptions {
  /** Stays the caller's to close. */
  readonly database: Database;
  readonly plans: readonly PlannedIndex[];
  /** What the plans were made against. */
  readonly catalog: Catalog;
  /** A longer document is set aside, without being sent to us. */
  readonly maxDocumentBytes: number;
  /** A document with more refs lists none (`SyncMark.over`); absent: 1,000. */
  readonly maxRefs?: number;
  /** Share of wall time that listing keys may take, over 0 to 1; absent: 1. */
  readonly dutyCycle?: number;
}

/**
 * Opens a builder over a database. Beside the port's errors it throws RetryableError SCHEMA_CHANGED
 * when a statement no longer fits the tables: plan again.
 */
export function openDocumentBuilder(options: DocumentBuilderOptions): DocumentBuilder {
  const { database, plans, catalog } = options;
  const byName = new Map(plans.map((plan) => [plan.name, plan]));
  const resolveChanges = createResolver(plans, catalog);
  let clock = 0n;

  /** Runs statements behind a position that was read first, on the same connection. */
  async function versioned(
    statements: readonly Statement[],
    epoch: Epoch,
    signal: AbortSignal,
  ): Promise<{ version: bigint; results: readonly (readonly Row[])[] }> {
    const all = [positionStatement(epoch.kind), ...statements];
    const [position, ...results] = await fitting(database.sequence(all, signal));
    let version = versionOf(position ?? [], epoch);
    if (epoch.kind === "clock") {
      // A clock may be set back; positions may not. Ties are for the live stream to win.
      if (version < clock) version = clock;
      clock = version;
    }
    return { version, results };
  }

  /** Halves a chunk until the rows that can't be built stand alone, or until it is quick enough. */
  async function bisect(chunk: Chunk, epoch: Epoch, signal: AbortSignal): Promise<Built> {
    try {
      const { version, results } = await versioned([statementOf(chunk, options)], epoch, signal);
      return read(chunk, results[0] ?? [], version, options.maxDocumentBytes);
    } catch (error) {
      if (!isDivisible(error)) throw error;
      const { plan, ids } = chunk;
      const [only, ...others] = ids;
      if (only !== undefined && others.length === 0) {
        if (error.code === TIMED_OUT) throw error;
        if (await cannotBeKey(database, plan, only.key, signal)) {
          // No row of such a key can be there: what lies under its id is deleted like any other.
          const { version } = await versioned([], epoch, signal);
          return { documents: [deletion(only, version)], rejections: [] };
        }
        return { documents: [], rejections: [rejection(only, error.code, messageOf(error.cause))] };
      }
      const half = Math.ceil(ids.length / 2);
      const first = await bisect({ plan, ids: ids.slice(0, half) }, epoch, signal);
      const second = await bisect({ plan, ids: ids.slice(half) }, epoch, signal);
      return merge([first, second]);
    }
  }

  return {
    ...sourceKeys({ database, plans, dutyCycle: options.dutyCycle ?? 1 }),
    plans,
    identify: (index, key) => ({ index, id: documentId(key), key }),
    keyOf: (index, id) => documentKey(id, byName.get(index)?.key.length ?? 1),
    async resolve(changes, signal) {
      const { known, queries, sought } = resolveChanges(changes);
      const ids = new Map<string, DocumentId>();
      for (const id of known) add(ids, id);
      const statements = queries.map(({ statement }) => statement);
      const results = await fitting(database.sequence(statements, signal));
      queries.forEach(({ index }, at) => {
        for (const row of results[at] ?? []) {
          const key = row.filter((text) => text !== null);
          if (key.length === row.length) add(ids, { index, id: documentId(key), key });
        }
      });
      return { ids: [...ids.values()], sought };
    },
    async build(ids, epoch, signal) {
      signal.throwIfAborted();
      const chunks = chunksOf(ids, byName);
      if (chunks.length === 0) return { documents: [], rejections: [] };
      const statements = chunks.map((chunk) => statementOf(chunk, options));
      try {
        const { version, results } = await versioned(statements, epoch, signal);
        return merge(
          chunks.map((chunk, at) =>
            read(chunk, results[at] ?? [], version, options.maxDocumentBytes)
          ),
        );
      } catch (error) {
        if (!isDivisible(error)) throw error;
        const parts: Built[] = [];
        for (const chunk of chunks) parts.push(await bisect(chunk, epoch, signal));
        return merge(parts);
      }
    },
    async advancePosition(signal) {
      const [, rows] = await database.sequence([ADVANCE, INSERTED], signal);
      const inserted = rows?.[0]?.[0];
      if (inserted === null || inserted === undefined) return;
      // Nobody waits for the flush of a commit that wrote nothing: the WAL writer comes by itself.
      while ((await database.query(flushedStatement(inserted), signal))[0]?.[0] !== "true") {
        await sleep(FLUSH_PAUSE_MS, signal);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Documents of one index that one statement builds. */
interface Chunk {
  readonly plan: PlannedIndex;
  readonly ids: readonly DocumentId[];
}

/** The WAL writer flushes every 200 ms by default. */
const FLUSH_PAUSE_MS = 50;
/** An array of keys as long as the longest chunk of a seed. */
const MAX_CHUNK = 5000;
const MAX_REFS = 1000;

function chunksOf(
  ids: readonly DocumentId[],
  plans: ReadonlyMap<string, PlannedIndex>,
): readonly Chunk[] {
  const groups = new Map<string, Map<string, DocumentId>>();
  for (const id of ids) {
    const group = groups.get(id.index) ?? new Map<string, DocumentId>();
    groups.set(id.index, group);
    add(group, id);
  }
  const chunks: Chunk[] = [];
  for (const [index, group] of groups) {
    const plan = plans.get(index);
    if (plan === undefined) throw new Error(`Cannot build documents: no plan for index ${index}`);
    const each = [...group.values()];
    for (let at = 0; at < each.length; at += MAX_CHUNK) {
      chunks.push({ plan, ids: each.slice(at, at + MAX_CHUNK) });
    }
  }
  return chunks;
}

function statementOf(
  { plan, ids }: Chunk,
  { maxDocumentBytes, maxRefs = MAX_REFS }: { maxDocumentBytes: number; maxRefs?: number },
): Statement {
  const { text, keyCount, values, refs } = plan.statement;
  const keys = Array.from(
    { length: keyCount },
    (_, at) => arrayLiteral(ids.map(({ key }) => key[at] ?? null)),
  );
  const limits = [maxDocumentBytes, ...(refs.length === 0 ? [] : [maxRefs])].map(String);
  return { text, params: [...keys, ...values, ...limits] };
}

/** Rows by the key they came back with: one that was asked for and isn't there is deleted. */
function read(
  { plan: { name: index, key }, ids }: Chunk,
  rows: readonly Row[],
  version: bigint,
  maxDocumentBytes: number,
): Built {
  const found = new Map<string, Row>();
  for (const row of rows) found.set(row.slice(0, key.length).join("\0"), row);
  const documents: Document[] = [];
  const rejections: Rejection[] = [];
  for (const each of ids) {
    const row = found.get(each.key.join("\0"));
    const body = row?.[key.length];
    if (row === undefined) documents.push(deletion(each, version));
    else if (body === null || body === undefined) {
      const reason = `The document is longer than maxDocumentBytes, ${maxDocumentBytes}`;
      rejections.push(rejection(each, "too_large", reason));
    } else {
      const mark = markOf(row[key.length + 1] ?? "");
      const refs = row[key.length + 2] ?? undefined;
      const named = refs === undefined ? {} : refs === OVER ? { over: true as const } : { refs };
      documents.push({ index, id: each.id, version, body, sync: { ...mark, ...named } });
    }
  }
  return { documents, rejections };
}

/** Whether fewer rows may fare better: one of them is to blame, or all took longer than allowed. */
function isDivisible(error: unknown): error is FatalError | RetryableError {
  return error instanceof FatalError && blamesRow(error.code) ||
    error instanceof RetryableError && error.code === TIMED_OUT;
}

function deletion({ index, id }: DocumentId, version: bigint): Document {
  return { index, id, version, body: null };
}

function rejection({ index, id }: DocumentId, type: string, reason: string): Rejection {
  return { index, id, type, reason };
}

function merge(parts: readonly Built[]): Built {
  const [only, ...others] = parts;
  if (only !== undefined && others.length === 0) return only;
  return {
    documents: parts.flatMap(({ documents }) => documents),
    rejections: parts.flatMap(({ rejections }) => rejections),
  };
}
