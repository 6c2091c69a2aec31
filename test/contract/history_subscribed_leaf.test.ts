import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { openDatabase } from "../../src/postgres/client.ts";
import { chooseStamp } from "../../src/postgres/poll/stamps.ts";
import { loadTableFacts } from "../../src/postgres/poll/table_facts.ts";
import { createDatabase } from "../support/postgres.ts";

const DDL = `
CREATE TABLE item (id bigint, region text, updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE INDEX ON item (updated_at, id, region);
CREATE TABLE item_eu PARTITION OF item FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE item_eu_1 PARTITION OF item_eu DEFAULT;
CREATE TABLE item_us PARTITION OF item FOR VALUES IN ('us');
CREATE TABLE plain (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON plain (updated_at, id);`;

test("a partitioned table with a leaf that a subscription feeds claims no more than L1", async () => {
  await using db = await createDatabase(DDL);
  const { sql } = db;
  await using reader = openDatabase({
    url: db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName: "driftless/subscribed",
    statementTimeoutMs: 60_000,
  });
  const levels = async () => {
    const tables = [{ name: "item", key: ["id", "region"] }, { name: "plain", key: ["id"] }]
      .map(({ name, key }) => ({ table: { schema: "public", name }, key, joinColumns: [] }));
    const refs = tables.map(({ table }) => table);
    const facts = await loadTableFacts(reader, refs, new AbortController().signal);
    const defaults = { marginMs: 50, marginGiven: true };
    return tables.map((wish) =>
      chooseStamp(wish, facts.get(`public.${wish.table.name}`), {}, defaults).level?.level
    );
  };
  // One without a publisher: its tables are entered by hand, as they stand once they are copied.
  const name = `${db.name}_subscription`;
  await sql.unsafe(`CREATE SUBSCRIPTION ${name} CONNECTION 'dbname=nowhere' PUBLICATION p
    WITH (connect = false, slot_name = NONE)`);
  try {
    deepEqual(await levels(), ["L2", "L2"]);
    await sql.begin(async (own) => {
      await own`SET LOCAL allow_system_table_mods = on`;
      await own`INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
        SELECT oid, 'item_eu_1'::regclass, 'r' FROM pg_subscription WHERE subname = ${name}`;
    });
    deepEqual(await levels(), ["L1", "L2"]);
  } finally {
    await sql.unsafe(`DROP SUBSCRIPTION ${name}`);
  }
});
