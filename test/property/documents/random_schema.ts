/** Tables at random: keys of many types, links to and fro, junctions. */
import type { Random } from "../../support/stress_random.ts";
import { type Column, columnOf, type ColumnType, type Link, pick, type Table } from "./world.ts";

type Capture = Table["capture"];

export function randomTables(random: Random): readonly Table[] {
  const way = pick(
    random,
    ["changelog", "changelog", "updated_at", "updated_at", "mixed"] as const,
  );
  const tables: Table[] = [];
  const wanted = random.between(2, 6);
  while (tables.length < wanted) {
    const mixed: Capture = random.chance(0.5) ? "changelog" : "updated_at";
    const capture = way === "mixed" ? mixed : way;
    const odd = random.chance(0.15);
    const name = odd ? `Odd.Table ${tables.length}` : `t${tables.length}`;
    const targets = tables.filter(({ key }) => key.length > 0);
    const isJunction = targets.length > 0 && random.chance(0.3);
    tables.push(
      isJunction
        ? junction(random, name, targets, capture)
        : entity(random, name, targets, capture),
    );
  }
  // A document whose id is a digest isn't found by its refs (design 3.7): the engine says so.
  const longKeys = tables.every(({ capture }) => capture === "changelog");
  return tables.map((table) => ({ ...table, longKeys }));
}

const KEY_TYPES: readonly ColumnType[] = ["int", "int", "bigint", "uuid", "text", "text"];

function entity(
  random: Random,
  name: string,
  targets: readonly Table[],
  capture: Capture,
): Table {
  const columns: Column[] = [];
  const links: Link[] = [];
  const key: string[] = [];
  const [first] = targets.length > 0 && random.chance(0.2) ? [pick(random, targets)] : [];
  if (first !== undefined) {
    // A line: its key begins with the link to what it is a line of.
    const link = addLink(random, columns, "of", first, first.key, capture, false);
    links.push(link);
    columns.push({ name: "n", type: "int", nullable: false });
    key.push(...link.columns, "n");
  } else {
    const names = random.chance(0.25) ? ["k1", "k2"] : [random.chance(0.1) ? "Key Column" : "id"];
    for (const each of names) {
      const type = names.length > 1
        ? pick(random, ["int", "text"] as const)
        : pick(random, KEY_TYPES);
      columns.push({ name: each, type, nullable: false });
      key.push(each);
    }
  }
  const code = random.chance(0.4) ? random.chance(0.25) ? ["c1", "c2"] : ["code"] : [];
  const nullable = random.chance(0.3);
  for (const each of code) {
    columns.push({ name: each, type: pick(random, ["int", "text"]), nullable });
  }
  columns.push(...valueColumns(random));
  const self: Table = { name, columns, key, code, links, capture, longKeys: false };
  const more = random.between(targets.length > 0 ? 1 : 0, 2);
  for (let n = 0; n < more; n++) {
    const to = random.chance(0.25) ? self : targets.length > 0 ? pick(random, targets) : self;
    const byCode = to.code.length > 0 && random.chance(0.4);
    // Several rows may have the value that is pointed at.
    const isLoose = random.chance(0.1) && to.columns.some(({ name }) => name === LOOSE);
    const references = isLoose ? [LOOSE] : byCode ? to.code : to.key;
    links.push(
      addLink(random, columns, `l${n}`, to, references, capture, random.chance(0.7)),
    );
  }
  return self;
}

function junction(
  random: Random,
  name: string,
  targets: readonly Table[],
  wanted: Capture,
): Table {
  const kind = pick(random, ["both", "both", "id", "id", "none"] as const);
  const capture = kind === "none" ? "changelog" : wanted;
  const columns: Column[] = kind === "id" ? [{ name: "id", type: "int", nullable: false }] : [];
  const [left, right] = [pick(random, targets), pick(random, targets)];
  const nullable = kind !== "both" && random.chance(0.3);
  const byCode = right.code.length > 0 && random.chance(0.3) &&
    (kind !== "both" || !columnOf(right, right.code[0] ?? "").nullable);
  const links = [
    addLink(random, columns, "left", left, left.key, capture, nullable),
    addLink(random, columns, "right", right, byCode ? right.code : right.key, capture, nullable),
  ];
  const both = links.flatMap((link) => link.columns);
  const key = kind === "both" ? both : kind === "id" ? ["id"] : [];
  return { name, columns, key, code: [], links, capture, longKeys: false };
}

function addLink(
  random: Random,
  columns: Column[],
  prefix: string,
  to: Table,
  references: readonly string[],
  capture: Capture,
  nullable: boolean,
): Link {
  const names = references.map((_, at) => references.length > 1 ? `${prefix}_${at}` : prefix);
  for (const [at, name] of names.entries()) {
    const { type } = columnOf(to, references[at] ?? "");
    columns.push({ name, type, nullable });
  }
  // What a constraint does to rows of a table at L2 is a delete, or a move that isn't stamped as one.
  const possible: Link["constraint"][] = capture === "updated_at"
    ? ["none"]
    : ["none", "none", "cascade", "no action", ...(nullable ? ["set null"] as const : [])];
  const constraint = references[0] === LOOSE ? "none" : pick(random, possible);
  return { columns: names, to: to.name, references, constraint };
}

/** A column that no key holds. */
const LOOSE = "a";

/** All tables choose from the same names: an expression must find its own table's column. */
const VALUE_COLUMNS: readonly Column[] = [
  { name: "a", type: "int", nullable: true },
  { name: "b", type: "text", nullable: true },
  { name: "B", type: "text", nullable: true },
  { name: "big", type: "bigint", nullable: true },
  { name: "price", type: "numeric2", nullable: true },
  { name: "weight", type: "numeric", nullable: true },
  { name: "x", type: "float", nullable: true },
  { name: "y", type: "float", nullable: true },
  { name: "flag", type: "bool", nullable: true },
  { name: "gone", type: "bool", nullable: false },
  { name: "at", type: "timestamptz", nullable: true },
  { name: "local", type: "timestamp", nullable: true },
  { name: "day", type: "date", nullable: true },
  { name: "u", type: "uuid", nullable: true },
  { name: "tags", type: "texts", nullable: true },
  { name: "ns", type: "ints", nullable: true },
  { name: "doc", type: "jsonb", nullable: true },
];

function valueColumns(random: Random): readonly Column[] {
  const wanted = random.between(2, 6);
  const names = new Set(["a"]);
  while (names.size < wanted) names.add(pick(random, VALUE_COLUMNS).name);
  return VALUE_COLUMNS.filter(({ name }) => names.has(name));
}
