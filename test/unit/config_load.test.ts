import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { configJsonSchema } from "../../src/config/json_schema.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Secret } from "../../src/config/secret.ts";

const INDEXES = { a: { table: "a", fields: { a: "text" } } };
const PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----";

async function load(
  config: Record<string, unknown>,
  env: Record<string, string | undefined> = {},
  files: Readonly<Record<string, string>> = {},
) {
  const text = JSON.stringify({ indexes: INDEXES, ...config });
  return await loadConfig("dir/c.jsonc", env, (path) => {
    const found = path === "dir/c.jsonc" ? text : files[path];
    if (found !== undefined) return Promise.resolve(found);
    return Promise.reject(Object.assign(new Error("x"), { code: "ENOENT" }));
  });
}

/** The config; fails with its problems. */
async function good(...args: Parameters<typeof load>) {
  const { config, problems } = await load(...args);
  assert.deepEqual(problems, []);
  assert.ok(config);
  return config;
}

const URL_ENV = { DATABASE_URL: "postgres://reader:pw@db:5432/shop" };

describe("defaults", () => {
  test("are those of the design", async () => {
    const config = await good({}, URL_ENV);
    assert.equal(config.source.url.reveal(), URL_ENV.DATABASE_URL);
    const { url: _, ...source } = config.source;
    assert.deepEqual(source, {
      capture: "auto",
      pooler: "none",
      rowSecurity: "refuse",
      poll: {
        minIntervalMs: 250,
        maxIntervalMs: 5000,
        marginMs: 2000,
        marginGiven: false,
        lagMs: 30_000,
        pageSize: 5000,
      },
      sweeps: { keysMs: 900_000, rowsMs: 3_600_000, dutyCycle: 0.1, massDeletes: false },
      wal: { slot: "driftless_shop", publication: "driftless", maxSlotLag: 10_000_000_000 },
      changelog: { schema: "driftless", consumer: "default", retentionMs: 86_400_000 },
      tables: new Map(),
    });
    assert.deepEqual(config.pipeline, {
      batch: { maxChanges: 1000, maxDelayMs: 50 },
      queue: { capacity: 10_000 },
      seed: { parallel: 2, chunk: 2000 },
    });
    assert.equal(config.maxDocumentBytes, 10 * 1024 * 1024);
    assert.equal(config.maxRefs, 1000);
    assert.deepEqual(config.log, { level: "info", format: "auto" });
    assert.deepEqual(config.sinks, [{ type: "sqlite", name: "sqlite", path: "dir/driftless.db" }]);
  });

  test("take OpenSearch from OPENSEARCH_URL, with its user and all its nodes", async () => {
    const env = { ...URL_ENV, OPENSEARCH_URL: "https://me:p%40w@a:9200/, https://b:9200" };
    const { sinks: [sink] } = await good({}, env);
    assert.equal(sink?.type, "opensearch");
    assert.ok(sink?.type === "opensearch");
    assert.equal(sink.name, "opensearch");
    assert.deepEqual(sink.nodes, ["https://a:9200", "https://b:9200"]);
    assert.ok(sink.auth?.kind === "basic");
    assert.equal(sink.auth.username, "me");
    assert.equal(sink.auth.password.reveal(), "p@w");
    assert.deepEqual(sink.bulk, {
      maxBytes: 8 * 1024 * 1024,
      maxDocuments: 5000,
      writers: 2,
      gzip: false,
    });
  });

  test("of an explicit OpenSearch sink are the same", async () => {
    const env = { ...URL_ENV, OPENSEARCH_URL: "https://a:9200" };
    const byDefault = await good({}, env);
    const explicit = await good(
      { sinks: { opensearch: { type: "opensearch", nodes: ["https://a:9200"] } } },
      URL_ENV,
    );
    assert.deepEqual(explicit.sinks, byDefault.sinks);
  });

  test("name a sink that an index may name", async () => {
    const indexes = { a: { ...INDEXES.a, sinks: ["sqlite"] } };
    assert.deepEqual((await load({ indexes }, URL_ENV)).problems, []);
    const { problems } = await load({ indexes }, { ...URL_ENV, OPENSEARCH_URL: "http://x" });
    assert.deepEqual(problems.map(({ code, hint }) => [code, hint]), [
      ["UNKNOWN_SINK", "The sinks are opensearch."],
    ]);
  });
});

