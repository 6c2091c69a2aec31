/**
 * Refs (design 3.7): texts by which a document names the rows of other tables that it was made of, so
 * that it is found again when one of them leaves it unseen. The build renders them in SQL, resolving
 * makes the same text of a change's key: both renderings stand here, side by side.
 *
 * A ref is `<tag>:<key>`. The tag is the first 4 hex digits of the digest of the table's `tableId`:
 * two tables that share one cost a needless build, no more. The key is that of the table's capture as
 * text: one column's as it prints; several joined by `,` with `%` and `,` inside of them as `%25` and
 * `%2C`; of more than 200 characters the hex SHA-256 of that text in UTF-8 instead. A `"` in it is written
 * `'`: keys that differ in that alone share a ref.
 */
import { createHash } from "node:crypto";
import type { RowKey } from "../../core/change.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import type { CatalogColumn, CatalogTable } from "../catalog.ts";
import { digest } from "./canonical.ts";
import { joinedParts } from "./identify.ts";
import { renderKeyText } from "./render_keys.ts";

/**
 * Tables whose captures don't see what a row was before, by `tableId`, each with the columns of its
 * `Change.key`.
 */
export type BlindTables = ReadonlyMap<string, readonly CatalogColumn[]>;

/** Refs that a row bears: SQL for JSON strings with commas between them, or NULL for none. */
export interface RenderedRefs {
  readonly sql: string;
  /** The tables whose rows are named, in the form of `IndexPlan.refs`. */
  readonly tables: readonly string[];
  /** Two rows of the same table may bear the same ref. */
  readonly shared: boolean;
  /** One row may bear the same ref twice. */
  readonly repeated: boolean;
}

/**
 * The columns by which a table's rows are named where they hang on `lower`; undefined: they aren't. A
 * row whose key holds the link can't leave by it: that would be another row.
 */
export function refKey(
  blind: BlindTables,
  table: CatalogTable,
  lower: readonly CatalogColumn[],
): readonly CatalogColumn[] | undefined {
  const key = blind.get(tableId(table.ref));
  return key === undefined || isWithin(lower, key) ? undefined : key;
}

/** Whether all of these columns are part of a key. */
export function isWithin(
  columns: readonly { readonly name: string }[],
  key: readonly { readonly name: string }[],
): boolean {
  return columns.every(({ name }) => key.some((each) => each.name === name));
}

/** The ref of one row as a JSON string, once for each row that `alias` gives. */
export function renderOwnRef(
  table: CatalogTable,
  key: readonly CatalogColumn[],
  alias: string,
): RenderedRefs {
  const names = key.map(({ name }) => name);
  const isPrimary = names.join("\0") === table.primaryKey?.join("\0");
  // Another key gives other refs. A primary key is part of the plan's fingerprint, no other one is.
  const id = isPrimary ? tableId(table.ref) : `${tableId(table.ref)} (${names.join(", ")})`;
  return { sql: renderRef(table.ref, key, alias), tables: [id], shared: false, repeated: false };
}

/** Refs of several sources of one row; undefined: there is none. */
export function joinRefs(
  parts: readonly (RenderedRefs | undefined)[],
): RenderedRefs | undefined {
  const found = parts.filter((part) => part !== undefined);
  const [only, ...others] = found;
  if (only === undefined || others.length === 0) return only;
  const tables = found.flatMap((part) => part.tables);
  return {
    sql: `nullif(concat_ws(',', ${found.map(({ sql }) => sql).join(", ")}), '')`,
    tables,
    shared: found.some(({ shared }) => shared),
    repeated: found.some(({ repeated }) => repeated) || new Set(tables).size < tables.length,
  };
}

/**
 * SQL for a document's refs, each once: still without brackets. No string has a quote of its own (an
 * escaped one would do at its end, behind a comma), so `","` stands only between two strings.
 */
export function renderOnce({ sql, repeated }: RenderedRefs): string {
  if (!repeated) return sql;
  return `(SELECT '"' || string_agg(DISTINCT e."#e" COLLATE "C", '","') || '"' ` +
    `FROM unnest(string_to_array(left(right(${sql}, -1), -1), '","')) AS e("#e"))`;
}

/** SQL for the build's column: the JSON array, NULL for none, `over` for more than `limit`. */
export function renderRefList(refs: string, limit: string): string {
  // Counted without parsing: by what stands between two strings.
  const count = `(length(${refs}) - length(replace(${refs}, '","', ''))) / 3 + 1`;
  return `CASE WHEN ${count} <= ${limit} THEN '[' || ${refs} || ']' ` +
    `WHEN ${refs} IS NOT NULL THEN '${OVER}' END`;
}

/** What the build says in place of refs that are too many. */
export const OVER = "over";

/** The ref of a changed row: the text that the JSON string of its own build stands for. */
export function refText(table: TableRef, key: RowKey): string {
  const [only = "", ...others] = key;
  const text = others.length === 0 ? only : joinedParts(key);
  return `${tagOf(table)}:${isLong(text) ? sha256(text) : text.replaceAll('"', "'")}`;
}

function renderRef(table: TableRef, key: readonly CatalogColumn[], alias: string): string {
  const text = renderKeyText(key, alias);
  const tag = tagOf(table);
  const isPlain = key.every(({ type }) => PLAIN.has(type.base));
  const isShort = key.length <= 4 && key.every(({ type }) => SHORT.has(type.base));
  // Bytes are counted at no cost, characters are not: this is a fifth of the time.
  const shown = isShort ? text : `CASE WHEN octet_length(${text}) <= ${MAX_KEY} ` +
    `OR length(${text}) <= ${MAX_KEY} THEN ${text} ` +
    `ELSE encode(sha256(convert_to(${text}, 'UTF8')), 'hex') END`;
  // No part is NULL in a row that shows: passed_over.ts.
  if (isShort) {
    return isPlain ? `'"${tag}:' || ${shown} || '"'` : `to_json('${tag}:' || ${shown})::text`;
  }
  return `to_json('${tag}:' || translate(${shown}, '"', ''''))::text`;
}

function tagOf(table: TableRef): string {
  return digest(tableId(table), 4);
}

/** Characters, as Postgres counts them: a pair of surrogates is one. */
function isLong(text: string): boolean {
  if (text.length <= MAX_KEY) return false;
  let count = 0;
  for (const _ of text) if (++count > MAX_KEY) return true;
  return false;
}

function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

const MAX_KEY = 200;
/** Their text is the same in JSON and has no sign that a composite key would escape. */
const PLAIN = new Set(["int2", "int4", "int8", "uuid"]);
/** Their text has fewer than 50 characters. */
const SHORT = new Set([...PLAIN, "oid", "bool", "date", "timestamp", "timestamptz"]);
