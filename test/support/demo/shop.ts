import { readFile } from "node:fs/promises";
import postgres from "postgres";
import { at, startPostgres } from "../postgres.ts";

/** A private Postgres with the demo's shop in it. */
export interface Shop extends AsyncDisposable {
  readonly version: string;
  /** As the shop's owner: for the changes that the demo makes. */
  readonly sql: postgres.Sql;
  /** As `search_reader`, who may SELECT and nothing else. */
  readonly readerUrl: string;
  readonly counts: Readonly<Record<string, number>>;
}

export const shopFile: URL = new URL("./shop.sql", import.meta.url);

export async function openShop(): Promise<Shop> {
  const server = await startPostgres({ major: 18 });
  const url = at(server.url, { database: "shop" });
  await using admin = client(server.url);
  await admin.sql.unsafe("CREATE DATABASE shop");
  const shop = client(url);
  await shop.sql.unsafe(await readFile(shopFile, "utf8")).simple();
  await shop.sql.unsafe(`
    CREATE ROLE search_reader LOGIN;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO search_reader;
  `).simple();
  const [counts] = await shop.sql<Record<string, number>[]>`SELECT
    (SELECT count(*)::int FROM products) AS products,
    (SELECT count(*)::int FROM customers) AS customers,
    (SELECT count(*)::int FROM orders) AS orders,
    (SELECT count(*)::int FROM order_lines) AS "order lines"`;
  return {
    version: server.version,
    sql: shop.sql,
    readerUrl: at(url, { user: "search_reader" }),
    counts: counts ?? {},
    async [Symbol.asyncDispose]() {
      await shop[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}

function client(url: string): AsyncDisposable & { readonly sql: postgres.Sql } {
  const sql = postgres(url, { max: 1, onnotice: () => undefined, fetch_types: false });
  return { sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) };
}