test("values in units are read, and 0 or false switches off", async () => {
  const config = await good({
    source: { poll: { minInterval: "50ms", maxInterval: "1.5s", margin: 0 } },
    pipeline: { batch: { maxDelay: 0 } },
    maxDocumentBytes: "1.5KiB",
    maxRefs: 5,
  }, URL_ENV);
  assert.deepEqual(config.source.poll, {
    minIntervalMs: 50,
    maxIntervalMs: 1500,
    marginMs: 0,
    marginGiven: true,
    lagMs: 30_000,
    pageSize: 5000,
  });
  assert.equal(config.pipeline.batch.maxDelayMs, 0);
  assert.equal(config.maxDocumentBytes, 1536);
  assert.equal(config.maxRefs, 5);
  for (const [text, bytes] of [["8MiB", 8 << 20], ["1GiB", 1 << 30], ["10MB", 1e7], ["7B", 7]]) {
    assert.equal((await good({ maxDocumentBytes: text }, URL_ENV)).maxDocumentBytes, bytes);
  }
  for (const text of ["0MiB", "8 MiB", "8", "-1B", 8]) {
    assert.equal(
      (await load({ maxDocumentBytes: text }, URL_ENV)).problems.length,
      1,
      String(text),
    );
  }
  for (const poll of [{ minInterval: "6s" }, { minInterval: "0s" }]) {
    const { problems } = await load({ source: { poll } }, URL_ENV);
    assert.match(problems[0]?.message ?? "", /minInterval must be/);
  }
});

test("sections of later work are accepted when absent or off", async () => {
  for (const off of [false, 0]) {
    await good({
      server: off,
      lease: off,
    }, URL_ENV);
  }
  const later = [
    { server: {} },
    { lease: { ttl: "15s" } },
    { onRejected: "deadLetter" },
    { indexes: { a: { ...INDEXES.a, onRejected: "deadLetter" } } },
  ];
  for (const config of later) {
    const { problems } = await load(config, URL_ENV);
    assert.deepEqual(problems.map(({ code }) => code), ["NOT_SUPPORTED"], JSON.stringify(config));
    assert.match(problems[0]?.message ?? "", /is not supported yet$/);
  }
});

describe("tables", () => {
  test("are keyed by their one name", async () => {
    const { source } = await good({
      source: {
        tables: {
          users: { stamp: "at", stamps: "application", stampTimezone: "UTC" },
          'crm."Odd.Name"': { capture: "updated_at" },
        },
      },
    }, URL_ENV);
    assert.deepEqual([...source.tables], [
      ["public.users", {
        table: { schema: "public", name: "users" },
        stamp: "at",
        stamps: "application",
        stampTimezone: "UTC",
      }],
      ['crm."Odd.Name"', {
        table: { schema: "crm", name: "Odd.Name" },
        capture: "updated_at",
      }],
    ]);
  });

  test("that two keys name are a problem", async () => {
    const { problems } = await load(
      { source: { tables: { users: {}, "public.users": {} } } },
      URL_ENV,
    );
    assert.deepEqual(problems.map(({ code }) => code), ["DUPLICATE_KEY"]);
  });
});

