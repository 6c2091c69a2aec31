import type { CatalogColumn, CatalogTable } from "../catalog.ts";
import type { ColumnType } from "../catalog_types.ts";
import { quote } from "../client.ts";
import type { Path } from "./paths.ts";

/**
 * SQL that maps many rows of the table a path ends in to the keys of the root rows above them, in
 * one statement: `$1::type[]`, one array for each column of `start`. Rows: root keys as Postgres
 * prints them, each once.
 *
 * Filters, orders and limits of the relations are left out on purpose: a row that drops out of one
 * must refresh the documents that showed it.
 */
export function renderResolve(
  root: CatalogTable,
  key: readonly CatalogColumn[],
  path: Path,
  start:
    | { readonly by: "key"; readonly columns: readonly CatalogColumn[] }
    | { readonly by: "link" },
): string {
  const last = path.at(-1);
  if (last === undefined) throw new Error("Cannot resolve along a path without hops");
  const given = start.by === "key" ? start.columns : last.lower;
  const arrays = given.map(({ type }, at) => `$${at + 1}::${type.cast}[]`).join(", ");
  const names = given.map((_, at) => `"#k${at}"`);
  let from = `unnest(${arrays}) AS k(${names.join(", ")})`;
  let values = names.map((name) => `k.${name}`);
  if (start.by === "key") {
    const alias = `t${path.length}`;
    from += join(last.lowerTable, alias, given, values);
    values = columns(alias, last.lower);
  }
  for (let at = path.length - 1; at > 0; at--) {
    const hop = path[at];
    const above = path[at - 1];
    if (hop === undefined || above === undefined) break;
    from += join(hop.upperTable, `t${at}`, hop.upper, values);
    values = columns(`t${at}`, above.lower);
  }
  const [first] = path;
  if (first === undefined) return "";
  const direct = keyFromLink(key, first);
  if (direct === undefined) {
    from += join(root, "t0", first.upper, values);
    return `SELECT DISTINCT ${columns("t0", key).join(", ")} FROM ${from}`;
  }
  const shown = direct.map((at) => values[at] ?? "NULL");
  return `SELECT DISTINCT ${shown.join(", ")} FROM ${from} ` +
    `WHERE ${shown.map((value) => `${value} IS NOT NULL`).join(" AND ")}`;
}

/** SQL that maps keys of a root table as captured to the key its documents are named by. */
export function renderRootKeys(
  root: CatalogTable,
  key: readonly CatalogColumn[],
  captured: readonly CatalogColumn[],
): string {
  const arrays = captured.map(({ type }, at) => `$${at + 1}::${type.cast}[]`).join(", ");
  const names = captured.map((_, at) => `"#k${at}"`);
  const from = `unnest(${arrays}) AS k(${names.join(", ")})` +
    join(root, "t0", captured, names.map((name) => `k.${name}`));
  return `SELECT DISTINCT ${columns("t0", key).join(", ")} FROM ${from}`;
}

/**
 * Where the columns below the root hold the root's key in the same text, the root needs no look: the
 * place of each key column among them; undefined when one isn't there.
 */
export function keyFromLink(
  key: readonly CatalogColumn[],
  { upper, lower }: Path[number],
): readonly number[] | undefined {
  const places = key.map(({ name }) => upper.findIndex((column) => column.name === name));
  const isSame = (column: CatalogColumn, place: number) => {
    const below = lower[place];
    return below !== undefined && printsAlike(column.type, below.type);
  };
  return key.every((column, at) => isSame(column, places[at] ?? -1)) ? places : undefined;
}

/** Whether equal values of two types always print as the same text. */
function printsAlike(a: ColumnType, b: ColumnType): boolean {
  if (a.isArray || b.isArray || a.looseCollation || b.looseCollation) return false;
  if (INTEGERS.has(a.base) && INTEGERS.has(b.base)) return true;
  if (TEXTS.has(a.base) && TEXTS.has(b.base)) return true;
  return a.cast === b.cast && (a.labels !== undefined || EXACT.has(a.base));
}

function join(
  table: CatalogTable,
  alias: string,
  on: readonly CatalogColumn[],
  values: readonly string[],
): string {
  const matches = on.map(({ name }, at) => `${alias}.${quote(name)} = ${values[at] ?? "NULL"}`);
  return ` JOIN ${quote(table.ref.schema)}.${quote(table.ref.name)} AS ${alias} ` +
    `ON ${matches.join(" AND ")}`;
}

function columns(alias: string, of: readonly CatalogColumn[]): string[] {
  return of.map(({ name }) => `${alias}.${quote(name)}`);
}

const INTEGERS = new Set(["int2", "int4", "int8", "oid"]);
const TEXTS = new Set(["text", "varchar", "name"]);
const EXACT = new Set(["uuid", "date", "timestamp", "timestamptz", "bool"]);
