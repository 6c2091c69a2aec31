/** A world as SQL and as a config. */
import { SQL_TYPES } from "./values.ts";
import {
  type AggregateSpec,
  type FieldSpec,
  type FilterSpec,
  type IndexSpec,
  type RelationSpec,
  type Table,
  tableOf,
  type ValueSpec,
  type World,
} from "./world.ts";

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function literal(text: string | null): string {
  return text === null ? "NULL" : `'${text.replaceAll("'", "''")}'`;
}

/** What makes the tables, in the schema of the search path. */
export function ddlOf(tables: readonly Table[]): string {
  return tables.map((table) => {
    const name = quote(table.name);
    const columns = table.columns.map((column) =>
      `${quote(column.name)} ${SQL_TYPES[column.type]}${column.nullable ? "" : " NOT NULL"}`
    );
    const list = (names: readonly string[]) => names.map(quote).join(", ");
    const stamped = table.capture === "updated_at";
    const parts = [
      ...columns,
      ...(stamped ? ["updated_at timestamptz NOT NULL DEFAULT now()"] : []),
      ...(table.key.length > 0 ? [`PRIMARY KEY (${list(table.key)})`] : []),
      ...(table.code.length > 0 ? [`UNIQUE (${list(table.code)})`] : []),
      ...table.links.filter(({ constraint }) => constraint !== "none").map((link) =>
        `FOREIGN KEY (${list(link.columns)}) REFERENCES ${quote(link.to)} ` +
        `(${list(link.references)}) ON DELETE ${link.constraint} ON UPDATE ${link.constraint}`
      ),
    ];
    const stamp = stamped
      ? `CREATE INDEX ON ${name} (updated_at, ${list(table.key)});\n` +
        `CREATE TRIGGER touch BEFORE UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION public.touch();`
      : "";
    return `CREATE TABLE ${name} (${parts.join(", ")});\n${stamp}`;
  }).join("\n");
}

/** `source.tables` of a config. */
export function sourceTables(world: World, schema: string): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    world.tables.map(({ name, capture }) => {
      const plain = /^[a-z_][a-z0-9_]*$/.test(name) ? name : quote(name);
      return [`${schema}.${plain}`, { capture }];
    }),
  );
}

/** `indexes` of a config. */
export function indexesOf(
  { tables, indexes }: World,
  schema: string,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    indexes.map((index) => {
      const context = { tables, schema };
      const table = tableOf(tables, index.table);
      const section = {
        table: { schema, table: index.table },
        ...(index.key === undefined ? {} : { key: index.key }),
        ...(index.where.length === 0 ? {} : { where: index.where.map(filterOf) }),
        ...softDeleteOf(index),
        fields: fieldsOf(context, table, index.fields),
      };
      return [index.name, section];
    }),
  );
}

function softDeleteOf({ softDelete }: IndexSpec): Readonly<Record<string, unknown>> {
  if (softDelete === undefined) return {};
  if (softDelete.kind === "column") return { softDelete: { column: softDelete.column } };
  return { softDelete: { when: softDelete.filters.map(filterOf) } };
}

interface Context {
  readonly tables: readonly Table[];
  readonly schema: string;
}

function fieldsOf(
  context: Context,
  holder: Table,
  fields: readonly FieldSpec[],
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(fields.map((field) => [field.name, fieldOf(context, holder, field)]));
}

function fieldOf(context: Context, holder: Table, field: FieldSpec): unknown {
  switch (field.kind) {
    case "constant":
      return { type: "constant", value: field.value };
    case "object":
      return { object: fieldsOf(context, holder, field.fields) };
    case "point":
      return { type: "geo_point", lat: field.lat, lon: field.lon };
    case "scalar": {
      const { transforms } = field;
      return {
        type: field.type,
        ...valueOf(field.value),
        ...(transforms.length === 0 ? {} : { transforms }),
        ...field.more,
      };
    }
    case "relation":
      return relationOf(context, holder, field);
    case "aggregate":
      return {
        [field.figure]: { schema: context.schema, table: field.table },
        ...linkOf(context, holder, field),
        ...(field.column === undefined ? {} : { column: field.column }),
        ...(field.where.length === 0 ? {} : { where: field.where.map(filterOf) }),
      };
  }
}

function relationOf(context: Context, holder: Table, field: RelationSpec): unknown {
  return {
    [field.relation]: { schema: context.schema, table: field.table },
    ...linkOf(context, holder, field),
    ...(field.where.length === 0 ? {} : { where: field.where.map(filterOf) }),
    ...(field.orderBy.length === 0 ? {} : { orderBy: field.orderBy }),
    ...(field.limit === undefined ? {} : { limit: field.limit }),
    ...(field.nested ? { mapping: "nested" } : {}),
    fields: fieldsOf(context, tableOf(context.tables, field.table), field.fields),
  };
}

function linkOf(
  { schema, tables }: Context,
  holder: Table,
  field: RelationSpec | AggregateSpec,
): Readonly<Record<string, unknown>> {
  const { upper, lower, through } = field.link;
  const below = tableOf(tables, field.table);
  const references = (table: Table, columns: readonly string[]) =>
    columns.join() === table.key.join() ? {} : { references: columns };
  if (through !== undefined) {
    const { table, left, right } = through;
    const junction = { table: { schema, table }, leftKey: left, rightKey: right };
    return { through: junction, ...references(below, lower) };
  }
  if (field.kind === "relation" && field.relation === "belongsTo") {
    return { column: upper, ...references(below, lower) };
  }
  return { foreignKey: lower, ...references(holder, upper) };
}

function valueOf(value: ValueSpec): Readonly<Record<string, unknown>> {
  const column = quote(value.column);
  switch (value.kind) {
    case "column":
      return { column: value.column };
    case "plus":
      return { sql: `${column} + 1` };
    case "shout":
      return { sql: `coalesce(${column}, 'none') || '!'` };
    case "case":
      return { sql: `CASE WHEN ${column} > 1 THEN 'many' ELSE 'few' END` };
  }
}

function filterOf(filter: FilterSpec): unknown {
  switch (filter.kind) {
    case "any":
      return { any: filter.filters.map(filterOf) };
    case "all":
      return { all: filter.filters.map(filterOf) };
    case "above":
      return { sql: `${quote(filter.column)} > ${filter.value}` };
    case "distinct":
      return { sql: `${quote(filter.column)} IS DISTINCT FROM ${literal(filter.value)}` };
    case "compare": {
      const { column, op, values } = filter;
      if (["isNull", "isNotNull"].includes(op)) return { column, op };
      const many = ["in", "notIn", "between"].includes(op);
      return many ? { column, op, values } : { column, op, value: values[0] ?? "" };
    }
  }
}
