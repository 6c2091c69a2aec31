import { deepEqual, match } from "node:assert/strict";
import { test } from "node:test";
import type {
  AggregateField,
  FieldDescription,
  IndexDescription,
  RelationField,
} from "../../../src/core/description.ts";
import type { Problem } from "../../../src/core/problem.ts";
import { tableId } from "../../../src/core/table.ts";
import type { Catalog, CatalogTable } from "../../../src/postgres/catalog.ts";
import { planIndexes } from "../../../src/postgres/documents/plan.ts";
import { catalogTable, type ColumnSketch } from "../../support/catalog_table.ts";

const ref = (name: string) => ({ schema: "public", name });
const NULLABLE: ColumnSketch = { notNull: false };
const ARRAY: ColumnSketch = { type: { declared: "bigint[]", isArray: true } };
const MONEY: ColumnSketch = { type: { declared: "money", cast: "money", base: "money" } };

/** A table with that primary key; [] for none. */
function table(
  name: string,
  columns: Record<string, ColumnSketch>,
  primaryKey: readonly string[] = ["id"],
): CatalogTable {
  const isKeyless = primaryKey.length === 0;
  const index = {
    ...{ name, columns: primaryKey, unique: true, valid: true, partial: false },
    method: "btree",
  };
  return catalogTable(columns, {
    ref: ref(name),
    oid: name,
    primaryKey: isKeyless ? undefined : primaryKey,
    indexes: isKeyless ? [] : [index],
  });
}

function index(name: string, of: string, ...fields: FieldDescription[]): IndexDescription {
  return { name, table: ref(of), where: [], fields, onRejected: "stop" };
}

function relation(
  kind: RelationField["kind"],
  to: string,
  columns: readonly string[],
  more: Partial<RelationField> = {},
): RelationField {
  const rest = { where: [], orderBy: [], mapping: "object", fields: [] } as const;
  return { kind, name: to, table: ref(to), columns, ...rest, ...more };
}

function manyToMany(to: string, through: string, left: string, right: string): RelationField {
  return relation("manyToMany", to, [], {
    through: { table: ref(through), leftKey: [left], rightKey: [right] },
  });
}

function figure(kind: AggregateField["kind"], of: string, column?: string): AggregateField {
  const rest = column === undefined ? {} : { column };
  return { kind, name: kind, table: ref(of), foreignKey: ["user_id"], where: [], ...rest };
}

function scalar(name: string, type: "long" | "double"): FieldDescription {
  return { kind: "scalar", name, type, from: { kind: "column", column: name }, transforms: [] };
}

function plan(tables: readonly CatalogTable[], ...indexes: IndexDescription[]): {
  readonly planned: readonly string[];
  readonly problems: readonly Problem[];
  readonly said: readonly string[];
} {
  const catalog: Catalog = {
    version: 180000,
    role: "reader",
    standby: false,
    tables: new Map(tables.map((each) => [tableId(each.ref), each])),
  };
  const { plans, problems } = planIndexes(indexes, catalog, {
    rowSecurity: "refuse",
    expressions: new Map(),
  });
  const said = problems.map(({ severity, code, path }) => `${severity} ${code} ${path}`);
  return { planned: plans.map(({ name }) => name), problems, said };
}

test("a table without a key that shows by one of two nullable columns is refused where it does", () => {
  const tables = (sketch: ColumnSketch) => [
    table("users", { id: {}, a: {}, b: {} }),
    table("codes", { a: sketch, b: sketch }, []),
  ];
  const by = (column: string) => relation("belongsTo", "codes", [column], { references: [column] });
  const one = index("one", "users", by("a"));
  const two = index("two", "users", by("b"));
  const both = plan(tables(NULLABLE), one, two);
  deepEqual(both.planned, []);
  deepEqual(both.said, ["error KEY_NULLABLE indexes.one", "error KEY_NULLABLE indexes.two"]);
  match(both.problems[0]?.message ?? "", /public\.codes: .* \(a, b\); one with a NULL in b /);
  match(both.problems[0]?.hint ?? "", /primary key, or make b NOT NULL/);
  deepEqual(plan(tables(NULLABLE), one).said, [], "joined by one column alone");
  deepEqual(plan(tables({}), one, two).said, [], "never NULL");
});

test("a table named by a nullable key and joined by another column is refused where it is joined", () => {
  const loose = catalogTable({ id: {}, code: NULLABLE, user_id: {} }, {
    ref: ref("loose"),
    oid: "loose",
    primaryKey: undefined,
    indexes: [{
      ...{ name: "loose", columns: ["id"], unique: true, valid: true, partial: false },
      method: "btree",
    }],
  });
  const { planned, said } = plan(
    [table("users", { id: {} }), loose],
    index("users", "users", figure("count", "loose")),
    { ...index("loose", "loose"), key: ["code"] },
  );
  deepEqual(planned, ["loose"]);
  deepEqual(said, [
    "warning KEY_NOT_UNIQUE indexes.loose.key",
    "error KEY_NULLABLE indexes.users",
  ]);
});

