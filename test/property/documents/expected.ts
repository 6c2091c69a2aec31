/** The documents that rows make, computed from design 4.1 in plain TypeScript: no SQL, no renderer. */
import { createHash } from "node:crypto";
import {
  addDecimals,
  compareValues,
  type Decimal,
  decimalOf,
  decimalText,
  type Expected,
  shown,
} from "./values.ts";
import {
  type AggregateSpec,
  columnOf,
  type ColumnType,
  type FieldSpec,
  type FilterSpec,
  type IndexSpec,
  type LinkSpec,
  type OrderSpec,
  type RelationSpec,
  type Table,
  tableOf,
  type TransformSpec,
  type ValueSpec,
} from "./world.ts";

/** A row: the text of each column. */
export type Row = Readonly<Record<string, string | null>>;

/** By table: all of its rows. */
export type Rows = ReadonlyMap<string, readonly Row[]>;

/** By id. */
export type ExpectedDocuments = ReadonlyMap<string, Expected>;

export function expectedDocuments(
  tables: readonly Table[],
  rows: Rows,
  index: IndexSpec,
): ExpectedDocuments {
  const root = tableOf(tables, index.table);
  const key = index.key ?? root.key;
  const found = new Map<string, Expected>();
  for (const row of rows.get(root.name) ?? []) {
    const parts = key.map((name) => row[name] ?? null);
    if (!parts.every((part) => part !== null)) continue;
    if (!holds(root, row, index.where) || isGone(root, row, index)) continue;
    found.set(documentIdOf(parts), documentOf(tables, rows, root, row, index.fields));
  }
  return found;
}

function isGone(table: Table, row: Row, { softDelete }: IndexSpec): boolean {
  if (softDelete === undefined) return false;
  if (softDelete.kind === "when") return holds(table, row, softDelete.filters);
  const value = row[softDelete.column] ?? null;
  return columnOf(table, softDelete.column).type === "bool" ? value === "true" : value !== null;
}

