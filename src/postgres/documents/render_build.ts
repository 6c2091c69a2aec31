import { quote } from "../client.ts";
import { createBinder } from "./binder.ts";
import type { BoundIndex } from "./bound.ts";
import { renderMark, renderPresence } from "./render_keys.ts";
import { renderRow } from "./render_row.ts";
import { type BlindTables, renderOnce, renderRefList } from "./refs.ts";

/** The one statement that builds an index's documents. */
export interface BuildStatement {
  /**
   * Parameters: first the keys, `keyCount` array literals with one column each; then `values`; last
   * the limit in bytes, and with `refs` the limit of those. Rows: the key columns as Postgres prints
   * them, then the document's text, or null where it exceeds the limit, then its mark
   * (render_keys.ts), then with `refs` the JSON array of them, null for none, or `over` (refs.ts).
   * No row for a key: no document.
   */
  readonly text: string;
  readonly keyCount: number;
  readonly values: readonly string[];
  /** `IndexPlan.refs`: [] where no row is named, and then it costs nothing. */
  readonly refs: readonly string[];
}

/** `blind`: tables whose rows are to be named where they may leave a document unseen. */
export function renderBuild(
  index: BoundIndex,
  blind: BlindTables = new Map(),
): BuildStatement {
  const { root, key } = index;
  const binder = createBinder(key.length);
  const { joins, json, refs } = renderRow(root.fields, "t0", binder, blind);
  const table = `${quote(root.table.ref.schema)}.${quote(root.table.ref.name)} AS t0`;
  const arrays = key.map(({ type }, at) => `$${at + 1}::${type.cast}[]`);
  const [only, ...others] = key;
  const conditions: string[] = [];
  let from = table;
  if (only !== undefined && others.length === 0) {
    conditions.push(`t0.${quote(only.name)} = ANY (${arrays[0]})`);
  } else {
    const names = key.map((_, at) => `"#k${at}"`);
    const matches = key.map(({ name }, at) => `t0.${quote(name)} = k."#k${at}"`);
    from = `unnest(${arrays.join(", ")}) AS k(${names.join(", ")}) JOIN ${table} ON ` +
      matches.join(" AND ");
  }
  conditions.push(...renderPresence(index, "t0", binder));
  const keys = key.map(({ name }, at) => `t0.${quote(name)} AS k${at}`).join(", ");
  const limit = (at: number) => `$${key.length + binder.values.length + at}::int`;
  const inner = refs === undefined ? "" : `, ${renderOnce(refs)} AS r`;
  const outer = refs === undefined ? "" : `, ${renderRefList("q.r", limit(2))}`;
  // OFFSET 0 keeps the document from being rendered once more for its length.
  const text = `SELECT ${key.map((_, at) => `q.k${at}`).join(", ")}, ` +
    `CASE WHEN octet_length(q.d) <= ${limit(1)} THEN q.d END, q.m${outer} FROM (\n` +
    `SELECT ${keys}, ${json}::text AS d, ${renderMark(key, "t0")} AS m${inner} ` +
    `FROM ${from}\n${joins}\n` +
    `${conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}\n` : ""}OFFSET 0) AS q`;
  const tables = [...new Set(refs?.tables ?? [])].sort();
  return { text, keyCount: key.length, values: binder.values, refs: tables };
}

/** The statement with parameters that ask for no document: to be planned, not to be run. */
export function overNoKeys({ text, keyCount, values, refs }: BuildStatement): {
  readonly text: string;
  readonly params: readonly string[];
} {
  const keys = Array.from({ length: keyCount }, () => "{}");
  return { text, params: [...keys, ...values, "1", ...(refs.length === 0 ? [] : ["1"])] };
}
