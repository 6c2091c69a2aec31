import { deepEqual, equal, match, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FieldDescription, IndexDescription } from "../../src/core/description.ts";
import type { Problem } from "../../src/core/problem.ts";
import { openDatabase } from "../../src/postgres/client.ts";
import { areIncomparable } from "../../src/postgres/documents/comparable.ts";
import { prepareDocuments } from "../../src/postgres/documents/prepare.ts";
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

const DDL = `
CREATE TABLE users (id int PRIMARY KEY, name text, email text, age int, born date, tags text[], data jsonb, price numeric, deleted bool, ref int);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, status text);
CREATE TABLE keyless (user_id int, note text);
CREATE TABLE odd (code text NOT NULL UNIQUE, user_id int);
CREATE TABLE "Mixed" ("Id" int PRIMARY KEY, "select" text, "a""b" text);
CREATE VIEW seen AS SELECT id, name FROM users;
CREATE TYPE pair AS (a int, b int);
CREATE TABLE shapes (id int PRIMARY KEY, p pair);
CREATE TABLE hidden (id int PRIMARY KEY, v text);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE TABLE days (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN score AS numeric(5, 2);
CREATE TABLE typed (id int PRIMARY KEY, m mood, n numeric(10, 2), s score, t text[], v varchar(9), f real[],
  j jsonb, h text, p point, ps point[], b bytea, r int4range);
CREATE TYPE hue AS ENUM ('red', 'blue');
CREATE EXTENSION citext;
CREATE TABLE kinds (id int PRIMARY KEY, u uuid, at timestamptz, n numeric, b bigint, v varchar(9), c char(4), s score,
  m mood, h hue, t text, d date NOT NULL, ok bool NOT NULL, flags bool[] NOT NULL, gone timestamptz, label citext);
CREATE TABLE wide (id int PRIMARY KEY, n numeric(20), price numeric(10, 2));
CREATE SCHEMA crm;
CREATE TABLE crm.invoices (id int PRIMARY KEY);
CREATE TABLE crm.contacts (id int PRIMARY KEY);
CREATE FUNCTION shaky(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION steady(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
`;

