/** Index descriptions at random over a random schema. */
import type { Random } from "../../support/stress_random.ts";
import { KEY_POOLS, POOLS } from "./values.ts";
import {
  type AggregateSpec,
  type Column,
  columnOf,
  type ColumnType,
  type FieldSpec,
  type FilterSpec,
  type IndexSpec,
  type LinkSpec,
  type OrderSpec,
  pick,
  type RelationSpec,
  type Table,
  tableOf,
  type TransformSpec,
} from "./world.ts";

export function randomIndexes(random: Random, tables: readonly Table[]): readonly IndexSpec[] {
  const roots = tables.filter(({ key }) => key.length > 0);
  return Array.from(
    { length: random.between(1, 3) },
    (_, n) => randomIndex(random, tables, roots, n),
  );
}

function randomIndex(
  random: Random,
  tables: readonly Table[],
  roots: readonly Table[],
  n: number,
): IndexSpec {
  // The one of two that more can be folded into.
  const [one, other] = [pick(random, roots), pick(random, roots)];
  const table = waysFrom(tables, one).length < waysFrom(tables, other).length ? other : one;
  const budget = { fields: 22, relations: 7 };
  const flags = table.columns.filter(({ type }) => type === "bool" || type === "timestamptz");
  const softDelete: IndexSpec["softDelete"] = random.chance(0.3)
    ? flags.length > 0 && random.chance(0.6)
      ? { kind: "column", column: pick(random, flags).name }
      : { kind: "when", filters: randomFilters(random, table, 1) }
    : undefined;
  const byCode = table.code.length > 0 && random.chance(0.2);
  return {
    name: `i${n}`,
    table: table.name,
    ...(byCode ? { key: table.code } : {}),
    where: random.chance(0.25) ? randomFilters(random, table, 0) : [],
    ...(softDelete === undefined ? {} : { softDelete }),
    fields: randomFields(random, tables, table, 0, budget),
  };
}

interface Budget {
  fields: number;
  relations: number;
}

function randomFields(
  random: Random,
  tables: readonly Table[],
  table: Table,
  depth: number,
  budget: Budget,
): readonly FieldSpec[] {
  const fields: FieldSpec[] = [ownField(random, table, "f0")];
  const add = (make: (name: string) => FieldSpec | undefined) => {
    budget.fields--;
    const field = make(`f${fields.length}`);
    if (field !== undefined) fields.push(field);
  };
  const own = random.between(0, depth === 0 ? 3 : 2);
  for (let n = 0; n < own; n++) add((name) => ownField(random, table, name));
  const related = depth >= 4 ? 0 : random.between(depth === 0 ? 1 : 0, depth === 0 ? 4 : 2);
  for (let n = 0; n < related; n++) {
    if (budget.fields < 0 || budget.relations <= 0) break;
    budget.relations--;
    add((name) => relatedField(random, tables, table, name, depth, budget));
  }
  if (random.chance(0.12) && budget.fields > 0) {
    add((name) => {
      const inner = fields.length > 1 && random.chance(0.5) ? fields.splice(1, 1) : [];
      const object = [ownField(random, table, "o0"), ...inner];
      return { kind: "object", name, fields: object };
    });
  }
  return fields;
}

const FIELD_TYPES: Readonly<Record<ColumnType, readonly string[]>> = {
  int: ["integer", "long", "keyword", "text", "double", "decimal"],
  bigint: ["long", "keyword"],
  numeric2: ["decimal", "double", "keyword"],
  numeric: ["double", "decimal", "keyword"],
  float: ["double", "keyword"],
  text: ["text", "keyword", "wildcard", "match_only_text", "search_as_you_type", "enum"],
  bool: ["boolean", "keyword"],
  timestamptz: ["date", "date_nanos", "keyword"],
  timestamp: ["date", "keyword"],
  date: ["date", "keyword"],
  uuid: ["uuid", "keyword"],
  texts: ["keyword", "text"],
  ints: ["integer", "keyword"],
  jsonb: ["json"],
};

