import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { parseTable } from "../../src/config/names.ts";
import { tableId } from "../../src/core/table.ts";

const ENV = { DATABASE_URL: "postgres://reader@localhost/shop" };

/** The one index of a config, normalised; fails with its problems. */
async function indexOf(index: unknown, top: Record<string, unknown> = {}) {
  const text = JSON.stringify({ ...top, indexes: { users: index } });
  const { config, problems } = await loadConfig("c.jsonc", ENV, () => Promise.resolve(text));
  assert.deepEqual(problems, []);
  const found = config?.indexes[0];
  assert.ok(found);
  return found;
}

async function fieldsOf(fields: unknown) {
  return (await indexOf({ table: "users", fields })).fields;
}

/** The messages and hints of what is wrong with some fields. */
async function refusals(fields: unknown): Promise<string> {
  const text = JSON.stringify({ indexes: { users: { table: "users", fields } } });
  const { problems } = await loadConfig("c.jsonc", ENV, () => Promise.resolve(text));
  return problems.map(({ path, message, hint }) => `${path}: ${message} ${hint}`).join("\n");
}

const publicTable = (name: string) => ({ schema: "public", name });
const fromColumn = (column: string) => ({ kind: "column", column });

describe("an index", () => {
  test("is normalised, with defaults, in the order of the file", async () => {
    const index = await indexOf({
      table: "users",
      fields: { z: "text", a: "keyword", m: { object: { b: "long", a: "date" } } },
    });
    assert.deepEqual(index, {
      name: "users",
      table: publicTable("users"),
      where: [],
      fields: [
        { kind: "scalar", name: "z", type: "text", from: fromColumn("z"), transforms: [] },
        { kind: "scalar", name: "a", type: "keyword", from: fromColumn("a"), transforms: [] },
        {
          kind: "object",
          name: "m",
          fields: [
            { kind: "scalar", name: "b", type: "long", from: fromColumn("b"), transforms: [] },
            { kind: "scalar", name: "a", type: "date", from: fromColumn("a"), transforms: [] },
          ],
        },
      ],
      onRejected: "stop",
    });
  });

  test("keeps everything that is said of it", async () => {
    const index = await indexOf(
      {
        table: { schema: "CRM", table: "User" },
        key: "id",
        where: [{ column: "tenant", op: "eq", value: "acme" }],
        softDelete: { when: [{ column: "gone", op: "eq", value: true }] },
        fields: { a: "text" },
        settings: { number_of_replicas: 0, nested: { deep: [1, null] } },
        analysis: { analyzer: {} },
        mappings: { _source: { excludes: ["x"] } },
        sinks: ["local"],
        onRejected: "skip",
      },
      { sinks: { local: { type: "sqlite" } } },
    );
    assert.deepEqual(index.table, { schema: "CRM", name: "User" });
    assert.deepEqual(index.key, ["id"]);
    assert.deepEqual(index.where, [
      { kind: "compare", column: "tenant", op: "eq", values: ["acme"] },
    ]);
    assert.deepEqual(index.softDelete, {
      kind: "when",
      filters: [{ kind: "compare", column: "gone", op: "eq", values: [true] }],
    });
    assert.deepEqual(index.settings, { number_of_replicas: 0, nested: { deep: [1, null] } });
    assert.deepEqual(index.analysis, { analyzer: {} });
    assert.deepEqual(index.mappings, { _source: { excludes: ["x"] } });
    assert.deepEqual(index.sinks, ["local"]);
    assert.equal(index.onRejected, "skip");
  });

  test("takes onRejected from the config, and softDelete by column, and a composite key", async () => {
    const index = await indexOf(
      { table: "t", key: ["a", "b"], softDelete: { column: "deleted_at" }, fields: { a: "text" } },
      { onRejected: "skip" },
    );
    assert.equal(index.onRejected, "skip");
    assert.deepEqual(index.key, ["a", "b"]);
    assert.deepEqual(index.softDelete, { kind: "column", column: "deleted_at" });
  });
});

