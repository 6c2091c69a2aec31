import type { ColumnType } from "../catalog_types.ts";

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
  if (type.isArray || type.isComposite || type.range !== undefined) return undefined;
  if (type.labels !== undefined) return `enum ${type.schema ?? ""}.${type.cast}`;
  // A type of somebody else's may have any name.
  const isOwn = type.schema === undefined || type.schema === "pg_catalog";
  return isOwn || type.base === "citext" ? GROUPS[type.base] : undefined;
}

const GROUPS: Readonly<Record<string, string>> = {
  int2: "number",
  int4: "number",
  int8: "number",
  float4: "number",
  float8: "number",
  numeric: "number",
  money: "money",
  bool: "boolean",
  text: "text",
  varchar: "text",
  bpchar: "text",
  name: "text",
  citext: "text",
  uuid: "uuid",
  date: "moment",
  timestamp: "moment",
  timestamptz: "moment",
  inet: "address",
  cidr: "address",
  bytea: "bytes",
  json: "json",
  jsonb: "jsonb",
};
