/**
 * What publication and catalog say of tables that are to be followed by the WAL: two statements,
 * whatever there are of them. They read the catalog alone and lock nothing, and every role may.
 */
import { arrayLiteral, type Database, type Row } from "../client.ts";
import type { PublicationState, WalTableFacts } from "./facts.ts";

export interface TableFacts {
  readonly publication: PublicationState | undefined;
  /** The publication's; "" where there is none. */
  readonly oid: string;
  /** By `id`, of the tables that are there. */
  readonly tables: ReadonlyMap<string, WalTableFacts>;
}

/** `version` is the server's `server_version_num`. */
export async function loadTableFacts(
  database: Database,
  version: number,
  publication: string,
  tables: readonly { readonly id: string; readonly oid: string }[],
  signal: AbortSignal,
): Promise<TableFacts> {
  const oids = [...new Set(tables.map(({ oid }) => oid))];
  const [[found], members] = await Promise.all([
    database.query({ text: publicationStatement(version), params: [publication] }, signal),
    database.query({ text: MEMBERS, params: [arrayLiteral(oids)] }, signal),
  ]);
  const read = found === undefined ? undefined : readPublication(publication, found);
  const families = new Map<string, Member[]>();
  for (const row of members) {
    const root = row[0] ?? "";
    families.set(root, [...families.get(root) ?? [], readMember(row)]);
  }
  return {
    publication: read?.state,
    oid: read?.oid ?? "",
    tables: new Map(tables.flatMap(({ id, oid }) => {
      const family = families.get(oid);
      const root = family?.find((member) => member.oid === oid);
      return family === undefined || root === undefined
        ? []
        : [[id, factsOf(root, family, read)] as const];
    })),
  };
}

/** A relation of a table's family: itself, its partitions, and what it is a partition of. */
interface Member {
  readonly oid: string;
  /** 0: the table; above 0: partitions below it; below 0: what it is a partition of. */
  readonly depth: number;
  /** What it is a partition of. */
  readonly parent: string | undefined;
  readonly name: string;
  readonly schema: string;
  readonly kind: string;
  readonly persistence: string;
  readonly identity: WalTableFacts["identity"];
  readonly identityColumns: readonly string[];
  readonly owned: boolean;
  readonly inherited: boolean;
  readonly system: boolean;
  readonly columns: readonly { readonly name: string; readonly generated: string }[];
}

interface Publication {
  readonly state: PublicationState;
  readonly oid: string;
  readonly xmin: string;
  readonly sendsStored: boolean;
  /** By the relation's oid. */
  readonly relations: ReadonlyMap<string, Entry>;
  /** The entry's oid by the schema's. */
  readonly schemas: ReadonlyMap<string, string>;
}

interface Entry {
  readonly oid: string;
  readonly rel: string;
  readonly filtered: boolean;
  readonly columns: readonly string[] | null;
}

function factsOf(
  root: Member,
  family: readonly Member[],
  publication: Publication | undefined,
): WalTableFacts {
  const below = family.filter(({ depth }) => depth >= 0);
  const entries = publication === undefined
    ? []
    : family.flatMap(({ oid }) => publication.relations.get(oid) ?? []);
  const lists = entries.flatMap(({ columns }) => columns === null ? [] : [columns]);
  const columns = lists.length === 0 ? undefined : common(lists);
  const marked = publication === undefined ? {} : publishedOf(root, family, publication);
  const identity = below.map((member) => member.identity).reduce((a, b) =>
    STRENGTH[a] <= STRENGTH[b] ? a : b
  );
  return {
    owned: root.owned,
    published: marked.mark,
    filtered: entries.some(({ filtered }) => filtered),
    columns,
    identity,
    identityColumns: common(below.map((member) => member.identityColumns)),
    unfit: unfitOf(root, below) ?? marked.unfit,
    generated: root.columns.filter(({ name, generated }) => {
      if (generated === "") return false;
      if (columns !== undefined) return !columns.includes(name);
      return !(generated === "s" && publication?.sendsStored === true);
    }).map(({ name }) => name),
  };
}

