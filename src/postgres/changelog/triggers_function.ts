/**
 * The function that a table's triggers call. It runs inside the application's writes, so it must be
 * cheap, must not fail, and must yield the same texts whatever the writer's session is set to.
 *
 * An update is looked at row by row: OLD and NEW are compared by plpgsql itself, without a query, and
 * a row whose columns here are the same costs no more than the call. A row whose key changed, as text
 * where equal isn't the same text (citext, numeric 1.0 and 1.00, float 0 and -0), is logged as a
 * delete and an insert: a document's id is a text. What counts as changed is compared byte by byte
 * (`*<>`), which any type can be: json and point have no equality, and equal numbers may read
 * differently.
 *
 * A column that it names may be dropped, renamed or given another type at any time. That must not
 * end the application's writes, nor be passed over: it looks first, and
 * when something is other than it was installed for it logs nothing and marks the registration
 * (`since` 0), which is broken from then on, whatever is mended later. It looks at what it found when
 * it was planned: Postgres plans an expression anew when a table is altered that it names as a
 * constant regclass (as nextval('s') has it), and so these name the table.
 */
import { type CatalogTable, columnOf } from "../catalog.ts";
import type { ColumnType } from "../catalog_types.ts";
import { quote } from "../client.ts";
import { isPaired, type Recorded } from "./required.ts";

/** `"driftless"."log_16400"`. */
export function functionName(schema: string, oid: string): string {
  return `${quote(schema)}.${quote(`log_${oid}`)}`;
}

/** CREATE OR REPLACE FUNCTION of one table. `types`: oids by column. */
export function triggerFunction(
  schema: string,
  table: CatalogTable,
  recorded: Recorded,
  byRow: boolean,
  types: Readonly<Record<string, string>>,
): string {
  const parts = partsOf(schema, table, recorded);
  const body = bodyOf(parts, sameColumns(schema, table.oid, recorded, types), byRow);
  const settings = settingsOf(table, recorded).map(([name, value]) => ` SET ${name} = ${value}`);
  return `CREATE OR REPLACE FUNCTION ${functionName(schema, table.oid)}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp${settings.join("")}
AS ${dollarQuoted(`\n${body}\n`)}`;
}

interface Parts {
  /** `INSERT INTO … (rel, op, k, before, after)` */
  readonly into: string;
  readonly oid: string;
  /** Says that something wasn't logged, for good. */
  readonly mark: string;
  readonly paired: boolean;
  readonly joined: boolean;
  /** SQL over a row's alias: r, OLD or NEW. */
  key(row: string): string;
  joins(row: string): string;
  joinsBefore(old: string, fresh: string): string;
  joinsAfter(old: string, fresh: string): string;
  sameKey(old: string, fresh: string): string;
  changed(old: string, fresh: string): string;
}

