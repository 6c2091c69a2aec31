/** Runs a world on a real Postgres, through the real pipeline, and compares what arrives. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { installChangelog } from "../../../src/app/changelog.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { ChangeCapture, Sink } from "../../../src/core/ports.ts";
import { openSearchSink } from "../../../src/opensearch/sink.ts";
import { sqliteSink } from "../../../src/sqlite/sink.ts";
import { removeAll, sinkOptions } from "../../contract/opensearch_observer.ts";
import { type EngineRun, startEngine } from "../../support/engine_run.ts";
import { openSearchServer, uniquePrefix } from "../../support/opensearch.ts";
import type { TestDatabase } from "../../support/postgres.ts";
import { scriptedSink } from "../../support/scripted_sink.ts";
import { sqliteDocuments } from "../../support/people.ts";
import { openSearchDocuments } from "../../support/truth.ts";
import { withoutMark } from "../../support/without_mark.ts";
import { ddlOf, indexesOf, quote, sourceTables } from "./config.ts";
import { expectedDocuments, type Row, type Rows } from "./expected.ts";
import { firstDifference, parseExactly, tell } from "./values.ts";
import { type Table, tablesIn, type World } from "./world.ts";

/** What went wrong: after which step, and how. */
export interface Failure {
  /** "document", or the beginning of the error that ended the run. */
  readonly kind: string;
  readonly step: number;
  readonly text: string;
}

/** Runs in a schema of its own, which is gone afterwards. */
export async function runWorld(db: TestDatabase, world: World): Promise<Failure | undefined> {
  const schema = `h${crypto.randomUUID().slice(0, 8)}`;
  let step = -1;
  try {
    await write(db, schema, [ddlOf(world.tables), ...world.initial.map(harmless)], true);
    await install(db, schema, world);
    await using sink = await openSink(world.sink);
    await using following = follower(db, schema, world, sink.sink);
    following.start();
    for (const { offline, transactions } of world.steps) {
      step++;
      if (offline) await following.stop();
      for (const statements of transactions) {
        await write(db, schema, statements.map(harmless), false);
      }
      if (offline) following.start();
      await following.caughtUp();
      const text = await difference(db, schema, world, sink);
      if (text !== undefined) return { kind: "document", step, text };
    }
    await following.stop();
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? `${error.stack} ${error.cause ?? ""}` : String(error);
    return { kind: text.replaceAll(schema, "").slice(0, 60), step, text };
  } finally {
    await db.sql.unsafe(
      `DROP SCHEMA IF EXISTS ${schema} CASCADE; DROP SCHEMA IF EXISTS log_${schema} CASCADE`,
    ).simple();
  }
}

/** A statement that does nothing when it breaks a constraint. */
function harmless(statement: string): string {
  const broken = "integrity_constraint_violation OR feature_not_supported OR object_in_use";
  return `BEGIN ${statement}; EXCEPTION WHEN ${broken} THEN NULL; END;`;
}

async function write(
  db: TestDatabase,
  schema: string,
  [first = "", ...others]: readonly string[],
  isNew: boolean,
): Promise<void> {
  const statements = isNew ? others : [first, ...others];
  // Several statements in one message are one transaction.
  await db.sql.unsafe(`
    ${isNew ? `CREATE SCHEMA ${schema};` : ""}
    SET LOCAL search_path TO ${schema};
    ${isNew ? first : ""}
    DO $do$ BEGIN ${statements.join("\n")} END $do$`).simple();
}

function sourceOf(schema: string, world: World): Readonly<Record<string, unknown>> {
  const used = new Set(world.indexes.flatMap((index) => [...tablesIn(index)]));
  const tables = world.tables.filter(({ name }) => used.has(name));
  return {
    sweeps: false,
    poll: {
      minInterval: "5ms",
      maxInterval: "10ms",
      margin: "20ms",
      pageSize: world.engine.pageSize,
    },
    tables: sourceTables({ ...world, tables }, schema),
    changelog: { schema: `log_${schema}` },
  };
}

async function install(db: TestDatabase, schema: string, world: World): Promise<void> {
  if (!world.tables.some(({ capture }) => capture === "changelog")) return;
  const source = { url: db.readerUrl, ...sourceOf(schema, world) };
  const text = JSON.stringify({ source, indexes: indexesOf(world, schema) });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const said: string[] = [];
  const say = (line: string) => said.push(line);
  const target = { schema: `log_${schema}`, adminUrl: db.url, apply: true, say };
  const signal = new AbortController().signal;
  const { left } = await installChangelog(config, target, [db.readerRole], signal);
  if (left.size > 0) throw new Error(`not logged: ${[...left.values()].join()} ${said.join()}`);
}

interface Follower extends AsyncDisposable {
  start(): void;
  stop(): Promise<void>;
  /** Resolves when all that is committed now is in the sink. */
  caughtUp(): Promise<void>;
}

