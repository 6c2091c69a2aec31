import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type { StreamRun } from "../support/stream_run.ts";
import { hinted, MAJORS, MODES, outboxDatabase } from "./outbox_fixture.ts";

for (const major of MAJORS) {
  for (const mode of MODES) {
    const claims = mode === "mark" || mode === "delete";
    describe(`keys in an outbox in mode ${mode} on Postgres ${major}`, () => {
      test("JSON keys are read as arrays, objects and scalars, big numbers exactly", async () => {
        await using box = await outboxDatabase(mode, { major, key: "jsonb" });
        await using run = await box.run();
        await box.db.sql.unsafe(`INSERT INTO outbox (tbl, key) VALUES
          ('line', '[9007199254740993, "a\\"b"]'), ('line', '["2", "c"]'),
          ('line', '{"sku": "d", "orderId": 3, "more": [1, {}]}'),
          ('item', '4'), ('item', '"5"'), ('item', '[6]'), ('item', '{"id": 7}')`);
        await run.caughtUp();
        deepEqual(run.changes.map(({ table, op, key }) => [op, table.name, ...key]), [
          ["upsert", "line", "9007199254740993", 'a"b'],
          ["upsert", "line", "2", "c"],
          ["upsert", "line", "3", "d"],
          ...["4", "5", "6", "7"].map((id) => ["upsert", "item", id]),
        ]);
      });

      test("text[] keys are read part by part", async () => {
        await using box = await outboxDatabase(mode, { major, key: "text[]" });
        await using run = await box.run();
        await box.db.sql.unsafe(`INSERT INTO outbox (tbl, key) VALUES
          ('line', ARRAY['1', 'a,"b\\}']), ('line', ARRAY['2', 'NULL']), ('item', ARRAY['3'])`);
        await run.caughtUp();
        deepEqual(run.changes.map(({ key }) => key), [["1", 'a,"b\\}'], ["2", "NULL"], ["3"]]);
      });

      test("a key names the document that its row has, however it is written", async () => {
        const names = ["price", "code", "flag", "day", "uid", "name", "kind"];
        await using box = await outboxDatabase(mode, {
          major,
          ddl: `CREATE TYPE mood AS ENUM ('ok', 'bad');
            CREATE DOMAIN small AS smallint CHECK (value < 100);
            CREATE TABLE price (id numeric(10,2) PRIMARY KEY); CREATE TABLE code (id char(4) PRIMARY KEY);
            CREATE TABLE flag (id boolean PRIMARY KEY); CREATE TABLE day (id timestamptz(3) PRIMARY KEY);
            CREATE TABLE uid (id uuid PRIMARY KEY); CREATE TABLE name (id small PRIMARY KEY);
            CREATE TABLE kind (id mood PRIMARY KEY);`,
          tables: names.map((name) => hinted(name, ["id"], name)),
        });
        await using run = await box.run();
        await box.db.sql.unsafe(`INSERT INTO outbox (tbl, key) VALUES
          ('item', ' 007 '), ('price', '7'), ('code', 'ab'), ('flag', 'true'),
          ('day', '2026-11-21 10:00+01'), ('uid', 'A0EEBC999C0B4EF8BB6D6BB9BD380A11'),
          ('name', '+5'), ('kind', 'ok')`);
        await run.caughtUp();
        deepEqual(run.delivered, [
          "upsert item:7",
          "upsert price:7.00",
          "upsert code:ab  ",
          "upsert flag:t",
          "upsert day:2026-11-21 09:00:00+00",
          "upsert uid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
          "upsert name:5",
          "upsert kind:ok",
        ]);
      });

      test("what is no key is told by its count, passed over, and holds nothing up", async () => {
        await using box = await outboxDatabase(mode, {
          major,
          key: "json",
          ddl: "CREATE TABLE price (id numeric(4,2) PRIMARY KEY);",
          tables: [hinted("price", ["id"], "price")],
        });
        await using run = await box.run();
        await box.db.sql.unsafe(`INSERT INTO outbox (tbl, key) VALUES ('item', '1'),
          ('item', '"secret"'), ('item', 'null'), ('item', NULL), ('item', '[1, 2]'), ('item', '[]'),
          ('item', '99999999999'), ('item', '{"ID": 1}'), ('item', '[[1]]'), ('item', '"\\u0000"'),
          ('item', '""'), ('item', '1.5'),
          ('line', '[1]'), ('line', '["1", null]'), ('line', '[1, "longer than 8"]'),
          ('line', '[1, "\\ud800"]'), ('price', '1.005'), ('price', '100'), ('item', '2')`);
        await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:1", "upsert item:2"]);
        deepEqual(warnings(run, "OUTBOX_BAD_KEY").map((each) => each.split(" rows ")[0]), [
          "11",
          "4",
          "2",
        ]);
        ok(!JSON.stringify(run.events).includes("secret"));
        if (claims) deepEqual(await box.waiting(), []);
      });

      test("a name that isn't ours is told once and left alone, an aggregate's is its table's", async () => {
        await using box = await outboxDatabase(mode, { major });
        await box.db.sql`CREATE TABLE seen (id int)`;
        const stranger = async () => {
          await box.db.sql`INSERT INTO outbox (tbl, key)
            VALUES ('mail', '1'), (NULL, '2'), ('ann@secret.io', '3'), ('Ann Secret', '4')`;
        };
        if (claims) await stranger();
        await using run = await box.run();
        if (!claims) await stranger();
        await run.caughtUp();
        await stranger();
        await box.db.sql`INSERT INTO outbox (tbl, key) VALUES ('Item', '1')`;
        await run.caughtUp();
        deepEqual(run.delivered, ["upsert item:1"]);
        const told = warnings(run, "OUTBOX_UNKNOWN_TABLE").sort();
        equal(told.length, 3);
        ok(told.some((each) => each.includes('"mail"')), told.join("\n"));
        ok(told.some((each) => each.includes("NULL")), told.join("\n"));
        ok(!JSON.stringify(run.events).toLowerCase().includes("secret"), told.join("\n"));
        if (claims) equal((await box.waiting()).length, 8);
      });
    });
  }
}

function warnings({ events }: StreamRun, code: string): string[] {
  return events.flatMap((event) =>
    event.type === "warning" && event.code === code ? [event.message] : []
  );
}
