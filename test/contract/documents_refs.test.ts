import { deepEqual, equal, ok } from "node:assert/strict";
import { randomInt } from "node:crypto";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import type { FieldDescription } from "../../src/core/description.ts";
import type { SyncMark } from "../../src/core/document.ts";
import { planSource, type SourceWishes } from "../../src/postgres/source_plan.ts";
import { refText } from "../../src/postgres/documents/refs.ts";
import {
  aggregate,
  compare,
  EPOCH,
  type Fixture,
  index,
  type OpenDocuments,
  openFixture,
  ref,
  relation,
  scalar,
  SIGNAL,
} from "./documents_fixture.ts";
import { installChangelog } from "../support/changelog.ts";
import { seededRandom } from "../support/stress_random.ts";

const DDL = `
CREATE TABLE users (id int PRIMARY KEY, name text, country text);
CREATE TABLE countries (id uuid PRIMARY KEY, code text NOT NULL UNIQUE);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id int, status text, total numeric);
CREATE TABLE lines (order_id bigint, note text, n int, sku text, PRIMARY KEY (note, n));
CREATE TABLE products (id text PRIMARY KEY, sku text NOT NULL UNIQUE);
CREATE TABLE roles (id int PRIMARY KEY, name text);
CREATE TABLE user_roles (id bigint PRIMARY KEY, user_id int, role_id int);
CREATE TABLE badges (user_id int, role_id int, PRIMARY KEY (user_id, role_id));
CREATE TABLE staff (id int PRIMARY KEY, boss int);
CREATE TABLE codes (a int NOT NULL UNIQUE, b int, user_id int);
INSERT INTO users VALUES (1, 'Ada', 'de'), (2, 'Bea', 'fr'), (3, 'Cal', NULL);
INSERT INTO countries VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'de'), ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'fr');
INSERT INTO orders VALUES (10, 1, 'paid', 5), (11, 1, 'void', 7), (12, 1, 'paid', 9), (20, 2, 'open', 1);
INSERT INTO lines VALUES (10, 'a,b', 1, 's1'), (10, '%', 2, 's1'), (10, 'say "hi"' || chr(10) || '\\', 3, NULL), (12, repeat('é', 300), 4, 's2');
INSERT INTO products VALUES (repeat('p', 200), 's1'), (repeat('p', 201), 's2');
INSERT INTO roles VALUES (1, 'r1'), (2, 'r2');
INSERT INTO user_roles VALUES (100, 1, 1), (101, 1, 1), (102, 1, 2), (103, 2, 2);
INSERT INTO badges VALUES (1, 1), (1, 2);
INSERT INTO staff VALUES (1, NULL), (2, 1), (3, 1), (4, 2);
INSERT INTO codes VALUES (1, 1, 1), (2, 1, 2);
`;

const LINES = relation("hasMany", "lines", "lines", ["order_id"], [
  scalar("note"),
  relation("belongsTo", "product", "products", ["sku"], [scalar("id")], { references: ["sku"] }),
]);
const of = (table: string, ...keys: (readonly string[])[]) =>
  keys.map((key) => refText(ref(table), key));
const orders = (...keys: number[]) => of("orders", ...keys.map((key) => [String(key)]));

