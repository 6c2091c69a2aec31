import { ok, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import { openDatabase } from "../../src/postgres/client.ts";
import { within } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { createDatabase } from "../support/postgres.ts";

describe("aborting statements", () => {
  for (const pooler of ["none", "transaction"] as const) {
    test(`ends those that run and those that wait behind them (pooler: ${pooler})`, async () => {
      await using db = await createDatabase();
      await using database = openDatabase({
        url: db.readerUrl,
        pooler,
        rowSecurity: "refuse",
        maxConnections: 1,
        applicationName: "driftless/abort",
        statementTimeoutMs: 300_000,
      });
      const abort = new AbortController();
      const sleeps = (seconds: string) => ({
        text: "SELECT pg_sleep($1::float8)",
        params: [seconds],
      });
      // Prepared by now, so that the next ones are all sent before the first has answered.
      await database.sequence([sleeps("0"), sleeps("0")], abort.signal);
      const slow = sleeps("100");
      const running = database.sequence([slow, slow, slow], abort.signal);
      await eventually("the first statement", async () => {
        const [row] = await db.sql`SELECT count(*)::int AS n FROM pg_stat_activity
          WHERE application_name = 'driftless/abort' AND query LIKE '%pg_sleep%' AND state = 'active'`;
        return row?.["n"] === 1;
      });
      const reason = new Error("enough");
      abort.abort(reason);
      await rejects(within("the end of the statements", running), reason);
      await eventually("an idle connection", async () => {
        const [row] = await db.sql`SELECT count(*)::int AS n FROM pg_stat_activity
          WHERE application_name = 'driftless/abort' AND state <> 'idle'`;
        return row?.["n"] === 0;
      });
      // A cancellation that comes late may still hit the next statement, which is then tried again.
      const rows = await eventually(
        "the connection's next answer",
        () => database.query({ text: "SELECT 2" }, new AbortController().signal),
      );
      ok(rows[0]?.[0] === "2");
    });
  }
});