test("a junction that leads both ways needs no key: a row with a NULL shows nowhere", () => {
  const tables = [
    table("users", { id: {} }),
    table("roles", { id: {} }),
    table("teams", { id: {} }),
    table("links", { user_id: NULLABLE, role_id: NULLABLE, team_id: NULLABLE }, []),
  ];
  const users = index("users", "users", manyToMany("roles", "links", "user_id", "role_id"));
  const roles = index("roles", "roles", manyToMany("users", "links", "role_id", "user_id"));
  deepEqual(plan(tables, users, roles).said, []);
  const teams = index("teams", "teams", manyToMany("roles", "links", "team_id", "role_id"));
  deepEqual(plan(tables, users, teams).said, [
    "error KEY_NULLABLE indexes.users",
    "error KEY_NULLABLE indexes.teams",
  ]);
});

test("a key or a link with an array is refused, however it is used", () => {
  const tables = [
    table("users", { id: {}, tags: ARRAY }),
    table("orders", { id: {}, user_id: {}, tags: ARRAY }),
    table("lists", { tags: ARRAY, user_id: {} }, ["tags"]),
    table("links", { user_id: {}, order_id: {}, tags: ARRAY }, ["user_id", "tags"]),
  ];
  const of = (...fields: FieldDescription[]) => plan(tables, index("x", "users", ...fields)).said;
  const at = "error TYPE_MISMATCH indexes.x.fields";
  deepEqual(of(relation("hasMany", "orders", ["tags"])), [`${at}.orders.foreignKey`]);
  deepEqual(
    of(relation("belongsTo", "orders", ["tags"], { references: ["tags"] })),
    [`${at}.orders.column`],
  );
  deepEqual(of(relation("hasMany", "lists", ["user_id"])), [`${at}.lists.hasMany`]);
  deepEqual(of(figure("count", "lists")), [`${at}.count.count`]);
  deepEqual(of(manyToMany("orders", "links", "user_id", "tags")), [`${at}.orders.through.table`]);
  deepEqual(
    of(manyToMany("orders", "links", "user_id", "order_id")),
    [`${at}.orders.through.table`],
  );
  deepEqual(of(relation("hasMany", "orders", ["user_id"])), []);
  const root = plan(tables, index("y", "lists"), { ...index("z", "lists"), key: ["user_id"] });
  deepEqual(root.planned, []);
  deepEqual(root.said.filter((each) => !each.startsWith("warning")), [
    "error TYPE_MISMATCH indexes.y.key",
    "error TYPE_MISMATCH indexes.z.table",
  ]);
  match(root.problems[0]?.message ?? "", /public\.lists by its key "tags": it is bigint\[\]$/);
});

test("money is a warning where it is read, and nowhere else", () => {
  const tables = [
    table("users", { id: {}, credit: MONEY }),
    table("orders", { id: {}, user_id: {}, total: MONEY }),
  ];
  const of = (...fields: FieldDescription[]) => plan(tables, index("x", "users", ...fields));
  const { planned, said, problems } = of(
    scalar("credit", "double"),
    figure("sum", "orders", "total"),
  );
  deepEqual(planned, ["x"]);
  deepEqual(said, [
    "warning MONEY_DIGITS indexes.x.fields.credit.column",
    "warning MONEY_DIGITS indexes.x.fields.sum.column",
  ]);
  match(problems[0]?.message ?? "", /^"credit" is money, which is read with two digits/);
  match(problems[0]?.hint ?? "", /amount::numeric/);
  deepEqual(of(scalar("id", "long"), figure("count", "orders")).said, []);
});

test("a grant on columns is asked for the key that a junction or a root is followed by", () => {
  const granted = (name: string, columns: Record<string, ColumnSketch>) => ({
    ...table(name, columns),
    canSelect: false,
  });
  const NO: ColumnSketch = { canSelect: false };
  const of = (id: ColumnSketch) => {
    const users = table("users", { id: {} });
    const links = granted("links", { id, user_id: {}, role_id: {} });
    const roles = granted("roles", { id, code: {} });
    return plan(
      [users, table("teams", { id: {} }), links, roles],
      index("users", "users", manyToMany("teams", "links", "user_id", "role_id")),
      { ...index("roles", "roles"), key: ["code"] },
    ).said.filter((each) => !each.startsWith("warning"));
  };
  deepEqual(of({}), []);
  deepEqual(of(NO), [
    "error PRIVILEGE_MISSING indexes.users",
    "error PRIVILEGE_MISSING indexes.roles",
  ]);
});
