import type { Filter } from "../../core/description.ts";
import type { CatalogTable } from "../catalog.ts";
import { bindColumn, type Binding } from "./binding.ts";
import { bindExpression } from "./bind_expression.ts";
import type { BoundFilter } from "./bound.ts";

/** Filters over the rows of one table; those with a problem are reported and left out. */
export function bindFilters(
  binding: Binding,
  table: CatalogTable,
  filters: readonly Filter[],
  path: string,
): readonly BoundFilter[] {
  return filters
    .map((filter, at) => bindFilter(binding, table, filter, `${path}.${at}`))
    .filter((filter) => filter !== undefined);
}

function bindFilter(
  binding: Binding,
  table: CatalogTable,
  filter: Filter,
  path: string,
): BoundFilter | undefined {
  if (filter.kind === "sql") return bindSql(binding, table, filter.sql, `${path}.sql`);
  if (filter.kind !== "compare") {
    const filters = bindFilters(binding, table, filter.filters, `${path}.${filter.kind}`);
    return { kind: filter.kind, filters };
  }
  const { op, values } = filter;
  const column = bindColumn(binding, table, filter.column, `${path}.column`);
  if (column === undefined) return undefined;
  if (column.type.isArray && (op === "in" || op === "notIn")) {
    binding.report(
      "error",
      "TYPE_MISMATCH",
      `${path}.op`,
      `Cannot filter "${column.name}" by ${op}: it is an array`,
      "Write the condition as sql, such as 'x' = ANY (column).",
    );
    return undefined;
  }
  return { kind: "compare", column, op, values: values.map(String) };
}

function bindSql(
  binding: Binding,
  table: CatalogTable,
  sql: string,
  path: string,
): BoundFilter | undefined {
  const bound = bindExpression(binding, table, sql, path, "filter");
  if (bound === undefined) return undefined;
  if (bound.type.base !== "bool" || bound.type.isArray) {
    binding.report(
      "error",
      "TYPE_MISMATCH",
      path,
      `Cannot filter by this sql: it gives ${bound.type.declared}, not a boolean`,
      "A filter's sql is a condition, such as price > cost.",
    );
    return undefined;
  }
  return { kind: "sql", sql };
}
