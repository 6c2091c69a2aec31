import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { pipeline } from "node:stream/promises";
import type postgres from "postgres";

/** The tables that stamps.sql leaves without a stamp, and their keys. */
export const UNSTAMPED: Readonly<Record<string, readonly string[]>> = {
  employee: ["employee_id"],
  genre: ["genre_id"],
  media_type: ["media_type_id"],
  playlist: ["playlist_id"],
  playlist_track: ["playlist_id", "track_id"],
  invoice_line: ["invoice_line_id"],
};

/** The folder with the record shop's rows. Throws when CHINOOK_DIR doesn't name it. */
export async function chinookFolder(): Promise<string> {
  const folder = process.env["CHINOOK_DIR"];
  if (folder === undefined || folder === "") {
    throw new Error(
      "Cannot find the Chinook data: CHINOOK_DIR is not set. Set it to the folder that holds " +
        "schema.sql, stamps.sql and a .tsv of each table.",
    );
  }
  await stat(join(folder, "schema.sql")).catch((cause) => {
    throw new Error(`Cannot find the Chinook data: no schema.sql in CHINOOK_DIR (${folder})`, {
      cause,
    });
  });
  return folder;
}

/** What `psql -f schema.sql -f stamps.sql` does: tables, rows, indexes, and five stamps. */
export async function loadChinook(sql: postgres.Sql, folder: string): Promise<void> {
  const schema = await readFile(join(folder, "schema.sql"), "utf8");
  const copies = /^\\copy (\w+) FROM '([^']+)'$/gm;
  const [tables = "", ...rest] = schema.split(/^(?=\\copy )/m);
  await sql.unsafe(tables).simple();
  for (const [, table, file] of schema.matchAll(copies)) {
    const rows = createReadStream(join(folder, file ?? ""));
    await pipeline(rows, await sql.unsafe(`COPY "${table}" FROM STDIN`).writable());
  }
  await sql.unsafe(rest.join("").replaceAll(copies, "")).simple();
  await sql.unsafe(await readFile(join(folder, "stamps.sql"), "utf8")).simple();
}

/** Does for the other six what stamps.sql does for five: column, index, trigger. */
export async function stampTheRest(sql: postgres.Sql): Promise<void> {
  const statements = Object.entries(UNSTAMPED).map(([table, key]) => `
    ALTER TABLE ${table} ADD updated_at timestamptz NOT NULL DEFAULT now();
    CREATE INDEX ON ${table} (updated_at, ${key.join(", ")});
    CREATE TRIGGER touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION touch();`);
  await sql.unsafe(statements.join("\n")).simple();
}
