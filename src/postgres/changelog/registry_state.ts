import { arrayLiteral, type Database, quote } from "../client.ts";
import type { Recorded } from "./required.ts";
import type { Member, TableShape } from "./triggers.ts";

/** What the database holds of one table's changelog, as it stands. */
export interface TableState {
  /** Undefined: there is no such table. */
  readonly shape: TableShape | undefined;
  readonly registered: RegisteredRow | undefined;
  /** Triggers on it and below that call its function. */
  readonly triggers: readonly FoundTrigger[];
  /** xmin of the function; undefined: it isn't there. */
  readonly functionXmin: string | undefined;
  /** Another one later means that something of the above isn't as it was. */
  readonly fingerprint: string;
}

export interface RegisteredRow extends Recorded {
  readonly since: string;
  readonly xmin: string;
  /** Recorded columns that the table no longer has. */
  readonly gone: readonly string[];
}

export interface FoundTrigger {
  readonly relation: string;
  /** The relation, quoted, with its schema. */
  readonly on: string;
  readonly name: string;
  /** O origin, A always, R replica, D disabled. */
  readonly enabled: string;
  readonly xmin: string;
  readonly copy: boolean;
}

/**
 * Reads the state of tables by oid, in one statement and so at one time. `registry` false: the
 * changelog's own tables aren't there yet. By oid.
 */
export async function loadStates(
  database: Database,
  schema: string,
  oids: readonly string[],
  registry: boolean,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, TableState>> {
  const rows = await database.query({
    text: states(schema, registry),
    params: [arrayLiteral(oids), schema],
  }, signal);
  return new Map(rows.map((row) => {
    const [oid = "", members, triggers, registered, functionXmin, fingerprint, facts] = row;
    const [partitioned, hasParents, virtual, types] = JSON.parse(facts ?? "[]") as [
      boolean,
      boolean,
      string[],
      Record<string, string>,
    ];
    const found = new Map<string, Member>();
    // A table below by two ways is listed twice.
    for (const member of JSON.parse(members ?? "[]") as Member[]) {
      const links = [...found.get(member.oid)?.links ?? [], ...member.links];
      found.set(member.oid, { ...member, links });
    }
    const key = oid ?? "";
    return [key, {
      shape: found.size === 0
        ? undefined
        : { oid: key, partitioned, hasParents, members: [...found.values()], virtual, types },
      registered: JSON.parse(registered ?? "null") as RegisteredRow | null ?? undefined,
      triggers: JSON.parse(triggers ?? "[]") as FoundTrigger[],
      functionXmin: functionXmin ?? undefined,
      fingerprint: fingerprint ?? "",
    }];
  }));
}

/** SQL of one text that any change to a table's triggers, function, registration or heirs alters. */
export function fingerprintOf(schema: string, root: string, registry: boolean): string {
  const text = `'${schema.replaceAll("'", "''")}'`;
  const registered = registry
    ? `(SELECT r.xmin::text FROM ${quote(schema)}.tables r WHERE r.rel = ${root})`
    : "NULL::text";
  // It's compared where other settings hold: backslashes and paths play no part in it.
  return `md5(concat_ws(' ',
 (WITH RECURSIVE below(oid) AS (SELECT ${root} UNION
   SELECT h.inhrelid FROM below JOIN pg_catalog.pg_inherits h ON h.inhparent = below.oid)
  SELECT string_agg(concat_ws(':', c.oid, c.relkind, c.relispartition,
    (SELECT string_agg(concat_ws(',', t.oid, t.xmin, t.tgenabled), ';' ORDER BY t.oid)
     FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = ${
    functionOid(text, root)
  })), ' ' ORDER BY c.oid)
  FROM below JOIN pg_catalog.pg_class c ON c.oid = below.oid),
 '/', EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = ${root}),
 '/', ${functionOid(text, root)}, (SELECT p.xmin::text FROM pg_catalog.pg_proc p WHERE p.oid = ${
    functionOid(text, root)
  }),
 '/', ${registered}))`;
}

function functionOid(schema: string, root: string): string {
  return `(SELECT f.oid FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace
   WHERE s.nspname = ${schema} AND f.proname = 'log_' || ${root} AND f.pronargs = 0)`;
}

function states(schema: string, registry: boolean): string {
  const registered = registry
    ? `(SELECT json_build_object('key', r.key, 'columns', r.columns, 'joins', r.joins,
     'since', r.since::text, 'xmin', r.xmin::text, 'gone', (
       SELECT coalesce(json_agg(DISTINCT c), '[]') FROM unnest(r.key || r.columns || r.joins) c
       WHERE NOT EXISTS (SELECT FROM pg_attribute a
         WHERE a.attrelid = r.rel AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped)))::text
   FROM ${quote(schema)}.tables r WHERE r.rel = w.oid)`
    : "NULL::text";
  return `SELECT w.oid::text,
 (WITH RECURSIVE below(oid, links, depth) AS (
    SELECT c.oid, '[]'::jsonb, 0 FROM pg_class c WHERE c.oid = w.oid
    UNION ALL
    SELECT h.inhrelid, below.links || to_jsonb(h.xmin::text), below.depth + 1
    FROM below JOIN pg_inherits h ON h.inhparent = below.oid)
  SELECT json_agg(json_build_object('oid', c.oid::text, 'links', below.links,
    'name', format('%I.%I', n.nspname, c.relname), 'foreign', c.relkind = 'f')
    ORDER BY below.depth, c.oid)::text
  FROM below JOIN pg_class c ON c.oid = below.oid JOIN pg_namespace n ON n.oid = c.relnamespace),
 (SELECT json_agg(json_build_object('relation', t.tgrelid::text, 'name', t.tgname,
    'on', format('%I.%I', n.nspname, c.relname), 'enabled', t.tgenabled, 'xmin', t.xmin::text,
    'copy', t.tgparentid <> 0) ORDER BY t.oid)::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE t.tgfoid = ${functionOid("$2", "w.oid")}),
 ${registered},
 (SELECT p.xmin::text FROM pg_proc p WHERE p.oid = ${functionOid("$2", "w.oid")}),
 ${fingerprintOf(schema, "w.oid", registry)},
 json_build_array(
   (SELECT c.relkind = 'p' FROM pg_class c WHERE c.oid = w.oid),
   EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = w.oid),
   (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute a
    WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 'v'),
   (SELECT json_object_agg(a.attname, a.atttypid::text) FROM pg_attribute a
    WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped))::text
FROM unnest($1::oid[]) AS w(oid)`;
}
