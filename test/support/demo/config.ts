/** Where the demo's documents go, as the config's `sinks` says it. */
export type DemoSink =
  | { readonly type: "sqlite"; readonly path: string }
  | { readonly type: "opensearch"; readonly indexPrefix: string };

/** How often the demo polls: oftener than the default of 250ms to 5s, and never less often. */
export const pollInterval = "50ms";

/** The demo's config file: DATABASE_URL and, for OpenSearch, OPENSEARCH_URL come from the environment. */
export function demoConfig(sink: DemoSink): object {
  return {
    source: {
      url: { env: "DATABASE_URL" },
      poll: { minInterval: pollInterval, maxInterval: pollInterval },
    },
    sinks: {
      [sink.type]: sink.type === "sqlite" ? sink : { ...sink, nodes: [{ env: "OPENSEARCH_URL" }] },
    },
    indexes: { products, orders },
  };
}

const products = {
  table: "products",
  softDelete: { column: "deleted_at" },
  fields: {
    sku: { type: "keyword", transforms: ["trim", "lowercase"] },
    name: "text",
    description: "text",
    price: { type: "decimal", scale: 2 },
    stock: "integer",
    attributes: { type: "json", as: "flat_object" },
    categories: {
      manyToMany: "categories",
      through: { table: "product_categories", leftKey: "product_id", rightKey: "category_id" },
      orderBy: [{ column: "name" }],
      fields: {
        name: "text",
        parent: { belongsTo: "categories", column: "parent_id", fields: { name: "keyword" } },
      },
    },
    sold: { sum: "order_lines", column: "quantity", foreignKey: "product_id" },
  },
  settings: { number_of_replicas: 0 },
};

const orders = {
  table: "orders",
  where: [{ column: "status", op: "neq", value: "void" }],
  fields: {
    status: "keyword",
    placedAt: { type: "date", column: "placed_at" },
    note: "text",
    customer: {
      belongsTo: "customers",
      column: "customer_id",
      fields: {
        name: "text",
        email: "keyword",
        city: "keyword",
        location: { type: "geo_point", lat: "lat", lon: "lon" },
      },
    },
    lines: {
      hasMany: "order_lines",
      foreignKey: "order_id",
      mapping: "nested",
      orderBy: [{ column: "id" }],
      fields: {
        quantity: "integer",
        price: { type: "decimal", scale: 2 },
        product: {
          belongsTo: "products",
          column: "product_id",
          fields: { sku: "keyword", name: "text" },
        },
      },
    },
    lineCount: { count: "order_lines", foreignKey: "order_id" },
  },
  settings: { number_of_replicas: 0 },
};
