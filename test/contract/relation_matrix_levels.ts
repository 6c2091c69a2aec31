/** The ways in which the relation matrix is followed, and the sinks it is followed into. */
import { deepEqual, ok } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installChangelog } from "../../src/app/changelog.ts";
import { loadConfig } from "../../src/config/load.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { sqliteSink } from "../../src/sqlite/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { openSearchDocuments, sqliteDocuments } from "../support/truth.ts";
import { ask, removeAll, sinkOptions } from "./opensearch_observer.ts";
import type { MatrixLevel, MatrixSink } from "./relation_matrix_run.ts";
import { INDEXES, keyOf, TABLES } from "./relation_matrix_schema.ts";

export const CHANGELOG: MatrixLevel = {
  name: "the changelog (L4)",
  expect: { level: "L4", capture: "changelog" },
  source: { capture: "changelog", sweeps: false },
  prepare: logged,
  seesDeletes: true,
  seesRoots: true,
};

export const OUTBOX: MatrixLevel = {
  name: "an outbox (L4)",
  expect: { level: "L4", capture: "outbox" },
  source: {
    capture: "outbox",
    outbox: {
      table: "outbox",
      columns: { table: "table_name", key: "row_key", position: "id", xid: "tx" },
      tables: Object.fromEntries(Object.keys(TABLES).map((table) => [table, table])),
    },
    sweeps: false,
  },
  prepare: hinted,
  seesDeletes: true,
  seesRoots: true,
};

export const STAMPS: MatrixLevel = {
  name: "updated_at (L2)",
  expect: { level: "L2", capture: "updated_at" },
  source: { capture: "updated_at", sweeps: false },
  seesDeletes: false,
  seesRoots: false,
};

export const LAG: MatrixLevel = {
  name: "updated_at with a lag (L1)",
  expect: { level: "L1", capture: "updated_at" },
  source: { sweeps: false },
  prepare: subscribed,
  undo: async (db) =>
    void await db.sql.unsafe(`DROP SUBSCRIPTION IF EXISTS ${db.name}_subscription`),
  seesDeletes: false,
  seesRoots: false,
};

const KEYS = { intervalMs: 100, dutyCycle: 1, massDeletes: true };

export const STAMPS_AND_SWEEPS: MatrixLevel = {
  name: "updated_at and sweeps (L3)",
  expect: { level: "L3", capture: "updated_at" },
  source: { capture: "updated_at", sweeps: { keys: "1m", dutyCycle: 1 } },
  keys: KEYS,
  late: true,
  seesDeletes: false,
  seesRoots: true,
};

export const SWEEPS: MatrixLevel = {
  name: "sweeps alone (L3)",
  expect: { level: "L3", capture: "sweep" },
  source: { capture: "sweep", sweeps: { keys: "1m", dutyCycle: 1 } },
  keys: KEYS,
  late: true,
  seesDeletes: false,
  seesRoots: true,
};

/** A file. */
export async function sqlite(): Promise<MatrixSink> {
  const folder = await mkdtemp(join(tmpdir(), "driftless-relations-"));
  const path = join(folder, "documents.db");
  const sink = sqliteSink({ name: "file", path });
  return {
    sink,
    documents: (index) => Promise.resolve(sqliteDocuments(path, index)),
    async dispose() {
      await sink[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

export async function openSearch(): Promise<MatrixSink> {
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  const sink = openSearchSink(sinkOptions(url, prefix));
  return {
    sink,
    async documents(index) {
      await ask(url, "POST", `/${prefix}${index}/_refresh`);
      return await openSearchDocuments(url, `${prefix}${index}`);
    },
    async dispose() {
      await sink[Symbol.asyncDispose]();
      await removeAll(url, prefix);
    },
  };
}

/** Installs the changelog for the indexes, as the command does. */
async function logged(db: TestDatabase): Promise<void> {
  const text = JSON.stringify({ source: { url: db.readerUrl }, indexes: INDEXES });
  const { config, problems } = await loadConfig("test.jsonc", {}, () => Promise.resolve(text));
  ok(config, JSON.stringify(problems));
  const target = { schema: "driftless", adminUrl: db.url, apply: true, say: () => {} };
  const signal = new AbortController().signal;
  const { left } = await installChangelog(config, target, [db.readerRole], signal);
  deepEqual([...left], []);
}

/** An application that writes a hint for each row it writes, of its key before and after. */
async function hinted(db: TestDatabase): Promise<void> {
  const hint = (row: string) =>
    `INSERT INTO outbox (table_name, row_key)
      SELECT TG_TABLE_NAME, jsonb_agg(to_jsonb(${row}) -> k ORDER BY n)
      FROM unnest(TG_ARGV) WITH ORDINALITY AS a (k, n)`;
  const triggers = Object.keys(TABLES).map((table) =>
    `CREATE TRIGGER hint AFTER INSERT OR UPDATE OR DELETE ON ${table}
      FOR EACH ROW EXECUTE FUNCTION hint(${keyOf(table).map((key) => `'${key}'`).join(", ")});`
  );
  await db.sql.unsafe(`
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL,
      row_key jsonb NOT NULL, tx xid8 NOT NULL DEFAULT pg_current_xact_id());
    CREATE INDEX ON outbox (tx, id);
    CREATE FUNCTION hint() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF TG_OP <> 'INSERT' THEN ${hint("OLD")}; END IF;
      IF TG_OP <> 'DELETE' THEN ${hint("NEW")}; END IF;
      RETURN NULL; END $$;
    ${triggers.join("\n")}`).simple();
}

/** Tables that a subscription feeds: open transactions don't show when their rows were stamped. */
async function subscribed(db: TestDatabase): Promise<void> {
  const name = `${db.name}_subscription`;
  await db.sql.unsafe(`CREATE SUBSCRIPTION ${name} CONNECTION 'dbname=nowhere' PUBLICATION p
    WITH (connect = false, slot_name = NONE)`);
  await db.sql.begin(async (own) => {
    await own`SET LOCAL allow_system_table_mods = on`;
    await own`INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
      SELECT s.oid, c.oid, 'r' FROM pg_subscription s, pg_class c
      WHERE s.subname = ${name} AND c.relname = ANY(${Object.keys(TABLES)})
        AND c.relnamespace = 'public'::regnamespace`;
  });
}
