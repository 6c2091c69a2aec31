/** SQL of a value, rendered; it may repeat what it is given. */
export type Render = (sql: string) => string;

/**
 * Applies `render` to each element of an array or a multirange, in order: null stays null, empty
 * stays empty. An array of several dimensions gives one list of all its elements: OpenSearch makes
 * no difference between them, but for the types that refuse lists in lists.
 */
export function overElements(
  sql: string,
  collect: "json_agg" | "array_agg",
  render: Render,
  /** Elements that are null once rendered are left out. */
  dropNulls = false,
): string {
  const value = render('e."#v"');
  const filter = dropNulls ? ` FILTER (WHERE ${value} IS NOT NULL)` : "";
  const empty = collect === "json_agg" ? "'[]'::json" : "'{}'::text[]";
  return `CASE WHEN ${sql} IS NOT NULL THEN coalesce((SELECT ${collect}(${value} ORDER BY e."#n")` +
    `${filter} FROM unnest(${sql}) WITH ORDINALITY AS e("#v", "#n")), ${empty}) END`;
}

/** An array as row_to_json writes it, in one dimension. */
export function flatArray(sql: string): string {
  const flat = overElements(sql, "json_agg", (element) => element);
  return `CASE WHEN array_ndims(${sql}) > 1 THEN ${flat} ELSE to_json(${sql}) END`;
}