describe("problems of documents", () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await openFixture(DDL);
  });
  after(() => fixture[Symbol.asyncDispose]());

  async function problems(...descriptions: IndexDescription[]): Promise<readonly Problem[]> {
    return (await fixture.prepare(descriptions)).problems;
  }
  async function ofFields(...fields: FieldDescription[]): Promise<readonly string[]> {
    return (await problems(index("users", "users", fields)))
      .map(({ severity, code, path }) => `${severity} ${code} ${path}`);
  }

  test("all problems of all indexes are listed, each with its place and a hint, and the sound ones are planned", async () => {
    const { plans, problems } = await fixture.prepare([
      index("broken", "users", [
        scalar("email", "keyword", { column: "emial" }),
        scalar("age", "date"),
        scalar("born", "date", { transforms: ["trim"] }),
        relation("hasMany", "orders", "order", ["user_id"], []),
        relation("hasMany", "keyless", "keyless", ["user_id"], [scalar("note", "text")]),
        relation("hasMany", "mine", "orders", ["user_id"], [scalar("statsu")], {
          where: [compare("nope", "eq", 1), { kind: "any", filters: [compare("nah", "isNull")] }],
          orderBy: [{ column: "when", direction: "asc", nulls: "last" }],
        }),
        relation("belongsTo", "less", "keyless", ["ref"], []),
        aggregate("sum", "total", "orders", ["user_id"], { column: "status" }),
        aggregate("count", "two", "orders", ["user_id", "id"]),
      ], { softDelete: { kind: "column", column: "deletd" } }),
      index("sound", "orders", [scalar("status")]),
      index("nameless", "keyless", [scalar("note", "text")]),
      index("lost", "nowhere", []),
    ]);
    deepEqual(plans.map(({ name }) => name), ["sound"]);
    deepEqual(problems.map(({ severity, code, path }) => `${severity} ${code} ${path}`), [
      "error COLUMN_MISSING indexes.broken.fields.email.column",
      "error TYPE_MISMATCH indexes.broken.fields.age.column",
      "error TYPE_MISMATCH indexes.broken.fields.born.transforms",
      "error TABLE_MISSING indexes.broken.fields.orders.hasMany",
      "error KEY_MISSING indexes.broken.fields.keyless.hasMany",
      "error COLUMN_MISSING indexes.broken.fields.mine.fields.statsu.column",
      "error COLUMN_MISSING indexes.broken.fields.mine.where.0.column",
      "error COLUMN_MISSING indexes.broken.fields.mine.where.1.any.0.column",
      "error COLUMN_MISSING indexes.broken.fields.mine.orderBy.0.column",
      "error KEY_MISSING indexes.broken.fields.less",
      "error TYPE_MISMATCH indexes.broken.fields.total.column",
      "error KEY_MISMATCH indexes.broken.fields.two.foreignKey",
      "error COLUMN_MISSING indexes.broken.softDelete.column",
      "error KEY_MISSING indexes.nameless.key",
      "error TABLE_MISSING indexes.lost.table",
    ]);
    ok(problems.every(({ hint, message }) => hint !== undefined && message !== ""));
    equal(problems[0]?.hint, 'Did you mean "email"?');
    match(problems[1]?.hint ?? "", /"integer"/);
  });

  test("a column that can't hold a field's type is an error, one that only partly can a warning", async () => {
    deepEqual(
      await ofFields(
        scalar("name", "integer"),
        scalar("price", "long"),
        scalar("data", "boolean"),
        scalar("age", "short"),
        scalar("age", "double"),
        scalar("data", "json"),
        scalar("tags", "keyword"),
        { kind: "geo_point", name: "at", from: { kind: "pair", lat: "price", lon: "name" } },
      ),
      [
        "error TYPE_MISMATCH indexes.users.fields.name.column",
        "error TYPE_MISMATCH indexes.users.fields.price.column",
        "error TYPE_MISMATCH indexes.users.fields.data.column",
        "warning TYPE_NARROW indexes.users.fields.age.column",
        "error TYPE_MISMATCH indexes.users.fields.at.lon",
      ],
    );
    const composite = await problems(index("shapes", "shapes", [scalar("p", "date")]));
    equal(composite[0]?.code, "TYPE_MISMATCH");
  });

  test("a custom field takes the columns of its types alone, named as Postgres prints them", async () => {
    const mapping = { type: "rank_feature" };
    const of = async (column: string, columnTypes: readonly string[] | undefined, sql?: string) => {
      const at = sql === undefined ? { column } : { sql };
      const more = columnTypes === undefined ? {} : { columnTypes };
      const field = scalar("x", "custom", { ...at, ...more, mapping });
      return await problems(index("typed", "typed", [field]));
    };
    deepEqual(await of("n", undefined), []);
    deepEqual(await of("n", ["text", "numeric"]), []);
    deepEqual(await of("s", ["numeric"]), [], "of a domain, what it is made of");
    deepEqual(await of("t", ["text[]"]), []);
    deepEqual(await of("v", ["character varying"]), []);
    deepEqual(await of("v", ["VARCHAR"]), [], "and its short name");
    deepEqual(await of("", ["integer"], "length(v)"), []);
    const [wrong, ...others] = await of("t", ["text", "numeric"]);
    deepEqual(others, []);
    equal(wrong?.code, "TYPE_MISMATCH");
    equal(wrong?.path, "indexes.typed.fields.x.column");
    match(wrong?.message ?? "", /"t" is text\[\], and it takes text, numeric$/);
    match(wrong?.hint ?? "", /"columnTypes"/);
    const [sql] = await of("", ["numeric"], "length(v)");
    equal(sql?.path, "indexes.typed.fields.x.sql");
    match(sql?.message ?? "", /this sql is integer, and it takes numeric$/);
  });

  test("variants and an enum's labels that differ are warnings that name them", async () => {
    const of = async (variants: readonly string[], column = "m") =>
      (await problems(index("typed", "typed", [scalar("x", "enum", { column, variants })])))
        .map(({ severity, code, path, message }) => [severity, code, path, message].join(" "));
    deepEqual(await of(["sad", "ok", "happy"]), []);
    deepEqual(await of(["happy", "sad", "ok"]), [], "in an order of their own");
    deepEqual(await of(["low", "high"], "h"), [], "a text has no labels");
    const at = "indexes.typed.fields.x.variants";
    deepEqual(await of(["sad", "Happy"]), [
      `warning VARIANTS_INCOMPLETE ${at} The variants leave out "ok", "happy" of "m": they sort last`,
      `warning VARIANTS_UNKNOWN ${at} The variants list "Happy": the type mood has no such value`,
    ]);
  });

  test("a vector's dimension is given where its column doesn't declare it", async () => {
    const of = async (more: Parameters<typeof scalar>[2]) =>
      (await problems(index("typed", "typed", [scalar("x", "knn_vector", more)])))
        .map(({ code, path, hint }) => [code, path, hint].join(" "));
    deepEqual(await of({ column: "f", dimension: 3 }), []);
    deepEqual(await of({ column: "f" }), [
      'DIMENSION_MISSING indexes.typed.fields.x.column Give "dimension".',
    ]);
    deepEqual(await of({ sql: "f" }), [
      'DIMENSION_MISSING indexes.typed.fields.x.sql Give "dimension".',
    ]);
  });

  test("columns that can't be what a new type asks for are named with what they are", async () => {
    deepEqual(
      (await problems(index("typed", "typed", [
        scalar("a", "map", { column: "h", values: "text" }),
        scalar("b", "binary", { column: "h" }),
        scalar("c", "date_range", { column: "r" }),
        scalar("d", "ip_range", { column: "j" }),
        scalar("e", "geo_shape", { column: "b" }),
        scalar("f", "knn_vector", { column: "h", dimension: 2 }),
        { kind: "geo_point", name: "g", from: { kind: "column", column: "ps" } },
        { kind: "geo_point", name: "h", from: { kind: "column", column: "b" } },
        { kind: "geo_point", name: "i", from: { kind: "column", column: "nope" } },
        { kind: "geo_point", name: "j", from: { kind: "column", column: "j" } },
        { kind: "geo_point", name: "k", from: { kind: "column", column: "h" } },
        { kind: "geo_point", name: "l", from: { kind: "column", column: "p" } },
      ]))).map(({ code, path }) => `${code} ${path.replace("indexes.typed.fields.", "")}`),
      [
        "TYPE_MISMATCH a.column",
        "TYPE_MISMATCH b.column",
        "TYPE_MISMATCH c.column",
        "TYPE_MISMATCH d.column",
        "TYPE_MISMATCH e.column",
        "TYPE_MISMATCH f.column",
        "TYPE_MISMATCH g.column",
        "TYPE_MISMATCH h.column",
        "COLUMN_MISSING i.column",
      ],
    );
  });

  test("sql that isn't one stable expression over its own row is refused", async () => {
    const refused = [
      "(SELECT max(id) FROM orders)",
      "(TABLE orders)",
      "(VALUES (1))",
      "name; DROP TABLE users",
      "name -- rest",
      "name) OR (1 = 1",
      "name || $1",
      "'open",
      "",
    ];
    for (const sql of refused) {
      const found = await problems(index("users", "users", [scalar("x", "keyword", { sql })]));
      deepEqual(found.map(({ code }) => code), ["SQL_REFUSED"], sql);
    }
    const volatile = ["random()", "now()::text", "clock_timestamp()", "shaky(id)", "CURRENT_DATE"];
    for (const sql of volatile) {
      const found = await problems(index("users", "users", [scalar("x", "keyword", { sql })]));
      deepEqual(found.map(({ code }) => code), ["SQL_VOLATILE"], sql);
    }
    const invalid = [
      "nmae",
      "count(*)",
      "unnest(tags)",
      "row_number() OVER ()",
      "name + 1",
      "users.name || t0.name",
    ];
    for (const sql of invalid) {
      const found = await problems(index("users", "users", [scalar("x", "keyword", { sql })]));
      deepEqual(found.map(({ code, path }) => [code, path]), [
        ["SQL_INVALID", "indexes.users.fields.x.sql"],
      ], sql);
    }
    const fine = [
      "name || ' select ; -- $1 ('",
      "extract(year FROM born)::text",
      "CASE WHEN name IS DISTINCT FROM 'x' THEN 'a' END",
      "steady(age)::text",
      "E'it\\'s' || name",
      "$tag$ select ; $tag$ || name",
    ];
    for (const sql of fine) {
      deepEqual(
        await problems(index("users", "users", [scalar("x", "keyword", { sql })])),
        [],
        sql,
      );
    }
  });

  test("a filter over time is a warning, one that isn't a condition or can't be cast an error", async () => {
    const of = async (where: IndexDescription["where"]) =>
      (await problems(index("users", "users", [scalar("name")], { where })))
        .map(({ severity, code }) => `${severity} ${code}`);
    deepEqual(await of([{ kind: "sql", sql: "born > now()" }]), ["warning SQL_TIME"]);
    deepEqual(await of([{ kind: "sql", sql: "name" }]), ["error TYPE_MISMATCH"]);
    deepEqual(await of([{ kind: "sql", sql: "random() > 0.5" }]), ["error SQL_VOLATILE"]);
    deepEqual(await of([compare("data", "eq", "{}"), compare("tags", "lt", "{a}")]), []);
    deepEqual(await of([compare("age", "eq", "abc")]), ["error TYPE_MISMATCH"]);
    deepEqual(await of([compare("tags", "in", "a")]), ["error TYPE_MISMATCH"]);
  });

  test("a filter's value that its column doesn't take is named where it stands", async () => {
    const found = await problems(
      index("kinds", "kinds", [
        scalar("t"),
        {
          kind: "object",
          name: "o",
          fields: [
            relation("hasMany", "near", "typed", ["id"], [scalar("h")], {
              where: [{
                kind: "any",
                filters: [compare("m", "in", "ok", "Happy"), compare("n", "like", "1%")],
              }],
            }),
          ],
        },
        aggregate("count", "n", "typed", ["id"], { where: [compare("n", "between", 1, "x")] }),
      ], {
        where: [compare("ok", "eq", true), compare("gone", "gt", 5), compare("b", "lt", 2 ** 40)],
        softDelete: { kind: "when", filters: [compare("b", "eq", 1.5)] },
      }),
    );
    deepEqual(found.map(({ severity, code, path }) => `${severity} ${code} ${path}`), [
      "error TYPE_MISMATCH indexes.kinds.fields.o.object.near.where.0.any.0.values.1",
      "error TYPE_MISMATCH indexes.kinds.fields.n.where.0.values.1",
      "error TYPE_MISMATCH indexes.kinds.where.1.value",
      "error TYPE_MISMATCH indexes.kinds.softDelete.when.0.value",
    ]);
    const [label, , moment] = found;
    match(label?.message ?? "", /"m", which is mood, .* invalid input value .*"Happy"/);
    equal(label?.hint, 'It has "sad", "ok", "happy"; case counts.');
    match(moment?.message ?? "", /"gone", which is timestamp with time zone/);
  });

  test("a soft delete by a column that is never null and no boolean is a warning", async () => {
    const of = async (column: string) =>
      (await problems(
        index("kinds", "kinds", [scalar("t")], { softDelete: { kind: "column", column } }),
      )).map(({ severity, code, path }) => `${severity} ${code} ${path}`);
    const always = ["warning SOFT_DELETE_ALWAYS indexes.kinds.softDelete.column"];
    deepEqual(await of("d"), always);
    deepEqual(await of("flags"), always, "a list is not a flag");
    deepEqual(await of("ok"), []);
    deepEqual(await of("gone"), []);
  });

  test("a link between columns that can't be compared is named, with both and their types", async () => {
    const to = (column: string) =>
      relation("belongsTo", `to_${column}`, "kinds", [column], [scalar("t")], {
        references: ["id"],
      });
    const by = (column: string, references: string) =>
      aggregate("count", `by_${column}`, "kinds", [column], { references: [references] });
    const through = { table: ref("kinds"), leftKey: ["at"], rightKey: ["id"] };
    const found = await problems(index("users", "users", [
      aggregate("count", "mine", "kinds", ["at"]),
      by("u", "name"),
      by("m", "name"),
      by("v", "email"),
      by("c", "email"),
      by("label", "email"),
      by("s", "age"),
      by("n", "id"),
      by("b", "id"),
      relation("manyToMany", "many", "orders", [], [scalar("status")], { through }),
    ]));
    const at = (field: string, key = "foreignKey") =>
      `error LINK_MISMATCH indexes.users.fields.${field}.${key}`;
    deepEqual(found.map(({ severity, code, path }) => `${severity} ${code} ${path}`), [
      at("mine"),
      at("by_u"),
      at("by_m"),
      at("many", "through.leftKey"),
    ]);
    match(
      found[0]?.message ?? "",
      /^Cannot join "at" \(timestamp with time zone\) with "id" \(integer\)/,
    );
    deepEqual(
      (await problems(index("kinds", "kinds", [to("h")]))).map(({ code, path }) => [code, path]),
      [["LINK_MISMATCH", "indexes.kinds.fields.to_h.column"]],
    );
    // Of what the types' names don't tell, the server's word stands.
    const [unknown, ...others] = await problems(index("typed", "typed", [
      aggregate("count", "n", "typed", ["p"]),
    ]));
    deepEqual(others, []);
    equal(unknown?.code, "STATEMENT_INVALID");
    match(unknown?.hint ?? "", /links/);
  });

  test("what is called incomparable is what the server can't compare", async () => {
    const TYPES =
      "int2 int4 int8 float4 float8 numeric money bool text varchar bpchar name citext uuid date " +
      "timestamp timestamptz inet cidr bytea json jsonb mood hue score";
    const columns = TYPES.split(" ").map((type) => `${type} ${type}`).map((each) => `c_${each}`);
    await fixture.db.sql.unsafe(`CREATE TABLE every (id int PRIMARY KEY, ${columns.join(", ")})`);
    const { catalog } = await fixture.prepare([index("every", "every", [scalar("id", "long")])]);
    const every = catalog.tables.get("public.every")?.columns ?? [];
    const pairs = every.flatMap((a) => every.map((b) => [a, b] as const));
    const wrong: string[] = [];
    let incomparable = 0;
    for (const [a, b] of pairs.filter(([a, b]) => areIncomparable(a.type, b.type))) {
      incomparable++;
      const text = `SELECT FROM every WHERE "${a.name}" = "${b.name}"`;
      const isRefused = await fixture.database.query({ text }, SIGNAL).then(
        () => false,
        () => true,
      );
      if (!isRefused) wrong.push(`${a.name} = ${b.name}`);
    }
    deepEqual(wrong, []);
    ok(incomparable > 300, `${incomparable} pairs`);
  });

  test("a table that isn't there is likely one of a similar name, or one of another schema", async () => {
    const hint = async (table: string) => (await problems(index("x", table, [])))[0]?.hint;
    equal(await hint("ordres"), 'Did you mean "orders"?');
    equal(await hint("Users"), 'Did you mean "users"?');
    equal(await hint("invoices"), 'Did you mean "crm.invoices"?');
    equal(await hint("crm.contcts"), 'Did you mean "crm.contacts"?');
    match(await hint("nowhere_near") ?? "", /^Names are taken verbatim/);
  });

  test("a numeric column that a field can't hold is pointed to decimal", async () => {
    const found = await problems(
      index("wide", "wide", [scalar("n", "long"), scalar("price", "long"), scalar("id", "short")]),
    );
    deepEqual(found.map(({ code, hint }) => `${code} ${hint}`), [
      'TYPE_NARROW Use type "decimal" to hold them all.',
      'TYPE_MISMATCH Use type "decimal".',
      'TYPE_NARROW Use type "integer" to hold them all.',
    ]);
  });

  test("a view without a key is told at once how views are followed", async () => {
    const [root] = await problems(index("seen", "seen", [scalar("name")]));
    equal(root?.code, "KEY_MISSING");
    match(root?.hint ?? "", /"key"\. A view is followed only by an outbox/);
    const [child] = await problems(
      index("users", "users", [relation("hasMany", "seen", "seen", ["id"], [scalar("name")])]),
    );
    equal(child?.code, "KEY_MISSING");
    match(child?.hint ?? "", /the tables behind it/);
    const [table] = await problems(index("keyless", "keyless", [scalar("note")]));
    equal(table?.hint, 'Name the columns that tell its rows apart in "key".');
  });

  test("an expression can't see the rows around its own", async () => {
    const found = await problems(index("users", "users", [
      relation("hasMany", "orders", "orders", ["user_id"], [
        scalar("x", "keyword", { sql: "status || email" }),
      ]),
    ]));
    deepEqual(found.map(({ code }) => code), ["SQL_INVALID"]);
  });

  test("a table that the role may not read is an error with the grant to run", async () => {
    await fixture.db.sql.unsafe(`REVOKE SELECT ON orders FROM "${fixture.db.readerRole}"`);
    const description = index("users", "users", [
      aggregate("count", "n", "orders", ["user_id"]),
      scalar("age", "integer"),
    ]);
    const [problem, ...others] = await problems(description);
    deepEqual(others, []);
    equal(problem?.code, "PRIVILEGE_MISSING");
    match(problem?.hint ?? "", /^GRANT SELECT ON "public"."orders" TO "t_.*_reader";$/);
    // A grant on the columns that the documents need is enough.
    await fixture.db.sql.unsafe(
      `GRANT SELECT (id, user_id) ON orders TO "${fixture.db.readerRole}"`,
    );
    deepEqual(await problems(description), []);
    await fixture.db.sql.unsafe(`GRANT SELECT ON orders TO "${fixture.db.readerRole}"`);
  });

  test("row-level security is refused unless it was allowed", async () => {
    const description = index("hidden", "hidden", [scalar("v")]);
    deepEqual((await problems(description)).map(({ code }) => code), ["ROW_SECURITY"]);
    await using database = openDatabase({
      url: fixture.db.readerUrl,
      pooler: "none",
      rowSecurity: "allow",
      maxConnections: 1,
      applicationName: "driftless/test-allow",
      statementTimeoutMs: 60_000,
    });
    const options = { rowSecurity: "allow" as const };
    deepEqual((await prepareDocuments(database, [description], options, SIGNAL)).problems, []);
  });

  test("the hash follows what documents and mapping are, and nothing else", async () => {
    const hash = async (description: IndexDescription) =>
      (await fixture.prepare([description])).plans[0]?.hash;
    const base = index("users", "users", [scalar("name"), scalar("age", "long")], {
      settings: { a: 1, b: { c: 2, d: 3 } },
    });
    const first = await hash(base);
    match(first ?? "", /^[0-9a-f]{8}$/);
    equal(await hash({ ...base, name: "people", onRejected: "skip", sinks: ["x"] }), first);
    equal(await hash({ ...base, settings: { b: { d: 3, c: 2 }, a: 1 } }), first);
    equal(await hash({ ...base, key: ["id"] }), first);
    const other = [
      { ...base, settings: { a: 2 } },
      { ...base, fields: [...base.fields].reverse() },
      { ...base, fields: [scalar("name", "text"), scalar("age", "long")] },
      { ...base, where: [compare("age", "gt", 3)] },
      { ...base, mappings: { dynamic: true } },
    ];
    for (const each of other) ok(await hash(each) !== first);
  });

  test("the fingerprint follows what no capture reports", async () => {
    const days = index("days", "days", [scalar("day", "date")]);
    const users = index("users", "users", [scalar("name")]);
    const seen = index("seen", "seen", [scalar("name")], { key: ["id"] });
    const prints = async () =>
      (await fixture.prepare([days, users, seen])).plans.map(({ fingerprint }) => fingerprint);
    const before = await prints();
    equal(before.length, 3);
    deepEqual(await prints(), before);
    const changed = async (ddl: string) => {
      const old = await prints();
      await fixture.db.sql.unsafe(ddl);
      return (await prints()).map((print, at) => print !== old[at]);
    };
    deepEqual(await changed("ALTER TABLE users ADD COLUMN unused int"), [false, false, false]);
    deepEqual(
      await changed(
        "CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
      ),
      [true, false, false],
    );
    deepEqual(await changed("ALTER TABLE days DETACH PARTITION days_2"), [true, false, false]);
    deepEqual(
      await changed("CREATE OR REPLACE VIEW seen AS SELECT id, upper(name) AS name FROM users"),
      [false, false, true],
    );
    deepEqual(
      await changed(
        "DROP VIEW seen; ALTER TABLE users ALTER name TYPE varchar(50); CREATE VIEW seen AS SELECT id, name FROM users",
      ),
      [false, true, true],
    );
  });
});
