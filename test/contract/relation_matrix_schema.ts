/**
 * The tables of the relation matrix, the indexes over them, and what the documents have to be: SQL
 * written by hand in another form than ours (correlated sub-queries, no lateral join).
 *
 * Index d1 shows every kind of relation on its root row, d2 on the rows of c1 below it (hasMany), d3
 * on the row of c2 that those point at (belongsTo), d4 on the rows of c3 that a junction leads to. Ids are
 * unique over all tables that hold such rows, so each kind needs one table for all four depths.
 */
import type { Json } from "../../src/core/json.ts";

export type Depth = 1 | 2 | 3 | 4;
export const DEPTHS: readonly Depth[] = [1, 2, 3, 4];

/** The table whose rows hold the relations at that depth. */
export const HOSTS: Readonly<Record<Depth, string>> = { 1: "r1", 2: "c1", 3: "c2", 4: "c3" };

interface TableShape {
  readonly columns: string;
  /** Default: ["id"]. */
  readonly key?: readonly string[];
  /** It has no primary key: what is hinted at is `key`. */
  readonly keyless?: true;
  /** Columns that rows are looked up by. */
  readonly links?: readonly string[];
}

/** What a row has that relations hang on. */
const HOST = "id bigint, v int, bt bigint, bu text, bca int, bcb text, ka int, kb text";
const ROOT: TableShape = {
  columns: `${HOST}, live boolean DEFAULT true, gone boolean DEFAULT false`,
  links: ["bt", "bu", "bca, bcb", "ka, kb"],
};
const CHILD = "id bigint, up bigint, v int";
const TARGET: TableShape = { columns: "id bigint, v int" };
const PAIR: TableShape = { columns: "l bigint, r bigint", key: ["l", "r"], links: ["r"] };
const VISIT: TableShape = { columns: "id bigint, l bigint, r bigint", links: ["l", "r"] };

export const TABLES: Readonly<Record<string, TableShape>> = {
  r1: ROOT,
  r2: ROOT,
  r3: ROOT,
  r4: ROOT,
  c1: {
    columns: `${HOST}, up bigint, next bigint`,
    links: ["up", "next", "bt", "bu", "bca, bcb", "ka, kb"],
  },
  c2: { columns: HOST, links: ["bt", "bu", "bca, bcb", "ka, kb"] },
  cj: PAIR,
  c3: { columns: HOST, links: ["bt", "bu", "bca, bcb", "ka, kb"] },
  bt: TARGET,
  bu: { columns: "id bigint, code text UNIQUE, v int" },
  bc: { columns: "a int, b text, v int", key: ["a", "b"] },
  ho: { columns: `${CHILD}, pos int DEFAULT 5`, links: ["up"] },
  hm: { columns: CHILD, links: ["up"] },
  hw: { columns: `${CHILD}, shown boolean DEFAULT true`, links: ["up"] },
  hl: { columns: `${CHILD}, pos int DEFAULT 5`, links: ["up"] },
  hc: { columns: "id bigint, upa int, upb text, v int", links: ["upa, upb"] },
  hk: { columns: "a text, b text, up bigint, v int", key: ["a", "b"], links: ["up"] },
  mt: TARGET,
  mj: PAIR,
  xt: TARGET,
  xj: { columns: "l bigint, r bigint", key: ["l"], keyless: true, links: ["l", "r"] },
  nt: TARGET,
  nj: VISIT,
  ag: { columns: CHILD, links: ["up"] },
  aw: { columns: `${CHILD}, paid boolean DEFAULT true`, links: ["up"] },
  gt: TARGET,
  gj: VISIT,
  node: { columns: "id bigint, parent bigint, v int", links: ["parent"] },
};

export function keyOf(table: string): readonly string[] {
  return TABLES[table]?.key ?? ["id"];
}

/** Every table has a column that no index uses, and a stamp that every update sets. */
export const DDL: string = `
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
${
  Object.entries(TABLES).map(([name, { columns, links = [], keyless }]) => `
CREATE TABLE ${name} (${columns}, spare int, updated_at timestamptz NOT NULL DEFAULT now()${
    keyless ? "" : `, PRIMARY KEY (${keyOf(name).join(", ")})`
  });
CREATE INDEX ON ${name} (updated_at, ${keyOf(name).join(", ")});
CREATE TRIGGER touch BEFORE UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION touch();
${links.map((each) => `CREATE INDEX ON ${name} (${each});`).join("\n")}`).join("\n")
}`;

const ID_V = { id: "long", v: "integer" };

