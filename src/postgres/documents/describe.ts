import { messageOf, RetryableError } from "../../core/errors.ts";
import type { FieldDescription, Filter, IndexDescription } from "../../core/description.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import type { Catalog } from "../catalog.ts";
import { type ColumnType, loadTypes, typeResolver } from "../catalog_types.ts";
import { arrayLiteral, type Database, quote } from "../client.ts";
import { readExpression } from "./expression.ts";

/** What the database says about one piece of `sql`. */
export interface ExpressionFacts {
  readonly type: ColumnType | undefined;
  /** Why it doesn't run; undefined when it does. */
  readonly error: string | undefined;
  /** Functions it calls that the database declares VOLATILE. */
  readonly volatile: readonly string[];
}

/** Key of an expression over the rows of a table. */
export function expressionKey(table: TableRef, sql: string): string {
  return `${tableId(table)}\0${sql}`;
}

/**
 * Asks the database for the type of every `sql` in the descriptions: one statement for each piece,
 * so that one broken piece is named and the others are not, and two for all of them. Reads no row.
 */
export async function describeExpressions(
  database: Database,
  descriptions: readonly IndexDescription[],
  catalog: Catalog,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ExpressionFacts>> {
  const pieces = new Map<string, { table: TableRef; sql: string }>();
  for (const { table, sql } of descriptions.flatMap(expressionsOf)) {
    if (!catalog.tables.has(tableId(table)) || readExpression(sql).refused !== undefined) continue;
    pieces.set(expressionKey(table, sql), { table, sql });
  }
  if (pieces.size === 0) return new Map();

  const answers = new Map<string, { oid: string } | { error: string }>();
  for (const [key, { table, sql }] of pieces) {
    try {
      const rows = await database.query({ text: typeQuery(table, sql) }, signal);
      answers.set(key, { oid: rows[0]?.[0] ?? "0" });
    } catch (error) {
      if (signal.aborted || error instanceof RetryableError) throw error;
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
      answers.set(key, { error: messageOf(cause) });
    }
  }
  const oids = [...answers.values()].map((answer) => "oid" in answer ? answer.oid : "0");
  const calls = [...pieces.values()].flatMap(({ sql }) => readExpression(sql).calls);
  const [types, volatile] = await Promise.all([
    loadTypes(database, oids, signal),
    database.query({ text: VOLATILE, params: [arrayLiteral(calls)] }, signal),
  ]);
  const typeOf = typeResolver(types);
  const names = new Set(volatile.map((row) => row[0]));
  return new Map([...pieces].map(([key, { sql }]) => {
    const answer = answers.get(key);
    return [key, {
      type: answer !== undefined && "oid" in answer ? typeOf(answer.oid, -1) : undefined,
      error: answer !== undefined && "error" in answer ? answer.error : undefined,
      volatile: readExpression(sql).calls.filter((name) => names.has(name)),
    }];
  }));
}

interface Piece {
  readonly table: TableRef;
  readonly sql: string;
}

function expressionsOf(index: IndexDescription): Piece[] {
  const { softDelete } = index;
  return [
    ...inFilters(index.table, index.where),
    ...(softDelete?.kind === "when" ? inFilters(index.table, softDelete.filters) : []),
    ...inFields(index.table, index.fields),
  ];
}

function inFields(table: TableRef, fields: readonly FieldDescription[]): Piece[] {
  return fields.flatMap((field): Piece[] => {
    if (field.kind === "scalar") {
      return field.from.kind === "sql" ? [{ table, sql: field.from.sql }] : [];
    }
    if (field.kind === "geo_point" || field.kind === "constant") return [];
    if (field.kind === "object") return inFields(table, field.fields);
    const filters = inFilters(field.table, field.where);
    return "fields" in field ? [...filters, ...inFields(field.table, field.fields)] : filters;
  });
}

function inFilters(table: TableRef, filters: readonly Filter[]): Piece[] {
  return filters.flatMap((filter): Piece[] =>
    filter.kind === "sql"
      ? [{ table, sql: filter.sql }]
      : filter.kind === "compare"
      ? []
      : inFilters(table, filter.filters)
  );
}

/**
 * The expression stands in a SELECT list for its type, and in a WHERE, where aggregates, window
 * functions and functions that return sets are errors: each of them would change how many rows a
 * document's statement gives. `false` keeps it from being evaluated.
 */
function typeQuery(table: TableRef, sql: string): string {
  const from = `${quote(table.schema)}.${quote(table.name)}`;
  return `SELECT pg_typeof(q.e)::oid FROM (VALUES (1)) AS v LEFT JOIN (` +
    `SELECT (${sql}) AS e FROM ${from} WHERE false AND (${sql}) IS NOT NULL) AS q ON true`;
}

const VOLATILE =
  `SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY ($1::text[]) AND provolatile = 'v'`;
