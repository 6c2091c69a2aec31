import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FieldDescription, IndexDescription } from "../../src/core/description.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import { explainScans, PLANNER } from "../../src/postgres/documents/explain.ts";
import { lookupsOf } from "../../src/postgres/documents/lookups.ts";
import { type MissingIndex, missingIndexes } from "../../src/postgres/documents/missing_indexes.ts";
import { resolveStatements } from "../../src/postgres/documents/resolve.ts";
import {
  aggregate,
  compare,
  type Fixture,
  index,
  openFixture,
  ref,
  relation,
  scalar,
  SIGNAL,
} from "./documents_fixture.ts";

function plannerOf(fixture: Fixture): Database {
  return openDatabase({
    url: fixture.db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName: `driftless/test-${crypto.randomUUID()}`,
    statementTimeoutMs: 60_000,
    settings: PLANNER,
  });
}

async function missingOf(
  fixture: Fixture,
  ...descriptions: readonly IndexDescription[]
): Promise<readonly MissingIndex[]> {
  await using planner = plannerOf(fixture);
  const { plans, catalog, problems } = await fixture.prepare(descriptions);
  deepEqual(problems.filter(({ severity }) => severity === "error"), []);
  return await missingIndexes(planner, plans, catalog, SIGNAL);
}

function shortOf({ why, table, columns }: MissingIndex): string {
  return `${why} ${table} ${columns}`;
}

describe("the indexes that building and resolving lack", () => {
  const DDL = `
    CREATE TABLE users (id int PRIMARY KEY, company_id int, name text);
    CREATE TABLE companies (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, total int);
    CREATE TABLE lines (id int PRIMARY KEY, order_id int, sku text);
    CREATE TABLE roles (id int PRIMARY KEY, name text);
    CREATE TABLE user_roles (id int PRIMARY KEY, user_id int, role_id int);
    INSERT INTO users SELECT g, g, 'u' FROM generate_series(1, 2000) g;
    INSERT INTO companies SELECT g, 'c' FROM generate_series(1, 2000) g;
    INSERT INTO orders SELECT g, g, g FROM generate_series(1, 2000) g;
    INSERT INTO lines SELECT g, g, 's' FROM generate_series(1, 2000) g;
    INSERT INTO roles SELECT g, 'r' FROM generate_series(1, 2000) g;
    INSERT INTO user_roles SELECT g, g, g FROM generate_series(1, 2000) g;`;
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

  for (const major of [18, 15] as const) {
    test(`are named with who needs them; what they are made for then reads no table whole (${major})`, async () => {
      await using fixture = await openFixture(DDL, major);
      await fixture.db.sql.unsafe("ANALYZE");
      const first = await missingOf(fixture, USERS);
      deepEqual(
        first.map((each) => [
          shortOf(each),
          each.needs.map(({ what, index, field }) => `${what} ${index}.${field}`).join(", "),
        ]),
        [
          ["none public.users company_id", "resolve users.company"],
          ["none public.orders user_id", "build users.orders, build users.sum"],
          ["none public.lines order_id", "build users.orders.lines"],
          ["none public.user_roles user_id", "build users.roles"],
          ["none public.user_roles role_id", "resolve users.roles"],
        ],
      );
      deepEqual(await scanned(fixture), ["lines", "orders", "user_roles", "users"]);
      for (const { sql } of first) await fixture.db.sql.unsafe(sql ?? "");
      deepEqual(await missingOf(fixture, USERS), []);
      deepEqual(await scanned(fixture), []);
    });
  }

  /** Tables that some whole statement reads from end to end though the planner was told to avoid it. */
  async function scanned(fixture: Fixture): Promise<readonly string[]> {
    await using planner = plannerOf(fixture);
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
    const scans = (await explainScans(planner, [...builds, ...resolves], SIGNAL)).flat();
    return [...new Set(scans.filter((each) => each.indexes.length === 0).map((s) => s.ref.name))]
      .sort();
  }

  test("are found without running any statement", async () => {
    await using fixture = await openFixture(DDL);
    const { plans, catalog } = await fixture.prepare([USERS]);
    ok(lookupsOf(plans, catalog).length >= 8);
    await using planner = plannerOf(fixture);
    const [scans] = await explainScans(
      planner,
      [{ text: "SELECT pg_sleep(3600) FROM users" }],
      SIGNAL,
    );
    deepEqual(scans?.map(({ relation }) => relation), ["public.users"]);
  });
});

