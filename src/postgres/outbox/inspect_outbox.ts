import type { Problem } from "../../core/problem.ts";
import { tableId } from "../../core/table.ts";
import { quote } from "../client.ts";
import type { OutboxSettings } from "../ways.ts";
import type { OutboxColumn, OutboxFacts } from "./outbox_facts.ts";

/**
 * What is wrong with the outbox, by what the catalog says; an error means that nothing can be
 * followed by it. Paths are those of the config: `source.outbox.columns.xid`. Pure; `facts` undefined
 * is a table that isn't there.
 */
export function outboxProblems(
  settings: OutboxSettings,
  facts: OutboxFacts | undefined,
): readonly Problem[] {
  const { mode, columns } = settings;
  const id = tableId(settings.table);
  const problems: Problem[] = [];
  const report =
    (severity: Problem["severity"]) =>
    (code: string, path: string, message: string, hint: string) => {
      problems.push({
        severity,
        code: `OUTBOX_${code}`,
        path: `source.outbox.${path}`,
        message,
        hint,
      });
    };
  const [error, warn] = [report("error"), report("warning")];

  if (facts === undefined) {
    error(
      "TABLE_MISSING",
      "table",
      `Cannot follow the outbox: there is no table ${id}`,
      tableSql(settings),
    );
    return problems;
  }
  if (facts.kind !== "r" && facts.kind !== "p") {
    const message = `Cannot follow the outbox: ${id} is no table`;
    error("NOT_A_TABLE", "table", message, "Name the table that the application writes to.");
    return problems;
  }
  if (facts.inRecovery && mode !== "xid") {
    const message = `Cannot follow the outbox on a standby in mode "${mode}"`;
    error("STANDBY", "mode", message, "Point source.url to the primary, or name an xid8 column.");
  }
  for (const [code, message, hint] of missingRights(settings, facts)) {
    error(code, code === "NO_SELECT" ? "table" : "mode", message, hint);
  }

  const needed = NEEDED[mode];
  if (needed !== undefined && columns[needed] === undefined) {
    const message = `Cannot follow the outbox in mode "${mode}": no column is named for it`;
    const path = `columns.${needed}`;
    error("COLUMN_UNNAMED", path, message, `Name it in source.outbox.${path}.`);
  }
  for (const [part, name] of Object.entries(columns).filter(([part]) => isUsed(part, mode))) {
    const column = facts.columns.get(name);
    const path = `columns.${part}`;
    if (column === undefined) {
      const names = [...facts.columns.keys()].map((each) => `"${each}"`).join(", ");
      const message = `Cannot follow the outbox: ${id} has no column "${name}"`;
      error("COLUMN_MISSING", path, message, `It has ${names}.`);
    } else if (part === "position") checkPosition(name, column, path);
    else if (part === "xid") checkXid(name, column, path);
    else if (part === "stamp") checkStamp(name, column, path);
    else if (part === "processed") checkProcessed(name, column, path);
  }
  return problems;

  function checkPosition(name: string, column: OutboxColumn, path: string): void {
    const alter = `ALTER TABLE ${id}`;
    if (!column.notNull) {
      const message = `Cannot follow the outbox: its position "${name}" may be NULL`;
      error(
        "POSITION_NULLABLE",
        path,
        message,
        `${alter} ALTER COLUMN ${quote(name)} SET NOT NULL;`,
      );
    }
    const isUnique = facts?.indexes.some((index) =>
      index.unique && index.where === "" && index.columns.includes(name) &&
      // A key of a partitioned table holds the partition's columns too.
      (index.columns.length === 1 || facts.kind === "p")
    );
    if (isUnique) return;
    const message = `Cannot follow the outbox: its position "${name}" isn't unique, so that rows ` +
      "can't be told from each other";
    error("POSITION_NOT_UNIQUE", path, message, `${alter} ADD UNIQUE (${quote(name)});`);
  }

  function checkXid(name: string, column: OutboxColumn, path: string): void {
    const alter = `ALTER TABLE ${id} ALTER COLUMN ${quote(name)}`;
    if (column.base !== "xid8") {
      const message = `Cannot follow the outbox: "${name}" is ${column.type}, not xid8`;
      const add = `ALTER TABLE ${id} ADD COLUMN tx xid8 NOT NULL DEFAULT pg_current_xact_id();`;
      error("XID_TYPE", path, message, add);
      return;
    }
    if (column.byDefault !== "pg_current_xact_id()") {
      const message = `"${name}" of ${id} isn't DEFAULT pg_current_xact_id(): a row that holds ` +
        "another transaction's id may be lost";
      warn("XID_DEFAULT", path, message, `${alter} SET DEFAULT pg_current_xact_id();`);
    }
    if (!column.notNull) {
      const message = `"${name}" of ${id} may be NULL: such rows are never seen`;
      warn("XID_NULLABLE", path, message, `${alter} SET NOT NULL;`);
    }
  }

  function checkStamp(name: string, column: OutboxColumn, path: string): void {
    const alter = `ALTER TABLE ${id} ALTER COLUMN ${quote(name)}`;
    if (column.base !== "timestamptz") {
      const message = `Cannot follow the outbox: "${name}" is ${column.type}, not timestamptz`;
      error("STAMP_TYPE", path, message, `${alter} TYPE timestamptz;`);
      return;
    }
    if (!column.notNull) {
      const message = `"${name}" of ${id} may be NULL: such rows are never seen`;
      warn("STAMP_NULLABLE", path, message, `${alter} SET NOT NULL;`);
    }
  }

  function checkProcessed(name: string, column: OutboxColumn, path: string): void {
    const alter = `ALTER TABLE ${id} ALTER COLUMN ${quote(name)}`;
    if (!["timestamptz", "timestamp", "date"].includes(column.base)) {
      const message = `Cannot mark rows of the outbox: "${name}" is ${column.type}, no timestamp`;
      const add = `ALTER TABLE ${id} ADD COLUMN processed_at timestamptz;`;
      error("PROCESSED_TYPE", path, message, add);
    } else if (column.notNull || column.byDefault !== "") {
      const message = `Cannot claim rows of the outbox: "${name}" isn't NULL while a row waits`;
      const sql = `${alter} DROP NOT NULL, ALTER COLUMN ${quote(name)} DROP DEFAULT;`;
      error("PROCESSED_NOT_NULL", path, message, sql);
    }
  }
}

