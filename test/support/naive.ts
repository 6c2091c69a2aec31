import postgres from "postgres";

/** The control: a plain `updated_at > cursor` poller, as most tools have it. */
export interface Naive extends AsyncDisposable {
  readonly found: Set<string>;
  poll(): Promise<void>;
}

/** Follows `item (id, updated_at)` from what is there now. */
export async function openNaive(url: string): Promise<Naive> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const found = new Set<string>();
  const [first] = await sql`SELECT coalesce(max(updated_at)::text, '-infinity') AS t FROM item`;
  let cursor = String(first?.["t"]);
  return {
    found,
    async poll(): Promise<void> {
      const rows = await sql`SELECT id::text, updated_at::text AS t FROM item i
        WHERE i.updated_at > ${cursor}::text::timestamptz ORDER BY i.updated_at, i.id`;
      for (const row of rows) {
        found.add(String(row["id"]));
        cursor = String(row["t"]);
      }
    },
    [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }),
  };
}
