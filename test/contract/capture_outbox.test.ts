import type { OutboxConfig } from "../../src/config/config.ts";
import { type CaptureSubject, exerciseCapture } from "./exercise_capture.ts";

const DDL = `
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL,
 row_key text NOT NULL, tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
 created_at timestamptz NOT NULL DEFAULT now(), done timestamptz);
CREATE INDEX ON outbox (tx, id);
CREATE INDEX ON outbox (created_at, id);
CREATE INDEX ON outbox (id) WHERE done IS NULL;`;

const COLUMNS = { table: "kind", key: "row_key", position: "id" };
const MODES: Readonly<Record<OutboxConfig["mode"], object>> = {
  xid: { mode: "read", columns: { ...COLUMNS, xid: "tx" } },
  stamp: { mode: "read", columns: { ...COLUMNS, stamp: "created_at" } },
  mark: { mode: "claim", columns: { ...COLUMNS, processed: "done" } },
  delete: { mode: "claim", delete: true, columns: COLUMNS },
};

for (const [mode, section] of Object.entries(MODES)) {
  const outbox = { table: "outbox", tables: { item: "Item" }, ...section };
  const subject: CaptureSubject = {
    name: `the outbox, by ${mode}`,
    level: "L4",
    claims: {
      lateCommits: true,
      oddStamps: true,
      deletes: true,
      truncates: false,
      bypass: false,
      waits: false,
      // Each case's hint is one row.
      exact: mode === "xid",
    },
    async install({ sql, readerRole }) {
      await sql.unsafe(`${DDL}
        GRANT UPDATE (done), DELETE ON outbox TO ${readerRole};`).simple();
    },
    options: () => ({ source: { capture: "outbox", sweeps: false, outbox } }),
    async hint(tx, ids) {
      await tx`INSERT INTO outbox (kind, row_key)
        SELECT 'Item', i::text FROM unnest(${[...ids]}::bigint[]) i`;
    },
  };
  exerciseCapture(subject);
}
