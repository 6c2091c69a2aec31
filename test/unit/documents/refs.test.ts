import { deepEqual, equal, match } from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Change } from "../../../src/core/change.ts";
import type { FieldDescription, IndexDescription } from "../../../src/core/description.ts";
import { tableId } from "../../../src/core/table.ts";
import type { Catalog } from "../../../src/postgres/catalog.ts";
import { blindTables } from "../../../src/postgres/documents/blind_tables.ts";
import type { Way } from "../../../src/postgres/ways.ts";
import { bearRefs, planIndexes, type PlannedIndex } from "../../../src/postgres/documents/plan.ts";
import { refText } from "../../../src/postgres/documents/refs.ts";
import { overNoKeys } from "../../../src/postgres/documents/render_build.ts";
import { createResolver } from "../../../src/postgres/documents/resolve.ts";
import { catalogTable, type ColumnSketch } from "../../support/catalog_table.ts";

const ref = (name: string) => ({ schema: "public", name });

test("a ref is its table's tag and the key's text, and a digest of one that is long", () => {
  const tag = createHash("sha256").update('"public.orders"').digest("hex").slice(0, 4);
  const hashed = (text: string) => createHash("sha256").update(text).digest("hex");
  equal(refText(ref("orders"), ["a,b%"]), `${tag}:a,b%`);
  equal(refText(ref("orders"), ["a,b", "50%", ""]), `${tag}:a%2Cb,50%25,`);
  equal(refText(ref("orders"), [""]), `${tag}:`);
  // Characters count, not halves of them.
  equal(refText(ref("orders"), ["😀".repeat(200)]), `${tag}:${"😀".repeat(200)}`);
  equal(refText(ref("orders"), ["😀".repeat(201)]), `${tag}:${hashed("😀".repeat(201))}`);
  equal(refText(ref("orders"), ["a".repeat(201)]), `${tag}:${hashed("a".repeat(201))}`);
  equal(refText(ref("users"), ["1"]) === refText(ref("orders"), ["1"]), false);
});

test("a row that a change doesn't show as it was is sought in each index that it may have left", () => {
  const { plans, resolve } = shop();
  deepEqual(sought(resolve([change("orders", ["7"]), change("orders", ["7"])])), {
    users: [refText(ref("orders"), ["7"])],
    people: [refText(ref("orders"), ["7"])],
  });
  // Deleted ones too: their link is not in their key.
  deepEqual(sought(resolve([{ ...change("orders", ["7"]), op: "delete" }]))["users"]?.length, 1);
  // Whether or not the documents bear refs by now.
  deepEqual(plans.map(({ refs }) => refs), [[], [], []]);
});

test("a row isn't sought whose link is in its key, that is a root, or whose past was seen", () => {
  const { resolve } = shop();
  const changes = [
    change("users", ["1"]),
    change("user_roles", ["1", "2"]),
    change("roles", ["2"]),
    { ...change("orders", ["7"]), sawBefore: true as const },
  ];
  deepEqual(sought(resolve(changes)), {});
});

test("where what was before was seen, a link that the log left out is read with its row", () => {
  const { resolve } = shop();
  const seen = (more: Partial<Change>) => {
    const whole = { ...change("orders", ["7"]), sawBefore: true as const, ...more };
    const { known, queries } = resolve([whole]);
    return {
      known: known.filter(({ index }) => index === "users").map(({ id }) => id).sort(),
      queries: queries.filter(({ index }) => index === "users").map(({ statement }) =>
        statement.params
      ),
    };
  };
  const unread: readonly unknown[] = [];
  const moved = { before: { user_id: "1" }, after: { user_id: "2" } };
  deepEqual(seen(moved), { known: ["1", "2"], queries: unread });
  deepEqual(seen({ after: { user_id: "2" } }), { known: ["2"], queries: unread });
  deepEqual(seen({ op: "delete", before: { user_id: "1" } }), { known: ["1"], queries: unread });
  deepEqual(seen({}), { known: [], queries: [['{"7"}']] });
});

