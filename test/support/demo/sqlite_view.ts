import { DatabaseSync } from "node:sqlite";
import { sqliteSink } from "../../../src/sqlite/sink.ts";
import type { ShownDocument, SinkView } from "./sink_view.ts";

/** Reads the views that the file shows to anyone; searches as `driftless search` does. */
export function sqliteView(path: string): SinkView {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const sink = sqliteSink({ name: "demo", path });
  const { signal } = new AbortController();
  const parse = (document: unknown) => JSON.parse(String(document)) as ShownDocument;
  return {
    async read(index, ids) {
      const sql =
        `SELECT id, document FROM "${index}" WHERE id IN (SELECT value FROM json_each(?))`;
      const rows = database.prepare(sql).all(JSON.stringify(ids));
      return new Map(rows.map((row) => [String(row["id"]), parse(row["document"])]));
    },
    async search(index, words) {
      const hits = await sink.search(index, words, 1_000, signal);
      return new Map(hits.map(({ id, body }) => [id, parse(body)]));
    },
    async [Symbol.asyncDispose]() {
      database.close();
      await sink[Symbol.asyncDispose]();
    },
  };
}
