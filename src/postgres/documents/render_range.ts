import type { RangeType } from "../../core/description.ts";
import type { ColumnType } from "../catalog_types.ts";
import { familyOf } from "./field_types.ts";
import { overElements, type Render } from "./render_elements.ts";
import { finite, renderMoment } from "./render_scalar.ts";

/**
 * A range as `{"gte" or "gt": …, "lte" or "lt": …}`, a multirange as a list of them, a network as
 * its CIDR. A side without a finite bound is left out; a range with no finite value in it is null,
 * as an empty one is.
 */
export function renderRange(field: RangeType, type: ColumnType): Render {
  const { range } = type;
  if (range === undefined) return renderNetwork;
  const one: Render = (sql) => renderOne(field, range.subtype, sql);
  return range.isMulti ? (sql) => overElements(sql, "json_agg", one) : one;
}

function renderOne(field: RangeType, subtype: ColumnType, sql: string): string {
  const family = familyOf(subtype);
  const tight = tightness(field, subtype);
  const bound = (name: string): string => {
    switch (family) {
      case "moment":
        return `(${renderMoment(subtype, name)})::text`;
      case "inet":
        return `to_json(host(${name}))::text`;
      case "integer":
        return `${name}::text`;
      default:
        return `(${finite(family, name)})::text`;
    }
  };
  const side = (end: "lower" | "upper", name: string, over: string, closed: string) =>
    `CASE WHEN ${end}_inc(${sql})${tight} THEN '"${closed}":' ELSE '"${over}":' END || ${
      bound(name)
    }`;
  // A lower bound of infinity (or NaN, which is over it) leaves nothing, and so does an upper of -infinity.
  const some = ["integer", "inet"].includes(family)
    ? ""
    : ` AND ("#l" < 'Infinity') IS NOT FALSE AND ("#u" > '-Infinity') IS NOT FALSE`;
  return `(SELECT CASE WHEN NOT isempty(${sql})${some} THEN ('{' || concat_ws(',', ` +
    `${side("lower", '"#l"', "gt", "gte")}, ${
      side("upper", '"#u"', "lt", "lte")
    }) || '}')::json END ` +
    `FROM (SELECT lower(${sql}) AS "#l", upper(${sql}) AS "#u") AS b)`;
}

/**
 * OpenSearch keeps bounds as milliseconds, doubles or floats, and an open bound as the next such
 * value inside. Where both bounds come out as the same or the next but one, nothing would be left,
 * which it refuses: such a range is closed on both sides.
 */
function tightness(field: RangeType, subtype: ColumnType): string {
  const family = familyOf(subtype);
  if (field === "date_range" && subtype.base !== "date") {
    return ` OR extract(epoch FROM "#u") - extract(epoch FROM "#l") < 0.002`;
  }
  if (field !== "float_range" && field !== "double_range") return "";
  // Two doubles are never the same double.
  if (family === "float" && (field === "double_range" || subtype.base === "float4")) return "";
  const share = field === "float_range" ? "2.4e-7" : "4.5e-16";
  const as = family === "float" ? "" : "::numeric";
  return ` OR "#l" > '-Infinity'${as} AND "#u" < 'Infinity'${as} ` +
    `AND "#u"${as} <= "#l"${as} + abs("#l"${as}) * ${share}`;
}

/** OpenSearch takes no CIDR of an IPv4 address in IPv6's clothes. */
function renderNetwork(sql: string): string {
  return `CASE WHEN ${sql} <<= '::ffff:0:0/96' THEN json_build_object('gte', host(network(${sql})), ` +
    `'lte', host(broadcast(${sql}))) ELSE to_json(network(${sql})::text) END`;
}
