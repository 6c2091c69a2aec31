import { deepEqual } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import type { Change, Columns } from "../../src/core/change.ts";
import {
  aggregate,
  compare,
  EPOCH,
  type Fixture,
  index,
  type OpenDocuments,
  openFixture,
  ref,
  relation,
  scalar,
  SIGNAL,
} from "./documents_fixture.ts";

/** Tables, their key columns, and the other columns; every value is a small int or null. */
const TABLES = {
  users: { key: ["id"], rest: ["company_id", "name", "gone"] },
  companies: { key: ["id"], rest: ["parent_id", "name"] },
  orders: { key: ["id"], rest: ["user_id", "status", "total"] },
  lines: { key: ["order_id", "n"], rest: ["sku"] },
  roles: { key: ["id"], rest: ["name"] },
  user_roles: { key: ["user_id", "role_id"], rest: [] },
  visits: { key: ["id"], rest: ["user_id", "role_id"] },
} as const;
type Table = keyof typeof TABLES;
type Values = Record<string, number | null>;

const columnsOf = (
  table: Table,
): readonly string[] => [...TABLES[table].key, ...TABLES[table].rest];
const DDL = Object.entries(TABLES).map(([name, { key, rest }]) =>
  `CREATE TABLE ${name} (${[...key, ...rest].map((column) => `${column} int`).join(", ")}, ` +
  `PRIMARY KEY (${key.join(", ")}));`
).join("\n");

const USERS = index("users", "users", [
  scalar("name", "integer"),
  relation("belongsTo", "company", "companies", ["company_id"], [
    scalar("name", "integer"),
    relation("belongsTo", "parent", "companies", ["parent_id"], [scalar("name", "integer")]),
    aggregate("count", "staff", "users", ["company_id"]),
  ]),
  relation("hasMany", "orders", "orders", ["user_id"], [
    scalar("id", "integer"),
    relation("hasMany", "lines", "lines", ["order_id"], [scalar("sku", "integer")]),
  ], {
    where: [compare("status", "neq", 0)],
    orderBy: [{ column: "total", direction: "desc", nulls: "last" }],
  }),
  relation("hasOne", "last", "orders", ["user_id"], [scalar("id", "integer")], {
    orderBy: [{ column: "id", direction: "desc", nulls: "last" }],
  }),
  relation("manyToMany", "roles", "roles", [], [scalar("name", "integer")], {
    through: { table: ref("user_roles"), leftKey: ["user_id"], rightKey: ["role_id"] },
  }),
  relation("manyToMany", "seen", "roles", [], [scalar("id", "integer")], {
    through: { table: ref("visits"), leftKey: ["user_id"], rightKey: ["role_id"] },
    limit: 2,
  }),
  aggregate("count", "count", "orders", ["user_id"]),
  aggregate("sum", "sum", "orders", ["user_id"], {
    column: "total",
    where: [compare("status", "eq", 1)],
  }),
  aggregate("max", "max", "orders", ["user_id"], { column: "total" }),
  aggregate("ids", "ids", "orders", ["user_id"], { where: [compare("status", "isNotNull")] }),
], { softDelete: { kind: "when", filters: [compare("gone", "eq", 1)] } });

/** The tables in memory, and the documents that they make: written without a look at the SQL. */
class Model {
  readonly rows = new Map<Table, Map<string, Values>>();

  all(table: Table): Values[] {
    const byKey = (a: Values, b: Values) => {
      for (const name of TABLES[table].key) {
        if (a[name] !== b[name]) return Number(a[name]) - Number(b[name]);
      }
      return 0;
    };
    return [...this.rows.get(table)?.values() ?? []].sort(byKey);
  }

  document(id: number): unknown {
    const user = this.all("users").find((row) => row["id"] === id);
    if (user === undefined || user["gone"] === 1) return undefined;
    const orders = this.all("orders").filter((row) => row["user_id"] === id);
    const company = this.all("companies").find((row) => row["id"] === user["company_id"]);
    const parent = this.all("companies").find((row) => row["id"] === company?.["parent_id"]);
    const totals = orders.map((row) => row["total"] ?? null).filter((total) => total !== null);
    const reached = (table: Table) =>
      this.all("roles").filter((role) =>
        this.all(table).some((row) => row["user_id"] === id && row["role_id"] === role["id"])
      );
    const rank = (row: Values) => row["total"] ?? -Infinity;
    const last = orders.at(-1);
    return {
      name: user["name"],
      company: company === undefined ? null : {
        name: company["name"],
        parent: parent === undefined ? null : { name: parent["name"] },
        staff: this.all("users").filter((row) => row["company_id"] === company["id"]).length,
      },
      orders: orders
        .filter((row) => row["status"] !== null && row["status"] !== 0)
        .sort((a, b) => rank(b) === rank(a) ? Number(a["id"]) - Number(b["id"]) : rank(b) - rank(a))
        .map((row) => ({
          id: row["id"],
          lines: this.all("lines").filter((line) => line["order_id"] === row["id"])
            .map((line) => ({ sku: line["sku"] })),
        })),
      last: last === undefined ? null : { id: last["id"] },
      roles: reached("user_roles").map((role) => ({ name: role["name"] })),
      seen: reached("visits").slice(0, 2).map((role) => ({ id: role["id"] })),
      count: orders.length,
      sum: orders.filter((row) => row["status"] === 1)
        .reduce((sum, row) => sum + (row["total"] ?? 0), 0),
      max: totals.length === 0 ? null : Math.max(...totals),
      ids: orders.filter((row) => row["status"] !== null).map((row) => row["id"]),
    };
  }
}

