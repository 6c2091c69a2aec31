import type postgres from "postgres";
import type { Statement } from "../../src/postgres/client.ts";
import { captureChangelog } from "../../src/postgres/changelog/stream.ts";
import type { LoggedTable } from "../../src/postgres/ways.ts";
import { installChangelog } from "./changelog.ts";
import type { TestDatabase } from "./postgres.ts";
import { runStream, type StreamRun, type StreamRunOptions } from "./stream_run.ts";

const TABLES = ["item", "extra", "foreign_one"];

/** Three tables. */
export const CHANGELOG_DDL: string = TABLES.map((name) =>
  `CREATE TABLE ${name} (id bigint PRIMARY KEY, parent text);\n`
).join("");

/** A database made by CHANGELOG_DDL, all of it logged; item and extra are followed. */
export interface Changelog extends AsyncDisposable {
  readonly sql: postgres.Sql;
  readonly readerRole: string;
  /** `acks`: takes the acknowledgements, which then aren't made. `drained`: who said so. */
  run(
    options?: Partial<StreamRunOptions>,
    acks?: (() => void)[],
    drained?: string[],
  ): Promise<StreamRun>;
  /** A transaction of its own, begun. */
  writer(): Promise<{ readonly sql: postgres.ReservedSql; commit(): Promise<void> }>;
  /** Trims what that snapshot has passed, or everything. */
  trim(passed?: string): Promise<void>;
}

/** Installs the changelog in `db`. */
export async function changelogOver(db: TestDatabase): Promise<Changelog> {
  const { left } = await installChangelog(
    db,
    TABLES.map((table) => ({ table, joins: ["parent"] })),
  );
  if (left.size > 0) throw new Error(`Cannot log ${[...left.keys()]}`);
  const tables = await loggedTables(db.sql, ["item", "extra"]);
  const settings = { schema: "driftless", consumer: "me", retentionMs: 3_600_000 };
  return {
    sql: db.sql,
    readerRole: db.readerRole,
    run: (options, acks, drained) =>
      runStream((context) => {
        const stream = captureChangelog({ settings, tables }, context);
        if (acks === undefined && drained === undefined) return stream;
        return {
          ...stream,
          async *live(signal) {
            for await (const delivery of stream.live(signal)) {
              const { table, key } = delivery.value;
              if (delivery.drained) drained?.push(`${table.name}:${key}`);
              acks?.push(delivery.ack);
              yield acks === undefined ? delivery : { ...delivery, ack: () => {} };
            }
          },
        };
      }, { url: db.readerUrl, ...options }),
    async writer() {
      const sql = await db.sql.reserve();
      await sql`BEGIN`;
      return {
        sql,
        async commit() {
          await sql`COMMIT`;
          sql.release();
        },
      };
    },
    async trim(passed) {
      await db.sql.begin(async (sql) => {
        const [row] = passed === undefined
          ? await sql`SELECT pg_current_xact_id()::text AS x`
          : await sql`SELECT pg_snapshot_xmin(${passed}::text::pg_snapshot)::text AS x`;
        const xid = String(row?.["x"]);
        await sql`DELETE FROM driftless.log WHERE xid < ${xid}::text::xid8`;
        await sql`INSERT INTO driftless.trimmed (xid) VALUES (${xid}::text::xid8)
          ON CONFLICT (one) DO UPDATE SET xid = excluded.xid`;
      });
    },
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}

/** Whether a stream's statement reads a page of the log. */
export function isPage({ text }: Statement): boolean {
  return text.includes(`"driftless".log t`) && text.includes("LIMIT");
}

async function loggedTables(
  sql: postgres.Sql,
  names: readonly string[],
): Promise<readonly LoggedTable[]> {
  const tables: LoggedTable[] = [];
  for (const name of names) {
    const [row] = await sql`SELECT ${name}::regclass::oid::text AS oid`;
    const table = { schema: "public", name };
    tables.push({ table, id: `public.${name}`, oid: String(row?.["oid"]), key: ["id"] });
  }
  return tables;
}
