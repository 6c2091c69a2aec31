import type { FieldDescription, IndexDescription } from "../../src/core/description.ts";
import type { BenchSink } from "./shop.ts";

type Depth = 1 | 2 | 3;

/** Users with three orders each, of two lines each. */
export const LEVELS_DDL = (users: number): string => `
  CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text, tier text,
    updated_at timestamptz NOT NULL DEFAULT now());
  CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users (id),
    total numeric(12,2) NOT NULL, status text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
  CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders (id),
    sku text NOT NULL, quantity int NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
  INSERT INTO users SELECT g, 'u' || g || '@x.io', 'User ' || g,
    (ARRAY['free','pro','biz'])[1 + g % 3] FROM generate_series(1, ${users}) g;
  INSERT INTO orders SELECT g, 1 + (g::bigint * 7919) % ${users}, (g % 10000) / 100.0,
    (ARRAY['paid','open','void'])[1 + g % 3] FROM generate_series(1, ${users * 3}) g;
  INSERT INTO lines SELECT g, 1 + (g::bigint * 104729) % ${users * 3}, 'SKU-' || g % 5000, 1 + g % 9
    FROM generate_series(1, ${users * 6}) g;
  CREATE INDEX ON orders (user_id);
  CREATE INDEX ON lines (order_id);
  CREATE INDEX ON users (updated_at, id);
  CREATE INDEX ON orders (updated_at, id);
  CREATE INDEX ON lines (updated_at, id);`;

/** What somebody who knows the tables would write for each depth: ids in $1. */
export const HANDWRITTEN: Readonly<Record<Depth, string>> = {
  1: `SELECT u.id::text, row_to_json(d)::text FROM users u
    CROSS JOIN LATERAL (SELECT u.id, u.email, u.name, u.tier) d
    WHERE u.id = ANY ($1::bigint[])`,
  2: `SELECT u.id::text, row_to_json(d)::text FROM users u
    CROSS JOIN LATERAL (SELECT coalesce(json_agg(row_to_json(c)), '[]') AS orders FROM
      (SELECT o.id, o.total, o.status FROM orders o WHERE o.user_id = u.id ORDER BY o.id) c) a
    CROSS JOIN LATERAL (SELECT u.id, u.email, u.name, u.tier, a.orders) d
    WHERE u.id = ANY ($1::bigint[])`,
  3: `SELECT u.id::text, row_to_json(d)::text FROM users u
    CROSS JOIN LATERAL (SELECT coalesce(json_agg(row_to_json(c)), '[]') AS orders FROM
      (SELECT o.id, o.total, o.status, b.lines FROM orders o
        CROSS JOIN LATERAL (SELECT coalesce(json_agg(row_to_json(e)), '[]') AS lines FROM
          (SELECT l.id, l.sku, l.quantity FROM lines l WHERE l.order_id = o.id ORDER BY l.id) e) b
        WHERE o.user_id = u.id ORDER BY o.id) c) a
    CROSS JOIN LATERAL (SELECT u.id, u.email, u.name, u.tier, a.orders) d
    WHERE u.id = ANY ($1::bigint[])`,
};

/** The same documents as an index description called `depth1` to `depth3`. */
export function describeDepth(depth: number): IndexDescription {
  const lines = many("lines", "order_id", [
    scalar("id", "long"),
    scalar("sku", "keyword"),
    scalar("quantity", "integer"),
  ]);
  const orders = many("orders", "user_id", [
    scalar("id", "long"),
    scalar("total", "double"),
    scalar("status", "keyword"),
    ...(depth > 2 ? [lines] : []),
  ]);
  return {
    name: `depth${depth}`,
    table: { schema: "public", name: "users" },
    where: [],
    fields: [
      scalar("id", "long"),
      scalar("email", "keyword"),
      scalar("name", "text"),
      scalar("tier", "keyword"),
      ...(depth > 1 ? [orders] : []),
    ],
    onRejected: "stop",
  };
}

/** The config of a depth's index alone. */
export function byDepth(depth: Depth): (sink: BenchSink) => string {
  const keyword = { type: "keyword", subfields: false };
  const lines = {
    hasMany: "lines",
    foreignKey: "order_id",
    fields: { id: "long", sku: keyword, quantity: "integer" },
  };
  const orders = {
    hasMany: "orders",
    foreignKey: "user_id",
    fields: { id: "long", total: "double", status: keyword, ...(depth > 2 ? { lines } : {}) },
  };
  return (sink) =>
    JSON.stringify({
      sinks: {
        out: sink.type === "sqlite" ? { type: "sqlite", path: sink.path } : {
          type: "opensearch",
          nodes: [sink.url],
          indexPrefix: sink.prefix,
        },
      },
      indexes: {
        users: {
          table: "users",
          settings: { number_of_replicas: 0 },
          fields: {
            id: "long",
            email: keyword,
            name: { type: "text", subfields: false },
            tier: keyword,
            ...(depth > 1 ? { orders } : {}),
          },
        },
      },
    });
}

function scalar(name: string, type: "long" | "integer" | "double" | "keyword" | "text") {
  return {
    kind: "scalar" as const,
    name,
    type,
    from: { kind: "column" as const, column: name },
    transforms: [],
  };
}

function many(table: string, foreignKey: string, fields: readonly FieldDescription[]) {
  return {
    kind: "hasMany" as const,
    name: table,
    table: { schema: "public", name: table },
    columns: [foreignKey],
    where: [],
    orderBy: [],
    mapping: "object" as const,
    fields,
  };
}