test("a stamp's time zone is one that there is, or a POSIX rule", async () => {
  const zoned = (stampTimezone: unknown) =>
    load({ source: { tables: { a: { stampTimezone } } } }, URL_ENV);
  const zones = [
    "Europe/Berlin",
    "UTC",
    "utc",
    "Etc/GMT+5",
    "EST5EDT",
    "EST5EDT4,M3.2.0,M11.1.0",
    "CET-1CEST,M3.5.0/2,M10.5.0/3",
    "<+0330>-3:30",
    "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
    "WIN0SUM-1,0/0,325/30:12:7",
  ];
  for (const zone of zones) assert.deepEqual((await zoned(zone)).problems, [], zone);
  for (const zone of ["Europe/Berln", "Berlin", "local time", "EST5EDT4,M3", "5", "'; --"]) {
    const { problems } = await zoned(zone);
    assert.deepEqual(problems.map(({ code, path }) => [code, path]), [
      ["INVALID_VALUE", "source.tables.a.stampTimezone"],
    ], zone);
    assert.match(problems[0]?.hint ?? "", /"Europe\/Berlin"/);
  }
  for (const wrong of ["", 5]) assert.equal((await zoned(wrong)).problems.length, 1);
});

describe("secrets", () => {
  test("come from variables and files, and never show themselves", async () => {
    const { sinks: [sink], source } = await good(
      {
        source: { url: { file: "/run/secrets/url" } },
        sinks: {
          s: { type: "opensearch", nodes: ["http://x"], auth: { bearer: { file: "token" } } },
        },
      },
      {},
      { "/run/secrets/url": "postgres://u:hunter2@h/db\n", "dir/token": "hunter2\r\n" },
    );
    assert.ok(sink?.type === "opensearch" && sink.auth?.kind === "bearer");
    assert.equal(sink.auth.token.reveal(), "hunter2");
    assert.equal(source.url.reveal(), "postgres://u:hunter2@h/db");
    const shown = [
      JSON.stringify({ sink, source }),
      inspect({ sink, source }, { depth: 9, showHidden: true }),
      `${source.url}`,
      String(new Secret("hunter2")),
      JSON.stringify(Object.entries(source.url)),
    ];
    for (const text of shown) assert.doesNotMatch(text, /hunter2/);
  });

  test("that stand in the config itself are a warning, and work", async () => {
    const sinks = {
      s: {
        type: "opensearch",
        nodes: ["http://u:p@x"],
        auth: { basic: { username: "u", password: "literal" } },
      },
    };
    const { config, problems } = await load({ source: { url: "postgres://u:p@h/db" }, sinks });
    assert.ok(config);
    assert.deepEqual(problems.map(({ severity, code, path }) => [severity, code, path]), [
      ["warning", "LITERAL_SECRET", "source.url"],
      ["warning", "LITERAL_SECRET", "sinks.s.nodes[0]"],
      ["warning", "LITERAL_SECRET", "sinks.s.auth.basic.password"],
    ]);
  });

  test("a URL without a password is no secret", async () => {
    await good({ source: { url: "postgres://u@h/db" } });
  });
});

