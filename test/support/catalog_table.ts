import type { CatalogColumn, CatalogTable } from "../../src/postgres/catalog.ts";

export type ColumnSketch = Partial<Omit<CatalogColumn, "type" | "name">> & {
  readonly type?: Partial<CatalogColumn["type"]>;
};

/** A table `public.t` as the catalog shows it, of what matters to a test. Columns are NOT NULL bigint. */
export function catalogTable(
  columns: Readonly<Record<string, ColumnSketch>>,
  over: Partial<CatalogTable> = {},
): CatalogTable {
  return {
    ref: { schema: "public", name: "t" },
    oid: "1",
    kind: "table",
    definition: "",
    columns: Object.entries(columns).map(([name, { type, ...rest }], i) => ({
      name,
      attnum: i + 1,
      notNull: true,
      canSelect: true,
      generated: "",
      ...rest,
      type: {
        declared: "bigint",
        cast: "bigint",
        base: "int8",
        labels: undefined,
        isArray: false,
        isComposite: false,
        numeric: undefined,
        ...type,
      },
    })),
    primaryKey: ["id"],
    indexes: [indexOn(["updated_at", "id"])],
    below: [],
    rowSecurity: false,
    rowSecurityActive: false,
    canSelect: true,
    schemaUsage: true,
    foreign: false,
    subscribed: false,
    hasChildren: false,
    pages: 0,
    touches: [{ name: "touch", on: "public.t", enabled: true }],
    ...over,
  };
}

export function indexOn(columns: readonly string[]): CatalogTable["indexes"][number] {
  const name = columns.join("_");
  return { name, columns, unique: false, valid: true, partial: false, method: "btree" };
}

/** timestamptz. */
export const STAMP: ColumnSketch = {
  type: { declared: "timestamptz", cast: "timestamp with time zone", base: "timestamptz" },
};
