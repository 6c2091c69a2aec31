import { test } from "node:test";
import { ok } from "node:assert/strict";
import { createDatabase } from "../support/postgres.ts";
import { scriptedSink } from "../support/scripted_sink.ts";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";

/** Equal by its collation, spelt differently: 'ABC' refers to 'abc', the foreign key says so. */
const DDL = `
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE account (id text COLLATE ci PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE entry (id bigint PRIMARY KEY, account_id text COLLATE ci NOT NULL REFERENCES account (id),
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON account (updated_at, id);
CREATE INDEX ON entry (updated_at, id);
CREATE INDEX ON entry (account_id);
INSERT INTO account VALUES ('abc'), ('def');`;

const INDEX = {
  table: "account",
  fields: { id: "keyword", entries: { count: "entry", foreignKey: "account_id" } },
};

test("a child whose key equals its parent's by collation alone refreshes the parent", async () => {
  await using db = await createDatabase(DDL);
  const sink = scriptedSink("s");
  await using run = startEngine({ url: db.readerUrl, sinks: [sink], indexes: { accounts: INDEX } });
  await run.waitFor("caughtUp");
  await db.sql`INSERT INTO entry VALUES (1, 'ABC')`;
  await db.sql`INSERT INTO entry VALUES (2, 'def')`;
  const entries = (id: string) => sink.documents("accounts").get(id)?.body?.includes('"entries":1');
  await eventually("def", () => Promise.resolve(entries("def") ?? false));
  ok(
    entries("abc"),
    `document abc has no entry; written: ${[...sink.documents("accounts").keys()]}`,
  );
});
