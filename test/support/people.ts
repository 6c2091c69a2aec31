import { deepEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type postgres from "postgres";
import { eventually } from "./eventually.ts";
import { withoutMark } from "./without_mark.ts";

/** People and their orders: the smallest source whose documents need a join and a figure. */
export const PEOPLE_DDL = `
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text, tier text,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users (id),
  total numeric(12,2) NOT NULL, status text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON orders (user_id);
CREATE INDEX ON users (updated_at, id);
CREATE INDEX ON orders (updated_at, id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
`;

/** The index of a config, or of several, over those tables. */
export const PEOPLE_INDEX = {
  table: "users",
  fields: {
    id: "long",
    email: "keyword",
    name: "text",
    tier: "keyword",
    orders: {
      hasMany: "orders",
      foreignKey: "user_id",
      orderBy: [{ column: "id" }],
      fields: { id: "long", total: { type: "decimal", scale: 2 }, status: "keyword" },
    },
    orderCount: { count: "orders", foreignKey: "user_id" },
    paidTotal: {
      sum: "orders",
      column: "total",
      foreignKey: "user_id",
      where: [{ column: "status", op: "eq", value: "paid" }],
    },
  },
} as const;

/** Adds users `from`…`to`, three orders each. */
export async function addPeople(sql: postgres.Sql, from: number, to: number): Promise<void> {
  await sql.unsafe(`
    INSERT INTO users SELECT g, 'u' || g || '@x.io', 'User ' || g,
      (ARRAY['free','pro','biz'])[1 + g % 3] FROM generate_series(${from}, ${to}) g;
    INSERT INTO orders SELECT g * 3 + n, g, (g * 7 % 10000) / 100.0 + n,
      (ARRAY['paid','open','void'])[1 + (g + n) % 3]
      FROM generate_series(${from}, ${to}) g, generate_series(0, 2) n;
  `).simple();
}

export interface Writer extends AsyncDisposable {
  /** Resolves when that many more transactions have committed. */
  wrote(more: number): Promise<void>;
  /** Resolves when the last one has. */
  stop(): Promise<void>;
}

/** Writes to both tables, one small transaction after the other, until stopped. */
export function startWriter(sql: postgres.Sql, users: number): Writer {
  let written = 0;
  let going = true;
  const writing = (async () => {
    for (; going; written++) {
      const id = 1 + Math.floor(Math.random() * users);
      await sql`UPDATE users SET name = ${`Name ${written}`} WHERE id = ${id}`;
      await sql`UPDATE orders SET status = 'paid', total = total + 1 WHERE user_id = ${id}`;
    }
  })();
  const stop = async () => {
    going = false;
    await writing;
  };
  return {
    async wrote(more) {
      const target = written + more;
      await eventually("writes", async () => written >= target);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * Compares every id and body with what SQL of its own says they should be. Streams; keeps a hash a
 * document.
 */
export async function equalsTables(
  sql: postgres.Sql,
  found: AsyncIterable<IndexedDocument> | Iterable<IndexedDocument>,
): Promise<void> {
  const hashes = new Map<string, string>();
  for await (const { id, body } of found) hashes.set(id, hashOf(body));
  const missing: string[] = [];
  const stale: string[] = [];
  for await (const rows of sql.unsafe(EXPECTED).cursor(5000)) {
    for (const { id, body } of rows) {
      const hash = hashes.get(id);
      hashes.delete(id);
      if (hash === undefined) missing.push(id);
      else if (hash !== hashOf(body)) stale.push(id);
    }
  }
  const summary = { missing, stale, orphans: [...hashes.keys()] };
  const short = (ids: string[]) => ids.length > 5 ? [...ids.slice(0, 5), `… ${ids.length}`] : ids;
  deepEqual(
    Object.fromEntries(Object.entries(summary).map(([kind, ids]) => [kind, short(ids)])),
    { missing: [], stale: [], orphans: [] },
  );
}

export interface IndexedDocument {
  readonly id: string;
  readonly body: string;
}

/** Everything that searches of an OpenSearch index or alias can see, after a refresh. */
export async function* openSearchDocuments(
  url: string,
  index: string,
): AsyncGenerator<IndexedDocument> {
  await ask(`${url}/${index}/_refresh`, {});
  let page = await ask(`${url}/${index}/_search?scroll=1m`, { size: 5000, sort: ["_doc"] });
  while (page.hits.hits.length > 0) {
    for (const { _id, _source } of page.hits.hits) {
      yield { id: _id, body: withoutMark(JSON.stringify(_source)) };
    }
    page = await ask(`${url}/_search/scroll`, { scroll: "1m", scroll_id: page._scroll_id });
  }
  await fetch(`${url}/_search/scroll/${page._scroll_id}`, { method: "DELETE" })
    .then((reply) => reply.body?.cancel());
}

interface Page {
  readonly _scroll_id: string;
  readonly hits: { readonly hits: readonly { _id: string; _source: unknown }[] };
}

async function ask(url: string, body: object): Promise<Page> {
  const reply = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await reply.text();
  if (!reply.ok) throw new Error(`Cannot read documents: ${reply.status} ${answer}`);
  return JSON.parse(answer) as Page;
}

/** Everything that searches of an index in a sqlite sink's file can see. */
export function sqliteDocuments(path: string, index: string): readonly IndexedDocument[] {
  const file = new DatabaseSync(path, { readOnly: true });
  try {
    return file.prepare(`SELECT id, document AS body FROM "${index}"`).all().map((row) => ({
      id: String(row["id"]),
      body: String(row["body"]),
    }));
  } finally {
    file.close();
  }
}

const EXPECTED = `
SELECT u.id::text AS id, jsonb_build_object('id', u.id, 'email', u.email, 'name', u.name,
  'tier', u.tier, 'orders', coalesce(a.list, '[]'), 'orderCount', a.n, 'paidTotal', a.paid)::text AS body
FROM users u CROSS JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_object('id', o.id, 'total', o.total, 'status', o.status) ORDER BY o.id)
    AS list, count(*) AS n, coalesce(sum(o.total) FILTER (WHERE o.status = 'paid'), 0) AS paid
  FROM orders o WHERE o.user_id = u.id) a`;

function hashOf(body: string): string {
  return createHash("sha256").update(JSON.stringify(sorted(JSON.parse(body)))).digest("base64");
}

/** The same value with its keys in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([key, each]) => [
      key,
      sorted(each),
    ]),
  );
}
