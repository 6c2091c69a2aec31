import { deepEqual, equal } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  aggregate,
  compare,
  type Fixture,
  index,
  type OpenDocuments,
  openFixture,
  ref,
  relation,
  scalar,
} from "./documents_fixture.ts";

const SHOP = `
CREATE SCHEMA crm;
CREATE TABLE crm."Company" ("Id" int PRIMARY KEY, "Name" text, parent_id int REFERENCES crm."Company");
CREATE TABLE users (id bigint PRIMARY KEY, name text, company_id int REFERENCES crm."Company", deleted_at timestamptz, tier text);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, status text, total numeric(12,2), placed timestamptz, x float8);
CREATE TABLE lines (order_id bigint, n int, sku text, quantity int, PRIMARY KEY (order_id, n));
CREATE TABLE parts (order_id bigint, n int, id int, label text, PRIMARY KEY (order_id, n, id));
CREATE TABLE roles (id int PRIMARY KEY, name text);
CREATE TABLE user_roles (user_id bigint, role_id int, since date, PRIMARY KEY (user_id, role_id));
CREATE TABLE visits (user_id bigint, role_id int, id int PRIMARY KEY);
CREATE TABLE passports (id int PRIMARY KEY, user_id bigint, number text, issued date);
INSERT INTO crm."Company" VALUES (1, 'Root', NULL), (2, 'Leaf', 1), (3, 'Lone', NULL);
INSERT INTO users VALUES (1, 'Ann', 2, NULL, 'pro'), (2, 'Bob', NULL, NULL, 'free'), (3, 'Cyd', 3, now(), 'pro'), (4, 'Dee', 1, NULL, 'pro');
INSERT INTO orders VALUES
  (10, 1, 'paid', 5.50, '2024-01-02', 0.1), (11, 1, 'void', 7.25, '2024-01-03', 0.2), (12, 1, 'paid', 1.00, '2024-01-03', 0.3), (13, 1, 'open', NULL, NULL, NULL),
  (20, 4, 'void', 9.99, '2024-02-01', 'NaN'), (30, 3, 'paid', 2, '2024-02-02', 1);
INSERT INTO lines VALUES (10, 2, 'b', 1), (10, 1, 'a', 3), (12, 1, 'c', 2);
INSERT INTO parts VALUES (10, 1, 2, 'q'), (10, 1, 1, 'p'), (12, 1, 1, 'r');
INSERT INTO roles VALUES (1, 'admin'), (2, 'clerk'), (3, 'guest');
INSERT INTO user_roles VALUES (1, 2, '2020-01-01'), (1, 1, '2021-01-01'), (4, 3, '2020-01-01');
INSERT INTO visits VALUES (1, 2, 1), (1, 2, 2), (1, 1, 3), (4, 2, 4);
INSERT INTO passports VALUES (1, 1, 'A', '2001-01-01'), (2, 1, 'B', '2011-01-01'), (3, 4, 'C', NULL);
`;

const USERS = index("users", "users", [
  scalar("id", "long"),
  { kind: "object", name: "who", fields: [scalar("name", "text"), scalar("tier")] },
  relation("belongsTo", "company", "crm.Company", ["company_id"], [
    scalar("name", "keyword", { column: "Name" }),
    relation("belongsTo", "parent", "crm.Company", ["parent_id"], [
      scalar("name", "keyword", { column: "Name" }),
    ]),
  ]),
  relation("hasMany", "orders", "orders", ["user_id"], [
    scalar("id", "long"),
    scalar("status"),
    relation("hasMany", "lines", "lines", ["order_id"], [
      scalar("sku"),
      relation("hasMany", "parts", "parts", ["order_id", "n"], [scalar("label")]),
      aggregate("ids", "partIds", "parts", ["order_id", "n"]),
    ]),
    aggregate("sum", "pieces", "lines", ["order_id"], { column: "quantity" }),
  ], {
    where: [compare("status", "neq", "void")],
    orderBy: [{ column: "placed", direction: "desc", nulls: "last" }],
  }),
  relation("hasMany", "latest", "orders", ["user_id"], [
    scalar("id", "long"),
    relation("hasMany", "lines", "lines", ["order_id"], [scalar("sku")]),
  ], { orderBy: [{ column: "placed", direction: "desc", nulls: "first" }], limit: 2 }),
  relation("hasOne", "passport", "passports", ["user_id"], [scalar("number")], {
    orderBy: [{ column: "issued", direction: "desc", nulls: "last" }],
  }),
  relation("manyToMany", "roles", "roles", [], [scalar("name")], {
    through: { table: ref("user_roles"), leftKey: ["user_id"], rightKey: ["role_id"] },
  }),
  relation("manyToMany", "visited", "roles", [], [scalar("id", "integer")], {
    through: { table: ref("visits"), leftKey: ["user_id"], rightKey: ["role_id"] },
  }),
  {
    kind: "object",
    name: "figures",
    fields: [
      aggregate("count", "orders", "orders", ["user_id"]),
      aggregate("count", "paid", "orders", ["user_id"], {
        where: [compare("status", "eq", "paid")],
      }),
      aggregate("sum", "spent", "orders", ["user_id"], {
        column: "total",
        where: [compare("status", "eq", "paid")],
      }),
      aggregate("avg", "mean", "orders", ["user_id"], { column: "total" }),
      aggregate("min", "first", "orders", ["user_id"], { column: "placed" }),
      aggregate("max", "dearest", "orders", ["user_id"], { column: "total" }),
      aggregate("max", "x", "orders", ["user_id"], { column: "x" }),
      aggregate("ids", "ids", "orders", ["user_id"]),
      aggregate("ids", "states", "orders", ["user_id"], { column: "status" }),
      aggregate("count", "roles", "roles", [], {
        through: { table: ref("visits"), leftKey: ["user_id"], rightKey: ["role_id"] },
      }),
    ],
  },
], { softDelete: { kind: "column", column: "deleted_at" } });