/** A field of each kind. */
const KINDS: Readonly<Record<string, Json>> = {
  bt: { belongsTo: "bt", column: "bt", fields: ID_V },
  bu: { belongsTo: "bu", column: "bu", references: "code", fields: { ...ID_V, code: "keyword" } },
  bc: {
    belongsTo: "bc",
    column: ["bca", "bcb"],
    fields: { a: "integer", b: "keyword", v: "integer" },
  },
  ho: { hasOne: "ho", foreignKey: "up", orderBy: [{ column: "pos" }], fields: ID_V },
  hm: { hasMany: "hm", foreignKey: "up", fields: ID_V },
  hw: {
    hasMany: "hw",
    foreignKey: "up",
    where: [{ column: "shown", op: "eq", value: true }],
    fields: ID_V,
  },
  hl: {
    hasMany: "hl",
    foreignKey: "up",
    orderBy: [{ column: "pos" }],
    limit: 2,
    fields: ID_V,
  },
  hc: {
    hasMany: "hc",
    foreignKey: ["upa", "upb"],
    references: ["ka", "kb"],
    fields: ID_V,
  },
  hk: {
    hasMany: "hk",
    foreignKey: "up",
    fields: { a: "keyword", b: "keyword", v: "integer" },
  },
  mt: { manyToMany: "mt", through: through("mj"), fields: ID_V },
  xt: { manyToMany: "xt", through: through("xj"), fields: ID_V },
  nt: { manyToMany: "nt", through: through("nj"), fields: ID_V },
  count: { count: "ag", foreignKey: "up" },
  sum: { sum: "ag", column: "v", foreignKey: "up" },
  avg: { avg: "ag", column: "v", foreignKey: "up" },
  min: { min: "ag", column: "v", foreignKey: "up" },
  max: { max: "ag", column: "v", foreignKey: "up" },
  ids: { ids: "ag", foreignKey: "up" },
  paid: {
    sum: "aw",
    column: "v",
    foreignKey: "up",
    where: [{ column: "paid", op: "eq", value: true }],
  },
  reached: { count: "gt", through: through("gj") },
  reachedSum: { sum: "gt", column: "v", through: through("gj") },
  reachedIds: { ids: "gt", through: through("gj") },
};

function through(table: string): Json {
  return { table, leftKey: "l", rightKey: "r" };
}

const OWN = { v: "integer" };
const C3 = { manyToMany: "c3", through: through("cj"), fields: { ...ID_V, ...KINDS } };
const c2 = (fields: Json) => ({ belongsTo: "c2", column: "next", fields });
const c1 = (fields: Json) => ({ hasMany: "c1", foreignKey: "up", fields });

function rootIndex(depth: Depth, fields: Readonly<Record<string, Json>>): Json {
  return {
    table: `r${depth}`,
    where: [{ column: "live", op: "eq", value: true }],
    softDelete: { column: "gone" },
    fields: { ...OWN, ...fields },
  };
}

export const INDEXES: Readonly<Record<string, Json>> = {
  d1: rootIndex(1, KINDS),
  d2: rootIndex(2, { c1: c1({ ...ID_V, ...KINDS }) }),
  d3: rootIndex(3, { c1: c1({ ...ID_V, c2: c2({ ...ID_V, ...KINDS }) }) }),
  d4: rootIndex(4, { c1: c1({ ...ID_V, c2: c2({ ...ID_V, c3: C3 }) }) }),
  // A table that others show, and that shows them: r1 is the root of d1 and a child here.
  targets: {
    table: "bt",
    fields: {
      ...OWN,
      holders: { hasMany: "r1", foreignKey: "bt", fields: ID_V },
      size: { count: "r1", foreignKey: "bt" },
    },
  },
  nodes: {
    table: "node",
    fields: {
      ...OWN,
      parent: {
        belongsTo: "node",
        column: "parent",
        fields: {
          ...ID_V,
          parent: { belongsTo: "node", column: "parent", fields: { v: "integer" } },
        },
      },
      children: {
        hasMany: "node",
        foreignKey: "parent",
        fields: {
          ...ID_V,
          children: { hasMany: "node", foreignKey: "parent", fields: ID_V },
        },
      },
      size: { count: "node", foreignKey: "parent" },
    },
  },
};

/** By index: SQL that gives (id text, document text). */
export const TRUTH: Readonly<Record<string, string>> = {
  d1: rootTruth(1, kindsOf("r")),
  d2: rootTruth(2, `'c1', ${c1Truth(kindsOf("x1"))}`),
  d3: rootTruth(3, `'c1', ${c1Truth(c2Truth(kindsOf("x2")))}`),
  d4: rootTruth(4, `'c1', ${c1Truth(c2Truth(c3Truth()))}`),
  targets: `SELECT t.id::text AS id, json_build_object('v', t.v, 'holders', ${
    list("r1 x WHERE x.bt = t.id", "json_build_object('id', x.id, 'v', x.v)", "x.id")
  }, 'size', (SELECT count(*) FROM r1 x WHERE x.bt = t.id))::text AS document FROM bt t`,
  nodes: `SELECT id::text AS id, json_build_object('v', v,
    'parent', (SELECT json_build_object('id', p.id, 'v', p.v,
      'parent', (SELECT json_build_object('v', pp.v) FROM node pp WHERE pp.id = p.parent))
      FROM node p WHERE p.id = n.parent),
    'children', ${
    list(
      "node k WHERE k.parent = n.id",
      `json_build_object('id', k.id, 'v', k.v, 'children', ${
        list("node kk WHERE kk.parent = k.id", "json_build_object('id', kk.id, 'v', kk.v)", "kk.id")
      })`,
      "k.id",
    )
  },
    'size', (SELECT count(*) FROM node k WHERE k.parent = n.id))::text AS document FROM node n`,
};

