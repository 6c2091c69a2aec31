import { type CatalogColumn, isUnique } from "../catalog.ts";
import { quote } from "../client.ts";
import type { Binder } from "./binder.ts";
import type { BoundLink } from "./bound.ts";
import { type BlindTables, refKey, type RenderedRefs, renderOwnRef } from "./refs.ts";

/** Where the rows that belong to one row above come from. */
export interface RenderedLink {
  readonly from: string;
  /** "": `from` says it all. */
  readonly where: string;
  /** Of the junction's rows that lead to a row, where they are to be named. */
  readonly refs: RenderedRefs | undefined;
}

/** The rows of a link's lower table, as `alias`, that belong to the row `above` names. */
export function renderLink(
  { lowerTable, upper, lower, through }: BoundLink,
  above: string,
  alias: string,
  binder: Binder,
  blind: BlindTables,
): RenderedLink {
  const table = `${quote(lowerTable.ref.schema)}.${quote(lowerTable.ref.name)} AS ${alias}`;
  if (through === undefined) {
    return { from: table, where: pairs(alias, lower, above, upper), refs: undefined };
  }
  const junction = `j${binder.next()}`;
  const { ref } = through.table;
  const key = refKey(blind, through.table, through.left);
  const own = key && renderOwnRef(through.table, key, "j");
  const reached = through.right.map(({ name }, at) => `j.${quote(name)} AS "#k${at}"`).join(", ");
  const source = `FROM ${quote(ref.schema)}.${quote(ref.name)} AS j ` +
    `WHERE ${pairs("j", through.left, above, upper)}`;
  // A target is listed once, however many junction rows lead to it.
  const rows = own === undefined
    ? `SELECT DISTINCT ${reached} ${source}`
    : `SELECT ${reached}, string_agg(${own.sql}, ',') AS "#r" ${source} ` +
      `GROUP BY ${through.right.map(({ name }) => `j.${quote(name)}`).join(", ")}`;
  const from = `(${rows}) AS ${junction} JOIN ${table} ON ` +
    lower.map(({ name }, at) => `${alias}.${quote(name)} = ${junction}."#k${at}"`).join(" AND ");
  return { from, where: "", refs: own && { ...own, sql: `${junction}."#r"` } };
}

/**
 * The refs that rows of a link bear, as seen from the row above: which of them come more than once.
 * `many`: the row above has several; `below`: what each of those bears of the rows below it.
 */
export function linkedRefs(
  borne: RenderedRefs,
  { upperTable, lowerTable, upper, lower, through }: BoundLink,
  many: boolean,
  below: RenderedRefs | undefined,
): RenderedRefs {
  const names = (columns: readonly CatalogColumn[]) => columns.map(({ name }) => name);
  const forked = through !== undefined && !isUnique(lowerTable, names(lower));
  const isShared = below?.shared === true;
  return {
    ...borne,
    shared: isShared || through !== undefined || !isUnique(upperTable, names(upper)),
    repeated: borne.repeated || many && (isShared || forked),
  };
}

function pairs(
  a: string,
  left: readonly CatalogColumn[],
  b: string,
  right: readonly CatalogColumn[],
): string {
  return left
    .map(({ name }, at) => `${a}.${quote(name)} = ${b}.${quote(right[at]?.name ?? "")}`)
    .join(" AND ");
}
