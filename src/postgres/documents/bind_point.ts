import type { GeoPointField } from "../../core/description.ts";
import type { CatalogColumn, CatalogTable } from "../catalog.ts";
import { typeText } from "../catalog_types.ts";
import { bindColumn, type Binding } from "./binding.ts";
import type { BoundPoint } from "./bound.ts";
import { familyOf, isSummable } from "./field_types.ts";
import { holdsPoints } from "./render_point.ts";

/** A point of two numeric columns, or of one that holds points; undefined after reporting why not. */
export function bindPoint(
  binding: Binding,
  table: CatalogTable,
  { name, from, mapping }: GeoPointField,
  path: string,
): BoundPoint | undefined {
  const more = mapping === undefined ? {} : { mapping };
  if (from.kind === "column") {
    const column = bindColumn(binding, table, from.column, `${path}.column`);
    if (column === undefined) return undefined;
    if (holdsPoints(column.type)) {
      return { kind: "point", name, from: { kind: "column", column }, ...more };
    }
    return unsuited(binding, column, `${path}.column`);
  }
  const [lat, lon] = (["lat", "lon"] as const).map((end) => {
    const column = bindColumn(binding, table, from[end], `${path}.${end}`);
    if (column === undefined) return undefined;
    const isNumber = isSummable(column.type) && familyOf(column.type) !== "money";
    return isNumber ? column : unsuited(binding, column, `${path}.${end}`);
  });
  return lat && lon && { kind: "point", name, from: { kind: "pair", lat, lon }, ...more };
}

function unsuited(binding: Binding, { name, type }: CatalogColumn, path: string): undefined {
  binding.report(
    "error",
    "TYPE_MISMATCH",
    path,
    `Cannot fill a field of type geo_point: "${name}" is ${typeText(type)}`,
    'Give "lat" and "lon" as numeric columns, or one "column" of type point, json, jsonb, text, ' +
      "geometry or geography.",
  );
  return undefined;
}