describe("the source's URL", () => {
  const urlOf = async (url: string) => {
    const { source } = await good({}, { DATABASE_URL: url });
    return [source.url.reveal(), source.tls?.mode];
  };

  test("gives its sslmode to tls, and what a server would refuse to nobody", async () => {
    assert.deepEqual(await urlOf("postgres://u@h/db"), ["postgres://u@h/db", undefined]);
    assert.deepEqual(await urlOf("postgresql://u@h/db?sslmode=require&channel_binding=require"), [
      "postgresql://u@h/db",
      "require",
    ]);
    assert.deepEqual(await urlOf("postgres://u@h/db?application_name=x&sslmode=verify-full"), [
      "postgres://u@h/db?application_name=x",
      "verify-full",
    ]);
    assert.equal((await urlOf("postgres://h/db?sslmode=allow"))[1], "prefer");
    assert.equal((await urlOf("postgres://h/db?sslmode=disable"))[1], "disable");
    assert.equal((await urlOf("postgres://h1:5432,h2:5433/db?ssl=true"))[1], "require");
  });

  test("is refused when it isn't one, without being shown", async () => {
    const wrong = [
      "mysql://u:hunter2@h/db",
      "hunter2",
      "postgres://u:hun/ter2:x@h/db",
      "postgres://u:hunter2#@h/db",
      "postgres://u:hunter2@h/db?sslmode=maybe",
    ];
    for (const url of wrong) {
      const { config, problems } = await load({}, { DATABASE_URL: url });
      assert.equal(config, undefined);
      assert.deepEqual(problems.map(({ code, path }) => [code, path]), [
        ["INVALID_URL", "source.url"],
      ], url);
      assert.ok(problems[0]?.hint);
      assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
    }
  });

  test("holds a % only as %25, and is not shown when it doesn't", async () => {
    const hint = "Write % in a password as %25.";
    for (const url of ["postgres://u:hunter2%@h/db", "postgres://hunter2%zz@h/db"]) {
      const { problems } = await load({}, { DATABASE_URL: url });
      assert.deepEqual(problems.map(({ code, path, hint }) => [code, path, hint]), [
        ["INVALID_URL", "source.url", hint],
      ]);
      assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
    }
    for (const url of ["https://u:hunter2%@h", "https://hunter2%zz@h", "https://:hunter2%@h"]) {
      const { problems } = await load({}, { ...URL_ENV, OPENSEARCH_URL: `https://a,${url}` });
      assert.deepEqual(problems.map(({ code, path, hint }) => [code, path, hint]), [
        ["INVALID_URL", "sinks.opensearch.nodes[0]", hint],
      ]);
      assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
    }
    await good({}, { DATABASE_URL: "postgres://u:100%25@h/db", OPENSEARCH_URL: "http://u:5%25@h" });
  });

  test("may not ask for an sslmode that every object has", async () => {
    const { problems } = await load({}, { DATABASE_URL: "postgres://h/db?sslmode=toString" });
    assert.deepEqual(problems.map(({ code }) => code), ["INVALID_URL"]);
  });

  test("and tls may not contradict each other", async () => {
    const env = { DATABASE_URL: "postgres://h/db?sslmode=require" };
    assert.equal(
      (await good({ source: { tls: { mode: "require" } } }, env)).source.tls?.mode,
      "require",
    );
    const { problems } = await load({ source: { tls: { mode: "verify-full" } } }, env);
    assert.deepEqual(problems.map(({ path }) => path), ["source.tls.mode"]);
  });

  test("may name certificate files", async () => {
    const env = { DATABASE_URL: "postgres://h/db?sslmode=verify-ca&sslrootcert=/ca.pem" };
    const { source } = await good({}, env, { "/ca.pem": PEM });
    assert.deepEqual(source.tls, { mode: "verify-ca", ca: PEM });
  });
});

describe("tls", () => {
  test("reads certificates, and is verify-full unless told otherwise", async () => {
    const { source, sinks: [sink] } = await good(
      {
        source: { tls: { ca: { file: "ca.pem" }, cert: { env: "CERT" }, key: { env: "CERT" } } },
        sinks: { s: { type: "opensearch", nodes: ["https://x"], tls: { ca: PEM } } },
      },
      { ...URL_ENV, CERT: PEM },
      { "dir/ca.pem": `${PEM}\n` },
    );
    assert.deepEqual(source.tls, { mode: "verify-full", ca: PEM, cert: PEM, key: PEM });
    assert.ok(sink?.type === "opensearch");
    assert.equal(sink.ca, PEM);
  });

  test("refuses a path where a certificate belongs", async () => {
    const { problems } = await load({ source: { tls: { ca: "ca.pem" } } }, URL_ENV);
    assert.deepEqual(problems.map(({ path, hint }) => [path, hint]), [
      ["source.tls.ca", 'To name a file write {"file": "path"}.'],
    ]);
  });
});

