import { deepEqual, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Problem } from "../../src/core/problem.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import { indexProblem, outboxProblems } from "../../src/postgres/outbox/inspect_outbox.ts";
import { loadOutboxFacts } from "../../src/postgres/outbox/outbox_facts.ts";
import type { OutboxSettings } from "../../src/postgres/ways.ts";
import { createDatabase } from "../support/postgres.ts";
import { type Mode, MODES, settingsOf } from "./outbox_fixture.ts";

const signal = new AbortController().signal;

const GOOD =
  `CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tbl text, key jsonb,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(), created_at timestamptz NOT NULL DEFAULT now(),
  processed_at timestamptz);`;

interface Case {
  readonly name: string;
  readonly mode: Mode;
  readonly ddl: string;
  readonly settings?: Partial<OutboxSettings>;
  readonly expected: readonly (readonly [Problem["severity"], string, string])[];
}

const CASES: readonly Case[] = [
  {
    name: "a table that isn't there",
    mode: "xid",
    ddl: "",
    expected: [["error", "OUTBOX_TABLE_MISSING", "source.outbox.table"]],
  },
  {
    name: "a view",
    mode: "xid",
    ddl: "CREATE VIEW outbox AS SELECT 1 AS id",
    expected: [["error", "OUTBOX_NOT_A_TABLE", "source.outbox.table"]],
  },
  {
    name: "columns that aren't there",
    mode: "xid",
    ddl:
      "CREATE TABLE outbox (id bigint PRIMARY KEY, tx xid8 NOT NULL DEFAULT pg_current_xact_id())",
    expected: [
      ["error", "OUTBOX_COLUMN_MISSING", "source.outbox.columns.table"],
      ["error", "OUTBOX_COLUMN_MISSING", "source.outbox.columns.key"],
    ],
  },
  {
    name: "an xid column of another type",
    mode: "xid",
    ddl: GOOD + "ALTER TABLE outbox DROP tx, ADD tx bigint;",
    expected: [["error", "OUTBOX_XID_TYPE", "source.outbox.columns.xid"]],
  },
  {
    name: "an xid column that nothing fills",
    mode: "xid",
    ddl: GOOD + "ALTER TABLE outbox ALTER tx DROP DEFAULT, ALTER tx DROP NOT NULL;",
    expected: [
      ["warning", "OUTBOX_XID_DEFAULT", "source.outbox.columns.xid"],
      ["warning", "OUTBOX_XID_NULLABLE", "source.outbox.columns.xid"],
    ],
  },
  {
    name: "a stamp without a zone",
    mode: "stamp",
    ddl: GOOD + "ALTER TABLE outbox ALTER created_at TYPE timestamp;",
    expected: [["error", "OUTBOX_STAMP_TYPE", "source.outbox.columns.stamp"]],
  },
  {
    name: "no right to mark",
    mode: "mark",
    ddl: GOOD,
    expected: [["error", "OUTBOX_NO_UPDATE", "source.outbox.mode"]],
  },
  {
    name: "no right to delete",
    mode: "delete",
    ddl: GOOD,
    expected: [["error", "OUTBOX_NO_DELETE", "source.outbox.mode"]],
  },
  {
    name: "no right to read",
    mode: "xid",
    ddl: GOOD + "REVOKE SELECT ON outbox FROM reader;",
    expected: [["error", "OUTBOX_NO_SELECT", "source.outbox.table"]],
  },
  {
    name: "a mark that is a flag",
    mode: "mark",
    ddl: GOOD + "ALTER TABLE outbox DROP processed_at, ADD processed_at boolean;" +
      "GRANT UPDATE (processed_at) ON outbox TO reader;",
    expected: [["error", "OUTBOX_PROCESSED_TYPE", "source.outbox.columns.processed"]],
  },
  {
    name: "a mark that is never NULL",
    mode: "mark",
    ddl: GOOD +
      "ALTER TABLE outbox ALTER processed_at SET NOT NULL, ALTER processed_at SET DEFAULT now();" +
      "GRANT UPDATE (processed_at) ON outbox TO reader;",
    expected: [["error", "OUTBOX_PROCESSED_NOT_NULL", "source.outbox.columns.processed"]],
  },
  {
    name: "positions that may be shared or missing",
    mode: "xid",
    ddl: GOOD + "ALTER TABLE outbox DROP id, ADD id bigint;",
    expected: [
      ["error", "OUTBOX_POSITION_NULLABLE", "source.outbox.columns.position"],
      ["error", "OUTBOX_POSITION_NOT_UNIQUE", "source.outbox.columns.position"],
    ],
  },
];

