import type { RowKey } from "../../core/change.ts";
import { BUCKETS, type SyncMark } from "../../core/document.ts";
import { type CatalogColumn, isUnique } from "../catalog.ts";
import { arrayLiteral, quote, type Statement } from "../client.ts";
import { type Binder, createBinder } from "./binder.ts";
import type { BoundIndex } from "./bound.ts";
import { renderFilters } from "./render_filter.ts";

/** Rows by key: strictly after `after`, up to `to` itself; absent: no bound on that side. */
export interface KeyRange {
  readonly after?: RowKey;
  readonly to?: RowKey;
}

/**
 * SQL: what is hashed of a row's key, as one number that a double holds: the bucket in its low 12
 * bits, the 31 bits of `SyncMark.key` above them. The build and the digest both use this, so a
 * document's mark and its row's are made of the same text by the same server. The text is what
 * `documentId` makes the `_id` of: each column as the type prints it (`t`, not `true`; a char(n)
 * padded), which a cast to text doesn't always give; another text under COLLATE "C" is another key.
 */
export function renderMark(key: readonly CatalogColumn[], alias: string): string {
  const text = renderKeyText(key, alias);
  return `(hashtextextended((${text}) COLLATE "C", 0) & ${2 ** 43 - 1})`;
}

/** SQL: each column of a key as its type prints it, several as in `_id`. */
export function renderKeyText(key: readonly CatalogColumn[], alias: string): string {
  const texts = key.map((column) => printed(column, alias));
  return texts.length === 1
    ? texts[0] ?? ""
    : texts.map((each, at) => hasSigns(key[at]) ? escaped(each) : each).join(" || ',' || ");
}

/** The mark that a rendered one stands for. */
export function markOf(rendered: string): SyncMark {
  const number = Number(rendered);
  const bucket = number % BUCKETS;
  return { bucket, key: (number - bucket) / BUCKETS };
}

/** Conditions that hold for exactly the rows that have a document, over the row `alias` names. */
export function renderPresence(index: BoundIndex, alias: string, binder: Binder): string[] {
  const { root, softDelete } = index;
  const conditions: string[] = [];
  if (root.where.length > 0) conditions.push(renderFilters(root.where, alias, binder));
  if (softDelete?.kind === "column") {
    const column = `${alias}.${quote(softDelete.column.name)}`;
    const { base, isArray } = softDelete.column.type;
    conditions.push(base === "bool" && !isArray ? `${column} IS NOT TRUE` : `${column} IS NULL`);
  } else if (softDelete?.kind === "when") {
    conditions.push(`(${renderFilters(softDelete.filters, alias, binder)}) IS NOT TRUE`);
  }
  return conditions;
}

/**
 * Whether an index gives the rows in the key's order: then ranges of keys can be read one by one,
 * each in a short statement. Without one each range would sort all rows.
 */
export function isOrdered({ root, key }: BoundIndex): boolean {
  return root.table.indexes.some(({ valid, partial, method, columns }) =>
    valid && !partial && method === "btree" && key.every(({ name }, at) => columns[at] === name)
  );
}

/** [key] of the row that is `rows` rows on, filtered out or not; no row: fewer are left. */
export function boundaryStatement(index: BoundIndex, range: KeyRange, rows: number): Statement {
  const binder = createBinder(0);
  const columns = columnsOf(index).join(", ");
  const text = `SELECT ${columns} FROM ${from(index)}${where(within(index, range, binder))} ` +
    `ORDER BY ${columns} OFFSET ${rows - 1} LIMIT 1`;
  return { text, params: binder.values };
}

/** [bucket, count, sum] of the documents of a range's rows. */
export function sumsStatement(index: BoundIndex, range: KeyRange): Statement {
  const binder = createBinder(0);
  const text = `SELECT (q.m & ${BUCKETS - 1})::text, count(*)::text, ` +
    `sum((q.m >> 12)::int)::text FROM (${marked(index, range, binder)}) AS q ` +
    `GROUP BY (q.m & ${BUCKETS - 1})`;
  return { text, params: binder.values };
}

/** [key] of those documents of a range's rows that are in the buckets. */
export function idsStatement(
  index: BoundIndex,
  range: KeyRange,
  buckets: readonly number[],
): Statement {
  const binder = createBinder(0);
  const rows = marked(index, range, binder);
  const list = `${binder.bind(arrayLiteral(buckets.map(String)))}::bigint[]`;
  const text = `SELECT ${index.key.map((_, at) => `q.k${at}`).join(", ")} FROM (${rows}) AS q ` +
    `WHERE (q.m & ${BUCKETS - 1}) = ANY (${list})`;
  return { text, params: binder.values };
}

/** Keys and marks, once each. OFFSET 0 keeps the mark from being computed where it is read. */
function marked(index: BoundIndex, range: KeyRange, binder: Binder): string {
  const { root, key } = index;
  // Rows with one key share one document; only a unique index says that there are none.
  const distinct = isUnique(root.table, key.map(({ name }) => name)) ? "" : "DISTINCT ";
  const keys = columnsOf(index).map((column, at) => `${column} AS k${at}`).join(", ");
  const conditions = [...within(index, range, binder), ...renderPresence(index, "t0", binder)];
  return `SELECT ${distinct}${keys}, ${renderMark(key, "t0")} AS m ` +
    `FROM ${from(index)}${where(conditions)} OFFSET 0`;
}

/** A row with a NULL in its key names no document. */
function within(index: BoundIndex, { after, to }: KeyRange, binder: Binder): string[] {
  const row = `(${columnsOf(index).join(", ")})`;
  const tuple = (key: RowKey) =>
    `(${
      index.key.map(({ type }, at) => `${binder.bind(key[at] ?? "")}::${type.cast}`).join(", ")
    })`;
  return [
    ...index.key.filter(({ notNull }) => !notNull).map(({ name }) =>
      `t0.${quote(name)} IS NOT NULL`
    ),
    ...(after === undefined ? [] : [`${row} > ${tuple(after)}`]),
    ...(to === undefined ? [] : [`${row} <= ${tuple(to)}`]),
  ];
}

function columnsOf({ key }: BoundIndex): string[] {
  return key.map(({ name }) => `t0.${quote(name)}`);
}

function from({ root: { table: { ref } } }: BoundIndex): string {
  return `${quote(ref.schema)}.${quote(ref.name)} AS t0`;
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}

/** The column as its type prints it. For these types a cast says the same, in a third of the time. */
function printed({ name, type }: CatalogColumn, alias: string): string {
  const column = `${alias}.${quote(name)}`;
  return !type.isArray && CAST_PRINTS.has(type.base)
    ? `${column}::text`
    : `format('%s', ${column})`;
}

function hasSigns(column: CatalogColumn | undefined): boolean {
  return column === undefined || column.type.isArray || !NO_SIGNS.has(column.type.base);
}

/** As `documentId` does it, so that (`a,b`, `c`) and (`a`, `b,c`) differ. */
function escaped(text: string): string {
  return `replace(replace(${text}, '%', '%25'), ',', '%2C')`;
}

const NO_SIGNS = new Set(["int2", "int4", "int8", "uuid"]);
const CAST_PRINTS = new Set([...NO_SIGNS, "text", "varchar"]);
