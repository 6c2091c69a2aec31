import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import type { FieldDescription } from "../../src/core/description.ts";
import { configJsonSchema } from "../../src/config/json_schema.ts";
import { readJsonc } from "../../src/config/jsonc.ts";
import { loadConfig } from "../../src/config/load.ts";
import { OTHER_TYPES, SCALAR_TYPES } from "../../src/config/scalar_types.ts";
import { schemaViolations } from "../support/json_schema.ts";
import { LANGUAGE_EXAMPLE } from "../support/language_example.ts";

const ENV = { DATABASE_URL: "postgres://reader@localhost/shop" };

async function load(text: string) {
  return await loadConfig("c.jsonc", ENV, () => Promise.resolve(text));
}

/** The first index of a config with a sink called search; fails with its problems. */
async function indexOf(fields: unknown, more: Record<string, unknown> = {}) {
  const index = { table: "users", fields, ...more };
  const { config, problems } = await load(JSON.stringify({ indexes: { users: index } }));
  assert.deepEqual(problems, []);
  const found = config?.indexes[0];
  assert.ok(found);
  return found;
}

describe("the example of the design", () => {
  test("is read as it stands: each construct is what it says", async () => {
    const withSink = LANGUAGE_EXAMPLE.replace(
      "{",
      '{ "sinks": { "search": { "type": "opensearch", "nodes": ["http://localhost:9200"] } },',
    );
    const { config, problems } = await load(withSink);
    assert.deepEqual(problems, []);
    const [users] = config?.indexes ?? [];
    assert.ok(users !== undefined);
    assert.deepEqual(
      { ...users, fields: users.fields.map(shape) },
      {
        name: "users",
        table: { schema: "public", name: "users" },
        key: ["id"],
        where: [{ kind: "compare", column: "tenant", op: "eq", values: ["acme"] }],
        softDelete: { kind: "column", column: "deleted_at" },
        fields: [
          "email keyword",
          "name text",
          "createdAt date",
          "fullName text",
          "location geo_point",
          "profile object (bio text)",
          "company belongsTo (name keyword)",
          "orders hasMany (total double, lines hasMany (sku keyword))",
          "roles manyToMany (name keyword)",
          "orderCount count",
          "spent sum",
        ],
        settings: { number_of_replicas: 0 },
        analysis: {},
        mappings: {},
        sinks: ["search"],
        onRejected: "stop",
      },
    );
    assert.deepEqual(schemaViolations(configJsonSchema(), readJsonc(withSink).value), []);
  });
});