/** One way of indexing `orders (user_id)` each, and what is said of it. */
describe("whether an index serves a lookup", () => {
  interface Case {
    readonly name: string;
    readonly orders?: string;
    readonly more?: string;
    /** Absent: a list of five that aren't void. */
    readonly fields?: readonly FieldDescription[];
    readonly says: readonly string[];
  }
  const OPEN = compare("status", "eq", "open");
  const NONE = ["none public.orders user_id"];
  const CASES: readonly Case[] = [
    { name: "no index", says: NONE },
    { name: "an index", more: "CREATE INDEX ON orders (user_id)", says: [] },
    { name: "one that goes down", more: "CREATE INDEX ON orders (user_id DESC)", says: [] },
    { name: "a hash index", more: "CREATE INDEX ON orders USING hash (user_id)", says: [] },
    { name: "a BRIN index", more: "CREATE INDEX ON orders USING brin (user_id)", says: NONE },
    {
      name: "one that begins with the column",
      more: "CREATE INDEX ON orders (user_id, status)",
      says: [],
    },
    {
      name: "one that begins with another column",
      more: "CREATE INDEX ON orders (status, user_id)",
      says: NONE,
    },
    {
      name: "one that begins with another column, beside one that doesn't",
      more: "CREATE INDEX ON orders (status, user_id); CREATE INDEX zz ON orders (user_id)",
      says: [],
    },
    {
      name: "one over an expression of it",
      more: "CREATE INDEX ON orders ((user_id + 1))",
      says: NONE,
    },
    {
      name: "one that was not finished",
      more: `CREATE INDEX half ON orders (user_id);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass`,
      says: NONE,
    },
    {
      name: "one over some of the rows",
      more: "CREATE INDEX ON orders (user_id) WHERE status = 'open'",
      says: NONE,
    },
    {
      name: "one over the rows that have a parent",
      more: "CREATE INDEX ON orders (user_id) WHERE user_id IS NOT NULL",
      says: [],
    },
    {
      name: "one over the rows that the relation lists",
      more: "CREATE INDEX ON orders (user_id) WHERE status <> 'void'",
      says: [],
    },
    {
      name: "one over the rows that a figure counts",
      more: "CREATE INDEX ON orders (user_id) WHERE status = 'open'",
      fields: [aggregate("count", "open", "orders", ["user_id"], { where: [OPEN] })],
      says: [],
    },
    {
      name: "one over the rows that one of two figures counts",
      more: "CREATE INDEX ON orders (user_id) WHERE status = 'open'",
      fields: [
        aggregate("count", "open", "orders", ["user_id"], { where: [OPEN] }),
        aggregate("count", "all", "orders", ["user_id"]),
      ],
      says: NONE,
    },
    {
      name: "another type, which the comparison turns the column into",
      orders: "user_id smallint",
      more: `CREATE INDEX ON orders (user_id);
        ALTER TABLE users ALTER COLUMN id TYPE numeric`,
      says: ["types public.orders user_id"],
    },
    {
      name: "another type, and an index over the column turned into it",
      orders: "user_id smallint",
      more: `CREATE INDEX ON orders ((user_id::numeric));
        ALTER TABLE users ALTER COLUMN id TYPE numeric`,
      says: [],
    },
    {
      name: "another type that indexes know how to compare",
      orders: "user_id smallint",
      more: "CREATE INDEX ON orders (user_id)",
      says: [],
    },
  ];
  const FIVE = [
    relation("hasMany", "orders", "orders", ["user_id"], [scalar("status")], {
      where: [compare("status", "neq", "void")],
      orderBy: [{ column: "id", direction: "asc", nulls: "last" }],
      limit: 5,
    }),
  ];

  for (const { name, orders = "user_id int", more = "SELECT 1", fields = FIVE, says } of CASES) {
    test(`${name}: none, ten and 100,000 rows say the same`, async () => {
      await using fixture = await openFixture(`
        CREATE TABLE users (id int PRIMARY KEY, name text);
        CREATE TABLE orders (id int PRIMARY KEY, status text, ${orders});
        ${more};`);
      for (const rows of [0, 10, 100_000]) {
        await fixture.db.sql.unsafe(`
          DELETE FROM users; DELETE FROM orders;
          INSERT INTO users SELECT g, 'u' FROM generate_series(1, ${rows}) g;
          INSERT INTO orders SELECT g, 's' || g % 3, g % 1000 FROM generate_series(1, ${rows}) g;
        `).simple();
        await fixture.db.sql.unsafe("VACUUM ANALYZE users, orders");
        deepEqual(
          (await missingOf(fixture, index("users", "users", fields))).map(shortOf),
          says,
          `${rows} rows`,
        );
      }
    });
  }
});

