import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatPath, parsePath } from "../../src/config/config_path.ts";
import { loadConfig } from "../../src/config/load.ts";
import { nearest } from "../../src/core/nearest.ts";

const ENV = { DATABASE_URL: "postgres://reader@localhost/shop" };

async function load(text: string, env: Record<string, string> = ENV, files: Files = {}) {
  const read = (path: string) => {
    const found = path === "dir/c.jsonc" ? text : files[path];
    if (found !== undefined) return Promise.resolve(found);
    return Promise.reject(Object.assign(new Error("nope"), { code: "ENOENT" }));
  };
  return await loadConfig("dir/c.jsonc", env, read);
}
type Files = Readonly<Record<string, string>>;

/** Problems as "line path: message / hint". */
async function problemsOf(text: string, env = ENV, files: Files = {}): Promise<readonly string[]> {
  const { problems } = await load(text, env, files);
  return problems.map(({ line, path, message, hint }) => `${line} ${path}: ${message} / ${hint}`);
}

const MANY = `{
  "sorce": {},
  "source": {
    "capture": "wall",
    "poler": "none",
    "pooller": "none",
    "poll": { "minInterval": 250, "pageSize": 0 },
    "sweeps": { "keys": 15, "dutyCycle": 2, "row": "1h" },
    "tables": {
      "a.b.c": {},
      "users": { "stamps": "databse" }
    }
  },
  "sinks": {
    "search": {
      "type": "opensearch",
      "nodes": "http://x",
      "auth": { "basic": { "username": "u", "password": 12345 } }
    },
    "es": { "type": "elastic" }
  },
  "pipeline": [],
  "maxDocumentBytes": "10 megs",
  "onRejected": "deadLetter",
  "log": { "level": "verbose" },
  "server": { "address": "127.0.0.1:9464" },
  "indexes": {
    "Users": { "table": "users", "fields": { "a": "text" } },
    "orders": {
      "tabel": "orders",
      "where": [
        { "column": "x", "op": "equals", "value": 1 },
        { "column": "x", "op": "between", "values": [1] },
        { "column": "x", "op": "eq", "value": 12345678901234567890 },
        { "column": "x", "op": "eq", "value": null }
      ],
      "fields": {
        "a": "txt",
        "b": { "type": "knn_vector", "dimension": 0 },
        "c": { "type": "text", "column": "x", "sql": "y" },
        "d": { "hasmany": "x", "foreignKey": "y" },
        "e": { "hasMany": "x", "fields": {} },
        "f": { "count": "x" },
        "g": { "type": "keyword", "scale": 2 },
        "h": { "type": "geo_point", "lat": "lat" },
        "i.j": "text",
        "k": 5,
        "l": { "belongsTo": "x", "column": ["a", "b"], "references": "id", "fields": { "z": "int" } },
        "m": { "belongsTo": "x", "count": "y" },
        "constructor": "text",
        "n": { "column": "x" }
      },
      "sinks": ["serch"]
    }
  }
}`;

