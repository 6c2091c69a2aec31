import { tableId } from "../../core/table.ts";
import type { CatalogColumn } from "../catalog.ts";
import { quote } from "../client.ts";
import type { Binder } from "./binder.ts";
import type {
  BoundAggregate,
  BoundConstant,
  BoundField,
  BoundFilter,
  BoundLink,
  BoundOrder,
  BoundPoint,
  BoundRelation,
} from "./bound.ts";
import { type RenderedFigure, renderFigure } from "./render_figure.ts";
import { renderFilters } from "./render_filter.ts";
import { renderValue } from "./render_value.ts";
import { columnsOfRow } from "./used_columns.ts";

/** A row as JSON: joins to put behind the row's table, and the expression they make available. */
export interface RenderedRow {
  readonly joins: string;
  readonly json: string;
}

/**
 * Renders the fields of the row that `alias` names. Everything below it becomes LATERAL joins whose
 * columns are called `#…`: no expression from a config can be ambiguous with them.
 *
 * All rows below by one link are read once: a list of them and any number of figures share a scan,
 * each figure with its own FILTER (a third of the time, measured on a list, a count and a sum).
 */
export function renderRow(
  fields: readonly BoundField[],
  alias: string,
  binder: Binder,
): RenderedRow {
  const joins: string[] = [];
  const values = new Map<BoundField, string>();
  for (const group of groupsOf(fields)) {
    const { join, columns } = renderGroup(group, alias, binder);
    joins.push(join);
    for (const [field, sql] of columns) values.set(field, sql);
  }
  const render = (each: readonly BoundField[]): string => {
    const list = each.map((field) => {
      const sql = field.kind === "object"
        ? render(field.fields)
        : values.get(field) ?? renderOwn(field, alias, binder);
      return `${sql} AS ${quote(field.name)}`;
    });
    const name = `o${binder.next()}`;
    joins.push(
      `CROSS JOIN LATERAL (SELECT row_to_json("#row") AS "#j" FROM (SELECT ${
        list.join(", ")
      }) AS "#row") AS ${name}`,
    );
    return `${name}."#j"`;
  };
  const json = render(fields);
  return { joins: joins.join("\n"), json };
}

/** Rows below by one link, read together. */
interface Group {
  readonly link: BoundLink;
  /** The one list or object among them. */
  relation: BoundRelation | undefined;
  readonly figures: BoundAggregate[];
}

function groupsOf(fields: readonly BoundField[]): readonly Group[] {
  const groups: Group[] = [];
  const shared = new Map<string, Group>();
  const visit = (field: BoundField): void => {
    if (field.kind === "object") field.fields.forEach(visit);
    if (field.kind !== "relation" && field.kind !== "aggregate") return;
    const open = shared.get(linkKey(field.link));
    if (field.kind === "aggregate") {
      if (open !== undefined) open.figures.push(field);
      else add({ link: field.link, relation: undefined, figures: [field] }, true);
    } else if (!field.many || field.limit !== undefined || field.row.where.length > 0) {
      add({ link: field.link, relation: field, figures: [] }, false);
    } else if (open !== undefined && open.relation === undefined) open.relation = field;
    else add({ link: field.link, relation: field, figures: [] }, open === undefined);
  };
  const add = (group: Group, share: boolean) => {
    groups.push(group);
    if (share) shared.set(linkKey(group.link), group);
  };
  fields.forEach(visit);
  return groups;
}

function linkKey({ lowerTable, upper, lower, through }: BoundLink): string {
  const names = (columns: readonly CatalogColumn[] | undefined) => columns?.map(({ name }) => name);
  return JSON.stringify([
    tableId(lowerTable.ref),
    names(upper),
    names(lower),
    through && [tableId(through.table.ref), names(through.left), names(through.right)],
  ]);
}

function renderGroup(
  group: Group,
  upper: string,
  binder: Binder,
): { join: string; columns: Map<BoundField, string> } {
  const { relation, figures } = group;
  const name = `r${binder.next()}`;
  if (relation !== undefined && !relation.many) {
    const rows = renderRows(group, upper, [], binder);
    const join = `LEFT JOIN LATERAL (${rows}) AS ${name} ON true`;
    return { join, columns: new Map([[relation, `${name}."#d"`]]) };
  }
  const columns = new Map<BoundField, string>();
  const output: string[] = [];
  const inner: RenderedFigure["inner"][number][] = [];
  const put = (field: BoundField, sql: string) => {
    const column = `"#${output.length}"`;
    output.push(`${sql} AS ${column}`);
    columns.set(field, `${name}.${column}`);
  };
  if (relation !== undefined) put(relation, `coalesce(json_agg(s."#d"), '[]'::json)`);
  const filtered = commonFilter(group) === undefined;
  for (const figure of figures) {
    const rendered = renderFigure(figure, filtered, inner.length, binder);
    inner.push(...rendered.inner);
    put(figure, rendered.sql);
  }
  const rows = renderRows(group, upper, inner, binder);
  const join = `CROSS JOIN LATERAL (SELECT ${output.join(", ")} FROM (${rows}) AS s) AS ${name}`;
  return { join, columns };
}

/** The filter that all of a group have in common, so that the scan itself can apply it. */
function commonFilter({ relation, figures }: Group): readonly BoundFilter[] | undefined {
  const [first, ...others] = [...(relation === undefined ? [] : [relation]), ...figures];
  const filter = first?.row.where ?? [];
  const text = filterKey(filter);
  return others.every(({ row }) => filterKey(row.where) === text) ? filter : undefined;
}

function filterKey(filters: readonly BoundFilter[]): string {
  return JSON.stringify(filters, (key, value) => key === "column" ? value.name : value);
}