describe("tables that are more than one, or none", () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await openFixture(`
      CREATE TABLE users (tenant int, id int, name text, PRIMARY KEY (tenant, id));
      CREATE TABLE orders (id int PRIMARY KEY, tenant int, user_id int, "Sold By" text);
      CREATE TABLE parted (id int, region text, tenant int, user_id int, PRIMARY KEY (id, region, tenant))
        PARTITION BY LIST (region);
      CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
      CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us') PARTITION BY LIST (tenant);
      CREATE TABLE parted_us_1 PARTITION OF parted_us FOR VALUES IN (1);
      CREATE TABLE "order" (id int PRIMARY KEY, tenant int, user_id int);
      CREATE TABLE heir () INHERITS ("order");
      CREATE VIEW shown AS SELECT id AS "no", tenant AS t, user_id AS u FROM orders;`);
  });
  after(() => fixture[Symbol.asyncDispose]());

  const childOf = (table: string, ...columns: readonly string[]) =>
    index("users", "users", [
      relation("hasMany", "those", table, columns, [scalar("id", "long")]),
    ]);
  const said = async (table: string, ...columns: readonly string[]) =>
    (await missingOf(fixture, childOf(table, ...columns))).map((each) => [
      shortOf(each),
      each.sql,
    ]);

  test("a composite link needs all of its columns in front, in any order, or a unique index of some", async () => {
    const none = [[
      "none public.orders tenant,user_id",
      'CREATE INDEX CONCURRENTLY ON "public"."orders" ("tenant", "user_id");',
    ]];
    const { sql } = fixture.db;
    deepEqual(await said("orders", "tenant", "user_id"), none);
    await sql.unsafe("CREATE INDEX part ON orders (tenant)");
    deepEqual(await said("orders", "tenant", "user_id"), none);
    await sql.unsafe("CREATE INDEX turned ON orders (user_id, tenant, id)");
    deepEqual(await said("orders", "tenant", "user_id"), []);
    await sql.unsafe("DROP INDEX turned; CREATE UNIQUE INDEX one ON orders (user_id)").simple();
    deepEqual(await said("orders", "tenant", "user_id"), []);
    await sql.unsafe("DROP INDEX one; DROP INDEX part").simple();
  });

  test("a partitioned table is given its index as a whole, where a partition lacks it", async () => {
    const { sql } = fixture.db;
    const none = [[
      "none public.parted tenant,user_id",
      'CREATE INDEX ON "public"."parted" ("tenant", "user_id");',
    ]];
    deepEqual(await said("parted", "tenant", "user_id"), none);
    await sql.unsafe("CREATE INDEX ON parted_eu (tenant, user_id)");
    deepEqual(await said("parted", "tenant", "user_id"), none);
    await sql.unsafe("CREATE INDEX ON parted_us_1 (tenant, user_id)");
    deepEqual(await said("parted", "tenant", "user_id"), []);
  });

  test("a table that inherits is read with the other, and needs indexes of its own", async () => {
    const { sql } = fixture.db;
    const heir = (...columns: readonly string[]) => [
      `none public.heir ${columns}`,
      `CREATE INDEX CONCURRENTLY ON "public"."heir" (${columns.map((c) => `"${c}"`).join(", ")});`,
    ];
    deepEqual(await said("order", "tenant", "user_id"), [
      [
        "none public.order tenant,user_id",
        'CREATE INDEX CONCURRENTLY ON "public"."order" ("tenant", "user_id");',
      ],
      heir("tenant", "user_id"),
      heir("id"),
    ]);
    await sql.unsafe('CREATE INDEX ON "order" (tenant, user_id)');
    deepEqual(await said("order", "tenant", "user_id"), [heir("tenant", "user_id"), heir("id")]);
    await sql.unsafe("CREATE INDEX ON heir (tenant, user_id); CREATE INDEX ON heir (id)").simple();
    deepEqual(await said("order", "tenant", "user_id"), []);
  });

  test("a view is looked through to what it shows", async () => {
    const { sql } = fixture.db;
    const view = index("shown", "shown", [scalar("no", "long")], { key: ["t", "u"] });
    const says = async () => (await missingOf(fixture, view)).map(shortOf);
    deepEqual(await says(), ["view public.shown t,u"]);
    await sql.unsafe("CREATE INDEX ON orders (tenant, user_id)");
    deepEqual(await says(), []);
  });
});
