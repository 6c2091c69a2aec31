import type { CatalogTable } from "../catalog.ts";
import type { Binding } from "./binding.ts";
import type { BoundSource } from "./bound.ts";
import { expressionKey } from "./describe.ts";
import { readExpression } from "./expression.ts";

/** An expression that may stand in a statement, with its type; undefined after reporting why not. */
export function bindExpression(
  binding: Binding,
  table: CatalogTable,
  sql: string,
  path: string,
  place: "field" | "filter",
): BoundSource | undefined {
  const { refused, unstable } = readExpression(sql);
  if (refused !== undefined) {
    binding.report(
      "error",
      "SQL_REFUSED",
      path,
      `Cannot use this sql: ${refused}`,
      "sql is one expression over the columns of its own row, without sub-queries.",
    );
    return undefined;
  }
  const facts = binding.expressions.get(expressionKey(table.ref, sql));
  const volatile = [
    ...unstable.filter(({ kind }) => kind === "volatile" || place === "field")
      .map(({ name }) => name),
    ...facts?.volatile ?? [],
  ];
  if (volatile.length > 0) {
    binding.report(
      "error",
      "SQL_VOLATILE",
      path,
      `Cannot use this sql: ${volatile.join(", ")} changes while the row stays as it is`,
      "A document is a function of its rows. A function that is one too is declared IMMUTABLE or STABLE.",
    );
    return undefined;
  }
  for (const { name } of unstable) {
    binding.report(
      "warning",
      "SQL_TIME",
      path,
      `This filter depends on the time (${name}): a row that drops out of it as time goes by is not a change`,
      "Touch such rows (UPDATE them) when their time comes, or store the state in a column.",
    );
  }
  if (facts?.type === undefined) {
    binding.report(
      "error",
      "SQL_INVALID",
      path,
      `Cannot use this sql: ${facts?.error ?? "its type is not known"}`,
      "It is evaluated over the columns of its own row alone, named without the table.",
    );
    return undefined;
  }
  return { kind: "sql", sql, type: facts.type };
}