/** The rows of a group in their order: "#d" their JSON, if they are shown, and what figures need. */
function renderRows(
  group: Group,
  upper: string,
  inner: RenderedFigure["inner"],
  binder: Binder,
): string {
  const { link, relation, figures } = group;
  const alias = `t${binder.next()}`;
  const { from, where } = renderLink(link, upper, alias, binder);
  const filter = commonFilter(group) ?? [];
  const conditions = [where, ...(filter.length > 0 ? [renderFilters(filter, alias, binder)] : [])]
    .filter((condition) => condition !== "");
  const below = relation && renderRow(relation.row.fields, alias, binder);
  const list = [
    ...(below === undefined ? [] : [`${below.json} AS "#d"`]),
    ...inner.map((render) => render(alias)),
  ];
  // Figures depend on the order only in the last digits of a float: there it must be the same too.
  const ordered = relation !== undefined || figures.some(({ figure }) => figure !== "count");
  const identity = relation?.row.identity ?? figures[0]?.row.identity ?? [];
  const order = ordered ? renderOrder(relation?.orderBy ?? [], identity, alias) : "";
  const select = (columns: string, tail: string) =>
    `SELECT ${columns} FROM ${from}${tail}` +
    `${conditions.length > 0 ? ` WHERE ${conditions.join(" AND ")}` : ""}`;
  if (relation?.limit === undefined) {
    const unordered = select(list.join(", "), below ? `\n${below.joins}` : "");
    // A single row that the catalog proves to be the only one needs no order.
    return relation !== undefined && !relation.many ? unordered : `${unordered}${order}`;
  }
  // The limit first, over bare rows: what hangs below is rendered for the rows that stay.
  const bare = [...new Set([...rowColumns(relation)].map(({ name }) => name))]
    .map((column) => `${alias}.${quote(column)}`);
  const chosen = `${select(bare.join(", "), "")}${order} LIMIT ${relation.limit}`;
  return `SELECT ${list.join(", ")} FROM (${chosen}) AS ${alias}\n${below?.joins ?? ""}${order}`;
}

function rowColumns({ row, orderBy }: BoundRelation): readonly CatalogColumn[] {
  return [...columnsOfRow(row), ...orderBy.map(({ column }) => column)];
}

function renderLink(
  { lowerTable, upper, lower, through }: BoundLink,
  above: string,
  alias: string,
  binder: Binder,
): { from: string; where: string } {
  const table = `${quote(lowerTable.ref.schema)}.${quote(lowerTable.ref.name)} AS ${alias}`;
  if (through === undefined) {
    return { from: table, where: pairs(alias, lower, above, upper) };
  }
  const junction = `j${binder.next()}`;
  const { ref } = through.table;
  // DISTINCT: a target is listed once, however many junction rows lead to it.
  const reached = through.right.map(({ name }, at) => `j.${quote(name)} AS "#k${at}"`).join(", ");
  const from = `(SELECT DISTINCT ${reached} FROM ${quote(ref.schema)}.${quote(ref.name)} AS j ` +
    `WHERE ${pairs("j", through.left, above, upper)}) AS ${junction} JOIN ${table} ON ` +
    lower.map(({ name }, at) => `${alias}.${quote(name)} = ${junction}."#k${at}"`).join(" AND ");
  return { from, where: "" };
}

function pairs(
  a: string,
  left: readonly CatalogColumn[],
  b: string,
  right: readonly CatalogColumn[],
): string {
  return left
    .map(({ name }, at) => `${a}.${quote(name)} = ${b}.${quote(right[at]?.name ?? "")}`)
    .join(" AND ");
}

function renderOrder(
  orderBy: readonly BoundOrder[],
  identity: readonly CatalogColumn[],
  alias: string,
): string {
  const named = new Set(orderBy.map(({ column }) => column.name));
  const terms = [
    ...orderBy.map(({ column, direction, nulls }) =>
      `${alias}.${quote(column.name)} ${direction.toUpperCase()} NULLS ${nulls.toUpperCase()}`
    ),
    ...identity.filter(({ name }) => !named.has(name)).map(({ name }) => `${alias}.${quote(name)}`),
  ];
  return ` ORDER BY ${terms.join(", ")}`;
}

/** A field of the row itself. */
function renderOwn(field: BoundField, alias: string, binder: Binder): string {
  if (field.kind === "point") return renderPoint(field, alias);
  if (field.kind === "constant") return renderConstant(field.value, binder);
  if (field.kind !== "scalar") return "NULL";
  const { source } = field;
  const sql = source.kind === "sql" ? `(${source.sql})` : `${alias}.${quote(source.column.name)}`;
  return renderValue(field.type, source.type, sql, field.transforms, binder);
}

/** A parameter, like every value from a config. */
function renderConstant(value: BoundConstant["value"], binder: Binder): string {
  return value === null ? "NULL::text" : `${binder.bind(JSON.stringify(value))}::json`;
}

/** Half a point, or one at infinity, is none. */
function renderPoint({ from }: BoundPoint, alias: string): string {
  const at = (column: CatalogColumn) => `${alias}.${quote(column.name)}`;
  const [lat, lon] = from.kind === "pair"
    ? [at(from.lat), at(from.lon)]
    : [`(${at(from.column)})[1]`, `(${at(from.column)})[0]`];
  const isFinite = (sql: string) =>
    `${sql}::float8 < 'Infinity'::float8 AND ${sql}::float8 > '-Infinity'::float8`;
  return `CASE WHEN ${isFinite(lat)} AND ${isFinite(lon)} ` +
    `THEN json_build_object('lat', ${lat}, 'lon', ${lon}) END`;
}