function ownField(random: Random, table: Table, name: string): FieldSpec {
  if (random.chance(0.04)) {
    return { kind: "constant", name, value: pick(random, ["c", 1, true, null] as const) };
  }
  const { columns } = table;
  const floats = columns.filter(({ name }) => name === "x" || name === "y");
  if (floats.length === 2 && random.chance(0.2)) {
    return { kind: "point", name, lat: "x", lon: "y" };
  }
  const column = pick(random, columns);
  const { type } = column;
  const scalar = { kind: "scalar", name, transforms: [], more: {} } as const;
  if (random.chance(0.15) && type === "int") {
    const kind = pick(random, ["plus", "case"] as const);
    const as = kind === "plus" ? "integer" : "keyword";
    return { ...scalar, type: as, value: { kind, column: column.name } };
  }
  if (random.chance(0.15) && type === "text") {
    return { ...scalar, type: "keyword", value: { kind: "shout", column: column.name } };
  }
  const field = pick(random, FIELD_TYPES[type]);
  return {
    ...scalar,
    type: field,
    value: { kind: "column", column: column.name },
    transforms: randomTransforms(random, column),
    more: field === "decimal" && random.chance(0.5) ? { scale: 2 } : {},
  };
}

function randomTransforms(random: Random, { type }: Column): readonly TransformSpec[] {
  if (!random.chance(0.3)) return [];
  if (type === "int") return [{ default: "42" }];
  if (type !== "text") return [];
  const all: readonly TransformSpec[] = ["lowercase", "trim", { default: " Zero " }];
  return Array.from({ length: random.between(1, 3) }, () => pick(random, all));
}

/** A relation or a figure by any link that leaves the table or leads to it. */
function relatedField(
  random: Random,
  tables: readonly Table[],
  table: Table,
  name: string,
  depth: number,
  budget: Budget,
): FieldSpec | undefined {
  const ways = waysFrom(tables, table);
  if (ways.length === 0) return undefined;
  const { to, link, kind } = pick(random, ways);
  const below = tableOf(tables, to);
  if (kind !== "belongsTo" && random.chance(0.4)) {
    return randomFigure(random, below, link, name);
  }
  const relation = kind === "hasMany" && random.chance(0.25) ? "hasOne" : kind;
  const many = relation === "hasMany" || relation === "manyToMany";
  const field: RelationSpec = {
    kind: "relation",
    name,
    relation,
    table: to,
    link,
    where: random.chance(0.3) ? randomFilters(random, below, 0) : [],
    orderBy: relation === "belongsTo" || !random.chance(0.5) ? [] : randomOrder(random, below),
    ...(many && random.chance(0.3) ? { limit: random.between(1, 3) } : {}),
    nested: random.chance(0.2),
    fields: randomFields(random, tables, below, depth + 1, budget),
  };
  return field;
}

interface Way {
  readonly kind: "belongsTo" | "hasMany" | "manyToMany";
  readonly to: string;
  readonly link: LinkSpec;
}

function waysFrom(tables: readonly Table[], table: Table): readonly Way[] {
  const up = table.links.map(({ columns, to, references }): Way => ({
    kind: "belongsTo",
    to,
    link: { upper: columns, lower: references },
  }));
  const others = tables.flatMap((other) => {
    const here = other.links.filter(({ to }) => to === table.name);
    const down = other.key.length === 0 ? [] : here.map(({ columns, references }): Way => ({
      kind: "hasMany",
      to: other.name,
      link: { upper: references, lower: columns },
    }));
    const across = here.filter(({ references }) => references.join() === table.key.join())
      .flatMap((left) =>
        other.links.filter((right) => right !== left).map((right): Way => ({
          kind: "manyToMany",
          to: right.to,
          link: {
            upper: table.key,
            lower: right.references,
            through: { table: other.name, left: left.columns, right: right.columns },
          },
        }))
      );
    return [...down, ...across];
  });
  return [...up, ...others];
}

const SUMMABLE: readonly ColumnType[] = ["int", "bigint", "numeric2", "numeric", "float"];
const COMPARABLE: readonly ColumnType[] = [...SUMMABLE, "text", "timestamptz", "timestamp", "date"];
const LISTABLE: readonly ColumnType[] = [...COMPARABLE, "bool", "uuid"];

