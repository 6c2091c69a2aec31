import type { ColumnType } from "../catalog_types.ts";
import { quote } from "../client.ts";
import type { BoundPoint } from "./bound.ts";
import { familyOf } from "./field_types.ts";
import { renderShape } from "./render_shape.ts";

/** Whether one column of this type is a point, or holds points in a form that a sink reads. */
export function holdsPoints(type: ColumnType): boolean {
  if (type.isArray) return false;
  return ["point", "text", "geometry"].includes(familyOf(type)) ||
    type.base === "json" || type.base === "jsonb";
}

/**
 * SQL that gives a point as JSON. Numbers of columns of their own, and Postgres's points, as
 * `{"lat", "lon"}`: half a point, or one at infinity, is none. What json and text columns hold goes as
 * it is (`{"lat", "lon"}`, [lon, lat], "lat,lon", GeoJSON, WKT), but for JSON's null, half a point and
 * blank text, which are none: the sink reads them, and refuses what is no point. PostGIS's as GeoJSON.
 */
export function renderPoint({ from }: BoundPoint, alias: string): string {
  const at = ({ name }: { readonly name: string }) => `${alias}.${quote(name)}`;
  if (from.kind === "pair") return pair(at(from.lat), at(from.lon));
  const { type } = from.column;
  const sql = at(from.column);
  switch (familyOf(type)) {
    case "point":
      return pair(`(${sql})[1]`, `(${sql})[0]`);
    case "text":
      return `nullif(btrim(${sql}::text), '')`;
    case "geometry":
      return renderShape(type)?.(sql) ?? sql;
    default:
      return given(`${sql}::jsonb`);
  }
}

function given(json: string): string {
  return `CASE WHEN jsonb_typeof(${json}) = 'null' OR jsonb_typeof(${json}) = 'object' AND ` +
    `(${json} -> 'lat' = 'null' OR ${json} -> 'lon' = 'null') THEN NULL ELSE ${json} END`;
}

function pair(lat: string, lon: string): string {
  const isFinite = (sql: string) =>
    `${sql}::float8 < 'Infinity'::float8 AND ${sql}::float8 > '-Infinity'::float8`;
  return `CASE WHEN ${isFinite(lat)} AND ${isFinite(lon)} ` +
    `THEN json_build_object('lat', ${lat}, 'lon', ${lon}) END`;
}
