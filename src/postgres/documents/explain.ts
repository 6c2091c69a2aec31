import { tableId, type TableRef } from "../../core/table.ts";
import { arrayLiteral, type Database, type Statement } from "../client.ts";
import type { SessionSettings } from "../session_settings.ts";

/**
 * Session settings under which the planner reads a whole table only when nothing else is possible,
 * so that ten rows say the same as two million. For a Database that does nothing but EXPLAIN.
 */
export const PLANNER: SessionSettings = {
  enable_seqscan: "off",
  enable_indexonlyscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  enable_material: "off",
  enable_memoize: "off",
};

/** One table, or partition, that a statement reads. */
export interface Scan {
  /** The partition where it is one. */
  readonly ref: TableRef;
  /** `tableId` of that. */
  readonly relation: string;
  /** Indexes of it that the statement's conditions are looked up in; []: it is read as a whole. */
  readonly indexes: readonly string[];
  /** It is part of what is run for each row of the outermost join. */
  readonly inner: boolean;
}

/** An index of a relation as the planner may use it. */
export interface UsableIndex {
  readonly name: string;
  /** Key columns in order; null is an expression. */
  readonly columns: readonly (string | null)[];
  readonly unique: boolean;
  readonly valid: boolean;
  readonly partial: boolean;
  readonly method: string;
}

/** The scans of each statement, in order. Plans alone: no statement is run. */
export async function explainScans(
  planner: Database,
  statements: readonly Statement[],
  signal: AbortSignal,
): Promise<readonly (readonly Scan[])[]> {
  const explained: (readonly Scan[])[] = [];
  for (let at = 0; at < statements.length; at += AT_ONCE) {
    const some = statements.slice(at, at + AT_ONCE).map(({ text, params }) => ({
      text: `EXPLAIN (VERBOSE, FORMAT JSON) ${text}`,
      ...(params === undefined ? {} : { params }),
    }));
    for (const rows of await planner.sequence(some, signal)) {
      const [top] = JSON.parse(rows[0]?.[0] ?? "[]") as readonly { readonly Plan: Node }[];
      explained.push(top === undefined ? [] : scansIn(top.Plan, false));
    }
  }
  return explained;
}

/** The indexes of relations, by `tableId`: one statement. */
export async function loadIndexes(
  database: Database,
  relations: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly UsableIndex[]>> {
  const found = new Map<string, UsableIndex[]>();
  const params = [arrayLiteral([...relations])];
  for (const row of await database.query({ text: INDEXES, params }, signal)) {
    const index: UsableIndex = {
      name: row[1] ?? "",
      columns: JSON.parse(row[2] ?? "[]") as (string | null)[],
      unique: row[3] === "t",
      valid: row[4] === "t",
      partial: row[5] === "t",
      method: row[6] ?? "",
    };
    const id = row[0] ?? "";
    found.set(id, [...found.get(id) ?? [], index]);
  }
  return found;
}

interface Node {
  readonly "Node Type": string;
  readonly Schema?: string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly "Parent Relationship"?: string;
  readonly Plans?: readonly Node[];
}

/** What another server reads is its own affair. */
function scansIn(node: Node, inner: boolean): readonly Scan[] {
  const { Schema: schema, "Relation Name": name, Plans: below = [] } = node;
  const isLocal = node["Node Type"] !== "Foreign Scan";
  const own = schema === undefined || name === undefined || !isLocal ? [] : [{
    ref: { schema, name },
    relation: tableId({ schema, name }),
    indexes: lookedUp(node),
    inner,
  }];
  const nested = below.flatMap((each) => {
    const isInner = each["Parent Relationship"] === "Inner";
    return scansIn(each, inner || isInner);
  });
  return [...own, ...nested];
}

/** A bitmap scan's indexes stand below it. */
function lookedUp(node: Node): readonly string[] {
  const { "Index Name": name, "Index Cond": condition, Plans: below = [] } = node;
  const own = name === undefined || condition === undefined ? [] : [name];
  const isBitmap = node["Node Type"].startsWith("Bitmap");
  return isBitmap ? [...own, ...below.flatMap(lookedUp)] : own;
}

/** Statements in one round trip. */
const AT_ONCE = 50;

const INDEXES = `
SELECT w.id, c.relname,
  (SELECT json_agg(a.attname ORDER BY k.at)::text
   FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, at)
   LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
   WHERE k.at <= i.indnkeyatts),
  i.indisunique, i.indisvalid, i.indpred IS NOT NULL, m.amname
FROM unnest($1::text[]) AS w(id) JOIN pg_index i ON i.indrelid = to_regclass(w.id)
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
ORDER BY w.id, c.relname`;