describe("the fine print of the language", () => {
  const odd = { schema: "crm", table: "Odd.Name" };
  const ref = { schema: "crm", name: "Odd.Name" };

  test("takes a table by its parts wherever one is named", async () => {
    const through = { table: odd, leftKey: "a", rightKey: "b" };
    const text = { n: "text" };
    const { table, fields } = await indexOf({
      a: { belongsTo: odd, column: "x", fields: text },
      b: { hasOne: odd, foreignKey: "x", fields: text },
      c: { hasMany: odd, foreignKey: "x", fields: text },
      d: { manyToMany: odd, through, fields: text },
      e: { count: odd, foreignKey: "x" },
      f: { sum: odd, column: "n", foreignKey: "x" },
      g: { avg: odd, column: "n", foreignKey: "x" },
      h: { min: odd, column: "n", foreignKey: "x" },
      i: { max: odd, column: "n", foreignKey: "x" },
      j: { ids: odd, through },
    }, { table: odd });
    assert.deepEqual(table, ref);
    for (const field of fields) {
      assert.ok("table" in field);
      assert.deepEqual(field.table, ref, field.name);
      if ("through" in field) assert.deepEqual(field.through?.table, ref, field.name);
    }
    assert.deepEqual((await indexOf(text, { table: { table: "User" } })).table, {
      schema: "public",
      name: "User",
    });
  });

  test("takes one column or a list wherever a key is named", async () => {
    const pair = ["a", "b"];
    const text = { n: "text" };
    const { key, fields } = await indexOf({
      one: { belongsTo: "t", column: "a", references: "x", fields: text },
      two: { belongsTo: "t", column: pair, references: ["x", "y"], fields: text },
      three: { hasOne: "t", foreignKey: pair, references: pair, fields: text },
      four: {
        manyToMany: "t",
        through: { table: "j", leftKey: pair, rightKey: ["c", "d"] },
        references: pair,
        fields: text,
      },
      five: { count: "t", foreignKey: pair, references: pair },
      six: { ids: "t", through: { table: "j", leftKey: "a", rightKey: pair } },
    }, { key: pair });
    assert.deepEqual(key, pair);
    assert.deepEqual(
      fields.map((field) => [
        "columns" in field ? field.columns : "foreignKey" in field ? field.foreignKey : [],
        "references" in field ? field.references : undefined,
        "through" in field ? [field.through?.leftKey, field.through?.rightKey] : undefined,
      ]),
      [
        [["a"], ["x"], undefined],
        [pair, ["x", "y"], undefined],
        [pair, pair, undefined],
        [[], pair, [pair, ["c", "d"]]],
        [pair, pair, undefined],
        [[], undefined, [["a"], pair]],
      ],
    );
  });

  test("filters wherever rows are chosen, with null places and directions where they are ordered", async () => {
    const where = [{ any: [{ column: "a", op: "between", values: [1, 2] }, { sql: "a > b" }] }];
    const bound = [{
      kind: "any",
      filters: [
        { kind: "compare", column: "a", op: "between", values: [1, 2] },
        { kind: "sql", sql: "a > b" },
      ],
    }];
    const text = { n: "text" };
    const index = await indexOf({
      a: { belongsTo: "t", column: "x", where, fields: text },
      b: {
        hasMany: "t",
        foreignKey: "x",
        where,
        orderBy: [{ column: "a" }, { column: "b", direction: "desc" }, {
          column: "c",
          nulls: "first",
        }],
        fields: text,
      },
      c: { count: "t", foreignKey: "x", where },
    }, { where, softDelete: { when: where } });
    assert.deepEqual(index.where, bound);
    assert.deepEqual(index.softDelete, { kind: "when", filters: bound });
    for (const field of index.fields) {
      assert.ok("where" in field);
      assert.deepEqual(field.where, bound, field.name);
    }
    const [, many] = index.fields;
    assert.deepEqual(many?.kind === "hasMany" && many.orderBy, [
      { column: "a", direction: "asc", nulls: "last" },
      { column: "b", direction: "desc", nulls: "last" },
      { column: "c", direction: "asc", nulls: "first" },
    ]);
  });

  test("keeps transforms in their order, and relations are objects unless nested is asked for", async () => {
    const { fields } = await indexOf({
      a: { type: "keyword", transforms: [{ default: "x" }, "trim", "lowercase", { default: 0 }] },
      b: { hasMany: "t", foreignKey: "x", fields: { n: "text" } },
      c: { belongsTo: "t", column: "x", mapping: "nested", fields: { n: "text" } },
    });
    const [a, b, c] = fields;
    assert.deepEqual(a?.kind === "scalar" && a.transforms, [
      { default: "x" },
      "trim",
      "lowercase",
      { default: 0 },
    ]);
    assert.equal(b?.kind === "hasMany" && b.mapping, "object");
    assert.equal(c?.kind === "belongsTo" && c.mapping, "nested");
  });
});

test("every example of the reference is read without a problem, and every type has a row in it", async () => {
  const text = await readFile(new URL("../../docs/language.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/```jsonc\n([^]*?)```/g)].map(([, block]) => block ?? "");
  assert.ok(blocks.length >= 9);
  for (const block of blocks) {
    const config = block.startsWith('"indexes"')
      ? `{ ${block.replace("./files.index.jsonc", "f")} }`
      : `{ "indexes": { "users": { "table": "users", "fields": { ${block} } } } }`;
    const file = '{ "table": "files", "fields": { "body": "binary" } }';
    const read = (path: string) => Promise.resolve(path === "c.jsonc" ? config : file);
    assert.deepEqual((await loadConfig("c.jsonc", ENV, read)).problems, [], block);
  }
  for (const type of [...SCALAR_TYPES, ...OTHER_TYPES]) {
    assert.match(text, new RegExp(`^\\| .*\`${type}\`.* \\|`, "m"), type);
  }
});

test("what an index file says to editors is no part of the index: its hash stays the same", async () => {
  const text = { n: "text" };
  const plain = await indexOf(text);
  assert.deepEqual(await indexOf(text, { $schema: "./driftless.schema.json" }), plain);
});

test("an editor is told what an index file holds", () => {
  const schema = configJsonSchema();
  const definitions = schema["$defs"] as Record<string, Record<string, unknown>>;
  const file = { ...definitions["indexFile"], $defs: definitions };
  const good = {
    $schema: "./driftless.schema.json#/$defs/indexFile",
    table: "users",
    fields: { a: "completion", b: { type: "constant", value: null } },
  };
  assert.deepEqual(schemaViolations(file, good), []);
  assert.notDeepEqual(schemaViolations(file, { ...good, tabel: "x" }), []);
  assert.notDeepEqual(schemaViolations(file, { ...good, fields: { a: "txt" } }), []);
});

/** `orders hasMany (total double)`. */
function shape(field: FieldDescription): string {
  const kind = field.kind === "scalar" ? field.type : field.kind;
  const below = "fields" in field ? ` (${field.fields.map(shape).join(", ")})` : "";
  return `${field.name} ${kind}${below}`;
}
