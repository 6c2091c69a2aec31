import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { describe, test } from "node:test";
import type { DocumentId, KeySum } from "../../src/core/document.ts";
import { FatalError } from "../../src/core/errors.ts";
import type { DocumentBuilder } from "../../src/core/ports.ts";
import { openDatabase } from "../../src/postgres/client.ts";
import { sourceKeys } from "../../src/postgres/documents/keys.ts";
import { compare, EPOCH, index, openFixture, scalar, SIGNAL } from "./documents_fixture.ts";
import { ALL_BUCKETS, openSweep, SINKS } from "./key_sweep_run.ts";

/** Keys whose text a cast would alter, or that a careless join would confuse. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  boolean: ["true", "false"],
  "char(5)": ["a", "ab", "abcde", ""],
  "varchar(20)": ["", "%", "%25", ",", "a,b", "sha256", "ünï 🦊"],
  text: ["'", "\\", '"q"', "line\nbreak", "x".repeat(600)],
  bigint: ["-9223372036854775808", "0", "9223372036854775807"],
  smallint: ["-1", "7"],
  numeric: ["1.10", "-0.5", "1e30", "NaN"],
  float8: ["0.1", "-0", "1e-300", "NaN", "-Infinity"],
  float4: ["0.1", "16777217"],
  timestamptz: ["2026-01-02 03:04:05.123456+05", "infinity", "0044-03-15 BC"],
  timestamp: ["2026-01-02 03:04:05.1", "-infinity"],
  date: ["2026-01-02", "0001-01-01 BC"],
  time: ["03:04:05.6"],
  interval: ["1 year -2 days 03:04:05.6", "-5 minutes"],
  uuid: ["0e37df36-f698-11e6-8dd4-cb9ced3df976"],
  bytea: ["\\x00ff", "\\x"],
  inet: ["10.0.0.1", "10.0.0.0/8"],
  money: ["1.50", "-1234567.89"],
  "bit(3)": ["101", "000"],
  mood: ["fine", "so, so"],
  positive: ["1", "2"],
  code: ["a  ", "b"],
};
const TYPES = `CREATE TYPE mood AS ENUM ('fine', 'so, so');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE DOMAIN code AS char(4);`;

for (const major of [18, 15] as const) {
  describe(`keys listed by Postgres ${major}`, () => {
    test("have the marks that their documents have, whatever their type", async () => {
      const tables = Object.entries(KEYS).map(([type, values], n) =>
        `CREATE TABLE k${n} (k ${type} PRIMARY KEY);
         INSERT INTO k${n} VALUES ${values.map((value) => `(${literal(value)})`).join(", ")};
         CREATE TABLE c${n} (k ${type}, id text, n smallint, PRIMARY KEY (id, k, n));
         INSERT INTO c${n} VALUES ${
          values.map((value, i) => `(${literal(value)}, ${literal(value)}, ${i})`).join(", ")
        };`
      );
      await using fixture = await openFixture(`${TYPES} ${tables.join("\n")}`, major);
      const names = Object.keys(KEYS).flatMap((_, n) => [`k${n}`, `c${n}`]);
      const { builder } = await fixture.open(names.map((name) => index(name, name, [scalar("k")])));
      for (const [at, name] of names.entries()) {
        const type = Object.keys(KEYS)[Math.floor(at / 2)] ?? "";
        const { sums, ids } = await documentSums(builder, name);
        equal(ids.length, KEYS[type]?.length, type);
        deepEqual(await builder.keySums(name, SIGNAL), sums, `${type} in ${name}`);
        for (const id of ids) {
          const key = builder.keyOf(name, id);
          if (key !== undefined) equal(builder.identify(name, key).id, id);
          else ok(id.startsWith("sha256:"));
        }
      }
    });

    test("of two columns never share a mark for having the same text", async () => {
      await using fixture = await openFixture(
        `CREATE TABLE t (a text, b text, PRIMARY KEY (a, b));
         INSERT INTO t VALUES ('a,b', 'c'), ('a', 'b,c'), ('a%2Cb', 'c'), ('', 'a,b,c'), ('a%', ',')`,
        major,
      );
      const { builder } = await fixture.open([index("t", "t", [scalar("a")])]);
      const { documents } = await builder.build(await listed(builder, "t"), EPOCH, SIGNAL);
      equal(new Set(documents.map(({ sync }) => JSON.stringify(sync))).size, 5);
      deepEqual((await documentSums(builder, "t")).sums, await builder.keySums("t", SIGNAL));
    });
  });
}

describe("listing the keys of a table", () => {
  const MANY = `CREATE TABLE t (id int PRIMARY KEY, a int, v text);
    INSERT INTO t SELECT g, g % 3, 'v' FROM generate_series(1, 5000) g`;

  test("reads it in parts of so many rows, each row once, filtered out or not", async () => {
    await using fixture = await openFixture(MANY);
    const description = index("t", "t", [scalar("v")], { where: [compare("a", "eq", 0)] });
    const { builder, prepared } = await fixture.open([description]);
    const { database } = fixture;
    const keys = (rows: number) =>
      sourceKeys({ database, plans: prepared.plans, dutyCycle: 1, rows });
    const whole = await keys(1_000_000).keySums("t", SIGNAL);
    fixture.sent.length = 0;
    const parts = await keys(1_000).keySums("t", SIGNAL);
    deepEqual(parts, whole);
    const counted = fixture.sent.filter(({ text }) => text.includes("GROUP BY"));
    equal(counted.length, 6);
    for (const rows of [999, 1_000, 5_000, 5_001]) {
      const pages = await Array.fromAsync(keys(rows).idsIn("t", ALL_BUCKETS, SIGNAL));
      const ids = pages.flat().map(({ id }) => Number(id));
      deepEqual(ids, Array.from({ length: 1_666 }, (_, n) => 3 * n + 3));
      ok(pages.every((page) => page.length <= Math.ceil(rows / 3)), "bounded pages");
    }
    const some = [0, 17, 4000];
    const { sums } = await documentSums(builder, "t");
    const ids = (await Array.fromAsync(keys(700).idsIn("t", some, SIGNAL))).flat();
    equal(ids.length, some.reduce((sum, bucket) => sum + (sums.get(bucket)?.count ?? 0), 0));
  });

  test("halves the parts until the server has time for them", async () => {
    await using fixture = await openFixture(
      `CREATE TABLE t (id int PRIMARY KEY, v text);
       INSERT INTO t SELECT g, 'v' FROM generate_series(1, 8000) g`,
    );
    const slow = { kind: "sql", sql: "md5(repeat(id::text, 60000)) <> ''" } as const;
    const { prepared } = await fixture.open([index("t", "t", [scalar("v")], { where: [slow] })]);
    await using database = openDatabase({
      url: fixture.db.readerUrl,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/test",
      statementTimeoutMs: 1000,
    });
    const keys = sourceKeys({ database, plans: prepared.plans, dutyCycle: 1 });
    let count = 0;
    for (const each of (await keys.keySums("t", SIGNAL)).values()) count += each.count;
    equal(count, 8000);
  });

  test("says what is wrong when it is too slow and there is no index to read it in parts by", async () => {
    await using fixture = await openFixture(
      `CREATE TABLE t (id int NOT NULL, v text);
       INSERT INTO t SELECT g, 'v' FROM generate_series(1, 8000) g`,
    );
    const slow = { kind: "sql", sql: "md5(repeat(id::text, 20000)) <> ''" } as const;
    const description = index("t", "t", [scalar("v")], { key: ["id"], where: [slow] });
    const { prepared } = await fixture.open([description]);
    await using database = openDatabase({
      url: fixture.db.readerUrl,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName: "driftless/test",
      statementTimeoutMs: 200,
    });
    const keys = sourceKeys({ database, plans: prepared.plans, dutyCycle: 1 });
    await rejects(
      keys.keySums("t", SIGNAL),
      (error) =>
        error instanceof FatalError && error.code === "KEYS_UNREADABLE" &&
        error.hint.includes("public.t (id)"),
    );
  });

  test("counts rows that share a key once, and those without one not at all", async () => {
    await using fixture = await openFixture(
      `CREATE TABLE t (a int, b text, v text);
       INSERT INTO t SELECT g % 50, 'x', 'v' FROM generate_series(1, 500) g;
       INSERT INTO t VALUES (NULL, 'x', 'v'), (1, NULL, 'v');
       CREATE TABLE indexed (a int, b text, v text);
       CREATE INDEX ON indexed (a, b);
       INSERT INTO indexed SELECT * FROM t;
       CREATE VIEW seen AS SELECT * FROM t`,
    );
    const names = ["t", "indexed", "seen"];
    const { builder, prepared } = await fixture.open(
      names.map((name) => index(name, name, [scalar("v")], { key: ["a", "b"] })),
    );
    const { database } = fixture;
    const keys = sourceKeys({ database, plans: prepared.plans, dutyCycle: 1, rows: 60 });
    for (const name of names) {
      const { sums, ids } = await documentSums(builder, name);
      equal(ids.length, 50);
      deepEqual(await keys.keySums(name, SIGNAL), sums, name);
    }
  });

  test("uses an index condition and no sort", async () => {
    await using fixture = await openFixture(`${MANY}; ANALYZE t`);
    const { prepared } = await fixture.open([index("t", "t", [scalar("v")])]);
    fixture.sent.length = 0;
    const { database } = fixture;
    const keys = sourceKeys({ database, plans: prepared.plans, dutyCycle: 1, rows: 100 });
    await keys.keySums("t", SIGNAL);
    for (const statement of fixture.sent.slice(2, 4)) {
      const rows = await fixture.database.query(
        { ...statement, text: `EXPLAIN ${statement.text}` },
        SIGNAL,
      );
      const plan = rows.map((row) => row[0]).join("\n");
      ok(/Index Cond/.test(plan) && !/\bSort\b/.test(plan), plan);
    }
  });
});

for (const major of [18, 15] as const) {
  test(`rows of any kind of key are swept on Postgres ${major}`, async () => {
    const open = SINKS["the scripted sink"];
    ok(open !== undefined);
    const ddl = Object.entries(KEYS).map(([type, values], n) =>
      `CREATE TABLE k${n} (k ${type} PRIMARY KEY, x text);
       INSERT INTO k${n} VALUES ${values.map((value) => `(${literal(value)}, 'x')`).join(", ")};`
    ).join("\n");
    const indexes = Object.keys(KEYS).map((_, n) => index(`k${n}`, `k${n}`, [scalar("x")]));
    await using run = await openSweep(`${TYPES} ${ddl}`, indexes, open, major);
    await run.fill();
    await run.sweep();
    deepEqual(run.found(), { missing: 0, orphans: 0 });
    let digests = 0;
    for (const [n, values] of Object.values(KEYS).entries()) {
      await run.sql.unsafe(`DELETE FROM k${n} WHERE k = ${literal(values.at(-1) ?? "")}`);
      if ((values.at(-1)?.length ?? 0) > 512) digests++;
    }
    equal(await run.sweep(), undefined);
    deepEqual(run.found(), { missing: 0, orphans: indexes.length - digests });
    equal(digests, 1);
    deepEqual(run.warnings(), ["ORPHANS_UNKNOWN"]);
  });
}

function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

async function listed(builder: DocumentBuilder, name: string): Promise<DocumentId[]> {
  return (await Array.fromAsync(builder.idsIn(name, ALL_BUCKETS, SIGNAL))).flat();
}

/** What a sink would sum up: by the marks that the documents came with. */
async function documentSums(
  builder: DocumentBuilder,
  name: string,
): Promise<{ readonly sums: ReadonlyMap<number, KeySum>; readonly ids: readonly string[] }> {
  const sums = new Map<number, KeySum>();
  const { documents, rejections } = await builder.build(await listed(builder, name), EPOCH, SIGNAL);
  deepEqual(rejections, []);
  for (const { sync } of documents) {
    ok(sync !== undefined && sync.bucket >= 0 && sync.bucket < 4096 && sync.key < 2 ** 31);
    const known = sums.get(sync.bucket) ?? { count: 0, sum: 0 };
    sums.set(sync.bucket, { count: known.count + 1, sum: known.sum + sync.key });
  }
  return { sums, ids: documents.map(({ id }) => id) };
}
