import { deepEqual } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type postgres from "postgres";
import { BUCKETS } from "../../src/core/document.ts";
import type { IndexDescription } from "../../src/core/description.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { ChangeCapture, DocumentBuilder, Sink } from "../../src/core/ports.ts";
import { keySweep, type KeySweepOptions, runningClock } from "../../src/engine/key_sweep.ts";
import type { EngineOptions } from "../../src/engine/pipeline.ts";
import { fence } from "../../src/flow/fence.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { scriptedSink } from "../support/scripted_sink.ts";
import { openSearchDocuments, sqliteDocuments } from "../support/truth.ts";
import { EPOCH, type Fixture, openFixture, SIGNAL } from "./documents_fixture.ts";
import { ask, newestGeneration, removeAll, sinkOptions } from "./opensearch_observer.ts";

/** A sink and ways around it. */
export interface SweptSink extends AsyncDisposable {
  readonly sink: Sink;
  /** What searches of an index see, by id. */
  documents(index: string): Promise<ReadonlyMap<string, string>>;
  /** Puts a document in, or takes it out, behind the sink's back. */
  put(index: string, id: string, body: string, version?: bigint): Promise<void>;
  remove(index: string, id: string): Promise<void>;
}

export const SINKS: Readonly<Record<string, () => Promise<SweptSink>>> = {
  "the scripted sink": scriptedSubject,
  sqlite: sqliteSubject,
  opensearch: openSearchSubject,
};

