import type { ColumnType } from "../catalog_types.ts";
import { familyOf } from "./field_types.ts";

/**
 * Whether Postgres surely has no `=` between two types unless one is cast. False says nothing: of
 * types that it doesn't know the server itself decides when a statement is tried.
 */
export function areIncomparable(a: ColumnType, b: ColumnType): boolean {
  const [one, other] = [groupOf(a), groupOf(b)];
  return one !== undefined && other !== undefined && one !== other;
}

/** Types that are compared with each other; undefined: not known. */
function groupOf(type: ColumnType): string | undefined {
  if (type.isArray) return undefined;
  // A type of somebody else's may have any name.
  const isOwn = type.schema === undefined || type.schema === "pg_catalog";
  const family = familyOf(type);
  if (family === "enum") return `enum ${type.schema ?? ""}.${type.cast}`;
  if (!isOwn && type.base !== "citext" || type.base === "oid") return undefined;
  switch (family) {
    case "integer":
    case "float":
    case "numeric":
      return "number";
    case "money":
    case "boolean":
    case "text":
    case "uuid":
    case "moment":
    case "inet":
    case "bytes":
      return family;
    case "json":
      return type.base;
    default:
      return undefined;
  }
}