function follower(db: TestDatabase, schema: string, world: World, sink: Sink): Follower {
  let run: EngineRun | undefined;
  let capture: ChangeCapture | undefined;
  return {
    start() {
      run = startEngine({
        url: db.readerUrl,
        sinks: [sink],
        indexes: indexesOf(world, schema),
        source: sourceOf(schema, world),
        options: {
          batch: { maxChanges: world.engine.maxChanges, maxDelayMs: 5 },
          seed: { parallel: 2, chunk: world.engine.chunk },
        },
        watchMs: 3_600_000,
        supervised: true,
        wrap: (each) => capture = each,
      });
    },
    async stop() {
      await run?.stop();
      run = undefined;
      capture = undefined;
    },
    async caughtUp() {
      const [row] = await db.sql<{ now: string }[]>`SELECT to_char(clock_timestamp() AT TIME ZONE
        'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now`;
      const deadline = performance.now() + LIMIT_MS;
      for (;;) {
        if (run === undefined || run.ended()) {
          throw new Error(`the run ended: ${await run?.outcome()}`);
        }
        // A truncated table's indexes are filled anew, after a new start.
        const events = run.events.map(({ type }) => type);
        const isFilled = events.lastIndexOf("caughtUp") >
          Math.max(events.lastIndexOf("anchored"), events.lastIndexOf("retry"));
        if (isFilled && capture !== undefined && capture.confirmed().through > (row?.now ?? "")) {
          return;
        }
        if (performance.now() > deadline) throw new Error(`not caught up within ${LIMIT_MS} ms`);
        await pause(5);
      }
    },
    async [Symbol.asyncDispose]() {
      await run?.[Symbol.asyncDispose]();
    },
  };
}

/** Long: a loaded machine is no failure. */
const LIMIT_MS = 90_000;

interface OpenSink extends AsyncDisposable {
  readonly sink: Sink;
  documents(index: string): Promise<ReadonlyMap<string, string>>;
  /** They come with their fields sorted. */
  readonly sorted?: boolean;
}

async function openSink(kind: World["sink"]): Promise<OpenSink> {
  if (kind === "scripted") {
    const sink = scriptedSink("scripted");
    return {
      sink,
      documents: (index) =>
        Promise.resolve(
          new Map(
            [...sink.documents(index)].flatMap(([id, { body }]) =>
              body === null ? [] : [[id, body]]
            ),
          ),
        ),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  if (kind === "sqlite") {
    const folder = await mkdtemp(join(tmpdir(), "driftless-documents-"));
    const path = join(folder, "documents.db");
    const sink = sqliteSink({ name: "file", path });
    await sink.connect(new AbortController().signal);
    return {
      sink,
      documents: (index) =>
        Promise.resolve(new Map(sqliteDocuments(path, index).map(({ id, body }) => [id, body]))),
      async [Symbol.asyncDispose]() {
        await sink[Symbol.asyncDispose]();
        await rm(folder, { recursive: true });
      },
    };
  }
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  const sink = openSearchSink(sinkOptions(url, prefix));
  const signal = new AbortController().signal;
  await sink.connect(signal);
  return {
    sink,
    sorted: true,
    async documents(index) {
      await sink.refresh([index], signal);
      return await openSearchDocuments(url, `${prefix}${index}`);
    },
    async [Symbol.asyncDispose]() {
      await sink[Symbol.asyncDispose]();
      await removeAll(url, prefix);
    },
  };
}

async function difference(
  db: TestDatabase,
  schema: string,
  world: World,
  sink: OpenSink,
): Promise<string | undefined> {
  const rows = await readRows(db, schema, world.tables);
  for (const index of world.indexes) {
    const expected = expectedDocuments(world.tables, rows, index);
    const actual = await sink.documents(index.name);
    for (const [id, body] of actual) {
      const should = expected.get(id);
      if (should === undefined) return `${index.name} ${id} should not be: ${body}`;
      const found = firstDifference(parseExactly(withoutMark(body)), should, sink.sorted);
      if (found !== undefined) {
        return `${index.name} ${id}: ${found}\n  is     ${body}\n  should ${tell(should)}`;
      }
    }
    for (const [id, should] of expected) {
      if (!actual.has(id)) return `${index.name} ${id} is missing: ${tell(should)}`;
    }
  }
  return undefined;
}

/** Bare columns, as their types print them. */
async function readRows(
  db: TestDatabase,
  schema: string,
  tables: readonly Table[],
): Promise<Rows> {
  const queries = tables.map(({ name, columns }) =>
    `SELECT ${
      columns.map((column) => `${quote(column.name)}::text AS ${quote(column.name)}`).join(", ")
    } ` +
    `FROM ${schema}.${quote(name)}`
  );
  const results = await db.sql.unsafe(`SET LOCAL timezone TO 'UTC'; ${queries.join("; ")}`)
    .simple() as unknown as readonly (readonly Row[])[];
  return new Map(tables.map(({ name }, at) => [name, [...results[at + 1] ?? []]]));
}