function scriptedSubject(): Promise<SweptSink> {
  const sink = scriptedSink("scripted");
  return Promise.resolve({
    sink,
    documents: (index) =>
      Promise.resolve(
        new Map([...sink.documents(index)].flatMap(([id, { body }]) =>
          body === null ? [] : [[id, body] as const]
        )),
      ),
    put: (index, id, body, version = 1n) => {
      sink.storage.served.get(index)?.documents.set(id, { version, body });
      return Promise.resolve();
    },
    remove: (index, id) => {
      sink.storage.served.get(index)?.documents.delete(id);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

async function sqliteSubject(): Promise<SweptSink> {
  const { DatabaseSync } = await import("node:sqlite");
  const folder = await mkdtemp(join(tmpdir(), "driftless-keys-"));
  const path = join(folder, "documents.db");
  const sink = sqliteSink({ name: "file", path });
  const alter = (sql: string, ...values: (string | bigint)[]) => {
    using file = new DatabaseSync(path, { timeout: 5_000 });
    file.prepare(sql).run(...values);
    return Promise.resolve();
  };
  return {
    sink,
    documents: (index) => Promise.resolve(sqliteDocuments(path, index)),
    put: (_index, id, body, version = 1n) =>
      alter(
        "INSERT OR REPLACE INTO _documents_1 (id, version, body) VALUES (?, ?, ?)",
        id,
        version,
        body,
      ),
    remove: (_index, id) => alter("DELETE FROM _documents_1 WHERE id = ?", id),
    async [Symbol.asyncDispose]() {
      await sink[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function openSearchSubject(): Promise<SweptSink> {
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  const sink = openSearchSink(sinkOptions(url, prefix));
  const at = async (index: string, id: string) =>
    `/${await newestGeneration(url, prefix, index)}/_doc/${encodeURIComponent(id)}`;
  return {
    sink,
    async documents(index) {
      await ask(url, "POST", `/${prefix}${index}/_refresh`);
      return await openSearchDocuments(url, `${prefix}${index}`);
    },
    async put(index, id, body, version) {
      const how = version === undefined ? "" : `?version=${version}&version_type=external`;
      const { status, text } = await ask(
        url,
        "PUT",
        `${await at(index, id)}${how}`,
        JSON.parse(body),
      );
      if (status >= 300) throw new Error(text);
    },
    async remove(index, id) {
      await ask(url, "DELETE", await at(index, id));
    },
    async [Symbol.asyncDispose]() {
      await sink[Symbol.asyncDispose]();
      await removeAll(url, prefix);
    },
  };
}

export const ALL_BUCKETS: readonly number[] = Array.from({ length: BUCKETS }, (_, n) => n);

export interface SweepRun extends AsyncDisposable {
  readonly fixture: Fixture;
  readonly sql: postgres.Sql;
  readonly builder: DocumentBuilder;
  readonly subject: SweptSink;
  readonly events: SyncEvent[];
  /** Fills every index and marks it seeded. */
  fill(): Promise<void>;
  /** Compares everything once; what it threw, if it did. */
  sweep(more?: Partial<KeySweepOptions>): Promise<unknown>;
  /** The last sweep's figures, summed over its indexes. */
  found(): { readonly missing: number; readonly orphans: number };
  warnings(): readonly string[];
  /** Throws unless an index holds exactly these ids, each with its row's present document. */
  equals(index: string, ids: readonly string[]): Promise<void>;
}

/** A source and a sink that are only ever compared: nothing else follows the changes. */
export async function openSweep(
  ddl: string,
  descriptions: readonly IndexDescription[],
  open: () => Promise<SweptSink>,
  major: 18 | 15 = 18,
): Promise<SweepRun> {
  const stack = new AsyncDisposableStack();
  const fixture = stack.use(await openFixture(ddl, major));
  const { builder } = await fixture.open(descriptions);
  const subject = stack.use(await open());
  const events: SyncEvent[] = [];
  const { sink } = subject;
  const engine: EngineOptions = {
    batch: { maxChanges: 100, maxDelayMs: 20 },
    queue: { capacity: 1000 },
    seed: { parallel: 2, chunk: 50 },
    once: true,
    skipBackfill: false,
    rebase: false,
    retryLimitMs: 60_000,
    observe: (event) => events.push(event),
  } as EngineOptions;

  async function rowsOf(index: string): Promise<ReadonlyMap<string, string>> {
    const rows = new Map<string, string>();
    for await (const page of builder.idsIn(index, ALL_BUCKETS, SIGNAL)) {
      const { documents } = await builder.build(page, EPOCH, SIGNAL);
      for (const { id, body } of documents) if (body !== null) rows.set(id, body);
    }
    return rows;
  }

  return {
    fixture,
    sql: fixture.db.sql,
    builder,
    subject,
    events,
    async fill() {
      await sink.connect(SIGNAL);
      for (const plan of builder.plans) {
        await sink.ensure(plan, "s1", SIGNAL);
        for await (const page of builder.idsIn(plan.name, ALL_BUCKETS, SIGNAL)) {
          const { documents } = await builder.build(page, EPOCH, SIGNAL);
          deepEqual(await sink.write(documents, "fill", SIGNAL), []);
        }
        await sink.markSeeded(plan.name, SIGNAL);
      }
    },
    async sweep(more = {}) {
      events.length = 0;
      const sweep = keySweep({
        pipeline: {
          capture: {} as ChangeCapture,
          builder,
          sinks: [sink],
          watch: () => Promise.resolve(),
        },
        epoch: EPOCH,
        filling: fence(),
        engine,
        intervalMs: 60_000,
        dutyCycle: 1,
        massDeletes: false,
        compared: {},
        clock: runningClock("2026-01-02T03:04:05.123456Z"),
        ...more,
      });
      return await sweep.once(SIGNAL).then(() => undefined, (error: unknown) => error);
    },
    found() {
      const swept = events.filter((event) => event.type === "swept");
      return {
        missing: swept.reduce((sum, { missing }) => sum + missing, 0),
        orphans: swept.reduce((sum, { orphans }) => sum + orphans, 0),
      };
    },
    warnings: () => events.flatMap((event) => event.type === "warning" ? [event.code] : []),
    async equals(index, ids) {
      const is = await subject.documents(index);
      deepEqual([...is.keys()].toSorted(), [...ids].toSorted());
      const rows = await rowsOf(index);
      for (const [id, body] of is) {
        deepEqual(JSON.parse(body), JSON.parse(rows.get(id) ?? "null"), id);
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