const MANY_FOUND: readonly [line: number, path: string, message: RegExp, hint: RegExp][] = [
  [2, "sorce", /Unknown key "sorce"/, /Did you mean "source"\?/],
  [4, "source.capture", /"wall" can't stand here/, /Did you mean "wal"/],
  [5, "source.poler", /Unknown key/, /"pooler"/],
  [6, "source.pooller", /Unknown key/, /"pooler"/],
  [7, "source.poll.minInterval", /Expected a duration/, /"250ms"/],
  [7, "source.poll.pageSize", /whole number from 1 to 100000/, /./],
  [8, "source.sweeps.keys", /Expected a duration/, /"15m"/],
  [8, "source.sweeps.dutyCycle", /share of the time: over 0, at most 1/, /0\.1/],
  [8, "source.sweeps.row", /Unknown key "row"/, /"rows"/],
  [10, 'source.tables["a.b.c"]', /Expected a table's name/, /crm\.orders/],
  [11, "source.tables.users.stamps", /"databse" can't stand here/, /Did you mean "database"/],
  [17, "sinks.search.nodes", /Expected a list, found a text/, /\[/],
  [18, "sinks.search.auth.basic.password", /Expected a text or a reference/, /\{"env"/],
  [20, "sinks.es.type", /"elastic" can't stand here/, /opensearch/],
  [22, "pipeline", /Expected an object, found a list/, /\{/],
  [23, "maxDocumentBytes", /Expected a size/, /"8MiB"/],
  [24, "onRejected", /"deadLetter" is not supported yet/, /"stop", "skip"/],
  [25, "log.level", /"verbose" can't stand here/, /"debug"/],
  [26, "server", /"server" is not supported yet/, /false/],
  [28, "indexes.Users", /lower-case/, /letters/],
  [29, "indexes.orders.table", /The key "table" is missing/, /Add "table"/],
  [30, "indexes.orders.tabel", /Unknown key/, /"table"/],
  [32, "indexes.orders.where[0].op", /"equals" can't stand here/, /"eq"/],
  [33, "indexes.orders.where[1]", /"between"/, /two "values"/],
  [34, "indexes.orders.where[2].value", /more digits/, /quotes/],
  [35, "indexes.orders.where[3].value", /null can't be compared/, /"isNull"/],
  [38, "indexes.orders.fields.a", /no type "txt"/, /"text"/],
  [39, "indexes.orders.fields.b.dimension", /whole number from 1 to 16000/, /Write a whole number/],
  [40, "indexes.orders.fields.c", /Both "column" and "sql"/, /Keep one/],
  [41, "indexes.orders.fields.d", /Unknown key "hasmany"/, /"hasMany"/],
  [42, "indexes.orders.fields.e.foreignKey", /"foreignKey" is missing/, /Add "foreignKey"/],
  [42, "indexes.orders.fields.e.fields", /No field/, /at least one/],
  [43, "indexes.orders.fields.f", /"foreignKey" or "through"/, /./],
  [44, "indexes.orders.fields.g", /"scale" belongs to the type decimal/, /Remove/],
  [45, "indexes.orders.fields.h", /no point/, /"lat" and "lon"/],
  [46, 'indexes.orders.fields["i.j"]', /dot/, /"object"/],
  [47, "indexes.orders.fields.k", /Expected a field/, /keyword/],
  [48, "indexes.orders.fields.l", /2 and 1 columns/, /./],
  [48, "indexes.orders.fields.l.fields.z", /no type "int"/, /"integer"/],
  [49, "indexes.orders.fields.m", /"belongsTo" and "count" at once/, /./],
  [50, "indexes.orders.fields.constructor", /can't be used/, /Rename/],
  [51, "indexes.orders.fields.n", /Nothing says what this field is/, /type, belongsTo/],
  [53, "indexes.orders.sinks[0]", /no sink "serch"/, /"search"/],
];

describe("a config with many mistakes", () => {
  test("has each reported in one go, with path, line and hint", async () => {
    const { problems, config } = await load(MANY);
    assert.equal(config, undefined);
    for (const [line, path, message, hint] of MANY_FOUND) {
      const found = problems.filter((problem) => problem.path === path);
      assert.equal(found.length, 1, `${path}: ${JSON.stringify(found)}`);
      assert.equal(found[0]?.line, line, path);
      assert.match(found[0]?.message ?? "", message, path);
      assert.match(found[0]?.hint ?? "", hint, path);
      assert.equal(found[0]?.severity, "error", path);
    }
    const expected = new Set(MANY_FOUND.map(([, path]) => path));
    assert.deepEqual(problems.filter(({ path }) => !expected.has(path)), [], "and nothing else");
    const lines = problems.map(({ line }) => line ?? 0);
    assert.deepEqual(lines, lines.toSorted((a, b) => a - b), "in the order of the file");
    for (const { message, hint } of problems) {
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(`${message}${hint}`, /[\u0000-\u001f]/);
    }
  });

  test("has no secret of it printed", async () => {
    const { problems } = await load(`{
      "source": { "url": "postgres://me:hunter2@h/db?sslmode=hunter3", "tls": { "key": "hunter4" } },
      "sinks": { "s": { "type": "opensearch", "nodes": ["ftp://u:hunter5@x"],
        "auth": { "apiKey": { "key": "hunter6" }, "basic": "hunter7" } } },
      "indexes": {}
    }`);
    assert.ok(problems.length >= 6, JSON.stringify(problems));
    assert.doesNotMatch(JSON.stringify(problems), /hunter/);
  });
});

/** Fifteen different mistakes of the index language, each on a line of its own. */
const FIFTEEN = `{
  "indexes": {
    "users": {
      "table": { "schema": "crm", "table": "User", "columns": ["id"] },
      "softDelete": { "column": "a", "when": [] },
      "where": [{ "any": [] }],
      "fields": {
        "labels": { "type": "map" },
        "vague": { "type": "map", "values": "integer" },
        "rank": { "type": "custom", "mapping": { "boost": 2 } },
        "level": { "type": "enum", "variants": ["low", "high", "low"] },
        "tier": { "type": "keyword", "variants": ["a"] },
        "fixed": { "type": "constant", "value": { "a": 1 } },
        "span": { "type": "range", "column": "during" },
        "at": { "type": "geo_point", "lat": "lat", "column": "place" },
        "shape": { "type": "geo_shape", "mapping": "quadtree" },
        "orders": { "hasMany": "orders", "foreignKey": [], "fields": { "id": "long" } },
        "spent": { "sum": "orders", "foreignKey": "user_id" }
      }
    },
    "files": "./files.index.jsonc"
  }
}`;
const IN_FILE = `// an index of its own
{
  "$schema": "./driftless.schema.json#/$defs/indexFile",
  "table": "files",
  "fields": {
    "body": { "type": "binary", "subfields": false }
  }
}`;
const FIFTEEN_FOUND: readonly [file: string | undefined, at: string, RegExp, RegExp][] = [
  [undefined, "4 indexes.users.table.columns", /Unknown key "columns"/, /schema, table/],
  [undefined, "5 indexes.users.softDelete", /either "column" or "when"/, /Keep one/],
  [undefined, "6 indexes.users.where[0].any", /at least one filter/, /fill it/],
  [undefined, "8 indexes.users.fields.labels", /what the map's values are/, /"keyword"/],
  [undefined, "9 indexes.users.fields.vague.values", /"integer" can't stand here/, /"long"/],
  [undefined, "10 indexes.users.fields.rank", /custom field.*needs a "type"/, /rank_feature/],
  [undefined, "11 indexes.users.fields.level.variants", /"low" is listed twice/, /one rank/],
  [undefined, "12 indexes.users.fields.tier", /"variants" belongs to the type enum/, /Remove/],
  [undefined, "13 indexes.users.fields.fixed.value", /A constant is a text, a number/, /object/],
  [undefined, "14 indexes.users.fields.span.type", /no type "range"/, /"date_range"/],
  [undefined, "15 indexes.users.fields.at", /no point, or two/, /"lat" and "lon"/],
  [undefined, "16 indexes.users.fields.shape.mapping", /Expected an object, found a text/, /\{/],
  [
    undefined,
    "17 indexes.users.fields.orders.foreignKey",
    /list of columns can't be empty/,
    /Name/,
  ],
  [undefined, "18 indexes.users.fields.spent.column", /"column" is missing/, /Add "column"/],
  ["dir/files.index.jsonc", "6 indexes.files.fields.body", /"subfields" belongs to/, /Remove/],
];

test("fifteen different mistakes are fifteen problems, that in an index file told with its file", async () => {
  const { config, problems } = await load(FIFTEEN, ENV, { "dir/files.index.jsonc": IN_FILE });
  assert.equal(config, undefined);
  assert.equal(problems.length, 15);
  assert.deepEqual(
    problems.map(({ file, line, path, severity }) => [file, `${line} ${path}`, severity])
      .toSorted(),
    FIFTEEN_FOUND.map(([file, at]) => [file, at, "error"]).toSorted(),
  );
  for (const [, at, message, hint] of FIFTEEN_FOUND) {
    const found = problems.find(({ line, path }) => `${line} ${path}` === at);
    assert.match(found?.message ?? "", message, at);
    assert.match(found?.hint ?? "", hint, at);
  }
});

describe("a file that can't be read as a config", () => {
  test("is one problem that says what to do", async () => {
    const cases: readonly [string, number, RegExp][] = [
      ["", 1, /empty/],
      ["indexes: {}", 1, /quoted/],
      ["source:\n  url: x\n", 1, /quoted/],
      ['{\n  "a": 1\n  "b": 2\n}', 3, /comma/],
      ['{\n  "a": {\n', 3, /closing \}/],
      ['{ "a": "x }', 1, /never closed/],
      ["{} {}", 1, /end of the object/],
      ['{ "a": 1, /* x ', 1, /comment/],
      ["[".repeat(200_000), 1, /./],
    ];
    for (const [text, line, message] of cases) {
      const { problems, config } = await load(text);
      assert.equal(config, undefined);
      assert.equal(problems.length, 1, text.slice(0, 40));
      assert.equal(problems[0]?.code, "NOT_JSONC");
      assert.equal(problems[0]?.line, line, text.slice(0, 40));
      assert.match(problems[0]?.message ?? "", message);
      assert.ok(problems[0]?.hint);
    }
  });

  test("that isn't there is one problem too", async () => {
    const { problems } = await loadConfig(
      "missing.jsonc",
      ENV,
      () => Promise.reject(Object.assign(new Error("x"), { code: "ENOENT" })),
    );
    assert.deepEqual(problems.map(({ message }) => message), [
      "Cannot read missing.jsonc: no such file",
    ]);
    assert.match(problems[0]?.hint ?? "", /--config/);
  });

  test("is any JSON that isn't an object", async () => {
    for (const text of ["null", "5", '"x"', "true"]) {
      assert.match((await problemsOf(text)).join(), /Expected an object, found/, text);
    }
    assert.match((await problemsOf("[]")).join(), /Expected an object, found a list/);
  });

  test("never makes loading throw", async () => {
    await fc.assert(fc.asyncProperty(fc.json(), async (text) => {
      const { config, problems } = await load(text);
      assert.ok(config !== undefined || problems.length > 0);
    }));
    await fc.assert(fc.asyncProperty(fc.string(), async (text) => {
      assert.ok((await load(text)).problems.length > 0);
    }));
    // Any part of a good config replaced by any value.
    const good = JSON.parse(GOOD);
    const parts = pathsOf(good);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...parts), fc.jsonValue(), async (at, value) => {
        const { config, problems } = await load(JSON.stringify(replaced(good, at, value)));
        assert.ok(config !== undefined || problems.some(({ severity }) => severity === "error"));
        for (const { line, hint } of problems) assert.ok(line === 1 && hint !== undefined);
      }),
      { numRuns: 500 },
    );
  });
});

test("a key given twice, and one that objects already have, are problems", async () => {
  const found = await problemsOf(`{
    "log": {},
    "log": { "level": "info" },
    "__proto__": { "indexes": {} },
    "toString": 1,
    "indexes": { "a": { "table": "a", "fields": { "a": "text", "hasOwnProperty": "text" } } }
  }`);
  assert.deepEqual(found.map((each) => each.split(" / ")[0]), [
    '3 log: The key "log" is given twice',
    '4 __proto__: The key "__proto__" can\'t be used',
    '5 toString: Unknown key "toString"',
  ]);
  const [type = ""] = await problemsOf(
    '{ "indexes": { "a": { "table": "a", "fields": { "a": "constructor" } } } }',
  );
  assert.match(type, /There is no type "constructor" \/ The types are text, /);
});

test("names that OpenSearch or the tool can't take are refused", async () => {
  const index = '{ "table": "a", "fields": { "a": "text" } }';
  const names = ["A", "a b", "a/b", "a*", "a#b", "a,b", "-a", "_a", "+a", ".a", "a:b", "driftless"];
  for (const name of [...names, "x".repeat(201), ""]) {
    const { problems } = await load(`{ "indexes": { ${JSON.stringify(name)}: ${index} } }`);
    assert.deepEqual(problems.map(({ code }) => code)[0], "INVALID_NAME", name);
  }
  for (const name of ["a", "a-b_c.d", "x".repeat(200), "1", "größe"]) {
    const { problems } = await load(`{ "indexes": { ${JSON.stringify(name)}: ${index} } }`);
    assert.deepEqual(problems, [], name);
  }
  const config = `"indexes": { "a": ${index} }`;
  for (const sink of ["source", "", "a b", "../a", "a/b", "a.b", "\\u001b[2J", "größe"]) {
    const { problems } = await load(`{ "sinks": { "${sink}": { "type": "stdout" } }, ${config} }`);
    assert.deepEqual(problems.map(({ code }) => code), ["INVALID_NAME"], sink);
  }
  for (const sink of ["a", "A-b_1"]) {
    const { problems } = await load(`{ "sinks": { "${sink}": { "type": "stdout" } }, ${config} }`);
    assert.deepEqual(problems, [], sink);
  }
  for (const field of ["_id", "_sync", "", " a", "a."]) {
    const fields = JSON.stringify({ [field]: "text" });
    const { problems } = await load(
      `{ "indexes": { "a": { "table": "a", "fields": ${fields} } } }`,
    );
    assert.deepEqual(problems.map(({ code }) => code), ["INVALID_NAME"], field);
  }
});

test("a missing secret is named, whatever else is wrong", async () => {
  const found = await problemsOf(
    `{
      "source": { "poler": 1 },
      "sinks": { "s": { "type": "opensearch", "nodes": ["http://x"],
        "auth": { "bearer": { "env": "TOKEN" } },
        "tls": { "ca": { "file": "ca.pem" } } } },
      "indexes": { "a": { "table": "a", "fields": { "a": "text" } } }
    }`,
    { TOKEN: "" } as unknown as typeof ENV,
  );
  assert.deepEqual(found, [
    '2 source.poler: Unknown key "poler" / Did you mean "pooler"?',
    "2 source.url: The environment variable DATABASE_URL is not set / " +
    "Set DATABASE_URL, or name another variable here.",
    "4 sinks.s.auth.bearer: The environment variable TOKEN is empty / " +
    "Set TOKEN, or name another variable here.",
    "5 sinks.s.tls.ca: Cannot read ca.pem: no such file / " +
    "Paths are relative to the config file; looked at dir/ca.pem.",
  ]);
});

test("an index file's problems carry its own path and lines, and the others are still looked at", async () => {
  const { problems } = await load(
    `{
      "indexes": {
        "users": "./users.index.jsonc",
        "gone": "gone.jsonc",
        "broken": "broken.jsonc",
        "own": { "table": 5, "fields": { "a": "text" } }
      }
    }`,
    ENV,
    {
      "dir/users.index.jsonc":
        '// users\n{\n  "table": "users",\n  "fields": {\n    "a": "txt"\n  }\n}',
      "dir/broken.jsonc": '{\n"table" "x" }',
    },
  );
  assert.deepEqual(problems.map(({ path, file, line }) => [path, file, line]), [
    ["indexes.gone", undefined, 4],
    ["indexes.own.table", undefined, 6],
    ["indexes.broken", "dir/broken.jsonc", 2],
    ["indexes.users.fields.a", "dir/users.index.jsonc", 5],
  ]);
});

test("index files that can't be read are the only problem of a config that has no other index", async () => {
  const { problems } = await load('{ "indexes": { "users": "gone.jsonc" } }');
  assert.deepEqual(problems.map(({ code }) => code), ["FILE_UNREADABLE"]);
});

test("a problem that others found can be given its file and line", async () => {
  const { locate } = await load(
    '{\n"indexes": {\n"a": {\n"table": "a",\n"fields": { "x.y": 1,\n "b": "text" } },\n"f": "f.jsonc" }\n}',
    ENV,
    { "dir/f.jsonc": '{\n"table": "x",\n"fields": {} }' },
  );
  const at = (path: string) => {
    const { line, file } = locate({ severity: "error", code: "X", path, message: "" });
    return [line, file];
  };
  assert.deepEqual(at("indexes.a.fields.b.column"), [6, undefined]);
  assert.deepEqual(at('indexes.a.fields["x.y"]'), [5, undefined]);
  assert.deepEqual(at("indexes.f.table"), [2, "dir/f.jsonc"]);
  assert.deepEqual(at("source.url"), [1, undefined]);
  assert.deepEqual(at(""), [1, undefined]);
});

test("a path reads back from its text, whatever the keys", () => {
  const step = fc.oneof(fc.nat(), fc.string(), fc.constantFrom("a.b", "$schema", "1", "[0]", '"'));
  fc.assert(fc.property(fc.array(step), (path) => {
    assert.deepEqual(parsePath(formatPath(path)), path);
  }));
});

describe("the nearest name", () => {
  test("is found for a typo, a swap and another case", () => {
    const names = ["column", "columns", "foreignKey", "references", "hasMany"];
    const pairs = [
      ["colunm", "column"],
      ["foreignkey", "foreignKey"],
      ["foreing_key", "foreignKey"],
      ["refrences", "references"],
      ["has_many", "hasMany"],
    ] as const;
    for (const [typo, meant] of pairs) assert.equal(nearest(typo, names), meant);
  });

  test("is nobody's when nothing is close", () => {
    assert.equal(nearest("banana", ["column", "table"]), undefined);
    assert.equal(nearest("x", ["column"]), undefined);
    assert.equal(nearest("", ["a"]), undefined);
  });
});

const GOOD = JSON.stringify({
  source: {
    url: { env: "DATABASE_URL" },
    capture: "auto",
    poll: { lag: 0 },
    sweeps: { keys: "5m", rows: false, dutyCycle: 0.5 },
    changelog: { schema: "log", retention: "2d" },
    outbox: {
      table: "outbox",
      tables: { users: "User", a: ["A", "B"] },
      columns: { table: "what", key: "k", position: "id", xid: "tx" },
    },
    tables: { users: { stamp: "at", capture: "sweep" } },
  },
  sinks: {
    s: {
      type: "opensearch",
      nodes: ["http://x"],
      auth: { basic: { username: "u", password: "p" } },
    },
    l: { type: "sqlite" },
  },
  indexes: {
    a: {
      table: "a",
      where: [{ any: [{ column: "x", op: "in", values: [1, "2"] }, { sql: "true" }] }],
      softDelete: { column: "gone" },
      fields: {
        a: "text",
        b: { type: "keyword", transforms: ["trim", { default: "x" }] },
        c: { hasMany: "c", foreignKey: ["a"], orderBy: [{ column: "x" }], fields: { d: "long" } },
        e: { sum: "c", column: "n", foreignKey: "a" },
        f: { object: { g: { type: "geo_point", lat: "a", lon: "b", mapping: { x: 1 } } } },
        h: { type: "enum", variants: ["low", "high"] },
        i: { type: "map", values: "long", column: "labels" },
        j: { type: "custom", mapping: { type: "rank_feature" }, columnTypes: ["numeric"] },
        k: { type: "constant", value: null },
        l: { type: "knn_vector", dimension: 3 },
      },
      sinks: ["s"],
    },
  },
});

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): readonly Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, each]) =>
    pathsOf(each, [...path, Array.isArray(value) ? Number(key) : key])
  );
  return [path, ...inner];
}

function replaced(value: unknown, path: Path, other: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return other;
  if (Array.isArray(value)) {
    return value.map((each, i) => i === step ? replaced(each, rest, other) : each);
  }
  const object = value as Record<string, unknown>;
  return { ...object, [step]: replaced(object[step], rest, other) };
}
