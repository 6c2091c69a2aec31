import { FatalError, messageOf } from "../../core/errors.ts";
import type { Problem } from "../../core/problem.ts";
import type { CatalogColumn } from "../catalog.ts";
import { typeText } from "../catalog_types.ts";
import type { Database } from "../client.ts";
import type { BoundField, BoundFilter, BoundIndex } from "./bound.ts";

/**
 * The filters' values that their columns' types don't take, each with its place. Asks the server
 * once for each value: for an index whose statement it refused, so that the culprit is named.
 */
export async function unfitValues(
  database: Database,
  name: string,
  { root, softDelete }: BoundIndex,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  const path = `indexes.${name}`;
  const problems: Problem[] = [];
  const given = [
    ...inFields(root.fields, `${path}.fields`),
    ...inFilters(root.where, `${path}.where`),
    ...(softDelete?.kind === "when"
      ? inFilters(softDelete.filters, `${path}.softDelete.when`)
      : []),
  ];
  for (const { column, isElement, value, at } of given) {
    const { type } = column;
    const cast = type.isArray && !isElement ? `${type.cast}[]` : type.cast;
    try {
      await database.query({ text: `SELECT $1::${cast}`, params: [value] }, signal);
    } catch (error) {
      if (!(error instanceof FatalError)) throw error;
      if (!error.code?.startsWith(DATA_EXCEPTION)) continue;
      problems.push({
        severity: "error",
        code: "TYPE_MISMATCH",
        path: at,
        // What the server quotes stands in the config.
        message: `Cannot compare "${column.name}", which is ${typeText(type)}, with this value: ` +
          messageOf(error.cause),
        hint: hintOf(column),
      });
    }
  }
  return problems;
}

/** A value of a filter, where it stands. */
interface Given {
  readonly column: CatalogColumn;
  /** It is one of a list that the column is looked for in. */
  readonly isElement: boolean;
  readonly value: string;
  readonly at: string;
}

function inFilters(filters: readonly BoundFilter[], path: string): readonly Given[] {
  return filters.flatMap((filter, at): readonly Given[] => {
    const place = `${path}.${at}`;
    if (filter.kind === "sql") return [];
    if (filter.kind !== "compare") return inFilters(filter.filters, `${place}.${filter.kind}`);
    const { column, op, values } = filter;
    // These two compare texts, whatever the column is.
    if (op === "like" || op === "ilike") return [];
    const isElement = op === "in" || op === "notIn";
    const isList = isElement || op === "between";
    return values.map((value, number) => ({
      ...{ column, isElement, value },
      at: isList ? `${place}.values.${number}` : `${place}.value`,
    }));
  });
}

function inFields(fields: readonly BoundField[], path: string): readonly Given[] {
  return fields.flatMap((field): readonly Given[] => {
    const place = `${path}.${field.name}`;
    if (field.kind === "object") return inFields(field.fields, `${place}.object`);
    if (field.kind !== "relation" && field.kind !== "aggregate") return [];
    const { fields: below, where } = field.row;
    return [...inFields(below, `${place}.fields`), ...inFilters(where, `${place}.where`)];
  });
}

/** The class of its SQLSTATE where a value is at fault. */
const DATA_EXCEPTION = "22";

function hintOf({ type }: CatalogColumn): string {
  if (type.labels === undefined || type.isArray) return "Write it as Postgres reads such a type.";
  return `It has ${type.labels.map((label) => `"${label}"`).join(", ")}; case counts.`;
}
