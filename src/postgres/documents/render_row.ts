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
  BoundRelation,
} from "./bound.ts";
import { type RenderedFigure, renderFigure } from "./render_figure.ts";
import { renderFilters } from "./render_filter.ts";
import { linkedRefs, renderLink } from "./render_link.ts";
import { renderPoint } from "./render_point.ts";
import { renderValue } from "./render_value.ts";
import { type BlindTables, joinRefs, refKey, type RenderedRefs, renderOwnRef } from "./refs.ts";
import { columnsOfRow } from "./used_columns.ts";

/** A row as JSON: joins to put behind the row's table, and the expression they make available. */
export interface RenderedRow {
  readonly joins: string;
  readonly json: string;
  /** Of the rows below it; undefined where none is to be named. */
  readonly refs: RenderedRefs | undefined;
}

/**
 * Renders the fields of the row that `alias` names. Everything below it becomes LATERAL joins whose
 * columns are called `#…`: no expression from a config can be ambiguous with them.
 *
 * All rows below by one link are read once: a list of them and any number of figures share a scan,
 * each figure with its own FILTER (a third of the time, measured on a list, a count and a sum).
 * `blind`: tables whose rows are named in refs, by the same scans.
 */
export function renderRow(
  fields: readonly BoundField[],
  alias: string,
  binder: Binder,
  blind: BlindTables,
): RenderedRow {
  const joins: string[] = [];
  const values = new Map<BoundField, string>();
  const named: (RenderedRefs | undefined)[] = [];
  for (const group of groupsOf(fields)) {
    const { join, columns, refs } = renderGroup(group, alias, binder, blind);
    joins.push(join);
    named.push(refs);
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
  return { joins: joins.join("\n"), json, refs: joinRefs(named) };
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
      if (open !== undefined && !sortApart(open.relation, [field])) open.figures.push(field);
      else add({ link: field.link, relation: undefined, figures: [field] }, open === undefined);
    } else if (!field.many || field.limit !== undefined || field.row.where.length > 0) {
      add({ link: field.link, relation: field, figures: [] }, false);
    } else if (
      open !== undefined && open.relation === undefined && !sortApart(field, open.figures)
    ) open.relation = field;
    else add({ link: field.link, relation: field, figures: [] }, open === undefined);
  };
  const add = (group: Group, share: boolean) => {
    groups.push(group);
    if (share) shared.set(linkKey(group.link), group);
  };
  fields.forEach(visit);
  return groups;
}

/**
 * An `ids` sorts what it reads, and since release 16 the server feeds what it has sorted to every
 * aggregate beside it: a list in an order of its own would come in that one.
 */
function sortApart(list: BoundRelation | undefined, figures: readonly BoundAggregate[]): boolean {
  return list !== undefined && list.orderBy.length > 0 &&
    figures.some(({ figure }) => figure === "ids");
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
  blind: BlindTables,
): { join: string; columns: Map<BoundField, string>; refs: RenderedRefs | undefined } {
  const { relation, figures } = group;
  const name = `r${binder.next()}`;
  const carried = (refs: RenderedRefs | undefined) => refs && { ...refs, sql: `${name}."#r"` };
  if (relation !== undefined && !relation.many) {
    const { rows, refs } = renderRows(group, upper, [], binder, blind);
    const join = `LEFT JOIN LATERAL (${rows}) AS ${name} ON true`;
    const columns = new Map([[relation, `${name}."#d"`]]);
    return { join, columns, refs: carried(refs) };
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
  const { rows, refs } = renderRows(group, upper, inner, binder, blind);
  if (refs !== undefined) output.push(`string_agg(s."#r", ',') AS "#r"`);
  const join = `CROSS JOIN LATERAL (SELECT ${output.join(", ")} FROM (${rows}) AS s) AS ${name}`;
  return { join, columns, refs: carried(refs) };
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

/**
 * The rows of a group in their order: "#d" their JSON, if they are shown, what figures need, and "#r"
 * their refs, if any. A figure's own filter is left to it: then rows that it leaves out are named too.
 */
function renderRows(
  group: Group,
  upper: string,
  inner: RenderedFigure["inner"],
  binder: Binder,
  blind: BlindTables,
): { rows: string; refs: RenderedRefs | undefined } {
  const { link, relation, figures } = group;
  const alias = `t${binder.next()}`;
  const { from, where, refs: junction } = renderLink(link, upper, alias, binder, blind);
  const filter = commonFilter(group) ?? [];
  const conditions = [where, ...(filter.length > 0 ? [renderFilters(filter, alias, binder)] : [])]
    .filter((condition) => condition !== "");
  const below = relation && renderRow(relation.row.fields, alias, binder, blind);
  const key = refKey(blind, link.lowerTable, link.lower);
  const own = key && renderOwnRef(link.lowerTable, key, alias);
  const isLimited = relation?.limit !== undefined;
  const passed = junction && isLimited ? { ...junction, sql: `${alias}."#j"` } : junction;
  const borne = joinRefs([own, passed, below?.refs]);
  const refs = borne && linkedRefs(borne, link, relation?.many ?? true, below?.refs);
  const list = [
    ...(below === undefined ? [] : [`${below.json} AS "#d"`]),
    ...inner.map((render) => render(alias)),
    ...(refs === undefined ? [] : [`${refs.sql} AS "#r"`]),
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
    const rows = relation !== undefined && !relation.many ? unordered : `${unordered}${order}`;
    return { rows, refs };
  }
  // The limit first, over bare rows: what hangs below is rendered for the rows that stay.
  const names = [...rowColumns(relation), ...key ?? []].map(({ name }) => name);
  const bare = [
    ...[...new Set(names)].map((column) => `${alias}.${quote(column)}`),
    ...(junction === undefined ? [] : [`${junction.sql} AS "#j"`]),
  ];
  const chosen = `${select(bare.join(", "), "")}${order} LIMIT ${relation.limit}`;
  const rows = `SELECT ${list.join(", ")} FROM (${chosen}) AS ${alias}\n` +
    `${below?.joins ?? ""}${order}`;
  return { rows, refs };
}

function rowColumns({ row, orderBy }: BoundRelation): readonly CatalogColumn[] {
  return [...columnsOfRow(row), ...orderBy.map(({ column }) => column)];
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
  return renderValue(field, source.type, sql, field.transforms, binder);
}

/** A parameter, like every value from a config. */
function renderConstant(value: BoundConstant["value"], binder: Binder): string {
  return value === null ? "NULL::text" : `${binder.bind(JSON.stringify(value))}::json`;
}
