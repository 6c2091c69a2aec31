import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { missingIndexes } from "../../src/postgres/documents/missing_indexes.ts";
import { resolveStatements } from "../../src/postgres/documents/resolve.ts";
import {
  aggregate,
  type Fixture,
  index,
  openFixture,
  ref,
  relation,
  scalar,
} from "./documents_fixture.ts";

const DDL = `
CREATE TABLE users (id int PRIMARY KEY, company_id int, name text);
CREATE TABLE companies (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, total int);
CREATE TABLE lines (id int PRIMARY KEY, order_id int, sku text);
CREATE TABLE roles (id int PRIMARY KEY, name text);
CREATE TABLE user_roles (id int PRIMARY KEY, user_id int, role_id int);
INSERT INTO users SELECT g, g, 'u' FROM generate_series(1, 10) g;
INSERT INTO orders SELECT g, g, g FROM generate_series(1, 10) g;
`;

const USERS = index("users", "users", [
  scalar("name"),
  relation("belongsTo", "company", "companies", ["company_id"], [scalar("name")]),
  relation("hasMany", "orders", "orders", ["user_id"], [
    relation("hasMany", "lines", "lines", ["order_id"], [scalar("sku")]),
  ]),
  relation("manyToMany", "roles", "roles", [], [scalar("name")], {
    through: { table: ref("user_roles"), leftKey: ["user_id"], rightKey: ["role_id"] },
  }),
  aggregate("sum", "sum", "orders", ["user_id"], { column: "total" }),
]);

interface Node {
  readonly "Relation Name"?: string;
  readonly "Index Cond"?: string;
  readonly Plans?: readonly Node[];
}

/** Tables that some statement reads from end to end though the planner was told to avoid it. */
async function scanned(fixture: Fixture): Promise<readonly string[]> {
  const { plans, catalog } = await fixture.prepare([USERS]);
  const builds = plans.map(({ statement: { text, keyCount, values } }) => ({
    text,
    params: [...Array.from({ length: keyCount }, () => "{1,2,3}"), ...values, "1000"],
  }));
  const resolves = resolveStatements(plans, catalog).map(({ text, arrays }) => ({
    text,
    params: Array.from({ length: arrays }, () => "{1,2,3}"),
  }));
  equal(builds.length === 1 && resolves.length >= 5, true);
  const found = new Set<string>();
  const walk = (node: Node) => {
    const table = node["Relation Name"];
    if (table !== undefined && node["Index Cond"] === undefined) found.add(table);
    node.Plans?.forEach(walk);
  };
  await fixture.db.sql.begin(async (sql) => {
    for (const way of ["seqscan", "bitmapscan", "hashjoin", "mergejoin", "material"]) {
      await sql.unsafe(`SET LOCAL enable_${way} = off`);
    }
    for (const { text, params } of [...builds, ...resolves]) {
      const [row] = await sql.unsafe(`EXPLAIN (FORMAT JSON) ${text}`, params).values();
      for (const { Plan } of row?.[0] as { Plan: Node }[]) walk(Plan);
    }
  });
  return [...found].sort();
}

test("what the catalog says about missing indexes is what EXPLAIN says, on ten rows too", async () => {
  await using fixture = await openFixture(DDL);
  const missing = async () => missingIndexes((await fixture.prepare([USERS])).plans);
  const first = await missing();
  deepEqual(first.map(({ need, table, columns }) => `${need} ${table} ${columns}`), [
    "resolve public.users company_id",
    "build public.orders user_id",
    "build public.lines order_id",
    "build public.user_roles user_id",
    "resolve public.user_roles role_id",
  ]);
  deepEqual(await scanned(fixture), ["lines", "orders", "user_roles", "users"]);
  for (const { sql } of first) await fixture.db.sql.unsafe(sql);
  deepEqual(await missing(), []);
  deepEqual(await scanned(fixture), []);
});
