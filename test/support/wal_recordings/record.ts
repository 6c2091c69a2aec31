/**
 * deno run -A test/support/servers.ts --only pg18,pg15 -- deno run -A test/support/wal_recordings/record.ts
 *
 * Records anew what test/unit/wal_pgoutput_recordings.test.ts reads: pg15.json, pg18.json and, of the newest,
 * lines.txt. To be read in the diff: what changed in it is what changed in the protocol or the decoder.
 */
import { writeFileSync } from "node:fs";
import type postgres from "postgres";
import { decodePgOutput } from "../../../src/postgres/wal/pgoutput.ts";
import { createDatabase } from "../postgres.ts";
import { linesOf } from "./lines.ts";
import { messagesOf, recordedMajors, type Recording, recordingFile } from "./recording.ts";
import { publications, tables, writes } from "./scenario.ts";

for (const major of recordedMajors) {
  const recording = await record(major);
  writeFileSync(recordingFile(major), `${JSON.stringify(recording, null, 2)}\n`);
  const lines = Object.entries(recording.streams).flatMap(([stream, messages]) => [
    `${stream}:`,
    ...linesOf(messagesOf(messages).map(({ bytes }) => decodePgOutput(bytes))),
  ]);
  writeFileSync(new URL("lines.txt", import.meta.url), `${lines.join("\n")}\n`);
}

async function record(major: typeof recordedMajors[number]): Promise<Recording> {
  await using database = await createDatabase(tables, major);
  const { name } = database;
  // An origin belongs to the session.
  const sql = await database.sql.reserve();
  try {
    await sql.unsafe("SET timezone TO 'UTC'");
    for (const [publication, what] of Object.entries(publications)) {
      await sql.unsafe(`CREATE PUBLICATION ${publication} ${what}`);
    }
    await sql`SELECT pg_create_logical_replication_slot(${name}, 'pgoutput')`;
    try {
      const from = await clock(sql);
      for (const write of writes(name)) await sql.unsafe(write).simple();
      const to = await clock(sql);
      return {
        version: (await sql<{ version: string }[]>`
          SELECT split_part(current_setting('server_version'), ' ', 1) AS version`)[0]?.version ??
          "",
        from,
        to,
        tables: Object.fromEntries(
          (await sql<{ oid: string; schema: string; name: string }[]>`
            SELECT c.oid::text, nspname AS schema, relname AS name
            FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind IN ('r', 'p') AND c.oid >= 16384 ORDER BY c.oid`)
            .map((table): [string, [string, string]] => [table.oid, [table.schema, table.name]]),
        ),
        streams: { leaf: await peek(sql, name, "leaf"), root: await peek(sql, name, "root") },
      };
    } finally {
      await sql`SELECT pg_drop_replication_slot(${name})`;
    }
  } finally {
    sql.release();
  }
}

async function clock(sql: postgres.ReservedSql): Promise<string> {
  const [row] = await sql<{ now: string }[]>`
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text AS now`;
  return row?.now ?? "";
}

async function peek(
  sql: postgres.ReservedSql,
  slot: string,
  publication: string,
): Promise<readonly string[]> {
  const rows = await sql<{ line: string }[]>`
    SELECT concat_ws(' ', lsn, xid, translate(encode(data, 'base64'), E'\n', '')) AS line
    FROM pg_logical_slot_peek_binary_changes(${slot}, NULL, NULL, 'proto_version', '1',
      'publication_names', ${publication}, 'messages', 'true')`;
  return rows.map(({ line }) => line);
}
