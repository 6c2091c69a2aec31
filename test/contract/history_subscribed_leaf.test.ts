import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { runCheck } from "../support/check_run.ts";
import { inFolder } from "../support/in_folder.ts";
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

const FIELDS = { fields: { id: "long" } };

test(
  "a partitioned table with a leaf that a subscription feeds claims no more than L1",
  inFolder(async (folder) => {
    await using db = await createDatabase(DDL);
    const { sql } = db;
    const levels = async () => {
      const { tables } = await runCheck(folder, {
        source: { url: db.readerUrl, sweeps: false },
        sinks: { out: { type: "stdout" } },
        indexes: { item: { table: "item", ...FIELDS }, plain: { table: "plain", ...FIELDS } },
      });
      return ["public.item", "public.plain"].map((id) => tables.get(id)?.level);
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
  }),
);