function rootTruth(depth: Depth, fields: string): string {
  return `SELECT r.id::text AS id, json_build_object('v', r.v, ${fields})::text AS document
    FROM r${depth} r WHERE r.live AND NOT r.gone`;
}

function c1Truth(fields: string): string {
  const row = `json_build_object('id', x1.id, 'v', x1.v, ${fields})`;
  return list("c1 x1 WHERE x1.up = r.id", row, "x1.id");
}

function c2Truth(fields: string): string {
  return `'c2', (SELECT json_build_object('id', x2.id, 'v', x2.v, ${fields})
    FROM c2 x2 WHERE x2.id = x1.next)`;
}

function c3Truth(): string {
  const row = `json_build_object('id', x3.id, 'v', x3.v, ${kindsOf("x3")})`;
  return `'c3', ${list("c3 x3 WHERE x3.id IN (SELECT r FROM cj WHERE l = x2.id)", row, "x3.id")}`;
}

/** One of each kind for the row that `h` names. */
function kindsOf(h: string): string {
  const idV = "json_build_object('id', x.id, 'v', x.v)";
  const one = (from: string, row = idV) => `(SELECT ${row} FROM ${from})`;
  const many = (from: string) => list(from, idV, "x.id");
  const ag = `FROM ag x WHERE x.up = ${h}.id`;
  const reached = `gt x WHERE x.id IN (SELECT r FROM gj WHERE l = ${h}.id)`;
  const fields: Readonly<Record<string, string>> = {
    bt: one(`bt x WHERE x.id = ${h}.bt`),
    bu: one(
      `bu x WHERE x.code = ${h}.bu`,
      "json_build_object('id', x.id, 'v', x.v, 'code', x.code)",
    ),
    bc: one(
      `bc x WHERE x.a = ${h}.bca AND x.b = ${h}.bcb`,
      "json_build_object('a', x.a, 'b', x.b, 'v', x.v)",
    ),
    ho: one(`ho x WHERE x.up = ${h}.id ORDER BY x.pos, x.id LIMIT 1`),
    hm: many(`hm x WHERE x.up = ${h}.id`),
    hw: many(`hw x WHERE x.up = ${h}.id AND x.shown`),
    hl: list(
      `(SELECT id, v, pos FROM hl WHERE up = ${h}.id ORDER BY pos, id LIMIT 2) x`,
      idV,
      "x.pos, x.id",
    ),
    hc: many(`hc x WHERE x.upa = ${h}.ka AND x.upb = ${h}.kb`),
    hk: list(
      `hk x WHERE x.up = ${h}.id`,
      "json_build_object('a', x.a, 'b', x.b, 'v', x.v)",
      "x.a, x.b",
    ),
    xt: many(`xt x WHERE x.id IN (SELECT r FROM xj WHERE l = ${h}.id)`),
    mt: many(`mt x WHERE x.id IN (SELECT r FROM mj WHERE l = ${h}.id)`),
    nt: many(`nt x WHERE x.id IN (SELECT r FROM nj WHERE l = ${h}.id)`),
    count: `(SELECT count(*) ${ag})`,
    sum: `(SELECT coalesce(sum(x.v), 0) ${ag})`,
    avg: `(SELECT avg(x.v)::float8 ${ag})`,
    min: `(SELECT min(x.v) ${ag})`,
    max: `(SELECT max(x.v) ${ag})`,
    ids: list(`ag x WHERE x.up = ${h}.id`, "x.id", "x.id"),
    paid: `(SELECT coalesce(sum(x.v), 0) FROM aw x WHERE x.up = ${h}.id AND x.paid)`,
    reached: `(SELECT count(*) FROM ${reached})`,
    reachedSum: `(SELECT coalesce(sum(x.v), 0) FROM ${reached})`,
    reachedIds: list(reached, "x.id", "x.id"),
  };
  return Object.entries(fields).map(([name, sql]) => `'${name}', ${sql}`).join(", ");
}

function list(from: string, row: string, order: string): string {
  return `(SELECT coalesce(json_agg(${row} ORDER BY ${order}), '[]') FROM ${from})`;
}