function randomFigure(random: Random, table: Table, link: LinkSpec, name: string): AggregateSpec {
  const figure = pick(random, ["count", "sum", "avg", "min", "max", "ids"] as const);
  const types = figure === "sum" || figure === "avg"
    ? SUMMABLE
    : figure === "ids"
    ? LISTABLE
    : COMPARABLE;
  const columns = table.columns.filter(({ type }) => types.includes(type));
  const needed = figure !== "count" && (figure !== "ids" || random.chance(0.5));
  const where = random.chance(0.4) ? randomFilters(random, table, 0) : [];
  const common = { kind: "aggregate", name, table: table.name, link, where } as const;
  if (needed && columns.length === 0) return { ...common, figure: "count" };
  return { ...common, figure, ...(needed ? { column: pick(random, columns).name } : {}) };
}

function randomOrder(random: Random, table: Table): readonly OrderSpec[] {
  const columns = table.columns.filter(({ type }) => LISTABLE.includes(type));
  return Array.from({ length: random.between(1, 2) }, () => pick(random, columns).name)
    .filter((name, at, all) => all.indexOf(name) === at)
    .map((column) => ({
      column,
      direction: pick(random, ["asc", "desc"]),
      nulls: pick(random, ["first", "last"]),
    }));
}

function randomFilters(random: Random, table: Table, depth: number): readonly FilterSpec[] {
  const more = random.chance(0.3) ? 2 : 1;
  return Array.from({ length: more }, () => randomFilter(random, table, depth));
}

function randomFilter(random: Random, table: Table, depth: number): FilterSpec {
  if (depth < 2 && random.chance(0.25)) {
    const kind = pick(random, ["any", "all"] as const);
    const filters = Array.from(
      { length: random.between(1, 3) },
      () => randomFilter(random, table, depth + 1),
    );
    return { kind, filters };
  }
  const columns = table.columns.filter(({ type }) => LISTABLE.includes(type));
  const { name: column, type } = pick(random, columns);
  if (type === "int" && random.chance(0.1)) {
    return { kind: "above", column, value: random.between(0, 3) };
  }
  const pool = [...POOLS[type], ...KEY_POOLS[type] ?? []];
  if (type === "text" && random.chance(0.1)) {
    return { kind: "distinct", column, value: pick(random, pool) };
  }
  if ((type === "text" || type === "int") && random.chance(0.25)) {
    const op = pick(random, ["like", "ilike"]);
    const patterns = ["a%", "%b%", "_", "%\\%%", "x\\_y", "%\n%", "1%", "", "%"];
    return { kind: "compare", column, op, values: [pick(random, patterns)] };
  }
  const op = pick(random, OPERATORS);
  const count = op === "in" || op === "notIn" ? random.between(1, 3) : op === "between" ? 2 : 1;
  const values = op.startsWith("is") ? [] : Array.from({ length: count }, () => pick(random, pool));
  return { kind: "compare", column, op, values };
}

const OPERATORS = [
  "eq",
  "neq",
  "neq",
  "lt",
  "lte",
  "gt",
  "gte",
  "in",
  "notIn",
  "between",
  "isNull",
  "isNotNull",
  "isNotNull",
] as const;

/** Columns whose value names documents: at L2 a change of them is a delete. */
export function keysOfRoots(indexes: readonly IndexSpec[], table: Table): readonly string[] {
  return indexes.filter((index) => index.table === table.name)
    .flatMap((index) => index.key ?? table.key);
}

/** Columns that tables are joined by, but for their own key. */
export function linkColumns(tables: readonly Table[], table: Table): readonly Column[] {
  const names = new Set([
    ...table.links.flatMap(({ columns }) => columns),
    ...tables.flatMap(({ links }) => links).filter(({ to }) => to === table.name)
      .flatMap(({ references }) => references),
  ]);
  return [...names].filter((name) => !table.key.includes(name)).map((name) =>
    columnOf(table, name)
  );
}
