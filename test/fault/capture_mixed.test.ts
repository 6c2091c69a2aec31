import { equal, ok } from "node:assert/strict";
import { randomInt } from "node:crypto";
import process from "node:process";
import { test } from "node:test";
import type postgres from "postgres";
import { eventually } from "../support/eventually.ts";
import { type Random, seededRandom } from "../support/stress_random.ts";
import { allowWal } from "../support/wal.ts";
import { captures, openScene, type SceneSetup, withTruth } from "./capture_scene.ts";

const DDL = `
CREATE TABLE shop (id bigint PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON shop (updated_at, id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON shop FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE article (id bigint PRIMARY KEY, shop_id bigint, name text);
CREATE TABLE price (id bigint PRIMARY KEY, shop_id bigint, name text);
CREATE TABLE stock (id bigint PRIMARY KEY, shop_id bigint, name text);
CREATE TABLE outbox (id bigserial PRIMARY KEY, table_name text, row_key text,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id());
CREATE INDEX ON outbox (tx, id);
INSERT INTO shop SELECT g, 'shop ' || g FROM generate_series(1, 500) g;
${
  ["article", "price", "stock"].map((table) =>
    `CREATE INDEX ON ${table} (shop_id);
INSERT INTO ${table} SELECT g, 1 + g % 500, 'first' FROM generate_series(1, 2500) g;`
  ).join("\n")
}`;

const child = (table: string) => ({
  hasMany: table,
  foreignKey: "shop_id",
  orderBy: [{ column: "id" }],
  fields: { id: "long", name: "keyword" },
});
const list = (table: string) =>
  `coalesce((SELECT jsonb_agg(jsonb_build_object('id', c.id, 'name', c.name) ORDER BY c.id)
   FROM ${table} c WHERE c.shop_id = s.id), '[]')`;
const SHOPS = withTruth(
  {
    table: "shop",
    fields: {
      name: "keyword",
      articles: child("article"),
      prices: child("price"),
      stocks: child("stock"),
    },
  },
  `SELECT s.id::text AS id, jsonb_build_object('name', s.name, 'articles', ${list("article")},
  'prices', ${list("price")}, 'stocks', ${list("stock")})::text AS document FROM shop s`,
);

/** Ways that the shops themselves can be followed by: another one at each start. */
const WAYS = ["updated_at", "changelog", "sweep", "wal"] as const;

function setupOf(shop: typeof WAYS[number]): SceneSetup {
  return {
    indexes: { shops: SHOPS },
    source: {
      tables: {
        shop: { capture: shop },
        article: { capture: "changelog" },
        price: { capture: "sweep" },
        stock: { capture: "outbox" },
      },
      outbox: {
        table: "outbox",
        tables: { stock: "stock" },
        columns: { table: "table_name", key: "row_key", position: "id", xid: "tx" },
      },
      sweeps: { keys: "1h", rows: "1h", dutyCycle: 1 },
    },
    options: { keys: { intervalMs: 400, dutyCycle: 1, massDeletes: false } },
  };
}

test("one index over tables of every level, which change their captures across crashes: nothing is lost, nothing is filled anew", async (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(1_000_000));
  t.diagnostic(`SEED=${seed}`);
  await using scene = await openScene(DDL);
  await scene.changelog.install(setupOf("changelog"));
  await allowWal(scene.db);
  const random = seededRandom(seed, "starts");
  {
    await using run = scene.start(setupOf("updated_at"));
    await run.waitFor("caughtUp");
    await scene.equalsTables({ shops: SHOPS });
    await run.stop();
  }
  const filling = scene.seed("shops");
  // What was read is often not durable yet when it crashes.
  scene.sink.script({ kind: "slow", ms: 100 }, { on: "write", times: Infinity });
  const going = new AbortController();
  const writers = [1, 2, 3].map((n) =>
    write(scene.db.sql, seededRandom(seed, `writer ${n}`), going.signal)
  );
  try {
    for (let start = 0; start < 8; start++) {
      await using run = scene.start(setupOf(WAYS[random.between(0, 3)] ?? "sweep"));
      await eventually(
        "a run that was anchored",
        () => Promise.resolve(run.events.some(({ type }) => type === "anchored")),
      );
      const enough = random.between(0, 12);
      await eventually(
        `${enough} batches`,
        () => Promise.resolve(run.events.filter(({ type }) => type === "batch").length >= enough),
      );
      if (random.chance(0.3)) await run.stop();
      else await run.crash();
    }
  } finally {
    going.abort();
  }
  const written = (await Promise.all(writers)).reduce((sum, n) => sum + n, 0);
  ok(written > 100, `${written} transactions`);
  scene.sink.unscript();
  await using run = scene.start(setupOf("updated_at"));
  await scene.equalsTables({ shops: SHOPS });
  equal(
    JSON.stringify(Object.entries(captures(run)).sort().map(([, how]) => how)),
    JSON.stringify(["L4 changelog", "L3 sweep", "L3 updated_at", "L4 outbox"]),
  );
  equal(scene.seed("shops"), filling);
  await run.stop();
});

/** One small transaction after the other; how many. What no level of theirs claims is left out. */
async function write(sql: postgres.Sql, random: Random, signal: AbortSignal): Promise<number> {
  let written = 0;
  while (!signal.aborted) {
    const shop = random.between(1, 600);
    const id = random.between(1, 3000);
    const statements = Array.from({ length: random.between(1, 3) }, () => one(random, id, shop));
    const session = await sql.reserve();
    try {
      await session.unsafe("BEGIN").simple();
      for (const statement of statements) await session.unsafe(statement).simple();
      // Others overtake it.
      if (random.chance(0.15)) await session.unsafe("SELECT pg_sleep(0.4)").simple();
      await session.unsafe(random.chance(0.9) ? "COMMIT" : "ROLLBACK").simple();
      written++;
    } catch (error) {
      await session.unsafe("ROLLBACK").simple();
      // Two that waited for each other.
      if ((error as { code?: string }).code !== "40P01") throw error;
    } finally {
      session.release();
    }
  }
  return written;
}

function one(random: Random, id: number, shop: number): string {
  const name = `n${random.between(1, 1_000_000)}`;
  switch (random.between(1, 8)) {
    case 1:
      return `INSERT INTO shop VALUES (${shop}, '${name}') ON CONFLICT (id) DO UPDATE SET name = excluded.name`;
    case 2:
      return `DELETE FROM shop WHERE id = ${shop}`;
    case 3:
      return `UPDATE shop SET name = '${name}' WHERE id = ${shop}`;
    case 4:
      return `DELETE FROM article WHERE id = ${id}`;
    case 5:
      return `INSERT INTO article VALUES (${id}, ${shop}, '${name}')
        ON CONFLICT (id) DO UPDATE SET shop_id = excluded.shop_id, name = excluded.name`;
    case 6:
    case 7:
      return `INSERT INTO price VALUES (${id}, ${shop}, '${name}')
        ON CONFLICT (id) DO UPDATE SET name = excluded.name`;
    default:
      return `INSERT INTO stock VALUES (${id}, ${shop}, '${name}')
        ON CONFLICT (id) DO UPDATE SET name = excluded.name;
        INSERT INTO outbox (table_name, row_key) VALUES ('stock', '${id}')`;
  }
}
