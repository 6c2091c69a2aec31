import type { ScalarType, Transform } from "../../core/description.ts";
import type { ColumnType } from "../catalog_types.ts";
import { arrayLiteral } from "../client.ts";
import type { Binder } from "./binder.ts";
import { type Family, familyOf } from "./field_types.ts";

/**
 * SQL that gives a value as a field of this type carries it: something row_to_json writes on one
 * line and a sink accepts. Infinite times, NaN and infinite numbers become null.
 * `source` is an expression of the given type; it may be repeated.
 */
export function renderValue(
  field: ScalarType,
  type: ColumnType,
  source: string,
  transforms: readonly Transform[],
  binder: Binder,
): string {
  let sql = source;
  let now = type;
  for (const transform of transforms) {
    if (typeof transform === "string") {
      [sql, now] = [textTransform(transform, sql, now), { ...TEXT, isArray: now.isArray }];
    } else {
      const parameter = binder.bind(defaultText(transform.default, now));
      sql = `coalesce(${sql}, ${parameter}::${now.cast}${now.isArray ? "[]" : ""})`;
    }
  }
  const one = renderOne(field, now);
  if (one === undefined) return sql;
  return now.isArray ? overElements(sql, "json_agg", one, "'[]'::json") : one(sql);
}

/** A finite number as it is, any other as null. `sql` is of a type of that family. */
export function finite(family: Family, sql: string): string {
  // Only a finite number has a difference of 0 to itself; numeric had no infinity before Postgres 14.
  return family === "float"
    ? `CASE WHEN ${sql} < 'Infinity' AND ${sql} > '-Infinity' THEN ${sql} END`
    : `CASE WHEN ${sql} - ${sql} = 0 THEN ${sql} END`;
}

type Render = (sql: string) => string;

/** How one value, or one element, is rendered; undefined: row_to_json does it as it is. */
function renderOne(field: ScalarType, type: ColumnType): Render | undefined {
  switch (field) {
    case "boolean":
    case "short":
    case "integer":
    case "long":
    case "unsigned_long":
    case "float":
    case "double":
    case "decimal":
      return renderNumber(type);
    case "date":
    case "date_nanos":
      return (sql) => renderMoment(type, sql);
    case "json":
      return type.base === "jsonb" ? undefined : (sql) => `${sql}::jsonb`;
    case "ip":
      return type.base === "inet" || type.base === "cidr"
        ? (sql) => `host(${sql})`
        : (sql) => `host(nullif(${sql}::text, '')::inet)`;
    default:
      return renderText(type);
  }
}

function renderNumber(type: ColumnType): Render | undefined {
  switch (familyOf(type)) {
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

function renderText(type: ColumnType): Render | undefined {
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
    default:
      return type.base === "bytea"
        ? (sql) => `translate(encode(${sql}, 'base64'), E'\\n', '')`
        : (sql) => `${sql}::text`;
  }
}

/**
 * ISO 8601 as to_json writes it, with T, and with an offset for timestamptz. Years outside of
 * 1 to 9999, which to_json ends in "BC" or leaves without a sign, get the sign that ISO asks for.
 */
function renderMoment({ base }: ColumnType, sql: string): string {
  const year = `extract(year FROM ${sql})::int`;
  // There is no year 0 in SQL; in ISO it is 1 BC.
  const signed = `CASE WHEN ${year} > 0 THEN '+' || ${year} ` +
    `ELSE CASE WHEN ${year} = -1 THEN '' ELSE '-' END || lpad((-1 - ${year})::text, 4, '0') END`;
  const clock = base === "date" ? "" : `"T"HH24:MI:SS.US`;
  const zone = base === "timestamptz" ? ` || '+00:00'` : "";
  return `CASE WHEN ${sql} >= '0001-01-01' AND ${sql} < '10000-01-01' THEN to_json(${sql}) ` +
    `WHEN isfinite(${sql}) THEN to_json((${signed}) || to_char(${sql}, '-MM-DD${clock}')${zone}) END`;
}

function textTransform(transform: "lowercase" | "trim", sql: string, type: ColumnType): string {
  const apply = (each: string) =>
    transform === "lowercase" ? `lower(${each}::text)` : `btrim(${each}::text)`;
  return type.isArray ? overElements(sql, "array_agg", apply, "'{}'::text[]") : apply(sql);
}

/** Applies `render` to each element in order; null stays null, empty stays empty. */
function overElements(
  sql: string,
  collect: "json_agg" | "array_agg",
  render: Render,
  empty: string,
): string {
  return `CASE WHEN ${sql} IS NOT NULL THEN coalesce((SELECT ${collect}(${
    render('e."#v"')
  } ORDER BY e."#n") ` +
    `FROM unnest(${sql}) WITH ORDINALITY AS e("#v", "#n")), ${empty}) END`;
}

function defaultText(value: unknown, type: ColumnType): string {
  if (familyOf(type) === "json" && !type.isArray) return JSON.stringify(value);
  if (type.isArray && Array.isArray(value)) {
    return arrayLiteral(value.map((each) => each === null ? null : scalarText(each)));
  }
  return scalarText(value);
}

function scalarText(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const TEXT: ColumnType = {
  declared: "text",
  cast: "text",
  base: "text",
  labels: undefined,
  isArray: false,
  isComposite: false,
  numeric: undefined,
};
