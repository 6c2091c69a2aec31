import type { Json } from "../../src/core/json.ts";
import { captureOutbox } from "../../src/postgres/outbox/capture_outbox.ts";
import type { HintedTable, OutboxSettings } from "../../src/postgres/ways.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { runStream, type StreamRun, type StreamRunOptions } from "../support/stream_run.ts";

export type Mode = OutboxSettings["mode"];
export const MODES: readonly Mode[] = ["xid", "stamp", "mark", "delete"];
export const MAJORS = [18, 15] as const;

/** A database with tables to hint at and an outbox that serves every mode. */
export interface OutboxDatabase extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly settings: OutboxSettings;
  /** Writes a row of the outbox for each id of `item`, in a transaction of its own. */
  hint(...ids: readonly (number | string)[]): Promise<void>;
  run(options?: RunOptions): Promise<StreamRun>;
  /** Rows of the outbox that wait, by its position. */
  waiting(): Promise<readonly number[]>;
}

export type RunOptions = Partial<StreamRunOptions> & {
  readonly stored?: Json;
  readonly marginMs?: number;
};

export interface FixtureOptions {
  readonly major?: 18 | 15;
  /** SQL type of the key column. */
  readonly key?: string;
  /** CACHE of the position's sequence. */
  readonly cache?: number;
  /** More DDL. */
  readonly ddl?: string;
  /** Beside `item` and `line`. */
  readonly tables?: readonly HintedTable[];
}

export async function outboxDatabase(
  mode: Mode,
  { major = 18, key = "text", cache = 1, ddl = "", tables = [] }: FixtureOptions = {},
): Promise<OutboxDatabase> {
  const db = await createDatabase(
    `CREATE TABLE item (id integer PRIMARY KEY);
     CREATE TABLE line ("orderId" bigint, sku varchar(8), PRIMARY KEY ("orderId", sku));
     CREATE SEQUENCE outbox_id CACHE ${cache};
     CREATE TABLE outbox (
       id bigint PRIMARY KEY DEFAULT nextval('outbox_id'), tbl text, key ${key},
       tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
       created_at timestamptz NOT NULL DEFAULT now(), processed_at timestamptz);
     CREATE INDEX ON outbox (tx, id); CREATE INDEX ON outbox (created_at, id);
     CREATE INDEX ON outbox (id) WHERE processed_at IS NULL;
     ${ddl}`,
    major,
  );
  const { sql, readerRole } = db;
  if (mode === "mark") await sql.unsafe(`GRANT UPDATE (processed_at) ON outbox TO ${readerRole}`);
  if (mode === "delete") await sql.unsafe(`GRANT DELETE ON outbox TO ${readerRole}`);
  const followed = [ITEM, LINE, ...tables];
  const settings = settingsOf(mode, followed);
  return {
    db,
    settings,
    async hint(...ids) {
      await sql`INSERT INTO outbox (tbl, key)
        SELECT 'item', x FROM unnest(${ids.map(String)}::text[]) x`;
    },
    run: ({ marginMs = 50, ...options } = {}) =>
      runStream(
        (context) => captureOutbox({ settings, tables: followed, marginMs }, context),
        { url: db.readerUrl, seeded: followed.map(({ id }) => id), ...options },
      ),
    async waiting() {
      const rows = await sql`SELECT id::int FROM outbox WHERE processed_at IS NULL ORDER BY id`;
      return rows.map(({ id }) => Number(id));
    },
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}

export function settingsOf(mode: Mode, tables: readonly HintedTable[]): OutboxSettings {
  return {
    table: { schema: "public", name: "outbox" },
    mode,
    columns: {
      table: "tbl",
      key: "key",
      position: "id",
      xid: "tx",
      stamp: "created_at",
      processed: "processed_at",
    },
    names: new Map(tables.map(({ id, names }) => [id, names])),
  };
}

export function hinted(name: string, key: readonly string[], ...names: string[]): HintedTable {
  return { table: { schema: "public", name }, id: `public.${name}`, key, names };
}

const ITEM = hinted("item", ["id"], "item", "Item");
const LINE = hinted("line", ["orderId", "sku"], "line");
