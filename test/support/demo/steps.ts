import type postgres from "postgres";
import type { Expectation } from "./measure.ts";

/** One change that the demo makes and follows. */
export interface Step {
  readonly title: string;
  /** The essential statement, for showing. */
  readonly shown: string;
  /** What should be seen, in words. */
  readonly then: string;
  readonly expected: Expectation;
  /** Resolves when the server has confirmed the commit. */
  commit(): Promise<void>;
}

/** The changes in order; each looks at the rows when its turn has come. */
export const steps: readonly ((sql: postgres.Sql) => Promise<Step>)[] = [
  priceChange,
  newOrder,
  voidOrder,
  softDelete,
  renamedCategory,
];

async function priceChange(sql: postgres.Sql): Promise<Step> {
  const { id, sku, name, price } = await one(
    sql,
    ["id", "sku", "name", "price"],
    "FROM products WHERE name = 'Golden Darjeeling 100 g'",
  );
  return {
    title: "A price change",
    shown: `UPDATE products SET price = 18.75 WHERE id = ${id}`,
    then: `"${name}" costs 18.75 instead of ${price}`,
    expected: {
      index: "products",
      ids: [id],
      words: sku.toLowerCase(),
      arrived: (document) => document?.["price"] === 18.75,
    },
    commit: async () => void await sql`UPDATE products SET price = 18.75 WHERE id = ${id}`,
  };
}

const note = "Deliver to the pavilion behind the bamboo";

async function newOrder(sql: postgres.Sql): Promise<Step> {
  const { id } = await one(sql, ["id"], "FROM nextval('orders_id_seq') AS id");
  const insert = (tx: postgres.TransactionSql) => [
    tx`INSERT INTO orders (id, customer_id, status, placed_at, note)
      VALUES (${id}, 7, 'open', now(), ${note})`,
    tx`INSERT INTO order_lines (order_id, product_id, quantity, price)
      SELECT ${id}, id, 2, price FROM products WHERE id IN (11, 42)`,
  ];
  return {
    title: "A new order",
    shown: "INSERT INTO orders …; INSERT INTO order_lines …; COMMIT",
    then: `order ${id} appears, with its customer and its 2 lines`,
    expected: {
      index: "orders",
      ids: [id],
      words: note,
      arrived: (document) =>
        document?.["lineCount"] === 2 && document["customer"] instanceof Object,
    },
    commit: async () => void await sql.begin(insert),
  };
}

async function voidOrder(sql: postgres.Sql): Promise<Step> {
  const { id } = await one(sql, ["id"], `FROM orders WHERE note = '${note}'`);
  return {
    title: "An order set to void",
    shown: `UPDATE orders SET status = 'void' WHERE id = ${id}`,
    then: `the index has no void orders: order ${id} goes`,
    expected: { index: "orders", ids: [id], words: note, arrived: isGone },
    commit: async () => void await sql`UPDATE orders SET status = 'void' WHERE id = ${id}`,
  };
}

async function softDelete(sql: postgres.Sql): Promise<Step> {
  const { id, sku, name } = await one(
    sql,
    ["id", "sku", "name"],
    "FROM products WHERE name = 'Smoky Cast-Iron Teapot 0.9 l'",
  );
  return {
    title: "A soft-deleted product",
    shown: `UPDATE products SET deleted_at = now() WHERE id = ${id}`,
    then: `"${name}" goes`,
    expected: { index: "products", ids: [id], words: sku.toLowerCase(), arrived: isGone },
    commit: async () => void await sql`UPDATE products SET deleted_at = now() WHERE id = ${id}`,
  };
}

async function renamedCategory(sql: postgres.Sql): Promise<Step> {
  const name = "Pan-fired leaves";
  const rows = await sql<{ id: string }[]>`
    SELECT id::text FROM products JOIN product_categories ON product_id = id
    WHERE category_id = 11 AND deleted_at IS NULL`;
  return {
    title: "A renamed category",
    shown: `UPDATE categories SET name = '${name}' WHERE name = 'Green tea'`,
    then: `one row of another table: all ${rows.length} products in it follow`,
    expected: {
      index: "products",
      ids: rows.map(({ id }) => id),
      words: name,
      arrived: (document) => {
        const categories = document?.["categories"];
        return Array.isArray(categories) && categories.some((each) => each?.name === name);
      },
    },
    commit: async () => void await sql`UPDATE categories SET name = ${name} WHERE id = 11`,
  };
}

function isGone(document: unknown): boolean {
  return document === undefined;
}

/** Columns of the one row, as text. Throws when there is none: the shop isn't the one expected. */
async function one<Column extends string>(
  sql: postgres.Sql,
  columns: readonly Column[],
  from: string,
): Promise<Readonly<Record<Column, string>>> {
  const [row] = await sql.unsafe(`SELECT ${columns.join(", ")} ${from}`);
  if (row === undefined) throw new Error(`Cannot find the row to change: ${from}`);
  return Object.fromEntries(columns.map((name) => [name, String(row[name])])) as Record<
    Column,
    string
  >;
}