function partsOf(schema: string, table: CatalogTable, recorded: Recorded): Parts {
  const { key, columns, joins } = recorded;
  const typeOf = (name: string) => columnOf(table, name)?.type;
  const text = (row: string, name: string) => textOf(`${row}.${quote(name)}`, typeOf(name));
  const same = (a: string, b: string, name: string) =>
    EQUAL_IS_SAME.has(typeOf(name)?.base ?? "") && typeOf(name)?.isArray === false
      ? [`${a}.${quote(name)}`, `${b}.${quote(name)}`] as const
      : [`(${text(a, name)}) COLLATE "C"`, `(${text(b, name)}) COLLATE "C"`] as const;
  const object = (row: string) =>
    `jsonb_build_object(${joins.map((name) => `${literal(name)}, ${text(row, name)}`).join(", ")})`;
  // All of them when one differs: a link may be made of several, and the row may have moved on since.
  const differing = (a: string, b: string, of: string) => {
    if (joins.length === 0) return "NULL";
    const each = joins.map((name) => same(a, b, name).join(" IS DISTINCT FROM "));
    return `CASE WHEN ${each.join(" OR ")} THEN ${object(of)} END`;
  };
  const compared = columns === null
    ? null
    : [...new Set([...columns, ...joins])].filter((name) => !key.includes(name));
  return {
    into: `INSERT INTO ${quote(schema)}.log (rel, op, k, before, after)`,
    oid: table.oid,
    mark: `UPDATE ${
      quote(schema)
    }.tables SET since = '0' WHERE rel = ${table.oid} AND since <> '0';`,
    paired: isPaired(table, key),
    joined: joins.length > 0,
    key: (row) => `jsonb_build_array(${key.map((name) => text(row, name)).join(", ")})`,
    joins: (row) => joins.length === 0 ? "NULL::jsonb" : object(row),
    joinsBefore: (a, b) => differing(a, b, a),
    joinsAfter: (a, b) => differing(a, b, b),
    sameKey: (a, b) => key.map((name) => same(a, b, name).join(" = ")).join(" AND "),
    changed: (a, b) => {
      if (compared === null) return `(${a}.*) *<> (${b}.*)`;
      if (compared.length === 0) return "false";
      const row = (alias: string) =>
        `ROW(${compared.map((name) => `${alias}.${quote(name)}`).join(", ")})::record`;
      // Another type of a column is none of our business, but a plan of the one before would fail.
      return `${row(a)} *<> ${row(b)} OR NOT ${asLongAsUnaltered(table.oid)}`;
    },
  };
}

function bodyOf(p: Parts, same: string, byRow: boolean): string {
  const { into, oid } = p;
  const one = (op: string, key: string, before: string, after: string) =>
    `${into} VALUES (${oid}, '${op}', ${key}, ${before}, ${after});`;
  const insert = one("i", p.key("NEW"), "NULL", p.joins("NEW"));
  const remove = one("d", p.key("OLD"), p.joins("OLD"), "NULL");
  const update = one("u", p.key("NEW"), p.joinsBefore("OLD", "NEW"), p.joinsAfter("OLD", "NEW"));
  // Rows of one key are logged once where they come as a set.
  const all = (op: string, rows: string, before: string, after: string) =>
    `${into}
      SELECT${p.paired ? "" : " DISTINCT"} ${oid}, '${op}'::"char", ${
      p.key("r")
    }, ${before}, ${after}
      FROM ${rows} r;`;
  const inserts = byRow ? insert : all("i", "driftless_new", "NULL::jsonb", p.joins("r"));
  const removes = byRow ? remove : all("d", "driftless_old", p.joins("r"), "NULL::jsonb");
  return `BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    ${one("t", "NULL", "NULL", "NULL")}
  ELSIF NOT (${same}) THEN
    ${p.mark}
  ELSIF TG_OP = 'UPDATE' THEN
    IF (${p.sameKey("OLD", "NEW")}) IS NOT TRUE THEN
      ${remove}
      ${insert}
    ELSIF ${p.changed("OLD", "NEW")} THEN
      ${update}
    END IF;
  ELSIF TG_OP = 'INSERT' THEN
    ${inserts}
  ELSE
    ${removes}
  END IF;
  RETURN NULL;
END`;
}

/**
 * SQL: all columns named here are there, and those that are logged have the same type. With
 * constants alone: the planner takes its value where it plans (install_schema.ts), which is once in
 * a session, and again when the table is altered.
 */
function sameColumns(
  schema: string,
  oid: string,
  { key, columns, joins }: Recorded,
  types: Readonly<Record<string, string>>,
): string {
  const logged = [...new Set([...key, ...joins])];
  const names = [...new Set([...logged, ...columns ?? []])];
  const oids = names.map((name) => logged.includes(name) ? types[name] ?? "0" : "0");
  return `${quote(schema)}.has_columns(${oid}, ARRAY[${names.map(literal).join(", ")}]::name[], ` +
    `'{${oids.join(",")}}'::oid[]) AND ${asLongAsUnaltered(oid)}`;
}

