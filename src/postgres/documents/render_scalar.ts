import type { ColumnType } from "../catalog_types.ts";
import type { Render } from "./render_elements.ts";
import { type Family, familyOf } from "./field_types.ts";

/** A number as JSON has it, null for any other; undefined: row_to_json does it as it is. */
export function renderNumber(type: ColumnType): Render | undefined {
  switch (familyOf(type)) {
    case "integer":
      // row_to_json makes a string of an oid.
      return type.base === "oid" ? (sql) => `${sql}::bigint` : undefined;
    case "float":
      return (sql) => finite("float", sql);
    case "numeric":
      // With declared digits it can be NaN and nothing else that JSON lacks; the cheaper test.
      return type.numeric === undefined
        ? (sql) => finite("numeric", sql)
        : (sql) => `CASE WHEN ${sql} < 'NaN'::numeric THEN ${sql} END`;
    case "money":
      return (sql) => `${sql}::numeric`;
    default:
      return undefined;
  }
}

/** A finite number as it is, any other as null. `sql` is of a type of that family. */
export function finite(family: Family, sql: string): string {
  // Only a finite number has a difference of 0 to itself; numeric had no infinity before Postgres 14.
  return family === "float"
    ? `CASE WHEN ${sql} < 'Infinity' AND ${sql} > '-Infinity' THEN ${sql} END`
    : `CASE WHEN ${sql} - ${sql} = 0 THEN ${sql} END`;
}

/** A text that says the value exactly; undefined: row_to_json makes one. */
export function renderText(type: ColumnType): Render | undefined {
  switch (familyOf(type)) {
    case "uuid":
    case "enum":
      return undefined;
    case "text":
      return type.base === "bpchar" ? (sql) => `${sql}::text` : undefined;
    case "moment":
      return (sql) => `(${renderMoment(type, sql)} #>> '{}')`;
    case "money":
      return (sql) => `${sql}::numeric::text`;
    case "bytes":
      return renderBase64;
    default:
      return (sql) => `${sql}::text`;
  }
}

/** Base64 on one line: encode breaks it after 76 characters. */
export function renderBase64(sql: string): string {
  return `translate(encode(${sql}, 'base64'), E'\\n', '')`;
}

/**
 * ISO 8601 as to_json writes it, with T, and with an offset for timestamptz. Years outside of
 * 1 to 9999, which to_json ends in "BC" or leaves without a sign, get the sign that ISO asks for.
 * Infinity is null.
 */
export function renderMoment({ base }: Pick<ColumnType, "base">, sql: string): string {
  const year = `extract(year FROM ${sql})::int`;
  // There is no year 0 in SQL; in ISO it is 1 BC.
  const signed = `CASE WHEN ${year} > 0 THEN '+' || ${year} ` +
    `ELSE CASE WHEN ${year} = -1 THEN '' ELSE '-' END || lpad((-1 - ${year})::text, 4, '0') END`;
  return `CASE WHEN ${sql} >= '0001-01-01' AND ${sql} < '10000-01-01' THEN to_json(${sql}) ` +
    `WHEN isfinite(${sql}) THEN to_json((${signed}) || ${behindYear(base, sql)}) END`;
}

/** What follows the year. to_char would make a timestamp of a date, which has years that a timestamp lacks. */
function behindYear(base: string, sql: string): string {
  const digits = (part: string) => `'-' || lpad(extract(${part} FROM ${sql})::text, 2, '0')`;
  if (base === "date") return `${digits("month")} || ${digits("day")}`;
  const zone = base === "timestamptz" ? ` || '+00:00'` : "";
  return `to_char(${sql}, '-MM-DD"T"HH24:MI:SS.US')${zone}`;
}