/**
 * `WalTableFacts.published`, or why adding the table wouldn't help. A change of a partition comes under its own name, or with
 * `publish_via_partition_root` under the topmost of its ancestors that is published: a table whose
 * changes come under the name of what it is a partition of can't be told from its siblings.
 */
function publishedOf(
  root: Member,
  family: readonly Member[],
  { state, oid, xmin, relations, schemas }: Publication,
): { readonly mark?: string; readonly unfit?: string } {
  const mark = (entries: readonly string[]) =>
    state.omits.length > 0 ? {} : { mark: JSON.stringify([oid, xmin, root.oid, ...entries]) };
  const above = family.filter(({ depth }) => depth < 0);
  const unfit =
    `publication "${state.name}" sends its changes under the name of a table that it is ` +
    "a partition of (publish_via_partition_root)";
  if (state.allTables) return state.viaRoot && above.length > 0 ? { unfit } : mark([]);
  const entryOf = (member: Member): string | undefined => {
    const relation = relations.get(member.oid);
    if (relation !== undefined) return `r${relation.oid}`;
    const schema = schemas.get(member.schema);
    return schema === undefined ? undefined : `s${schema}`;
  };
  // The nearest first: one entry is enough, and another one that joins or goes alters nothing.
  const upwards = [...above].sort((a, b) => b.depth - a.depth);
  const inherited = upwards.map(entryOf).find((entry) => entry !== undefined);
  if (state.viaRoot && inherited !== undefined) return { unfit };
  const own = entryOf(root) ?? inherited;
  if (own !== undefined) return mark([own]);
  const byOid = new Map(family.map((member) => [member.oid, member]));
  const leaves = family.filter(({ depth, kind }) => depth > 0 && kind !== "p");
  const covered = leaves.map((leaf) => {
    let at: Member | undefined = leaf;
    while (at !== undefined && at.oid !== root.oid) {
      const entry = entryOf(at);
      if (entry !== undefined) return entry;
      at = at.parent === undefined ? undefined : byOid.get(at.parent);
    }
    return undefined;
  });
  const found = covered.filter((entry) => entry !== undefined);
  if (leaves.length === 0 || found.length < leaves.length) return {};
  return mark([...new Set(found)].sort());
}

function unfitOf(root: Member, below: readonly Member[]): string | undefined {
  if (root.system) return "it is one of the system's tables";
  const kind = KINDS[root.kind];
  if (kind !== undefined) return `it is ${kind}`;
  if (root.inherited) return "other tables inherit from it";
  for (const member of below) {
    const who = member === root ? "it" : `its partition ${member.name}`;
    if (member.kind === "f") return `${who} is a foreign table`;
    if (member.persistence === "u") return `${who} is unlogged`;
    if (member.persistence === "t") return `${who} is temporary`;
  }
  return undefined;
}

function common(lists: readonly (readonly string[])[]): readonly string[] {
  const [first = [], ...others] = lists;
  return first.filter((name) => others.every((list) => list.includes(name)));
}

const STRENGTH: Readonly<Record<WalTableFacts["identity"], number>> = {
  nothing: 0,
  index: 1,
  default: 2,
  full: 3,
};

const IDENTITIES: Readonly<Record<string, WalTableFacts["identity"]>> = {
  d: "default",
  f: "full",
  i: "index",
  n: "nothing",
};

const KINDS: Readonly<Record<string, string>> = {
  v: "a view",
  m: "a materialized view",
  f: "a foreign table",
};

function readMember(row: Row): Member {
  const columns = JSON.parse(row[12] ?? "[]") as Member["columns"];
  const keyed = JSON.parse(row[8] ?? "[]") as string[];
  const named = IDENTITIES[row[7] ?? ""] ?? "nothing";
  const all = named === "full" ? columns.map(({ name }) => name) : keyed;
  return {
    oid: row[1] ?? "",
    depth: Number(row[2]),
    parent: row[3] ?? undefined,
    name: row[4] ?? "",
    kind: row[5] ?? "",
    persistence: row[6] ?? "",
    // Nothing is logged of the old row without an index to take its columns from.
    identity: all.length === 0 ? "nothing" : named,
    identityColumns: all,
    owned: row[9] === "t",
    inherited: row[10] === "t",
    schema: row[11] ?? "",
    columns,
    system: row[13] === "t",
  };
}