describe("fields", () => {
  test("of one column or expression", async () => {
    assert.deepEqual(
      await fieldsOf({
        email: { type: "keyword", transforms: ["lowercase", "trim", { default: "none" }] },
        createdAt: { type: "date", column: "created_at" },
        fullName: { type: "text", sql: "first_name || ' ' || last_name", subfields: false },
        price: { type: "decimal", scale: 2 },
        data: { type: "json", as: "flat_object" },
      }),
      [
        {
          kind: "scalar",
          name: "email",
          type: "keyword",
          from: fromColumn("email"),
          transforms: ["lowercase", "trim", { default: "none" }],
        },
        {
          kind: "scalar",
          name: "createdAt",
          type: "date",
          from: fromColumn("created_at"),
          transforms: [],
        },
        {
          kind: "scalar",
          name: "fullName",
          type: "text",
          from: { kind: "sql", sql: "first_name || ' ' || last_name" },
          transforms: [],
          subfields: false,
        },
        {
          kind: "scalar",
          name: "price",
          type: "decimal",
          from: fromColumn("price"),
          transforms: [],
          scale: 2,
        },
        {
          kind: "scalar",
          name: "data",
          type: "json",
          from: fromColumn("data"),
          transforms: [],
          as: "flat_object",
        },
      ],
    );
  });

  test("of points", async () => {
    assert.deepEqual(
      await fieldsOf({
        a: { type: "geo_point", lat: "y", lon: "x" },
        b: { type: "geo_point", column: "p" },
        c: "geo_point",
        d: { type: "geo_point" },
      }),
      [
        { kind: "geo_point", name: "a", from: { kind: "pair", lat: "y", lon: "x" } },
        { kind: "geo_point", name: "b", from: fromColumn("p") },
        { kind: "geo_point", name: "c", from: fromColumn("c") },
        { kind: "geo_point", name: "d", from: fromColumn("d") },
      ],
    );
  });

  test("of other tables, nested to any depth", async () => {
    const name = {
      kind: "scalar",
      name: "name",
      type: "keyword",
      from: fromColumn("name"),
      transforms: [],
    };
    assert.deepEqual(
      await fieldsOf({
        company: { belongsTo: "crm.companies", column: "company_id", fields: { name: "keyword" } },
        profile: { hasOne: "profiles", foreignKey: "user_id", fields: { name: "keyword" } },
        orders: {
          hasMany: { schema: "Sales", table: "Order" },
          foreignKey: ["user_id", "tenant"],
          references: ["id", "tenant"],
          orderBy: [{ column: "at", direction: "desc" }, { column: "id", nulls: "first" }],
          limit: 5,
          where: [{ column: "status", op: "notIn", values: ["void"] }],
          mapping: "nested",
          fields: {
            lines: { hasMany: "order_lines", foreignKey: "order_id", fields: { name: "keyword" } },
          },
        },
        roles: {
          manyToMany: "roles",
          through: { table: "user_roles", leftKey: "user_id", rightKey: "role_id" },
          fields: { name: "keyword" },
        },
      }),
      [
        {
          kind: "belongsTo",
          name: "company",
          table: { schema: "crm", name: "companies" },
          columns: ["company_id"],
          where: [],
          orderBy: [],
          mapping: "object",
          fields: [name],
        },
        {
          kind: "hasOne",
          name: "profile",
          table: publicTable("profiles"),
          columns: ["user_id"],
          where: [],
          orderBy: [],
          mapping: "object",
          fields: [name],
        },
        {
          kind: "hasMany",
          name: "orders",
          table: { schema: "Sales", name: "Order" },
          columns: ["user_id", "tenant"],
          references: ["id", "tenant"],
          where: [{ kind: "compare", column: "status", op: "notIn", values: ["void"] }],
          orderBy: [
            { column: "at", direction: "desc", nulls: "last" },
            { column: "id", direction: "asc", nulls: "first" },
          ],
          limit: 5,
          mapping: "nested",
          fields: [{
            kind: "hasMany",
            name: "lines",
            table: publicTable("order_lines"),
            columns: ["order_id"],
            where: [],
            orderBy: [],
            mapping: "object",
            fields: [name],
          }],
        },
        {
          kind: "manyToMany",
          name: "roles",
          table: publicTable("roles"),
          columns: [],
          through: {
            table: publicTable("user_roles"),
            leftKey: ["user_id"],
            rightKey: ["role_id"],
          },
          where: [],
          orderBy: [],
          mapping: "object",
          fields: [name],
        },
      ],
    );
  });

  test("that are figures over related rows", async () => {
    const through = { table: "user_roles", leftKey: "user_id", rightKey: "role_id" };
    assert.deepEqual(
      await fieldsOf({
        n: { count: "orders", foreignKey: "user_id" },
        spent: {
          sum: "orders",
          column: "total",
          foreignKey: "user_id",
          where: [{ column: "status", op: "eq", value: "paid" }],
        },
        roleIds: { ids: "roles", through },
      }),
      [
        {
          kind: "count",
          name: "n",
          table: publicTable("orders"),
          foreignKey: ["user_id"],
          where: [],
        },
        {
          kind: "sum",
          name: "spent",
          table: publicTable("orders"),
          column: "total",
          foreignKey: ["user_id"],
          where: [{ kind: "compare", column: "status", op: "eq", values: ["paid"] }],
        },
        {
          kind: "ids",
          name: "roleIds",
          table: publicTable("roles"),
          foreignKey: [],
          through: {
            table: publicTable("user_roles"),
            leftKey: ["user_id"],
            rightKey: ["role_id"],
          },
          where: [],
        },
      ],
    );
    for (const kind of ["avg", "min", "max"]) {
      const [field] = await fieldsOf({ x: { [kind]: "o", column: "c", foreignKey: "k" } });
      assert.equal(field?.kind, kind);
    }
  });

  test("of every type, in short and at length", async () => {
    const names = [
      ...["text", "keyword", "identifier", "enum", "uuid", "boolean", "short", "integer", "long"],
      ...["unsigned_long", "float", "double", "decimal", "date", "date_nanos", "json", "ip"],
      ...["wildcard", "match_only_text", "search_as_you_type", "completion", "binary", "geo_shape"],
      ...["integer_range", "long_range", "float_range", "double_range", "date_range", "ip_range"],
      "knn_vector",
    ];
    for (const type of names) {
      const from = fromColumn("a");
      const plain = { kind: "scalar", name: "a", type, from, transforms: [] };
      assert.deepEqual(await fieldsOf({ a: type }), [plain], type);
      const mapping = { index: false, meta: { unit: "ms" } };
      assert.deepEqual(await fieldsOf({ a: { type, column: "b", mapping } }), [
        { ...plain, from: fromColumn("b"), mapping },
      ], type);
    }
  });

  test("of types that need more than a name", async () => {
    const mapping = { type: "rank_feature", positive_score_impact: false };
    const fields = await fieldsOf({
      level: { type: "enum", variants: ["low", "high"], subfields: false },
      labels: { type: "map", values: "date", sql: "to_jsonb(x)" },
      rank: { type: "custom", mapping, columnTypes: ["numeric", "text[]"], column: "r" },
      embedding: { type: "knn_vector", dimension: 384, mapping: { method: { name: "hnsw" } } },
      at: { type: "geo_point", column: "p", mapping: { ignore_malformed: true } },
    });
    const plain = { kind: "scalar", transforms: [] };
    assert.deepEqual(fields, [
      {
        ...plain,
        name: "level",
        type: "enum",
        from: fromColumn("level"),
        variants: ["low", "high"],
        subfields: false,
      },
      {
        ...plain,
        name: "labels",
        type: "map",
        from: { kind: "sql", sql: "to_jsonb(x)" },
        values: "date",
      },
      {
        ...plain,
        name: "rank",
        type: "custom",
        from: fromColumn("r"),
        columnTypes: ["numeric", "text[]"],
        mapping,
      },
      {
        ...plain,
        name: "embedding",
        type: "knn_vector",
        from: fromColumn("embedding"),
        dimension: 384,
        mapping: { method: { name: "hnsw" } },
      },
      { kind: "geo_point", name: "at", from: fromColumn("p"), mapping: { ignore_malformed: true } },
    ]);
    for (const type of ["map", "custom", "constant"]) {
      const found = await refusals({ a: type });
      assert.match(found, new RegExp(`"${type}" needs more than its name .*"type": "${type}"`));
    }
  });

  test("that are the same in every document", async () => {
    for (const value of ["shop", "", 1.5, -3, true, false, null, [], ["a", 1, null]]) {
      assert.deepEqual(await fieldsOf({ a: { type: "constant", value } }), [
        { kind: "constant", name: "a", value },
      ]);
    }
    const mapping = { index: false };
    assert.deepEqual(await fieldsOf({ a: { type: "constant", value: 1, mapping } }), [
      { kind: "constant", name: "a", value: 1, mapping },
    ]);
    assert.match(await refusals({ a: { type: "constant" } }), /"value" is missing/);
    for (const value of [{}, [[1]], [{}]]) {
      assert.match(await refusals({ a: { type: "constant", value } }), /A constant is a text/);
    }
    assert.match(
      await refusals({ a: { type: "constant", value: 1, column: "x" } }),
      /Unknown key "column"/,
    );
  });

  test("that are ranked enums list each value once, as a text of at most 200 characters", async () => {
    const of = (variants: unknown) => refusals({ a: { type: "enum", variants } });
    assert.equal(await of(["a => b", "", " ", "\\", "ß🦊", "x".repeat(200)]), "");
    assert.match(await of([]), /in the order of their rank/);
    assert.match(await of("low"), /in the order of their rank/);
    assert.match(await of([1]), /variants\[0\]: Expected the enum's values/);
    assert.match(await of(["a", "b", "a"]), /"a" is listed twice/);
    assert.match(await of(["x".repeat(201)]), /at most 200 characters/);
    assert.match(await of(["a\u0001"]), /none of U\+0000/);
  });

  test("of another name are told what it is called here", async () => {
    const names: readonly [string, RegExp][] = [
      ["hstore", /"map"/],
      ["bytea", /"binary"/],
      ["int4range", /"integer_range"/],
      ["tstzrange", /"date_range"/],
      ["vector", /"knn_vector"/],
      ["geometry", /"geo_shape", or "geo_point"/],
      ["identifer", /"identifier"/],
      ["range", /"integer_range", "long_range"/],
      ["nested", /"mapping": "nested"/],
    ];
    for (const [name, hint] of names) {
      for (const field of [name, { type: name }]) {
        const found = await refusals({ a: field });
        assert.match(found, new RegExp(`There is no type "${name}"`));
        assert.match(found, hint);
        assert.equal(found.split("\n").length, 1);
      }
    }
  });

  test("of one kind don't take the keys of another", async () => {
    const wrong: readonly [unknown, RegExp][] = [
      [{ belongsTo: "x", column: "y", limit: 1, fields: { a: "text" } }, /Unknown key "limit"/],
      [{ hasOne: "x", foreignKey: "y", limit: 1, fields: { a: "text" } }, /Unknown key "limit"/],
      [{ hasMany: "x", column: "y", fields: { a: "text" } }, /Unknown key "column"/],
      [{ count: "x", column: "y", foreignKey: "z" }, /Unknown key "column"/],
      [{ sum: "x", foreignKey: "z" }, /"column" is missing/],
      [{ count: "x", foreignKey: "a", through: { table: "t", leftKey: "a", rightKey: "b" } }, /or/],
      [{ manyToMany: "x", fields: { a: "text" } }, /"through" is missing/],
      [{ object: { a: "text" }, mapping: "nested" }, /Unknown key "mapping"/],
      [{ type: "keyword", as: "object" }, /"as" belongs to the type json/],
      [{ type: "long", subfields: false }, /"subfields" belongs to the type text or keyword/],
      [{ type: "geo_point", column: "p", lat: "a", lon: "b" }, /no point, or two/],
      [{ type: "text", transforms: ["uppercase"] }, /"uppercase" can't stand here/],
      [["text"], /Expected a field/],
      [null, /Expected a field/],
    ];
    for (const [field, message] of wrong) {
      assert.match(await refusals({ a: field }), message, JSON.stringify(field));
    }
  });
});

describe("filters", () => {
  const whereOf = async (where: unknown) =>
    (await indexOf({ table: "t", where, fields: { a: "text" } })).where;

  test("take one value, several, two or none, by their op", async () => {
    const one = ["eq", "neq", "lt", "lte", "gt", "gte", "like", "ilike"] as const;
    for (const op of one) {
      assert.deepEqual(await whereOf([{ column: "c", op, value: 1.5 }]), [
        { kind: "compare", column: "c", op, values: [1.5] },
      ]);
    }
    assert.deepEqual(await whereOf([{ column: "c", op: "in", values: ["a", 1, false] }]), [
      { kind: "compare", column: "c", op: "in", values: ["a", 1, false] },
    ]);
    assert.deepEqual(await whereOf([{ column: "c", op: "isNull" }]), [
      { kind: "compare", column: "c", op: "isNull", values: [] },
    ]);
    const wrong = [
      { op: "eq" },
      { op: "eq", values: [1] },
      { op: "in", value: 1 },
      { op: "in", values: [] },
      { op: "between", values: [1, 2, 3] },
      { op: "isNull", value: 1 },
      { op: "eq", value: 1, values: [1] },
    ];
    for (const filter of wrong) {
      const index = { table: "t", where: [{ column: "c", ...filter }], fields: { a: "text" } };
      const text = JSON.stringify({ indexes: { a: index } });
      const { problems } = await loadConfig("c", ENV, () => Promise.resolve(text));
      assert.equal(problems.length, 1, JSON.stringify(filter));
      assert.match(problems[0]?.hint ?? "", /value/);
    }
  });

  test("group and nest, and may be SQL", async () => {
    const a = { kind: "compare", column: "a", op: "isNull", values: [] };
    assert.deepEqual(
      await whereOf([
        { any: [{ column: "a", op: "isNull" }, { all: [{ column: "a", op: "isNull" }] }] },
        { sql: "x > y" },
      ]),
      [
        { kind: "any", filters: [a, { kind: "all", filters: [a] }] },
        { kind: "sql", sql: "x > y" },
      ],
    );
  });
});

describe("a table's name", () => {
  test("is in public unless it says otherwise, and is taken verbatim", () => {
    const names: readonly [string, string, string][] = [
      ["users", "public", "users"],
      ["crm.orders", "crm", "orders"],
      ['crm."odd.name"', "crm", "odd.name"],
      ['"odd.name"', "public", "odd.name"],
      ['"a""b"', "public", 'a"b'],
      ["User", "public", "User"],
      ["Größe.мир", "Größe", "мир"],
    ];
    for (const [text, schema, name] of names) {
      assert.deepEqual(parseTable(text), { schema, name }, text);
    }
    for (const text of ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', '""', 'a."b"c']) {
      assert.equal(parseTable(text), undefined, text);
    }
  });

  test("reads back from its text form", () => {
    for (const name of ["users", "odd.name", 'a"b', "User", " x ", "1"]) {
      const table = { schema: "S.x", name };
      assert.deepEqual(parseTable(tableId(table)), table);
    }
  });
});
