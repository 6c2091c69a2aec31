/** The rows of the catalog that table_facts.ts makes its facts of: one statement each. */
import { arrayLiteral, type Database, type Row } from "../client.ts";
import type { PublicationState, WalTableFacts } from "./facts.ts";

/** A relation of a table's family: itself, its partitions, and what it is a partition of. */
export interface Member {
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

/** A publication, and what it has entries for. */
export interface Publication {
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
/** Undefined: there is none. `version` is the server's `server_version_num`. */
export async function loadPublication(
  database: Database,
  version: number,
  name: string,
  signal: AbortSignal,
): Promise<Publication | undefined> {
  const statement = { text: publicationStatement(version), params: [name] };
  const [row] = await database.query(statement, signal);
  return row && readPublication(name, row);
}

/** By the oid of the table asked for, of those that are there. */
export async function loadFamilies(
  database: Database,
  oids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Member[]>> {
  const rows = await database.query({ text: MEMBERS, params: [arrayLiteral(oids)] }, signal);
  const families = new Map<string, Member[]>();
  for (const row of rows) {
    const family = families.get(row[0] ?? "");
    if (family === undefined) families.set(row[0] ?? "", [readMember(row)]);
    else family.push(readMember(row));
  }
  return families;
}

const IDENTITIES: Readonly<Record<string, WalTableFacts["identity"]>> = {
  d: "default",
  f: "full",
  i: "index",
  n: "nothing",
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