/** SQL: true. An expression that has it is planned anew when the table is altered. */
function asLongAsUnaltered(oid: string): string {
  // The planner can't know TG_OP: else it would leave the constant out. In quotes it's one from the
  // beginning, not a number that is cast.
  return `(CASE WHEN TG_OP = '' THEN '${oid}'::regclass END) IS NULL`;
}

/** The type's output, as the protocol has it: a cast to text may say otherwise (bool, char(n), inet). */
function textOf(value: string, type: ColumnType | undefined): string {
  if (type !== undefined && !type.isArray && CAST_IS_OUTPUT.has(type.base)) return `${value}::text`;
  // IS NULL would ask each field of a row type.
  return `CASE WHEN ${value} IS DISTINCT FROM NULL THEN format('%s', ${value}) END`;
}

/** Only what can alter a text of this table: each one costs every call. */
function settingsOf(
  table: CatalogTable,
  { key, joins }: Recorded,
): readonly (readonly [string, string])[] {
  const names = new Set([...key, ...joins].flatMap((name) => {
    const type = columnOf(table, name)?.type;
    if (type === undefined) return ALL_SETTINGS;
    if (type.labels !== undefined || PLAIN.has(type.base)) return [];
    return BY_TYPE[type.base] ?? ALL_SETTINGS;
  }));
  return Object.entries(SETTINGS).filter(([name]) => names.has(name));
}

function dollarQuoted(text: string): string {
  let tag = "$driftless$";
  for (let i = 1; text.includes(tag); i++) tag = `$driftless${i}$`;
  return `${tag}${text}${tag}`;
}

function literal(text: string): string {
  const escaped = text.replaceAll("'", "''");
  return escaped.includes("\\") ? `E'${escaped.replaceAll("\\", "\\\\")}'` : `'${escaped}'`;
}

const CAST_IS_OUTPUT: ReadonlySet<string> = new Set([
  ...["int2", "int4", "int8", "numeric", "text", "varchar", "uuid"],
  ...["date", "timestamp", "timestamptz"],
]);
/** Equal values of these are the same bits. */
const EQUAL_IS_SAME: ReadonlySet<string> = new Set([
  ...["int2", "int4", "int8", "oid", "bool", "uuid", "date", "timestamp", "timestamptz"],
]);
/** No setting alters their text. */
const PLAIN: ReadonlySet<string> = new Set([
  ...[
    "int2",
    "int4",
    "int8",
    "numeric",
    "oid",
    "bool",
    "uuid",
    "text",
    "varchar",
    "bpchar",
    "char",
  ],
  ...["name", "citext", "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "json", "jsonb"],
  ...["time", "timetz", "xid", "xid8", "tid", "pg_lsn", "ltree", "hstore", "tsvector"],
  ...["int4range", "int8range", "numrange", "int4multirange", "int8multirange", "nummultirange"],
]);
/** As the sessions that read are set (client.ts). */
const SETTINGS: Readonly<Record<string, string>> = {
  TimeZone: "'UTC'",
  DateStyle: "'ISO, MDY'",
  IntervalStyle: "'iso_8601'",
  extra_float_digits: "1",
  bytea_output: "'hex'",
  lc_monetary: "'C'",
};
const ALL_SETTINGS = Object.keys(SETTINGS);
const BY_TYPE: Readonly<Record<string, readonly string[]>> = {
  timestamptz: ["TimeZone", "DateStyle"],
  tstzrange: ["TimeZone", "DateStyle"],
  timestamp: ["DateStyle"],
  tsrange: ["DateStyle"],
  date: ["DateStyle"],
  daterange: ["DateStyle"],
  interval: ["IntervalStyle"],
  float4: ["extra_float_digits"],
  float8: ["extra_float_digits"],
  point: ["extra_float_digits"],
  bytea: ["bytea_output"],
  money: ["lc_monetary"],
};
