import type { ColumnType } from "../catalog_types.ts";
import { arrayLiteral, quote } from "../client.ts";
import type { Binder } from "./binder.ts";
import type { BoundFilter } from "./bound.ts";

/** A condition over the row that `alias` names; "true" when there is nothing to hold. */
export function renderFilters(
  filters: readonly BoundFilter[],
  alias: string,
  binder: Binder,
): string {
  return joined(filters, "all", alias, binder);
}

function renderFilter(filter: BoundFilter, alias: string, binder: Binder): string {
  if (filter.kind === "sql") return `(${filter.sql})`;
  if (filter.kind !== "compare") return `(${joined(filter.filters, filter.kind, alias, binder)})`;
  const { column: { name, type }, op, values } = filter;
  const column = `${alias}.${quote(name)}`;
  if (op === "isNull") return `${column} IS NULL`;
  if (op === "isNotNull") return `${column} IS NOT NULL`;
  const cast = `${type.cast}${type.isArray ? "[]" : ""}`;
  if (op === "in" || op === "notIn") {
    const list = `${binder.bind(arrayLiteral(values))}::${type.cast}[]`;
    return op === "in" ? `${column} = ANY (${list})` : `${column} <> ALL (${list})`;
  }
  if (op === "like" || op === "ilike") {
    return `${asText(column, type)} ${op.toUpperCase()} ${binder.bind(values[0] ?? "")}::text`;
  }
  const bound = values.map((value) => `${binder.bind(value)}::${cast}`);
  return op === "between"
    ? `${column} BETWEEN ${bound[0] ?? "NULL"} AND ${bound[1] ?? "NULL"}`
    : `${column} ${OPERATORS[op]} ${bound[0] ?? "NULL"}`;
}

function joined(
  filters: readonly BoundFilter[],
  kind: "any" | "all",
  alias: string,
  binder: Binder,
): string {
  if (filters.length === 0) return kind === "all" ? "true" : "false";
  const parts = filters.map((filter) => renderFilter(filter, alias, binder));
  return parts.join(kind === "all" ? " AND " : " OR ");
}

/** LIKE exists for texts alone; citext keeps its own, which ignores case. */
function asText(column: string, type: ColumnType): string {
  return ["text", "varchar", "citext"].includes(type.base) ? column : `${column}::text`;
}

const OPERATORS = { eq: "=", neq: "<>", lt: "<", lte: "<=", gt: ">", gte: ">=" } as const;