function readPublication(name: string, row: Row): Publication {
  const [oid, xmin, owned, allTables, viaRoot, operations, stored, relations, schemas] = row;
  const entries = JSON.parse(relations ?? "[]") as Entry[];
  return {
    state: {
      name,
      owned: owned === "t",
      allTables: allTables === "t",
      omits: JSON.parse(operations ?? "[]") as string[],
      viaRoot: viaRoot === "t",
    },
    oid: oid ?? "",
    xmin: xmin ?? "",
    sendsStored: stored === "t",
    relations: new Map(entries.map((entry) => [entry.rel, entry])),
    schemas: new Map(JSON.parse(schemas ?? "[]") as [string, string][]),
  };
}

/** 15 brought row filters, column lists and schemas, 18 generated columns. */
function publicationStatement(version: number): string {
  const listed = version >= 150_000;
  const filter = listed ? "r.prqual IS NOT NULL" : "false";
  const columns = listed
    ? `(SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
     WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[]))`
    : "NULL";
  const schemas = listed
    ? `(SELECT json_agg(json_build_array(s.pnnspid::text, s.oid::text))::text
  FROM pg_publication_namespace s WHERE s.pnpubid = p.oid)`
    : "NULL";
  return `SELECT p.oid::text, p.xmin::text, pg_has_role(p.pubowner, 'USAGE'), p.puballtables,
 p.pubviaroot,
 (SELECT json_agg(o.name ORDER BY o.at)::text FROM (VALUES (1, 'insert', p.pubinsert),
   (2, 'update', p.pubupdate), (3, 'delete', p.pubdelete), (4, 'truncate', p.pubtruncate)
  ) AS o(at, name, sent) WHERE NOT o.sent),
 ${version >= 180_000 ? "p.pubgencols = 's'" : "false"},
 (SELECT json_agg(json_build_object('oid', r.oid::text, 'rel', r.prrelid::text,
   'filtered', ${filter}, 'columns', ${columns}))::text
  FROM pg_publication_rel r WHERE r.prpubid = p.oid),
 ${schemas}
FROM pg_publication p WHERE p.pubname = $1`;
}

/**
 * The family of each table asked for. Partitions by pg_inherits: pg_partition_tree would lock each.
 * An identity is an index that is valid, unique, over all rows, and checked at once.
 */
const MEMBERS = `
WITH RECURSIVE below(root, oid, depth) AS (
  SELECT r, r, 0 FROM unnest($1::oid[]) r
  UNION SELECT below.root, c.oid, below.depth + 1 FROM below
  JOIN pg_inherits h ON h.inhparent = below.oid JOIN pg_class c ON c.oid = h.inhrelid AND c.relispartition
), above(root, oid, depth) AS (
  SELECT r, r, 0 FROM unnest($1::oid[]) r
  UNION SELECT above.root, h.inhparent, above.depth - 1 FROM above
  JOIN pg_class c ON c.oid = above.oid AND c.relispartition JOIN pg_inherits h ON h.inhrelid = above.oid
), family AS (SELECT * FROM below UNION SELECT * FROM above)
SELECT f.root::text, f.oid::text, f.depth::text,
  CASE WHEN c.relispartition THEN (
    SELECT h.inhparent::text FROM pg_inherits h WHERE h.inhrelid = c.oid) END,
  format('%I.%I', n.nspname, c.relname), c.relkind, c.relpersistence, c.relreplident,
  (SELECT json_agg(a.attname ORDER BY a.attnum)::text
   FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, at)
   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.at <= i.indnkeyatts
   WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL
   AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END),
  pg_has_role(c.relowner, 'USAGE'),
  EXISTS (SELECT FROM pg_inherits h JOIN pg_class k ON k.oid = h.inhrelid
    WHERE h.inhparent = c.oid AND NOT k.relispartition),
  c.relnamespace::text,
  CASE WHEN f.depth = 0 OR f.depth > 0 AND c.relreplident = 'f' THEN (
    SELECT json_agg(json_build_object('name', a.attname, 'generated', a.attgenerated)
      ORDER BY a.attnum)::text
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END,
  c.oid < 16384
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY f.root, f.depth, c.oid`;