const IDS = [1, 2, 3];

const mutation = fc.record({
  table: fc.constantFrom(...Object.keys(TABLES) as Table[]),
  remove: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  key: fc.array(fc.constantFrom(...IDS), { minLength: 2, maxLength: 2 }),
  rest: fc.array(fc.constantFrom(null, 0, 1, 1, 1, 2, 3), { minLength: 3, maxLength: 3 }),
});
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

describe("documents beside a model of them", () => {
  let fixture: Fixture;
  let users: OpenDocuments;
  before(async () => {
    fixture = await openFixture(DDL);
    users = await fixture.open([USERS]);
  });
  after(() => fixture[Symbol.asyncDispose]());

  async function documents(): Promise<Map<number, unknown>> {
    const ids = IDS.map((id) => users.builder.identify("users", [String(id)]));
    const { documents } = await users.builder.build(ids, EPOCH, SIGNAL);
    return new Map(
      documents.map(({ id, body }) => [Number(id), body === null ? undefined : JSON.parse(body)]),
    );
  }

  /** Applies a mutation to both; the change as a capture that sees all would report it. */
  async function apply(
    model: Model,
    { table, remove, key, rest }: Mutation,
  ): Promise<Change | undefined> {
    const names = TABLES[table];
    const own = key.slice(0, names.key.length);
    const rows = model.rows.get(table) ?? new Map<string, Values>();
    model.rows.set(table, rows);
    const before = rows.get(own.join());
    const { sql } = fixture.db;
    const change = { table: ref(table), key: own.map(String) };
    if (remove) {
      if (before === undefined) return undefined;
      rows.delete(own.join());
      const condition = names.key.map((name, at) => `${name} = ${own[at]}`).join(" AND ");
      await sql.unsafe(`DELETE FROM ${table} WHERE ${condition}`);
      return { ...change, op: "delete", before: texts(before) };
    }
    const all = columnsOf(table);
    const values = [...own, ...rest.slice(0, names.rest.length)];
    const row: Values = Object.fromEntries(all.map((name, at) => [name, values[at] ?? null]));
    rows.set(own.join(), row);
    const update = names.rest.map((name) => `${name} = excluded.${name}`).join(", ");
    await sql.unsafe(
      `INSERT INTO ${table} (${all.join()}) VALUES (${
        values.map((value) => value ?? "NULL").join()
      }) ON CONFLICT (${names.key.join()}) DO ${
        update === "" ? "NOTHING" : `UPDATE SET ${update}`
      }`,
    );
    return {
      ...change,
      op: "upsert",
      after: texts(row),
      ...(before === undefined ? {} : { before: texts(before) }),
    };
  }

  async function property(
    shown: (change: Change) => Change | undefined,
    each: readonly Mutation[],
  ): Promise<void> {
    await fixture.db.sql.unsafe(`TRUNCATE ${Object.keys(TABLES).join()}`);
    const model = new Model();
    let before = await documents();
    for (const mutation of each) {
      const change = await apply(model, mutation);
      const now = await documents();
      for (const id of IDS) deepEqual(now.get(id), model.document(id));
      const reported = change && shown(change);
      if (reported !== undefined) {
        const { ids } = await users.builder.resolve([reported], SIGNAL);
        const found = new Set(ids.map(({ id }) => Number(id)));
        const altered = IDS.filter((id) =>
          JSON.stringify(now.get(id)) !== JSON.stringify(before.get(id))
        );
        deepEqual(altered.filter((id) => !found.has(id)), [], JSON.stringify(reported));
      }
      before = now;
    }
  }

  test("every document equals the model's, and every change that shows its links finds all it alters", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(mutation, { minLength: 10, maxLength: 40 }),
        (each) => property((change) => change, each),
      ),
      { numRuns: 60 },
    );
  });

  test("an insert, or an update that moves nothing, finds all it alters by its key alone", async () => {
    const unmoved = ({ before, after, table, key, op }: Change): Change | undefined => {
      const links = ["user_id", "order_id", "role_id", "company_id"];
      const moved = before !== undefined && links.some((name) => before[name] !== after?.[name]);
      return op === "delete" || moved ? undefined : { table, key, op };
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(mutation, { minLength: 10, maxLength: 40 }),
        (each) => property(unmoved, each),
      ),
      { numRuns: 60 },
    );
  });
});

function texts(row: Values): Columns {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value)]),
  );
}
