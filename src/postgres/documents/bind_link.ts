import type { AggregateField, OrderBy, RelationField } from "../../core/description.ts";
import { tableId } from "../../core/table.ts";
import type { CatalogColumn, CatalogTable } from "../catalog.ts";
import { typeText } from "../catalog_types.ts";
import {
  areScalars,
  bindColumn,
  bindColumns,
  bindIdentity,
  type Binding,
  bindTable,
} from "./binding.ts";
import type { BoundLink, BoundOrder } from "./bound.ts";
import { areIncomparable } from "./comparable.ts";

/** The table above a relation, and what of it a foreign key may point at. */
export interface Holder {
  readonly table: CatalogTable;
  /** The primary key; for a root without one, the index's key; undefined when there is neither. */
  readonly key: readonly string[] | undefined;
}

/** How the related rows belong to the row above; undefined after reporting what is missing. */
export function bindLink(
  binding: Binding,
  holder: Holder,
  field: RelationField | AggregateField,
  path: string,
): BoundLink | undefined {
  const table = bindTable(binding, field.table, `${path}.${field.kind}`);
  const ends = { upperTable: holder.table };
  if (field.through !== undefined) {
    const at = `${path}.through`;
    const junction = bindTable(binding, field.through.table, `${at}.table`);
    if (table === undefined || junction === undefined) return undefined;
    const left = bindColumns(binding, junction, field.through.leftKey, `${at}.leftKey`);
    const right = bindColumns(binding, junction, field.through.rightKey, `${at}.rightKey`);
    const upper = target(binding, holder.table, holder.key, undefined, path);
    const lower = target(binding, table, table.primaryKey, field.references, path);
    if (!left || !right || !upper || !lower) return undefined;
    // It is followed by its key, whatever joins it.
    if (!bindIdentity(binding, junction, left, `${at}.table`)) return undefined;
    if (!paired(binding, left, upper, `${at}.leftKey`)) return undefined;
    if (!paired(binding, right, lower, `${at}.rightKey`)) return undefined;
    return { ...ends, lowerTable: table, upper, lower, through: { table: junction, left, right } };
  }
  if (table === undefined) return undefined;
  const own = "columns" in field ? field.columns : field.foreignKey;
  if (field.kind === "belongsTo") {
    const upper = bindColumns(binding, holder.table, own, `${path}.column`);
    const lower = target(binding, table, table.primaryKey, field.references, path);
    if (!upper || !lower || !paired(binding, upper, lower, `${path}.column`)) return undefined;
    return { ...ends, lowerTable: table, upper, lower, through: undefined };
  }
  const lower = bindColumns(binding, table, own, `${path}.foreignKey`);
  const upper = target(binding, holder.table, holder.key, field.references, path);
  if (!upper || !lower || !paired(binding, lower, upper, `${path}.foreignKey`)) return undefined;
  return { ...ends, lowerTable: table, upper, lower, through: undefined };
}

export function bindOrder(
  binding: Binding,
  table: CatalogTable,
  orderBy: readonly OrderBy[],
  path: string,
): readonly BoundOrder[] {
  return orderBy.flatMap(({ column, direction, nulls }, at) => {
    const found = bindColumn(binding, table, column, `${path}.${at}.column`);
    return found === undefined ? [] : [{ column: found, direction, nulls }];
  });
}

/** The columns that a foreign key points at. */
function target(
  binding: Binding,
  table: CatalogTable,
  key: readonly string[] | undefined,
  references: readonly string[] | undefined,
  path: string,
): readonly CatalogColumn[] | undefined {
  if (references !== undefined) {
    return bindColumns(binding, table, references, `${path}.references`);
  }
  if (key !== undefined) return bindColumns(binding, table, key, path);
  binding.report(
    "error",
    "KEY_MISSING",
    path,
    `Cannot join ${tableId(table.ref)}: it has no primary key to point at`,
    'Name the columns that are pointed at in "references".',
  );
  return undefined;
}

function paired(
  binding: Binding,
  from: readonly CatalogColumn[],
  to: readonly CatalogColumn[],
  path: string,
): boolean {
  if (from.length === to.length) {
    return areScalars(binding, [...from, ...to], "join by", path) &&
      areAlike(binding, from, to, path);
  }
  const list = (columns: readonly CatalogColumn[]) => columns.map(({ name }) => name).join(", ");
  binding.report(
    "error",
    "KEY_MISMATCH",
    path,
    `Cannot join (${list(from)}) with (${list(to)}): ${from.length} and ${to.length} columns`,
    "A composite key needs as many columns on both sides, in the same order.",
  );
  return false;
}

function areAlike(
  binding: Binding,
  from: readonly CatalogColumn[],
  to: readonly CatalogColumn[],
  path: string,
): boolean {
  const at = from.findIndex(({ type }, at) => {
    const other = to[at];
    return other !== undefined && areIncomparable(type, other.type);
  });
  const [one, other] = [from[at], to[at]];
  if (one === undefined || other === undefined) return true;
  const [a, b] = [one, other].map(({ name, type }) => `"${name}" (${typeText(type)})`);
  binding.report(
    "error",
    "LINK_MISMATCH",
    path,
    `Cannot join ${a} with ${b}: Postgres can't compare these types`,
    "Name the columns that hold the same values, or give one table a column of the other's type: a " +
      "generated one will do.",
  );
  return false;
}
