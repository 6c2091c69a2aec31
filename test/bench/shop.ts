import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";

/** The tables of the ceilings' schema, with that many users and three orders each. */
export async function loadUsers(url: string, benchDir: string, users: number): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const schema = (await readFile(join(benchDir, "schema.sql"), "utf8"))
    .replaceAll("300000", String(users))
    .replaceAll("900000", String(users * 3));
  const statements = schema.split(/;\s*\n/).map((each) => each.trim()).filter((each) =>
    each !== ""
  );
  for (const statement of statements) await sql.unsafe(statement);
  await sql.end();
}

export type BenchSink =
  | { readonly type: "opensearch"; readonly url: string; readonly prefix: string }
  | { readonly type: "sqlite"; readonly path: string };

/** The config of the ceilings' document: user, orders[], orderCount, paidTotal. */
export function usersConfig(
  sink: BenchSink,
  source: Readonly<Record<string, unknown>> = {},
): string {
  const field = { hasMany: "orders", foreignKey: "user_id" };
  return JSON.stringify({
    source,
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
          email: { type: "keyword", subfields: false },
          name: { type: "text", subfields: false },
          tier: { type: "keyword", subfields: false },
          orders: {
            ...field,
            fields: {
              id: "long",
              total: "double",
              status: { type: "keyword", subfields: false },
              created_at: "date",
            },
          },
          orderCount: { count: "orders", foreignKey: "user_id" },
          paidTotal: {
            sum: "orders",
            column: "total",
            foreignKey: "user_id",
            where: [{ column: "status", op: "eq", value: "paid" }],
          },
        },
      },
    },
  });
}