/** Design 4.3, "Keys". */
export function documentIdOf(parts: readonly string[]): string {
  const [only = ""] = parts;
  const text = parts.length > 1 ? composite(parts) : single(only);
  if (new TextEncoder().encode(text).length <= 512) return text;
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

function single(only: string): string {
  if (only === "") return "%";
  // What would read as the id of an empty key.
  return /^%(25)*$/.test(only) ? `${only}25` : only;
}

function composite(parts: readonly string[]): string {
  return parts.map((part) => part.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");
}

function documentOf(
  tables: readonly Table[],
  rows: Rows,
  table: Table,
  row: Row,
  fields: readonly FieldSpec[],
): Expected {
  return new Map(fields.map((field) => [field.name, fieldOf(tables, rows, table, row, field)]));
}

function fieldOf(
  tables: readonly Table[],
  rows: Rows,
  table: Table,
  row: Row,
  field: FieldSpec,
): Expected {
  switch (field.kind) {
    case "constant":
      return typeof field.value === "number" ? { digits: String(field.value) } : field.value;
    case "object":
      return documentOf(tables, rows, table, row, field.fields);
    case "point": {
      const [lat, lon] = [row[field.lat] ?? "NaN", row[field.lon] ?? "NaN"];
      if (decimalOf(lat) === undefined || decimalOf(lon) === undefined) return null;
      return new Map([["lat", { digits: lat }], ["lon", { digits: lon }]]);
    }
    case "scalar": {
      const { type, text } = valueOf(table, row, field.value);
      return shown(field.type, type, transformed(text, field.transforms));
    }
    case "relation":
      return relationOf(tables, rows, row, field);
    case "aggregate":
      return figureOf(tables, rows, row, field);
  }
}

function valueOf(
  table: Table,
  row: Row,
  value: ValueSpec,
): { readonly type: ColumnType; readonly text: string | null } {
  const text = row[value.column] ?? null;
  switch (value.kind) {
    case "column":
      return { type: columnOf(table, value.column).type, text };
    case "plus":
      return { type: "int", text: text === null ? null : String(Number(text) + 1) };
    case "shout":
      return { type: "text", text: `${text ?? "none"}!` };
    case "case":
      return { type: "text", text: text !== null && Number(text) > 1 ? "many" : "few" };
  }
}

function transformed(text: string | null, transforms: readonly TransformSpec[]): string | null {
  let now = text;
  for (const transform of transforms) {
    if (typeof transform === "object") now ??= transform.default;
    else if (transform === "lowercase") now = now?.toLowerCase() ?? null;
    else now = now?.replace(/^ +| +$/g, "") ?? null;
  }
  return now;
}

function relationOf(
  tables: readonly Table[],
  rows: Rows,
  row: Row,
  { relation, table: name, link, where, orderBy, limit, fields }: RelationSpec,
): Expected {
  const table = tableOf(tables, name);
  const found = related(rows, row, name, link)
    .filter((each) => holds(table, each, where))
    .sort(byOrder(table, orderBy));
  const document = (each: Row) => documentOf(tables, rows, table, each, fields);
  if (relation === "hasMany" || relation === "manyToMany") {
    return found.slice(0, limit).map(document);
  }
  const [first] = found;
  return first === undefined ? null : document(first);
}

/** The rows that a link leads to, each once. */
function related(rows: Rows, row: Row, name: string, link: LinkSpec): Row[] {
  const below = rows.get(name) ?? [];
  const from = tupleOf(row, link.upper);
  if (from === undefined) return [];
  const { through } = link;
  if (through === undefined) return below.filter((each) => tupleOf(each, link.lower) === from);
  const reached = new Set(
    (rows.get(through.table) ?? []).filter((each) => tupleOf(each, through.left) === from)
      .map((each) => tupleOf(each, through.right)),
  );
  return below.filter((each) => {
    const to = tupleOf(each, link.lower);
    return to !== undefined && reached.has(to);
  });
}

/** Undefined: a NULL is among them, which equals nothing. */
function tupleOf(row: Row, columns: readonly string[]): string | undefined {
  const values = columns.map((name) => row[name] ?? null);
  return values.includes(null) ? undefined : JSON.stringify(values);
}

function byOrder(table: Table, orderBy: readonly OrderSpec[]): (a: Row, b: Row) => number {
  const terms: OrderSpec[] = [
    ...orderBy,
    ...table.key.map((column): OrderSpec => ({ column, direction: "asc", nulls: "last" })),
  ];
  return (a, b) => {
    for (const { column, direction, nulls } of terms) {
      const [one, other] = [a[column] ?? null, b[column] ?? null];
      if (one === null && other === null) continue;
      if (one === null || other === null) return (one === null) === (nulls === "first") ? -1 : 1;
      const difference = compareValues(columnOf(table, column).type, one, other);
      if (difference !== 0) return direction === "asc" ? difference : -difference;
    }
    return 0;
  };
}

function figureOf(
  tables: readonly Table[],
  rows: Rows,
  row: Row,
  { figure, table: name, link, column, where }: AggregateSpec,
): Expected {
  const table = tableOf(tables, name);
  const found = related(rows, row, name, link)
    .filter((each) => holds(table, each, where))
    .sort(byOrder(table, []));
  if (figure === "count") return { digits: String(found.length) };
  if (figure === "ids" && column === undefined && table.key.length > 1) {
    return found.map((each) => composite(table.key.map((key) => each[key] ?? "")));
  }
  const of = column ?? table.key[0] ?? "";
  const { type } = columnOf(table, of);
  const values = found.map((each) => each[of] ?? null).filter((value) => value !== null);
  if (figure === "ids") {
    return values.map((value) => shown("natural", type, value)).filter((each) => each !== null);
  }
  if (figure === "min" || figure === "max") {
    const [first, ...others] = values;
    const sign = figure === "min" ? 1 : -1;
    const best = others.reduce<string | undefined>(
      (best, each) =>
        best === undefined || sign * compareValues(type, each, best) < 0 ? each : best,
      first,
    );
    return shown("natural", type, best ?? null);
  }
  if (figure === "avg" && values.length === 0) return null;
  if (values.some((value) => decimalOf(value) === undefined)) return null;
  const zero: Decimal = { units: 0n, scale: 0 };
  const total = values.reduce((sum, each) => addDecimals(sum, decimalOf(each) ?? zero), zero);
  if (figure === "avg") return { about: Number(decimalText(total)) / values.length };
  return { digits: type === "float" ? String(Number(decimalText(total))) : decimalText(total) };
}

/** Whether all filters are true of a row; neither false nor unknown. */
function holds(table: Table, row: Row, filters: readonly FilterSpec[]): boolean {
  return filters.every((filter) => truthOf(table, row, filter) === true);
}

/** Null is SQL's unknown. */
function truthOf(table: Table, row: Row, filter: FilterSpec): boolean | null {
  if (filter.kind === "any" || filter.kind === "all") {
    const decisive = filter.kind === "any";
    const all = filter.filters.map((each) => truthOf(table, row, each));
    return all.includes(decisive) ? decisive : all.includes(null) ? null : !decisive;
  }
  const value = row[filter.column] ?? null;
  if (filter.kind === "distinct") return value !== filter.value;
  if (filter.kind === "above") return value === null ? null : Number(value) > filter.value;
  const { op, values } = filter;
  if (op === "isNull") return value === null;
  if (op === "isNotNull") return value !== null;
  if (value === null) return null;
  const { type } = columnOf(table, filter.column);
  const [first = "", second = ""] = values;
  const to = (other: string) => compareValues(type, value, other);
  switch (op) {
    case "eq":
      return to(first) === 0;
    case "neq":
      return to(first) !== 0;
    case "lt":
      return to(first) < 0;
    case "lte":
      return to(first) <= 0;
    case "gt":
      return to(first) > 0;
    case "gte":
      return to(first) >= 0;
    case "between":
      return to(first) >= 0 && to(second) <= 0;
    case "in":
      return values.some((each) => to(each) === 0);
    case "notIn":
      return values.every((each) => to(each) !== 0);
    case "like":
      return isLike(value, first, "");
    case "ilike":
      return isLike(value, first, "i");
  }
  throw new RangeError(`no operator ${op}`);
}

function isLike(value: string, pattern: string, flags: string): boolean {
  const source = [...pattern.matchAll(/\\(.)|./gsu)].map(([all, escaped]) => {
    if (escaped === undefined && all === "%") return ".*";
    if (escaped === undefined && all === "_") return ".";
    return (escaped ?? all).replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
  });
  return new RegExp(`^${source.join("")}$`, `su${flags}`).test(value);
}
