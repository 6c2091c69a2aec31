import { quote } from "../client.ts";
import type { ColumnType } from "../catalog_types.ts";
import { familyOf } from "./field_types.ts";
import type { Render } from "./render_elements.ts";

/**
 * A shape as GeoJSON, a text as the WKT it is; no text, an empty geometry and one that isn't finite
 * are null. undefined: row_to_json does it.
 */
export function renderShape(type: ColumnType): Render | undefined {
  switch (familyOf(type)) {
    case "json":
      return type.base === "jsonb" ? undefined : (sql) => `${sql}::jsonb`;
    case "geometry":
      return (sql) => renderGeometry(type, sql);
    case "point":
    case "figure":
      return (sql) => renderFigure(type.base, sql);
    default:
      return (sql) => `nullif(${sql}::text, '')`;
  }
}

/** Coordinates of a Postgres figure as a JSON array, null unless all are finite. */
export function renderCoordinates(sql: string): string {
  return `CASE WHEN ${sql}::text !~ '[nN]' THEN translate(${sql}::text, '()', '[]')::json END`;
}

/**
 * PostGIS's functions are named by the schema of its types: it need not be on the search path. In
 * degrees (EPSG:4326), which GeoJSON means; curves as lines. A shape that GeoJSON lacks (a surface)
 * fails with 22P02, so that its row is set aside: PostGIS itself would raise an internal error.
 */
function renderGeometry({ base, schema }: ColumnType, sql: string): string {
  const at = schema === undefined ? "" : `${quote(schema)}.`;
  const shape = base === "geography" ? `${sql}::${at}geometry` : sql;
  const degrees = `CASE WHEN ${at}st_srid("#g") IN (0, 4326) THEN "#g" ` +
    `ELSE ${at}st_transform("#g", 4326) END`;
  const straight = `SELECT CASE WHEN NOT ${at}st_isempty(${shape}) ` +
    `THEN ${at}st_curvetoline(${shape}) END AS "#g"`;
  const text = `SELECT CASE WHEN ${at}st_geometrytype("#g") IN (${PLAIN}) ` +
    `THEN ${at}st_asgeojson(${degrees}, 15, 0) ` +
    `ELSE 'no GeoJSON: ' || ${at}st_geometrytype("#g") END AS "#j" FROM (${straight}) AS g`;
  return `(SELECT CASE WHEN "#j" !~* 'nan|inf' THEN "#j"::json END FROM (${text}) AS h)`;
}

const PLAIN = ["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"]
  .concat("GeometryCollection").map((name) => `'ST_${name}'`).join(", ");

function renderFigure(base: string, sql: string): string {
  const text = `${sql}::text`;
  // Their own notation with other brackets: [(1,2),(3,4)], ((1,2),(3,4)), (1,2).
  const list = `translate(${text}, '()', '[]')`;
  const shape = (kind: string, coordinates: string) =>
    `CASE WHEN ${text} !~ '[nN]' THEN ('{"type":"${kind}","coordinates":' || ${coordinates} || '}')::json END`;
  switch (base) {
    case "point":
      return shape("Point", list);
    case "box":
      return shape(
        "Polygon",
        `format('[[[%3$s,%4$s],[%1$s,%4$s],[%1$s,%2$s],[%3$s,%2$s],[%3$s,%4$s]]]', ` +
          `((${sql})[0])[0], ((${sql})[0])[1], ((${sql})[1])[0], ((${sql})[1])[1])`,
      );
    case "polygon":
      return shape("Polygon", `'[' || ${closed(list)} || ']'`);
    case "path":
      return shape(
        "LineString",
        `CASE WHEN isclosed(${sql}) THEN ${closed(list)} ELSE ${list} END`,
      );
    default:
      return shape("LineString", list);
  }
}

/** A ring that ends where it begins. */
function closed(list: string): string {
  const first = `substring(${list} FROM '^\\[(\\[[^]]*\\])')`;
  const last = `substring(${list} FROM '.*(\\[[^]]*\\])\\]$')`;
  return `CASE WHEN ${first} = ${last} AND ${list} LIKE '%],[%' THEN ${list} ELSE left(${list}, -1) || ',' || ${first} || ']' END`;
}