for (const major of [18, 15] as const) {
  describe(`refs on Postgres ${major}`, () => {
    let fixture: Fixture;
    before(async () => {
      fixture = await openFixture(DDL, major);
    });
    after(() => fixture[Symbol.asyncDispose]());

    const users = (fields: readonly FieldDescription[], maxRefs?: number) =>
      fixture.open(
        [index("users", "users", [scalar("name"), ...fields])],
        undefined,
        maxRefs === undefined ? {} : { maxRefs },
      );

    test("a document names the rows at every depth, each once, and no others", async () => {
      const open = await users([
        relation("hasMany", "orders", "orders", ["user_id"], [scalar("status"), LINES]),
        relation("belongsTo", "country", "countries", ["country"], [scalar("code")], {
          references: ["code"],
        }),
      ]);
      deepEqual(open.prepared.plans[0]?.refs, [
        "public.countries",
        "public.lines",
        "public.orders",
        "public.products",
      ]);
      deepEqual(await refsOf(open, "1", "2", "3"), [
        [
          ...of("countries", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
          ...orders(10, 11, 12),
          ...of("lines", ["a,b", "1"], ["%", "2"], ['say "hi"\n\\', "3"], ["é".repeat(300), "4"]),
          ...of("products", ["p".repeat(200)], ["p".repeat(201)]),
        ].sort(),
        [...of("countries", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"]), ...orders(20)].sort(),
        undefined,
      ]);
      // The documents themselves are the same bytes as without.
      const bare = await fixture.open([
        index("users", "users", [
          scalar("name"),
          relation("hasMany", "orders", "orders", ["user_id"], [scalar("status"), LINES]),
          relation("belongsTo", "country", "countries", ["country"], [scalar("code")], {
            references: ["code"],
          }),
        ]),
      ]);
      const bodies = async (each: OpenDocuments) =>
        (await each.build("1", "2", "3")).documents.map(({ body }) => body);
      deepEqual(await bodies(open), await bodies(bare));
      deepEqual(open.prepared.plans[0]?.hash, bare.prepared.plans[0]?.hash);
      deepEqual(open.prepared.plans[0]?.fingerprint, bare.prepared.plans[0]?.fingerprint);
    });

    test("a row is named only where it can leave without a change of its key", async () => {
      const through = { table: ref("badges"), leftKey: ["user_id"], rightKey: ["role_id"] };
      const open = await fixture.open(
        [index("orders", "orders", [
          relation("belongsTo", "user", "users", ["user_id"], [
            scalar("name"),
            relation("manyToMany", "roles", "roles", [], [scalar("name")], { through }),
          ]),
        ])],
        undefined,
        {},
      );
      equal(open.prepared.plans[0]?.refs.length, 0);
      deepEqual(await refsOf(open, "10"), [undefined]);
    });

    test("a junction with a key of its own names its rows, and a target is still listed once", async () => {
      const through = { table: ref("user_roles"), leftKey: ["user_id"], rightKey: ["role_id"] };
      const list = (more = {}) =>
        relation("manyToMany", "roles", "roles", [], [scalar("name")], { through, ...more });
      const open = await users([list()]);
      deepEqual(open.prepared.plans[0]?.refs, ["public.user_roles"]);
      deepEqual(await refsOf(open, "1", "2", "3"), [
        of("user_roles", ["100"], ["101"], ["102"]).sort(),
        of("user_roles", ["103"]),
        undefined,
      ]);
      deepEqual(await open.read("1"), [{ name: "Ada", roles: [{ name: "r1" }, { name: "r2" }] }]);
      const first = await users([list({ limit: 1 })]);
      deepEqual(await refsOf(first, "1"), [of("user_roles", ["100"], ["101"]).sort()]);
      const counted = await users([
        aggregate("count", "roles", "roles", [], { through }),
        aggregate("ids", "roleIds", "roles", [], { through }),
      ]);
      deepEqual(await counted.read("1"), [{ name: "Ada", roles: 2, roleIds: [1, 2] }]);
      deepEqual(await refsOf(counted, "1"), [of("user_roles", ["100"], ["101"], ["102"]).sort()]);
    });

    test("lists name what they show: not what a filter or a limit leaves out", async () => {
      const where = [compare("status", "neq", "void")];
      const orderBy = [{ column: "total", direction: "desc" as const, nulls: "last" as const }];
      const list = (more = {}) =>
        relation("hasMany", "orders", "orders", ["user_id"], [scalar("status")], more);
      deepEqual(await refsOf(await users([list({ where })]), "1"), [orders(10, 12)]);
      deepEqual(await refsOf(await users([list({ orderBy, limit: 2 })]), "1"), [orders(11, 12)]);
      const has = relation("hasOne", "order", "orders", ["user_id"], [scalar("status"), LINES], {
        where,
        orderBy,
      });
      deepEqual(await refsOf(await users([has]), "1", "3"), [
        [
          ...orders(12),
          ...of("lines", ["é".repeat(300), "4"]),
          ...of("products", ["p".repeat(201)]),
        ].sort(),
        undefined,
      ]);
    });

    test("figures name what they count, and share the list of the rows that they share", async () => {
      const paid = [compare("status", "eq", "paid")];
      const count = aggregate("count", "orders", "orders", ["user_id"], { where: paid });
      deepEqual(await refsOf(await users([count]), "1", "2"), [orders(10, 12), undefined]);
      const more = await users([
        count,
        aggregate("sum", "spent", "orders", ["user_id"], { column: "total" }),
        relation("hasMany", "list", "orders", ["user_id"], [scalar("status")], { limit: 1 }),
      ]);
      deepEqual(await refsOf(more, "1"), [orders(10, 11, 12)]);
    });

    test("a table joined with itself is named on the way down", async () => {
      const reports = (fields: readonly FieldDescription[]) =>
        relation("hasMany", "reports", "staff", ["boss"], fields);
      const open = await fixture.open(
        [index("staff", "staff", [
          relation("belongsTo", "boss", "staff", ["boss"], [scalar("id", "integer")]),
          reports([scalar("id", "integer"), reports([scalar("id", "integer")])]),
        ])],
        undefined,
        {},
      );
      deepEqual(open.prepared.plans[0]?.refs, ["public.staff"]);
      deepEqual(await refsOf(open, "1", "2", "4"), [
        of("staff", ["2"], ["3"], ["4"]).sort(),
        of("staff", ["4"]),
        undefined,
      ]);
    });

    test("tables whose capture sees what was before are not named", async () => {
      const fields = [
        relation("hasMany", "orders", "orders", ["user_id"], [scalar("status"), LINES]),
      ];
      const descriptions = [index("users", "users", fields)];
      const some = await fixture.open(descriptions, undefined, { seen: ["public.orders"] });
      deepEqual(some.prepared.plans[0]?.refs, ["public.lines", "public.products"]);
      ok((await refsOf(some, "1"))[0]?.every((each) => !orders(10, 11, 12).includes(each)));
      const seen = ["public.orders", "public.lines", "public.products"];
      const none = await fixture.open(descriptions, undefined, { seen });
      const bare = await fixture.open(descriptions);
      deepEqual(none.prepared.plans[0]?.statement, bare.prepared.plans[0]?.statement);
      deepEqual(none.prepared.plans[0]?.refs, []);
    });

    test("a table that is captured by another key than the primary one says by which", async () => {
      const open = await users([aggregate("count", "codes", "codes", ["user_id"])]);
      deepEqual(open.prepared.plans[0]?.refs, ["public.codes (a)"]);
      deepEqual(await refsOf(open, "2"), [of("codes", ["2"])]);
    });

    test("a source's plans name rows of the tables that it can't follow by their changelog", async () => {
      const fields = [
        relation("hasMany", "orders", "orders", ["user_id"], [scalar("status"), LINES]),
      ];
      const wishes: SourceWishes = {
        indexes: [index("users", "users", fields)],
        rowSecurity: "refuse",
        capture: "auto",
        tables: new Map(),
        stamps: { marginMs: 1000, marginGiven: false },
        lagMs: 0,
        sweeps: { keysMs: 1000, rowsMs: 1000, dutyCycle: 0.1, massDeletes: false },
        changelog: { schema: "driftless", consumer: "test", retentionMs: 1000 },
      };
      const plan = async () => {
        const { plans, problems } = await planSource(fixture.database, wishes, SIGNAL);
        deepEqual(problems.filter(({ severity }) => severity === "error"), []);
        return plans[0];
      };
      const before = await plan();
      deepEqual(before?.refs, ["public.lines", "public.orders", "public.products"]);
      await installChangelog(fixture.db, [{ table: "orders", joins: ["user_id"] }]);
      const after = await plan();
      deepEqual(after?.refs, ["public.lines", "public.products"]);
      deepEqual([after?.hash, after?.fingerprint], [before?.hash, before?.fingerprint]);
    });

    test("more refs than allowed are said, not listed", async () => {
      const fields = [aggregate("count", "orders", "orders", ["user_id"])];
      const marks = async (maxRefs: number) =>
        (await marksOf(await users(fields, maxRefs), "1", "2", "3"))
          .map((sync) => sync?.over ?? sync?.refs);
      const [three, one] = [orders(10, 11, 12), orders(20)].map((each) => JSON.stringify(each));
      deepEqual(await marks(3), [three, one, undefined]);
      deepEqual(await marks(2), [true, one, undefined]);
      deepEqual(await marks(0), [true, true, undefined]);
      // A product that two lines share counts once.
      const shared = await users([
        relation("hasMany", "orders", "orders", ["user_id"], [LINES], { limit: 1 }),
      ], 5);
      equal((await refsOf(shared, "1"))[0]?.length, 5);
    });

    test("the refs of a batch of changes are the ones that documents bear, for each type of key", async () => {
      const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
      try {
        for (const [at, type] of KEY_TYPES.entries()) await agree(fixture, type, at, seed);
      } catch (error) {
        throw new Error(`SEED=${seed}`, { cause: error });
      }
    });
  });
}

/** Column types of a key, and for each column a maker of texts that Postgres can read. */
type KeyType = readonly (readonly [type: string, make: (random: Random) => string])[];
/** A whole number from 0 on, less than that. */
type Random = (below: number) => number;

const KEY_TYPES: readonly KeyType[] = [
  [["int", (r) => String(r(2 ** 31))]],
  [["bigint", (r) => `-${r(2 ** 31)}${r(1e6)}`]],
  [["uuid", uuid]],
  [["text", text]],
  [["varchar(300)", (r) => text(r).slice(0, 100)]],
  [["char(30)", (r) => `x${r(100)}`]],
  [["numeric", (r) => `${r(1e6)}.${r(1000)}${"0".repeat(r(220))}`]],
  [["float8", (r) => `${r(2 ** 31) / 7}`]],
  [["boolean", (r) => r(2) === 0 ? "t" : "f"]],
  [["date", (r) => `${1900 + r(200)}-01-0${1 + r(9)}`]],
  [["timestamptz", (r) => `20${10 + r(80)}-07-01 12:00:00.${r(1e6)}+0${r(9)}`]],
  [["bytea", (r) => `\\x${r(2 ** 31).toString(16).padStart(8, "0")}`]],
  [["inet", (r) => `10.0.${r(256)}.${r(256)}`]],
  [["interval", (r) => `${r(1000)} days ${r(1000)} seconds`]],
  [["mood", (r) => ["a,b", "50%", 'say "hi"'][r(3)] ?? ""]],
  [["text", text], ["text", text]],
  [["int", (r) => String(r(9))], ["uuid", uuid], ["text", (r) => text(r).slice(0, 40)]],
  [["date", (r) => `2024-01-0${1 + r(9)}`], ["int", (r) => String(r(99))]],
];

async function agree(fixture: Fixture, type: KeyType, at: number, seed: number): Promise<void> {
  const { between } = seededRandom(seed, String(at));
  const random: Random = (below) => between(0, below - 1);
  const table = `keyed_${at}`;
  const names = type.map((_, i) => `k${i}`);
  await fixture.db.sql.unsafe(
    `${at === 0 ? "CREATE TYPE mood AS ENUM ('a,b', '50%', 'say \"hi\"');" : ""}
    CREATE TABLE ${table} (${type.map(([name], i) => `k${i} ${name}`).join(", ")}, up int,
      PRIMARY KEY (${names.join(", ")}))`,
  );
  const rows = Array.from({ length: 40 }, () => type.map(([, make]) => make(random)));
  for (const row of rows) {
    const values = row.map((_, i) => `$${i + 1}::text::${type[i]?.[0]}`).join(", ");
    await fixture.db.sql.unsafe(
      `INSERT INTO ${table} VALUES (${values}, 1) ON CONFLICT DO NOTHING`,
      row,
    );
  }
  const open = await fixture.open(
    [index("users", "users", [aggregate("count", "n", table, ["up"])])],
    undefined,
    {},
  );
  const kept = await fixture.database.query({ text: `SELECT ${names} FROM ${table}` }, SIGNAL);
  const keys = kept.map((row) => row.map((part) => part ?? ""));
  const changes = keys.map((key) => ({ table: ref(table), op: "upsert" as const, key }));
  const { sought } = await open.builder.resolve(changes, SIGNAL);
  deepEqual([...sought.get("users") ?? []].sort(), (await refsOf(open, "1"))[0], `${type}`);
  equal(sought.get("users")?.length, keys.length);
}

/** What stands in a document's mark, sorted; it must be a JSON array of texts, each once. */
async function refsOf(
  open: OpenDocuments,
  ...keys: string[]
): Promise<(readonly string[] | undefined)[]> {
  return (await marksOf(open, ...keys)).map((sync) => {
    equal(sync?.over, undefined);
    if (sync?.refs === undefined) return undefined;
    const refs = JSON.parse(sync.refs) as string[];
    equal(sync.refs.includes("\n"), false, "on one line");
    equal(new Set(refs).size, refs.length, "each once");
    return refs.sort();
  });
}

async function marksOf(open: OpenDocuments, ...keys: string[]): Promise<(SyncMark | undefined)[]> {
  const name = open.prepared.plans[0]?.name ?? "";
  const ids = keys.map((key) => open.builder.identify(name, [key]));
  const { documents, rejections } = await open.builder.build(ids, EPOCH, SIGNAL);
  deepEqual(rejections, []);
  return documents.map(({ sync }) => sync);
}

function text(random: Random): string {
  const signs = [
    ",",
    "%",
    "%25",
    '"',
    "\\",
    "\n",
    "\t",
    "\u0001",
    "é",
    "😀",
    "א",
    "a",
    // No "'" beside these: a ref doesn't tell it from a quote.
    '","',
  ];
  // About the length from which a digest stands for it, in characters.
  const length = random(3) === 0 ? 196 + random(10) : random(12);
  const drawn = Array.from({ length }, () => signs[random(signs.length)] ?? "");
  return [...drawn.join("")].slice(0, length).join("");
}

function uuid(random: Random): string {
  const hex = (digits: number) =>
    Array.from({ length: digits }, () => random(16).toString(16)).join("");
  return `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`;
}