describe("sinks", () => {
  test("keep their names, and paths start at the config file", async () => {
    const { sinks } = await good({
      sinks: {
        local: { type: "sqlite", path: "x.db" },
        other: { type: "sqlite", path: "/var/x.db" },
        out: { type: "stdout" },
      },
    }, URL_ENV);
    assert.deepEqual(sinks, [
      { type: "sqlite", name: "local", path: "dir/x.db" },
      { type: "sqlite", name: "other", path: "/var/x.db" },
      { type: "stdout", name: "out", statePath: "dir/driftless.out.state.json" },
    ]);
  });

  test("that would write over each other are refused", async () => {
    const pairs = [
      [{ type: "sqlite", path: "x.db" }, { type: "sqlite", path: "./x.db" }],
      [{ type: "stdout" }, { type: "stdout" }],
      [
        { type: "opensearch", nodes: ["http://a", "http://b"] },
        { type: "opensearch", nodes: ["http://b/", "http://a"] },
      ],
    ];
    for (const [a, b] of pairs) {
      const { problems } = await load({ sinks: { a, b } }, URL_ENV);
      assert.deepEqual(problems.map(({ path }) => path), ["sinks.b"]);
    }
    await good({
      sinks: {
        a: { type: "opensearch", nodes: ["http://a"], indexPrefix: "x-" },
        b: { type: "opensearch", nodes: ["http://a"], indexPrefix: "y-" },
      },
    }, URL_ENV);
  });

  test("take one way to sign in, and none of later work", async () => {
    const wrong: readonly [unknown, string][] = [
      [{}, "INVALID_VALUE"],
      [{ apiKey: { env: "K" }, bearer: { env: "K" } }, "INVALID_VALUE"],
      [{ apiKey: { env: "K" }, sigv4: { region: "x" } }, "NOT_SUPPORTED"],
    ];
    for (const [auth, code] of wrong) {
      const sinks = { s: { type: "opensearch", nodes: ["http://a"], auth } };
      const { problems } = await load({ sinks }, { ...URL_ENV, K: "k" });
      assert.deepEqual(problems.map((problem) => problem.code), [code], JSON.stringify(auth));
    }
    const tls = { cert: { env: "K" } };
    const sinks = { s: { type: "opensearch", nodes: ["http://a"], tls } };
    const { problems } = await load({ sinks }, { ...URL_ENV, K: "k" });
    assert.deepEqual(problems.map(({ code }) => code), ["NOT_SUPPORTED"]);
  });
});

test("the environment never overrides what the file says", async () => {
  const env = { ...URL_ENV, OPENSEARCH_URL: "http://x", DATABASE_URL: "postgres://other/db" };
  const config = await good({
    source: { url: { env: "MINE" } },
    sinks: { l: { type: "sqlite" } },
  }, { ...env, MINE: "postgres://mine/db" });
  assert.equal(config.source.url.reveal(), "postgres://mine/db");
  assert.deepEqual(config.sinks.map(({ name }) => name), ["l"]);
});

test("an index may stand in a file of its own", async () => {
  const { config, problems } = await load(
    { indexes: { a: "indexes/a.jsonc", b: INDEXES.a } },
    URL_ENV,
    { "dir/indexes/a.jsonc": '// mine\n{ "table": "mine", "fields": { "x": "text", }, }' },
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(config?.indexes.map(({ name, table }) => [name, table.name]), [
    ["a", "mine"],
    ["b", "a"],
  ]);
});

describe("the JSON Schema", () => {
  test("names every section, and each of its references leads somewhere", () => {
    const schema = configJsonSchema();
    const text = JSON.stringify(schema);
    const refs = new Set(
      [...text.matchAll(/"\$ref":"#\/\$defs\/([^"]+)"/g)].map(([, name]) => name),
    );
    assert.ok(refs.size >= 8);
    for (const name of refs) {
      assert.ok(Object.hasOwn(schema["$defs"] as object, name ?? ""), name);
      assert.doesNotMatch(name ?? "", /^\d+$/, "every definition has a name");
    }
    assert.deepEqual(Object.keys(schema["properties"] as object), [
      "$schema",
      "source",
      "sinks",
      "pipeline",
      "onRejected",
      "maxDocumentBytes",
      "server",
      "lease",
      "maxRefs",
      "log",
      "indexes",
    ]);
    assert.deepEqual(schema["required"], ["indexes"]);
    assert.equal(schema["additionalProperties"], false);
    assert.match(text, /"minInterval":\{"\$ref":"#\/\$defs\/duration","description":"[^"]+"/);
  });

  test("is the same each time", () => {
    assert.deepEqual(configJsonSchema(), configJsonSchema());
  });
});