for (const major of [18, 15] as const) {
  describe(`reading an outbox's table on Postgres ${major}`, () => {
    for (const { name, mode, ddl, settings, expected } of CASES) {
      test(`says what is wrong with ${name}, and the hints mend it`, async () => {
        await using db = await createDatabase("", major);
        const to = (sql: string) =>
          sql.replaceAll("TO reader", `TO ${db.readerRole}`)
            .replaceAll("FROM reader", `FROM ${db.readerRole}`);
        if (ddl !== "") await db.sql.unsafe(to(ddl)).simple();
        await using database = reader(db.readerUrl);
        const wanted = { ...settingsOf(mode, []), ...settings };
        const read = () => readOutbox(database, wanted, signal);
        const problems = await read();
        deepEqual(problems.map((each) => [each.severity, each.code, each.path]), expected);
        const hints = problems.flatMap(({ hint }) => hint?.endsWith(";") ? [hint] : []);
        if (hints.length < problems.length || name.includes("type") || name.includes("flag")) {
          return;
        }
        for (const hint of hints) await db.sql.unsafe(hint).simple();
        deepEqual(await read(), []);
      });
    }

    for (const mode of MODES) {
      test(`names the index that mode ${mode} needs, on an empty table too`, async () => {
        await using db = await createDatabase(GOOD, major);
        await using database = reader(db.readerUrl);
        const read = () => missingOutboxIndex(database, settingsOf(mode, []), signal);
        const problem = await read();
        // The primary key serves the deletes.
        equal(problem?.severity, mode === "delete" ? undefined : "warning");
        if (mode === "delete") return;
        match(problem?.hint ?? "", /^CREATE INDEX CONCURRENTLY ON public\.outbox \(.*;$/);
        equal(/WHERE "processed_at" IS NULL/.test(problem?.hint ?? ""), mode === "mark");
        await db.sql.unsafe(problem?.hint ?? "");
        equal(await read(), undefined);
      });
    }

    test("finds nothing wrong with a partitioned outbox whose key holds the partition's", async () => {
      await using db = await createDatabase(
        `CREATE TABLE outbox (id bigint GENERATED BY DEFAULT AS IDENTITY, tbl text, key text,
          created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, created_at))
          PARTITION BY RANGE (created_at); CREATE INDEX ON outbox (created_at, id);`,
        major,
      );
      await using database = reader(db.readerUrl);
      const settings = settingsOf("stamp", []);
      deepEqual(await readOutbox(database, settings, signal), []);
      ok(await missingOutboxIndex(database, settings, signal) === undefined);
    });
  });
}

function reader(url: string) {
  return openDatabase({
    url,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName: "driftless/test",
    statementTimeoutMs: 10_000,
  });
}

async function readOutbox(database: Database, settings: OutboxSettings, signal: AbortSignal) {
  return outboxProblems(settings, await loadOutboxFacts(database, settings.table, signal));
}

async function missingOutboxIndex(
  database: Database,
  settings: OutboxSettings,
  signal: AbortSignal,
) {
  const facts = await loadOutboxFacts(database, settings.table, signal);
  return facts === undefined ? undefined : indexProblem(settings, facts);
}
