/** A whole history at random: the tables, the indexes over them, and what is written. */
import { type Random, seededRandom } from "../../support/stress_random.ts";
import { literal, quote } from "./config.ts";
import { keysOfRoots, linkColumns, randomIndexes } from "./random_index.ts";
import { randomTables } from "./random_schema.ts";
import { keyPool, POOLS } from "./values.ts";
import {
  columnOf,
  type IndexSpec,
  type Link,
  pick,
  type Step,
  type Table,
  tablesIn,
  type World,
} from "./world.ts";

/** The world that a seed stands for. */
export function randomWorld(seed: number): World {
  const schema = seededRandom(seed, "tables");
  const tables = randomTables(schema);
  const indexes = randomIndexes(seededRandom(seed, "indexes"), tables);
  const random = seededRandom(seed, "history");
  const initial = tables.flatMap((table) =>
    Array.from({ length: random.between(2, 7) }, () => insert(random, table))
  );
  const steps = Array.from({ length: random.between(3, 5) }, (): Step => ({
    offline: random.chance(0.2),
    transactions: Array.from(
      { length: random.between(1, 4) },
      () =>
        Array.from({ length: random.between(1, 6) }, () => statements(random, tables, indexes))
          .flat(),
    ),
  }));
  return {
    seed,
    tables,
    indexes,
    initial,
    steps,
    sink: random.chance(0.05) ? "opensearch" : random.chance(0.2) ? "sqlite" : "scripted",
    engine: {
      maxChanges: pick(random, [1, 3, 100]),
      chunk: pick(random, [2, 50]),
      pageSize: pick(random, [10, 500]),
    },
  };
}

type Values = Readonly<Record<string, string | null>>;

function statements(
  random: Random,
  tables: readonly Table[],
  indexes: readonly IndexSpec[],
): readonly string[] {
  const used = new Set(indexes.flatMap((index) => [...tablesIn(index)]));
  const shown = tables.filter(({ name }) => used.has(name));
  const table = pick(random, random.chance(0.9) ? shown : tables);
  const all = table.capture === "changelog";
  const roots = keysOfRoots(indexes, table);
  // L2 claims no deletes: a key that changes is one.
  const links = linkColumns(tables, table).map(({ name }) => name)
    .filter((name) => all || !roots.includes(name));
  const isFixed = (name: string) =>
    table.key.includes(name) || table.code.includes(name) ||
    table.links.some(({ columns }) => columns.includes(name));
  const free = table.columns.map(({ name }) => name).filter((name) => !isFixed(name));
  const values = rowOf(random, table);
  const by = condition(random, table, values);

  const kind = random.next();
  if (kind < 0.25) return [insert(random, table)];
  if (kind < 0.45 && free.length > 0) {
    const some = free.filter(() => random.chance(0.5));
    return [update(table, values, some.length === 0 ? free : some, by)];
  }
  if (kind < 0.65) {
    const movable = links.filter(() => random.chance(0.7));
    // Columns of one link move together, or apart: either is a row that tables may hold.
    const where = random.chance(0.6) ? byLink(random, table, rowOf(random, table)) : by;
    if (movable.length > 0) return [update(table, values, movable, where)];
    return [insert(random, table)];
  }
  if (kind < 0.7 && links.length > 0) {
    const nullable = links.filter((name) => columnOf(table, name).nullable);
    const nothing = Object.fromEntries(nullable.map((name) => [name, null]));
    if (nullable.length > 0) return [update(table, nothing, nullable, by)];
  }
  if (!all) return [insert(random, table)];
  if (kind < 0.75) return [upsert(table, values)];
  if (kind < 0.82) {
    const changed = [...table.key, ...table.code].filter(() => random.chance(0.7));
    const other = rowOf(random, table);
    if (changed.length > 0) return [update(table, other, changed, sameKey(table, values))];
  }
  if (kind < 0.86) return [`DELETE FROM ${quote(table.name)} WHERE ${by}`, insertOf(table, values)];
  if (kind < 0.98) return [`DELETE FROM ${quote(table.name)} WHERE ${by}`];
  return [`TRUNCATE ${quote(table.name)}`];
}

function insert(random: Random, table: Table): string {
  return insertOf(table, rowOf(random, table));
}

function insertOf(table: Table, values: Values): string {
  const names = table.columns.map(({ name }) => quote(name)).join(", ");
  const list = table.columns.map(({ name }) => literal(values[name] ?? null)).join(", ");
  return `INSERT INTO ${quote(table.name)} (${names}) VALUES (${list})`;
}

function upsert(table: Table, values: Values): string {
  const text = insertOf(table, values);
  if (table.key.length === 0) return text;
  const rest = table.columns.filter(({ name }) => !table.key.includes(name))
    .map(({ name }) => `${quote(name)} = excluded.${quote(name)}`);
  const target = table.key.map(quote).join(", ");
  return `${text} ON CONFLICT (${target}) DO ${
    rest.length === 0 ? "NOTHING" : `UPDATE SET ${rest.join(", ")}`
  }`;
}

function update(table: Table, values: Values, names: readonly string[], where: string): string {
  const set = names.map((name) => `${quote(name)} = ${literal(values[name] ?? null)}`).join(", ");
  return `UPDATE ${quote(table.name)} SET ${set} WHERE ${where}`;
}

function condition(random: Random, table: Table, values: Values): string {
  const kind = random.next();
  if (kind < 0.1) return "true";
  if (kind < 0.25 && table.columns.some(({ name }) => name === "a")) {
    return `"a" >= ${random.between(0, 2)}`;
  }
  return kind < 0.45 ? byLink(random, table, values) : sameKey(table, values);
}

/** All rows that point to the same. */
function byLink(random: Random, table: Table, values: Values): string {
  if (table.links.length === 0) return sameKey(table, values);
  const { columns } = pick(random, table.links);
  return columns.map((name) => equals(name, values[name] ?? null)).join(" AND ");
}

function sameKey(table: Table, values: Values): string {
  const names = table.key.length > 0 ? table.key : table.links[0]?.columns ?? [];
  return names.map((name) => equals(name, values[name] ?? null)).join(" AND ");
}

function equals(name: string, value: string | null): string {
  return value === null ? `${quote(name)} IS NULL` : `${quote(name)} = ${literal(value)}`;
}

/** A row of a table; its links lead to rows that may be there. */
function rowOf(random: Random, table: Table): Values {
  const values: Record<string, string | null> = {};
  const links = new Set(table.links.flatMap(({ columns }) => columns));
  const keyed = new Set([...table.key, ...table.code, ...links]);
  for (const { name, type, nullable } of table.columns) {
    const isNull = nullable && random.chance(links.has(name) ? 0.1 : 0.2);
    // Few of them are drawn often.
    const pool = keyed.has(name) ? keyPool(type, table.longKeys) : POOLS[type];
    const drawn = random.chance(0.6) ? pool.slice(0, 3) : pool;
    values[name] = isNull ? null : pick(random, drawn);
  }
  for (const link of table.links) {
    if (isNullable(table, link) && random.chance(0.15)) {
      for (const name of link.columns) values[name] = null;
    }
  }
  return values;
}

function isNullable(table: Table, { columns }: Link): boolean {
  return columns.every((name) => columnOf(table, name).nullable);
}
