import { type Database, quote } from "../client.ts";
import type { Script } from "./install.ts";
import { OURS } from "./registry.ts";

/**
 * SQL that takes the changelog away without a trace: triggers and function of each table in a
 * transaction of its own, then the schema. What somebody else put into the schema makes the last
 * one fail; nothing of it is dropped. Undefined: there is none.
 */
export async function planRemove(
  database: Database,
  schema: string,
  signal: AbortSignal,
): Promise<readonly Script[] | undefined> {
  const rows = await database.query({ text: FOUND, params: [schema] }, signal);
  if (rows.length === 0) return undefined;
  const s = quote(schema);
  const scripts: Script[] = rows.flatMap(([name, triggers, log]) => {
    if (name === null || name === undefined) return [];
    const drops = JSON.parse(triggers ?? "[]") as { name: string; on: string }[];
    const on = [...new Set(drops.map((each) => each.on))];
    return [{
      title: on.length === 0 ? `A function without triggers` : `Triggers on ${on.join(", ")}`,
      table: on[0] ?? name,
      statements: [
        "SET LOCAL lock_timeout = '3s'",
        ...drops.map((each) => `DROP TRIGGER ${quote(each.name)} ON ${each.on}`),
        `DROP FUNCTION ${s}.${quote(name)}()`,
        // One after the other: half of a removal is an installation that says what it lacks.
        ...(log === "t"
          ? [`DELETE FROM ${s}.tables WHERE rel = ${name.slice("log_".length)}`]
          : []),
      ],
    }];
  });
  return [...scripts, {
    title: "The log itself",
    statements: [
      `DROP FUNCTION IF EXISTS ${s}.acknowledge(text, text, interval), ${s}.state_of(oid), ${s}.has_columns(oid, name[], oid[]), ${s}.has_columns_now(oid, name[], oid[])`,
      ...["log", "tables", "consumers", "passed", "trimmed"].map((table) =>
        `DROP TABLE IF EXISTS ${s}.${table}`
      ),
      `DROP SCHEMA ${s}`,
    ],
  }];
}

/** Lets a consumer go: what it hasn't passed isn't kept for it any more. */
export function forgetStatement(schema: string, name: string): string {
  return `DELETE FROM ${quote(schema)}.consumers WHERE name = ${literal(name)} RETURNING name`;
}

function literal(text: string): string {
  return `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/** A row per function, or one of NULLs: the log is there. */
const FOUND = `
SELECT p.proname, (
  SELECT json_agg(json_build_object('name', t.tgname, 'on', format('%I.%I', r.nspname, c.relname))
    ORDER BY t.oid)::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace r ON r.oid = c.relnamespace
  WHERE t.tgfoid = p.oid AND t.tgparentid = 0),
 EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'tables')
FROM pg_namespace n
LEFT JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname ~ '^log_[0-9]+$' AND p.pronargs = 0
WHERE n.nspname = $1 AND ${OURS}
ORDER BY p.proname`;
