import type { MapValueType } from "../../core/description.ts";
import type { ColumnType } from "../catalog_types.ts";
import { overElements, type Render } from "./render_elements.ts";
import { finite, renderMoment } from "./render_scalar.ts";

/**
 * An object's values, each as the map's value type; lists of them stay lists. What isn't an object,
 * and a value that doesn't cast, fails with 22P02 or the cast's own code: that row is set aside.
 */
export function renderMap(values: MapValueType, type: ColumnType): Render {
  const one = renderEach(values);
  const list = overElements(
    "ARRAY(SELECT jsonb_array_elements_text(m.v))",
    "json_agg",
    one,
  );
  const value = `CASE jsonb_typeof(m.v) WHEN 'array' THEN ${list} ` +
    `ELSE to_json(${one("(m.v #>> '{}')")}) END`;
  return (sql) => {
    const object = type.base === "jsonb" ? sql : `${sql}::jsonb`;
    // jsonb keeps its keys in an order of its own, always the same.
    const pairs =
      `SELECT string_agg(to_json(m.k)::text || ':' || coalesce((${value})::text, 'null'), ',' ` +
      `ORDER BY m.n) FROM jsonb_each(${object}) WITH ORDINALITY AS m(k, v, n)`;
    return `CASE jsonb_typeof(${object}) WHEN 'object' THEN ('{' || coalesce((${pairs}), '') || '}')::json ` +
      `WHEN 'null' THEN NULL ELSE ('not an object: ' || jsonb_typeof(${object}))::json END`;
  };
}

/** A text as a value of the type. */
function renderEach(values: MapValueType): Render {
  switch (values) {
    case "boolean":
      return (text) => `${text}::boolean`;
    case "long":
      return (text) => `${text}::bigint`;
    case "double":
      return (text) => `(${finite("numeric", `${text}::numeric`)})`;
    case "date":
      return (text) => `(${renderMoment({ base: "timestamptz" }, moment(text))})`;
    default:
      return (text) => text;
  }
}

/** Words that mean the time of reading are no dates: a document is a function of its rows. */
function moment(text: string): string {
  return `(CASE WHEN ${text} ~* 'now|today|tomorrow|yesterday' THEN 'not a date: ' ELSE '' END || ${text})::timestamptz`;
}