test("a plan bears refs of the tables that don't show what was before, and of no others", () => {
  const { plans, catalog } = shop();
  const bearing = (...seen: string[]) => {
    const blind = blindTables(plans, catalog, new Map(seen.map((id) => [id, logged(id)])));
    return plans.map((plan) => bearRefs(plan, blind));
  };
  deepEqual(bearing().map(({ refs }) => refs), [["public.orders"], ["public.orders"], []]);
  const isBlind = (way: Way) =>
    blindTables(plans, catalog, new Map([["public.orders", way]])).has("public.orders");
  equal(isBlind(hinted("public.orders")), true);
  equal(isBlind(replicated("public.orders", false)), true);
  equal(isBlind(replicated("public.orders", true)), false);
  // What needs none is what it would be without: not a column more.
  deepEqual(bearing("public.orders"), plans);
  deepEqual(bearing()[2], plans[2]);
  match(bearing()[0]?.statement.text ?? "", /"#r"/);
  for (const { statement } of [...plans, ...bearing()]) {
    const { text, params } = overNoKeys(statement);
    const used = [...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number));
    equal(params.length, Math.max(...used), "planned with as many parameters as it has");
  }
  deepEqual(bearing().map(({ hash, fingerprint }) => [hash, fingerprint]), [
    ...plans.map(({ hash, fingerprint }) => [hash, fingerprint]),
  ]);
});

function logged(id: string): Way {
  const table = { table: { schema: "public", name: id }, id, oid: "1", key: ["id"] };
  return { kind: "changelog", stream: "changelog", signature: "", table };
}

function hinted(id: string): Way {
  const table = { table: { schema: "public", name: id }, id, key: ["id"], names: [] };
  return { kind: "outbox", stream: "outbox", signature: "", table };
}

function replicated(id: string, seesBefore: boolean): Way {
  const ref = { schema: "public", name: id };
  const table = { table: ref, id, oid: "1", key: ["id"], joinColumns: [], columns: [], seesBefore };
  return { kind: "wal", stream: "wal", signature: "", table };
}

/** Users with their orders and roles, twice; orders with their user. */
function shop(): {
  plans: readonly PlannedIndex[];
  catalog: Catalog;
  resolve: ReturnType<typeof createResolver>;
} {
  const tables = [
    table("users", { id: {} }),
    table("orders", { id: {}, user_id: {} }),
    table("roles", { id: {} }),
    table("user_roles", { user_id: {}, role_id: {} }, ["user_id", "role_id"]),
  ];
  const catalog: Catalog = {
    version: 180000,
    role: "reader",
    standby: false,
    tables: new Map(tables.map((each) => [tableId(each.ref), each])),
  };
  const id = (name: string): FieldDescription => ({
    kind: "scalar",
    name,
    type: "long",
    from: { kind: "column", column: "id" },
    transforms: [],
  });
  const through = { table: ref("user_roles"), leftKey: ["user_id"], rightKey: ["role_id"] };
  const rest = { where: [], orderBy: [], mapping: "object" as const };
  const orders: FieldDescription = {
    ...{ kind: "count", name: "orders", table: ref("orders"), foreignKey: ["user_id"] },
    where: [],
  };
  const roles: FieldDescription = {
    ...{ kind: "manyToMany", name: "roles", table: ref("roles"), columns: [], through },
    ...rest,
    fields: [id("id")],
  };
  const user: FieldDescription = {
    ...{ kind: "belongsTo", name: "user", table: ref("users"), columns: ["user_id"] },
    ...rest,
    fields: [id("id")],
  };
  const index = (
    name: string,
    of: string,
    ...fields: FieldDescription[]
  ): IndexDescription => ({ name, table: ref(of), where: [], fields, onRejected: "stop" });
  const { plans, problems } = planIndexes(
    [index("users", "users", orders, roles), index("people", "users", roles, orders), {
      ...index("orders", "orders", user),
    }],
    catalog,
    { rowSecurity: "refuse", expressions: new Map() },
  );
  deepEqual(problems, []);
  return { plans, catalog, resolve: createResolver(plans, catalog) };
}

function table(name: string, columns: Record<string, ColumnSketch>, primaryKey = ["id"]) {
  const indexes = [{
    ...{ name, columns: primaryKey, unique: true, valid: true, partial: false },
    method: "btree",
  }];
  return catalogTable(columns, { ref: ref(name), oid: name, primaryKey, indexes });
}

function change(name: string, key: readonly string[]): Change {
  return { table: ref(name), op: "upsert", key };
}

function sought(
  resolution: { readonly sought: ReadonlyMap<string, readonly string[]> },
): Record<string, readonly string[]> {
  return Object.fromEntries(resolution.sought);
}
