import type { CatalogColumn } from "../catalog.ts";
import { quote } from "../client.ts";
import type { Binder } from "./binder.ts";
import type { BoundAggregate } from "./bound.ts";
import { familyOf } from "./field_types.ts";
import { renderFilters } from "./render_filter.ts";
import { finite } from "./render_scalar.ts";
import { renderValue } from "./render_value.ts";

/** A figure over a scan `s`: columns the scan must give, and the aggregate over them. */
export interface RenderedFigure {
  /** Each renders one `expression AS "#i…"` for the alias that the scan gives its row. */
  readonly inner: readonly ((alias: string) => string)[];
  readonly sql: string;
}

/**
 * `filtered`: the scan does not apply this figure's filter, the aggregate must. `taken`: inner
 * columns that the scan has already. Of nothing, count and sum are 0, ids are [], others null.
 */
export function renderFigure(
  { figure, row, column, type }: BoundAggregate,
  filtered: boolean,
  taken: number,
  binder: Binder,
): RenderedFigure {
  const inner: ((alias: string) => string)[] = [];
  const give = (render: (alias: string) => string): string => {
    const name = `"#i${taken + inner.length}"`;
    inner.push((alias) => `${render(alias)} AS ${name}`);
    return `s.${name}`;
  };
  const conditions: string[] = [];
  if (filtered && row.where.length > 0) {
    conditions.push(give((alias) => `(${renderFilters(row.where, alias, binder)})`));
  }
  const filter = () => conditions.length === 0 ? "" : ` FILTER (WHERE ${conditions.join(" AND ")})`;

  if (figure === "count") {
    if (column !== undefined) conditions.push(`${give(columnIn(column))} IS NOT NULL`);
    return { inner, sql: `count(*)${filter()}` };
  }
  if (figure === "ids") {
    const shown = column === undefined ? row.identity : [column];
    const [only, ...others] = shown;
    const value = give(
      others.length === 0 && only !== undefined
        ? (alias) => renderValue({ type }, only.type, `${alias}.${quote(only.name)}`, [], binder)
        : (alias) => composite(shown, alias),
    );
    if (column !== undefined) conditions.push(`${value} IS NOT NULL`);
    const order = row.identity.map((key) => give(columnIn(key)));
    const list = `json_agg(${value} ORDER BY ${order.join(", ")})`;
    return { inner, sql: `coalesce(${list}${filter()}, '[]'::json)` };
  }
  if (column === undefined) return { inner, sql: "NULL" };
  const family = familyOf(column.type);
  const value = give((alias) => {
    const sql = `${alias}.${quote(column.name)}`;
    return family === "money" ? `${sql}::numeric` : sql;
  });
  const sql = `${figure}(${value})${filter()}`;
  if (figure === "sum") {
    const total = `coalesce(${sql}, 0)`;
    return { inner, sql: family === "integer" ? total : finite(family, total) };
  }
  if (figure === "avg") return { inner, sql: finite("float", `(${sql})::float8`) };
  const outcome = family === "money" ? { ...column.type, base: "numeric" } : column.type;
  return { inner, sql: renderValue({ type }, outcome, sql, [], binder) };
}

function columnIn(column: CatalogColumn): (alias: string) => string {
  return (alias) => `${alias}.${quote(column.name)}`;
}

/** The text of a composite key as in `_id`: format prints what the server would send. */
function composite(columns: readonly CatalogColumn[], alias: string): string {
  return columns.map(({ name }) =>
    `replace(replace(format('%s', ${alias}.${quote(name)}), '%', '%25'), ',', '%2C')`
  ).join(` || ',' || `);
}
