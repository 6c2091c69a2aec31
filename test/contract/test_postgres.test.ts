import assert from "node:assert/strict";
import { describe, test } from "node:test";
import postgres from "postgres";
import { createDatabase } from "../support/postgres.ts";

for (const major of [18, 15] as const) {
  describe(`the test reader on Postgres ${major}`, () => {
    test("selects from tables made before and after it, in any schema", async () => {
      await using db = await createDatabase("create table a (id int)", major);
      await db.sql`create schema later`;
      await db.sql`create table later.b (id int)`;
      await using reader = connect(db.readerUrl);
      assert.deepEqual([...await reader.sql`select id from a, later.b as b(bid)`], []);
    });

    const refused = [
      "insert into a values (1)",
      "update a set id = 2",
      "delete from a",
      "truncate a",
      "create table public.c (id int)",
      "create temporary table c (id int)",
      "create schema s",
      "do $$ begin lock table a in exclusive mode; end $$",
    ];
    test("is refused everything else", async () => {
      await using db = await createDatabase("create table a (id int)", major);
      await using reader = connect(db.readerUrl);
      for (const statement of refused) {
        await assert.rejects(reader.sql.unsafe(statement), { code: "42501" }, statement);
      }
    });

    test("leaves nothing behind: its database and role are gone", async () => {
      const db = await createDatabase("", major);
      await db[Symbol.asyncDispose]();
      await using after = await createDatabase("", major);
      const left = await after.sql`
        select datname as name from pg_database where datname = ${db.name}
        union all select rolname from pg_roles where rolname = ${db.readerRole}`;
      assert.deepEqual([...left], []);
    });
  });
}

function connect(url: string): AsyncDisposable & { sql: postgres.Sql } {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  return { sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) };
}