describe("documents with relations", () => {
  let shop: Fixture;
  let users: OpenDocuments;
  before(async () => {
    shop = await openFixture(SHOP);
    users = await shop.open([USERS]);
  });
  after(() => shop[Symbol.asyncDispose]());

  test("a row with everything below it is one document, and one without has empty ones", async () => {
    const [ann, bob] = await users.read("1", "2");
    deepEqual(ann, {
      id: 1,
      who: { name: "Ann", tier: "pro" },
      company: { name: "Leaf", parent: { name: "Root" } },
      orders: [
        {
          id: 12,
          status: "paid",
          lines: [{ sku: "c", parts: [{ label: "r" }], partIds: ["12,1,1"] }],
          pieces: 2,
        },
        {
          id: 10,
          status: "paid",
          lines: [
            { sku: "a", parts: [{ label: "p" }, { label: "q" }], partIds: ["10,1,1", "10,1,2"] },
            { sku: "b", parts: [], partIds: [] },
          ],
          pieces: 4,
        },
        { id: 13, status: "open", lines: [], pieces: 0 },
      ],
      latest: [{ id: 13, lines: [] }, { id: 11, lines: [] }],
      passport: { number: "B" },
      roles: [{ name: "admin" }, { name: "clerk" }],
      visited: [{ id: 1 }, { id: 2 }],
      figures: {
        orders: 4,
        paid: 2,
        spent: 6.5,
        mean: 13.75 / 3,
        first: "2024-01-02T00:00:00+00:00",
        dearest: 7.25,
        x: 0.3,
        ids: [10, 11, 12, 13],
        states: ["paid", "void", "paid", "open"],
        roles: 2,
      },
    });
    deepEqual(bob, {
      id: 2,
      who: { name: "Bob", tier: "free" },
      company: null,
      orders: [],
      latest: [],
      passport: null,
      roles: [],
      visited: [],
      figures: {
        orders: 0,
        paid: 0,
        spent: 0,
        mean: null,
        first: null,
        dearest: null,
        x: null,
        ids: [],
        states: [],
        roles: 0,
      },
    });
  });

  test("a row that is gone or soft-deleted is a delete", async () => {
    deepEqual(await users.read("3", "999"), [undefined, undefined]);
  });

  test("a figure over NaN is null", async () => {
    const { documents } = await users.build("4");
    const figures = JSON.parse(documents[0]?.body ?? "").figures;
    equal(figures.x, null);
  });

  test("the same rows give the same bytes, alone or in any company", async () => {
    const alone = await users.build("1");
    const among = await users.build("4", "2", "1", "3");
    equal(among.documents[2]?.body, alone.documents[0]?.body);
  });

  test("fields stand in the order of the config", async () => {
    const { documents } = await users.build("2");
    deepEqual(
      Object.keys(JSON.parse(documents[0]?.body ?? "")),
      USERS.fields.map(({ name }) => name),
    );
  });

  test("a build is a position and one statement for each index, however many documents", async () => {
    shop.sent.length = 0;
    await users.build(...Array.from({ length: 1000 }, (_, at) => String(at)));
    equal(shop.sent.length, 1);
  });

  test("a change anywhere below resolves to the documents that show it", async () => {
    deepEqual(await users.resolve("users", [["1"], ["77"]]), ["users:1", "users:77"]);
    deepEqual(await users.resolve("crm.Company", [["1"]]), ["users:1", "users:4"]);
    deepEqual(await users.resolve("crm.Company", [["2"], ["3"]]), ["users:1", "users:3"]);
    deepEqual(await users.resolve("orders", [["10"], ["11"], ["20"]]), ["users:1", "users:4"]);
    deepEqual(await users.resolve("lines", [["10", "2"], ["12", "1"]]), ["users:1"]);
    deepEqual(await users.resolve("parts", [["12", "1", "1"]]), ["users:1"]);
    deepEqual(await users.resolve("roles", [["2"]]), ["users:1", "users:4"]);
    deepEqual(await users.resolve("user_roles", [["4", "3"], ["5", "1"]]), ["users:4", "users:5"]);
    deepEqual(await users.resolve("visits", [["4"]]), ["users:4"]);
    deepEqual(await users.resolve("passports", [["3"]]), ["users:4"]);
  });

  test("resolving sends as many statements for one changed row as for a thousand", async () => {
    shop.sent.length = 0;
    await users.resolve("orders", [["10"]]);
    const one = shop.sent.length;
    shop.sent.length = 0;
    await users.resolve("orders", Array.from({ length: 1000 }, (_, at) => [String(at)]));
    equal(shop.sent.length, one);
  });

  test("a moved or deleted child whose change shows its links needs no row of its own", async () => {
    shop.sent.length = 0;
    const moved = { before: { user_id: "1" }, after: { user_id: "4" } };
    deepEqual(await users.resolve("orders", [["999"]], moved), ["users:1", "users:4"]);
    const gone = { op: "delete" as const, before: { user_id: "2" } };
    deepEqual(await users.resolve("orders", [["998"]], gone), ["users:2"]);
    deepEqual(await users.resolve("orders", [["997"]], { after: { user_id: null } }), []);
    equal(shop.sent.length, 0);
    const half = { before: { user_id: "2" } };
    deepEqual(await users.resolve("orders", [["10"]], half), ["users:1", "users:2"]);
  });

  test("a deleted root row resolves to its own document", async () => {
    deepEqual(await users.resolve("users", [["3"]], { op: "delete" }), ["users:3"]);
  });
});
