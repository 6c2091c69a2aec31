import type { AggregateField, FieldDescription, RelationField } from "../../core/description.ts";
import { tableId } from "../../core/table.ts";
import { type CatalogColumn, isUnique } from "../catalog.ts";
import { typeText } from "../catalog_types.ts";
import { bindFilters } from "./bind_filter.ts";
import { bindLink, bindOrder, type Holder } from "./bind_link.ts";
import { bindColumn, bindIdentity, type Binding, warnOfMoney } from "./binding.ts";
import type { BoundAggregate, BoundField, BoundRelation } from "./bound.ts";
import { bindPoint } from "./bind_point.ts";
import { bindScalar } from "./bind_scalar.ts";
import { familyOf, isComparable, isSummable, naturalType } from "./field_types.ts";

/** The fields of one row; those with a problem are reported and left out. */
export function bindFields(
  binding: Binding,
  holder: Holder,
  fields: readonly FieldDescription[],
  path: string,
): readonly BoundField[] {
  return fields
    .map((field) => bindField(binding, holder, field, `${path}.${field.name}`))
    .filter((field) => field !== undefined);
}

function bindField(
  binding: Binding,
  holder: Holder,
  field: FieldDescription,
  path: string,
): BoundField | undefined {
  if (new TextEncoder().encode(field.name).length > MAX_IDENTIFIER_BYTES) {
    binding.report(
      "error",
      "NAME_TOO_LONG",
      path,
      `Cannot name a field "${field.name}": Postgres cuts names after ${MAX_IDENTIFIER_BYTES} bytes`,
      "Choose a shorter name.",
    );
    return undefined;
  }
  switch (field.kind) {
    case "scalar":
      return bindScalar(binding, holder.table, field, path);
    case "geo_point":
      return bindPoint(binding, holder.table, field, path);
    case "constant":
      return field;
    case "object": {
      const fields = bindFields(binding, holder, field.fields, `${path}.object`);
      return { kind: "object", name: field.name, fields };
    }
    case "belongsTo":
    case "hasOne":
    case "hasMany":
    case "manyToMany":
      return bindRelation(binding, holder, field, path);
    default:
      return bindAggregate(binding, holder, field, path);
  }
}

function bindRelation(
  binding: Binding,
  holder: Holder,
  field: RelationField,
  path: string,
): BoundRelation | undefined {
  const link = bindLink(binding, holder, field, path);
  if (link === undefined) return undefined;
  const table = link.lowerTable;
  const single = field.kind === "belongsTo" || field.kind === "hasOne";
  // A belongsTo's row is found by the columns pointed at: they tell it apart where nothing else does.
  const fallback = field.kind === "belongsTo" ? link.lower : undefined;
  const identity = bindIdentity(binding, table, fallback, `${path}.${field.kind}`);
  const below: Holder = { table, key: table.primaryKey ?? identity?.map(({ name }) => name) };
  const fields = bindFields(binding, below, field.fields, `${path}.fields`);
  const where = bindFilters(binding, table, field.where, `${path}.where`);
  const orderBy = bindOrder(binding, table, field.orderBy, `${path}.orderBy`);
  if (identity === undefined) return undefined;
  const alone = link.through === undefined && isUnique(table, link.lower.map(({ name }) => name));
  return {
    kind: "relation",
    name: field.name,
    many: !single,
    link,
    row: { table, identity, where, fields },
    orderBy,
    limit: single ? (alone ? undefined : 1) : field.limit,
    mapping: field.mapping,
  };
}

function bindAggregate(
  binding: Binding,
  holder: Holder,
  field: AggregateField,
  path: string,
): BoundAggregate | undefined {
  const link = bindLink(binding, holder, field, path);
  if (link === undefined) return undefined;
  const table = link.lowerTable;
  const at = `${path}.column`;
  const where = bindFilters(binding, table, field.where, `${path}.where`);
  const identity = bindIdentity(binding, table, undefined, `${path}.${field.kind}`);
  const column = field.column === undefined
    ? undefined
    : bindColumn(binding, table, field.column, at);
  if (identity === undefined || field.column !== undefined && column === undefined) {
    return undefined;
  }
  const figure = field.kind;
  const mismatch = column !== undefined && !suits(figure, column) ||
    column === undefined && ["sum", "avg", "min", "max"].includes(figure);
  if (mismatch) {
    binding.report(
      "error",
      column === undefined ? "COLUMN_MISSING" : "TYPE_MISMATCH",
      at,
      column === undefined
        ? `Cannot make the ${figure} of ${tableId(table.ref)}: no column is named`
        : `Cannot make the ${figure} of "${column.name}": it is ${typeText(column.type)}`,
      figure === "sum" || figure === "avg" ? "Name a numeric column." : "Name another column.",
    );
    return undefined;
  }
  if (column !== undefined && figure !== "count") {
    warnOfMoney(binding, column.type, `"${column.name}"`, at);
  }
  const type = searchType(figure, column, identity);
  return {
    kind: "aggregate",
    name: field.name,
    figure,
    link,
    row: { table, identity, where, fields: [] },
    column,
    type,
  };
}

function suits(figure: AggregateField["kind"], { type }: CatalogColumn): boolean {
  if (figure === "sum" || figure === "avg") return isSummable(type);
  if (figure === "min" || figure === "max") return isComparable(type);
  return figure === "count" || !type.isArray && naturalType(type) !== undefined;
}

function searchType(
  figure: AggregateField["kind"],
  column: CatalogColumn | undefined,
  identity: readonly CatalogColumn[],
): BoundAggregate["type"] {
  if (figure === "count") return "long";
  if (figure === "avg") return "double";
  const [first, ...others] = column === undefined ? identity : [column];
  if (first === undefined || others.length > 0) return "keyword";
  const natural = naturalType(first.type) ?? "keyword";
  if (figure !== "sum") return natural;
  return familyOf(first.type) === "integer" && first.type.base !== "int8" ? "long" : "double";
}

const MAX_IDENTIFIER_BYTES = 63;