/** [code, message, hint] of each right that the role lacks. */
function missingRights(
  { table, mode, columns }: OutboxSettings,
  { role, schemaUsage, canSelect, canDelete, columns: found }: OutboxFacts,
): readonly [string, string, string][] {
  const id = tableId(table);
  const to = quote(role);
  const processed = columns.processed ?? "";
  const missing: [string, string, string][] = [];
  if (!schemaUsage || !canSelect) {
    // All of it: a column's own grant doesn't cover the xmin.
    const usage = schemaUsage ? "" : `GRANT USAGE ON SCHEMA ${quote(table.schema)} TO ${to}; `;
    const message = `Cannot follow the outbox: role ${to} may not SELECT from ${id}`;
    missing.push(["NO_SELECT", message, `${usage}GRANT SELECT ON ${id} TO ${to};`]);
  }
  if (mode === "mark" && found.get(processed)?.canUpdate === false) {
    const message =
      `Cannot mark rows of the outbox: role ${to} may not UPDATE "${processed}" of ${id}`;
    const grant = `GRANT UPDATE (${quote(processed)}) ON ${id} TO ${to};`;
    missing.push(["NO_UPDATE", message, grant]);
  }
  if (mode === "delete" && !canDelete) {
    const message = `Cannot delete rows of the outbox: role ${to} may not DELETE from ${id}`;
    missing.push(["NO_DELETE", message, `GRANT DELETE ON ${id} TO ${to};`]);
  }
  return missing;
}

/**
 * A warning with the SQL when no index serves what each poll asks of the outbox, whatever its size.
 * Pure; undefined: there is one.
 */
export function indexProblem(settings: OutboxSettings, facts: OutboxFacts): Problem | undefined {
  const { mode, columns } = settings;
  const id = tableId(settings.table);
  const wanted = {
    xid: [columns.xid ?? "", columns.position],
    stamp: [columns.stamp ?? "", columns.position],
    mark: [columns.position],
    delete: [columns.position],
  }[mode];
  const condition = mode === "mark" ? `${columns.processed} IS NULL` : "";
  const serves = facts.indexes.some((index) =>
    wanted.every((name, i) => index.columns[i] === name) &&
    // A whole index would be read through all that was ever processed.
    index.where.replaceAll(/[()"]/g, "") === condition
  );
  if (serves) return undefined;
  const how = facts.kind === "p" ? "CREATE INDEX" : "CREATE INDEX CONCURRENTLY";
  const where = mode === "mark" ? ` WHERE ${quote(columns.processed ?? "")} IS NULL` : "";
  const names = wanted.map((name) => `"${name}"`).join(", ");
  return {
    severity: "warning",
    code: "OUTBOX_INDEX_MISSING",
    path: "source.outbox.table",
    message: `No index on ${id} serves the outbox, (${names})${
      mode === "mark" ? " of rows that aren't processed" : ""
    }: each poll that has something to do reads the whole table`,
    hint: `${how} ON ${id} (${wanted.map(quote).join(", ")})${where};`,
  };
}

/** The column that only this mode uses. */
const NEEDED: Readonly<
  Record<OutboxSettings["mode"], "xid" | "stamp" | "processed" | undefined>
> = { xid: "xid", stamp: "stamp", mark: "processed", delete: undefined };

function isUsed(part: string, mode: OutboxSettings["mode"]): boolean {
  return !["xid", "stamp", "processed"].includes(part) || part === NEEDED[mode];
}

/** A table that would do. */
function tableSql({ table, mode, columns }: OutboxSettings): string {
  const lines = [
    `${quote(columns.position)} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`,
    `${quote(columns.table)} text NOT NULL`,
    `${quote(columns.key)} jsonb NOT NULL`,
  ];
  if (mode === "xid" && columns.xid !== undefined) {
    lines.push(`${quote(columns.xid)} xid8 NOT NULL DEFAULT pg_current_xact_id()`);
  }
  if (mode === "stamp" && columns.stamp !== undefined) {
    lines.push(`${quote(columns.stamp)} timestamptz NOT NULL DEFAULT now()`);
  }
  if (mode === "mark" && columns.processed !== undefined) {
    lines.push(`${quote(columns.processed)} timestamptz`);
  }
  return `CREATE TABLE ${tableId(table)} (${lines.join(", ")});`;
}
