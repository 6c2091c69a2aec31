import type { Problem } from "../../core/problem.ts";
import { tableId } from "../../core/table.ts";
import type { CatalogTable } from "../catalog.ts";
import { type Database, quote } from "../client.ts";
import { systemColumnsStatement } from "./statements.ts";

/** Why the rows of a table can't be swept. */
export interface Unsweepable {
  readonly code: "SWEEP_NOT_A_TABLE" | "SWEEP_FOREIGN" | "SWEEP_ROW_SECURITY";
  /** Completes "Cannot sweep public.users: ". */
  readonly reason: string;
  readonly hint: string;
}

/** Undefined: the row sweep can read it, as far as the catalog says; grants: `unreadableColumns`. */
export function sweepable(table: CatalogTable): Unsweepable | undefined {
  if (table.kind === "view" || table.kind === "materialized") {
    const kind = table.kind === "view" ? "a view" : "a materialized view";
    const reason = table.kind === "view"
      ? `it is ${kind}, whose rows carry no xmin`
      : `it is ${kind}: a refresh makes each of its rows a new one`;
    return { code: "SWEEP_NOT_A_TABLE", reason, hint: "Use the tables behind it in the index." };
  }
  if (table.kind === "foreign" || table.foreign) {
    return {
      code: "SWEEP_FOREIGN",
      reason: table.kind === "foreign"
        ? "it is a foreign table, whose rows carry no xmin of this server"
        : "a partition of it is a foreign table, whose rows carry no xmin of this server",
      hint: "Follow the table where it is: give driftless the other server as its source.",
    };
  }
  if (table.rowSecurityActive) {
    return {
      code: "SWEEP_ROW_SECURITY",
      reason: "row-level security may hide rows of it from this role",
      hint: "As a superuser: ALTER ROLE <role> BYPASSRLS;",
    };
  }
  return undefined;
}

/**
 * A problem for each table of which the role may read columns, but not the system columns that a sweep
 * needs: no grant on other columns covers these. One statement, and none when all are granted whole.
 */
export async function unreadableColumns(
  database: Database,
  tables: readonly CatalogTable[],
  role: string,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  const partly = tables.filter((table) => !table.canSelect);
  if (partly.length === 0) return [];
  const statement = systemColumnsStatement(partly.map(({ oid }) => oid), SYSTEM_COLUMNS);
  const rows = await database.query(statement, signal);
  const may = new Map(rows.map(([oid, readable]) => [oid, readable === "true"]));
  return partly.filter(({ oid }) => may.get(oid) !== true).map(({ ref }): Problem => {
    const id = tableId(ref);
    return {
      severity: "error",
      code: "SWEEP_COLUMNS_UNREADABLE",
      path: `source.tables.${id}`,
      message: `Cannot sweep ${id}: the role may read some of its columns, but not ` +
        `${SYSTEM_COLUMNS.join(", ")}, which no grant on other columns covers`,
      hint: `GRANT SELECT (${SYSTEM_COLUMNS.join(", ")}) ON ${id} TO ${quote(role)}; ` +
        `or GRANT SELECT ON ${id} TO ${quote(role)};`,
    };
  });
}

/** tableoid: where partitions are read through their parent. */
const SYSTEM_COLUMNS: readonly string[] = ["xmin", "ctid", "tableoid"];
