import * as v from "valibot";
import type { AggregateField, FieldDescription, Filter, Through } from "../core/description.ts";
import type { TableRef } from "../core/table.ts";
import { filters, orderBy } from "./filters.ts";
import { say } from "./issue_text.ts";
import { keysOf } from "./json_value.ts";
import { column, columns, table } from "./names.ts";
import type { Unnamed } from "./scalars.ts";
import { whole, word } from "./units.ts";

/** The schemas of fields that read other tables, by the key that tells them apart. */
export function relationSchemas(
  fields: v.GenericSchema<unknown, readonly FieldDescription[]>,
): Readonly<Record<string, v.GenericSchema<unknown, Unnamed>>> {
  const common = {
    references,
    where,
    mapping: v.optional(
      v.pipe(
        word(["object", "nested"]),
        v.description('"nested" keeps each element\'s fields together when searching.'),
      ),
      "object",
    ),
    fields,
  };
  const ordered = { orderBy: v.optional(orderBy, []) };
  const many = { ...ordered, limit: v.exactOptional(whole(1, 100_000)) };

  const belongsTo = v.pipe(
    v.strictObject({
      belongsTo: table,
      column: v.pipe(columns, v.description("This row's column that points there.")),
      ...common,
    }),
    v.rawCheck((check) => sameLength("column", "references", check)),
    v.transform(({ belongsTo, column, ...rest }): Unnamed => (name) => ({
      kind: "belongsTo",
      name,
      table: belongsTo,
      columns: column,
      orderBy: [],
      ...rest,
    })),
  );
  const hasOne = v.pipe(
    v.strictObject({
      hasOne: table,
      foreignKey: v.pipe(columns, v.description(FOREIGN_KEY)),
      ...ordered,
      ...common,
    }),
    v.rawCheck((check) => sameLength("foreignKey", "references", check)),
    v.transform(({ hasOne, foreignKey, ...rest }): Unnamed => (name) => ({
      kind: "hasOne",
      name,
      table: hasOne,
      columns: foreignKey,
      ...rest,
    })),
  );
  const hasMany = v.pipe(
    v.strictObject({
      hasMany: table,
      foreignKey: v.pipe(columns, v.description(FOREIGN_KEY)),
      ...many,
      ...common,
    }),
    v.rawCheck((check) => sameLength("foreignKey", "references", check)),
    v.transform(({ hasMany, foreignKey, ...rest }): Unnamed => (name) => ({
      kind: "hasMany",
      name,
      table: hasMany,
      columns: foreignKey,
      ...rest,
    })),
  );
  const manyToMany = v.pipe(
    v.strictObject({ manyToMany: table, through, ...many, ...common }),
    v.transform(({ manyToMany, ...rest }): Unnamed => (name) => ({
      kind: "manyToMany",
      name,
      table: manyToMany,
      columns: [],
      ...rest,
    })),
  );
  return { belongsTo, hasOne, hasMany, manyToMany };
}

const references = v.exactOptional(
  v.pipe(columns, v.description("The columns pointed at, when they aren't the primary key.")),
);
const where = v.optional(
  v.pipe(filters, v.description("Only the rows that match all.")),
  [],
);
const FOREIGN_KEY = "The other table's column that points here.";

const through: v.GenericSchema<unknown, Through> = v.strictObject({
  table,
  leftKey: v.pipe(columns, v.description("Junction columns that point to this row.")),
  rightKey: v.pipe(columns, v.description("Junction columns that point to the other table.")),
});

const reach = {
  foreignKey: v.exactOptional(v.pipe(columns, v.description(FOREIGN_KEY))),
  through: v.exactOptional(through),
  references,
  where,
};

/** The schemas of figures over related rows, by the key that tells them apart. */
export const aggregateSchemas: Readonly<Record<string, v.GenericSchema<unknown, Unnamed>>> = {
  count: v.pipe(
    v.strictObject({ count: table, ...reach }),
    v.rawCheck((check) => oneWay(check)),
    v.transform(({ count, ...rest }) => aggregate("count", count, rest)),
  ),
  sum: v.pipe(
    v.strictObject({ sum: table, column, ...reach }),
    v.rawCheck((check) => oneWay(check)),
    v.transform(({ sum, ...rest }) => aggregate("sum", sum, rest)),
  ),
  avg: v.pipe(
    v.strictObject({ avg: table, column, ...reach }),
    v.rawCheck((check) => oneWay(check)),
    v.transform(({ avg, ...rest }) => aggregate("avg", avg, rest)),
  ),
  min: v.pipe(
    v.strictObject({ min: table, column, ...reach }),
    v.rawCheck((check) => oneWay(check)),
    v.transform(({ min, ...rest }) => aggregate("min", min, rest)),
  ),
  max: v.pipe(
    v.strictObject({ max: table, column, ...reach }),
    v.rawCheck((check) => oneWay(check)),
    v.transform(({ max, ...rest }) => aggregate("max", max, rest)),
  ),
  ids: v.pipe(
    v.strictObject({ ids: table, column: v.exactOptional(column), ...reach }),
    v.rawCheck((check) => oneWay(check)),
    v.transform(({ ids, ...rest }) => aggregate("ids", ids, rest)),
  ),
};

interface Reach {
  readonly column?: string;
  readonly foreignKey?: readonly string[];
  readonly through?: Through;
  readonly references?: readonly string[];
  readonly where: readonly Filter[];
}

function aggregate(kind: AggregateField["kind"], table: TableRef, reach: Reach): Unnamed {
  const { foreignKey = [], ...rest } = reach;
  return (name) => ({ kind, name, table, foreignKey, ...rest });
}

interface Check {
  readonly dataset: { readonly value: unknown };
  readonly addIssue: (info: { readonly message: string }) => void;
}

/** An aggregate finds its rows by a foreign key or through a junction, never by both. */
function oneWay(check: Check): void {
  const given = keysOf(check.dataset.value);
  if ("foreignKey" in given !== "through" in given) {
    return sameLength("foreignKey", "references", check);
  }
  check.addIssue({
    message: say(
      "INVALID_VALUE",
      'An aggregate needs either "foreignKey" or "through"',
      '"foreignKey": the other table\'s column that points here.',
    ),
  });
}

/** Two lists of columns that are compared pairwise must be of one length. */
function sameLength(one: string, other: string, { dataset, addIssue }: Check): void {
  const { [one]: a, [other]: b } = keysOf(dataset.value);
  if (!Array.isArray(a) || !Array.isArray(b) || a.length === b.length) return;
  const message = `"${one}" and "${other}" name ${a.length} and ${b.length} columns`;
  addIssue({ message: say("INVALID_VALUE", message, "Name one for each of the other.") });
}
