import { deepEqual, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startEngine } from "../support/engine_run.ts";
import { eventually } from "../support/eventually.ts";
import { addPeople, equalsTables, PEOPLE_DDL, PEOPLE_INDEX } from "../support/people.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { type ScriptedSink, scriptedSink } from "../support/scripted_sink.ts";

const INDEXES = {
  users: PEOPLE_INDEX,
  names: { table: "users", fields: { name: "keyword" } },
};

describe("a schema that changes while it is followed", () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase(PEOPLE_DDL);
    await addPeople(db.sql, 1, 30);
  });
  after(() => db[Symbol.asyncDispose]());

  const same = (sink: ScriptedSink) =>
    equalsTables(
      db.sql,
      [...sink.documents("users")].flatMap(([id, { body }]) => body === null ? [] : [{ id, body }]),
    );
  let renamed = 0;
  /** A change arrives in the index that needs nothing of what is broken. */
  async function goesOn(sink: ScriptedSink): Promise<void> {
    const name = `Renamed ${++renamed}`;
    await db.sql`UPDATE users SET name = ${name} WHERE id = 1`;
    await eventually(
      "the other index's document",
      async () => sink.documents("names").get("1")?.body?.includes(name),
    );
  }
  const breaks: readonly { name: string; broken: string; code: string; mended: string }[] = [
    {
      name: "a column is dropped and added again",
      broken: "ALTER TABLE users DROP COLUMN tier",
      code: "COLUMN_MISSING",
      mended: "ALTER TABLE users ADD COLUMN tier text DEFAULT 'new'",
    },
    {
      name: "SELECT is revoked and given back",
      broken: "REVOKE SELECT ON orders FROM reader",
      code: "PRIVILEGE_MISSING",
      mended: "GRANT SELECT ON orders TO reader",
    },
    {
      name: "a table is dropped and made again",
      broken: "DROP TABLE orders",
      code: "TABLE_MISSING",
      mended: `CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL,
        total numeric(12,2) NOT NULL, status text NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now());
        CREATE INDEX ON orders (user_id); CREATE INDEX ON orders (updated_at, id);
        INSERT INTO orders SELECT g, g, g, 'paid' FROM generate_series(1, 20) g`,
    },
  ];
  for (const { name, broken, code, mended } of breaks) {
    test(`${name}: the other index goes on, and this one is filled anew once it can be`, async () => {
      const run = (statement: string) =>
        db.sql.unsafe(statement.replaceAll("reader", db.readerRole)).simple();
      const sink = scriptedSink("fake");
      await using engine = startEngine({
        url: db.readerUrl,
        sinks: [sink],
        indexes: INDEXES,
        supervised: true,
      });
      await engine.waitFor("caughtUp");
      await goesOn(sink);
      await run(broken);
      const { problem } = await engine.waitFor("problem");
      deepEqual([problem.severity, problem.code], ["error", code]);
      await goesOn(sink);
      await run(mended);
      const refilled = () =>
        engine.events.filter((e) => e.type === "seedFinished" && e.index === "users").length === 2;
      await eventually("the second filling", async () => refilled());
      await db.sql`UPDATE users SET tier = 'after' WHERE id = 2`;
      await eventually(
        "a change in the index that was broken",
        async () => sink.documents("users").get("2")?.body?.includes("after"),
      );
      await goesOn(sink);
      await engine.stop();
      await same(sink);
      ok(!engine.events.some((e) => e.type === "seedStarted" && e.index === "names" && e.rows > 0));
    });
  }

  test("a column of another type is planned for without a restart", async () => {
    const sink = scriptedSink("fake");
    await using engine = startEngine({ url: db.readerUrl, sinks: [sink], supervised: true });
    await engine.waitFor("caughtUp");
    await db.sql`ALTER TABLE users ALTER COLUMN name TYPE varchar(8) USING left(name, 8)`;
    await eventually(
      "the second filling",
      async () => engine.events.filter(({ type }) => type === "seedFinished").length === 2,
    );
    await engine.stop();
    await same(sink);
    const reopened = engine.events.filter(({ type }) => type === "retry" || type === "recovered");
    deepEqual(
      reopened.map((e) => e.type === "retry" ? [e.code, e.planned, e.delayMs] : [e.type]),
      [["SCHEMA_CHANGED", true, 0]],
      "nothing was away: planning anew is no attempt that failed",
    );
  });
});
