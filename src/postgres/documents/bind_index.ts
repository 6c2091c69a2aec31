import type { IndexDescription } from "../../core/description.ts";
import { tableId } from "../../core/table.ts";
import { type CatalogColumn, type CatalogTable, isUnique } from "../catalog.ts";
import { typeText } from "../catalog_types.ts";
import { quote } from "../client.ts";
import { bindFields } from "./bind_fields.ts";
import { bindFilters } from "./bind_filter.ts";
import {
  areScalars,
  bindColumn,
  bindColumns,
  bindIdentity,
  type Binding,
  bindTable,
} from "./binding.ts";
import type { BoundIndex } from "./bound.ts";
import { usedTables } from "./used_columns.ts";

/** Binds a description to the catalog. Every problem is reported; an error makes the result unfit. */
export function bindIndex(
  binding: Binding,
  description: IndexDescription,
  rowSecurity: "refuse" | "allow",
): BoundIndex | undefined {
  const path = `indexes.${description.name}`;
  const table = bindTable(binding, description.table, `${path}.table`);
  if (table === undefined) return undefined;
  const key = bindKey(binding, table, description.key, path);
  const holder = { table, key: table.primaryKey ?? description.key };
  const fields = bindFields(binding, holder, description.fields, `${path}.fields`);
  const where = bindFilters(binding, table, description.where, `${path}.where`);
  const softDelete = bindSoftDelete(binding, table, description, `${path}.softDelete`);
  if (key === undefined) return undefined;
  const index: BoundIndex = {
    root: { table, identity: key, where, fields },
    key,
    softDelete,
  };
  for (const used of usedTables(index)) {
    reportPrivileges(binding, used.table, used.columns, path);
    if (used.table.rowSecurityActive && rowSecurity === "refuse") reportPolicies(used.table);
  }
  return index;

  function reportPolicies({ ref }: CatalogTable): void {
    binding.report(
      "error",
      "ROW_SECURITY",
      path,
      `Cannot read ${
        tableId(ref)
      } as a whole: row-level security applies to ${binding.catalog.role}`,
      `Hidden rows would look deleted. ALTER ROLE ${
        quote(binding.catalog.role)
      } BYPASSRLS, or set ` +
        `source.rowSecurity to "allow" to index what this role may see.`,
    );
  }
}

function bindKey(
  binding: Binding,
  table: CatalogTable,
  names: readonly string[] | undefined,
  path: string,
): readonly CatalogColumn[] | undefined {
  if (names === undefined) {
    if (table.primaryKey !== undefined) {
      return bindIdentity(binding, table, undefined, `${path}.key`);
    }
    binding.report(
      "error",
      "KEY_MISSING",
      `${path}.key`,
      `Cannot name the documents of ${tableId(table.ref)}: it has no primary key`,
      'Name the columns that tell its rows apart in "key".' + unkeyedHint(table),
    );
    return undefined;
  }
  const key = bindColumns(binding, table, names, `${path}.key`);
  if (key && !areScalars(binding, key, "name documents by", `${path}.key`)) return undefined;
  // Whatever names its documents, a table with a primary key is followed by that.
  const followed = table.primaryKey === undefined ||
    bindIdentity(binding, table, undefined, `${path}.table`) !== undefined;
  if (!followed) return undefined;
  const isTable = table.kind === "table" || table.kind === "partitioned";
  if (key !== undefined && isTable && !isUnique(table, names)) {
    binding.report(
      "warning",
      "KEY_NOT_UNIQUE",
      `${path}.key`,
      `No unique index says that (${names.join(", ")}) tells the rows of ${
        tableId(table.ref)
      } apart`,
      "Rows with one key share one document, and which of them it shows is left to chance.",
    );
  }
  return key;
}

/** What can have no primary key can't be followed by reading it either: both are said at once. */
function unkeyedHint({ kind }: CatalogTable): string {
  if (kind === "table" || kind === "partitioned") return "";
  const [what, instead] = kind === "foreign"
    ? ["foreign table", ""]
    : ["view", ", or index the tables behind it"];
  return ` A ${what} is followed only by an outbox that the application writes: configure ` +
    `source.outbox for it${instead}.`;
}

function bindSoftDelete(
  binding: Binding,
  table: CatalogTable,
  { softDelete }: IndexDescription,
  path: string,
): BoundIndex["softDelete"] {
  if (softDelete === undefined) return undefined;
  if (softDelete.kind === "when") {
    const filters = bindFilters(binding, table, softDelete.filters, `${path}.when`);
    return { kind: "when", filters };
  }
  const column = bindColumn(binding, table, softDelete.column, `${path}.column`);
  if (column === undefined) return undefined;
  const isFlag = column.type.base === "bool" && !column.type.isArray;
  if (column.notNull && !isFlag) {
    binding.report(
      "warning",
      "SOFT_DELETE_ALWAYS",
      `${path}.column`,
      `Every row of ${tableId(table.ref)} counts as deleted: "${column.name}" is never null, and ` +
        `${typeText(column.type)} is not a boolean`,
      'Name a column that is NULL in rows that are kept, or say which are deleted in "when".',
    );
  }
  return { kind: "column", column };
}

function reportPrivileges(
  binding: Binding,
  table: CatalogTable,
  columns: ReadonlySet<string>,
  path: string,
): void {
  const { schema, name } = table.ref;
  const role = quote(binding.catalog.role);
  const grants: string[] = [];
  if (!table.schemaUsage) grants.push(`GRANT USAGE ON SCHEMA ${quote(schema)} TO ${role};`);
  const readable = table.canSelect ||
    table.columns.every((column) => column.canSelect || !columns.has(column.name));
  if (!readable) grants.push(`GRANT SELECT ON ${quote(schema)}.${quote(name)} TO ${role};`);
  if (grants.length === 0) return;
  binding.report(
    "error",
    "PRIVILEGE_MISSING",
    path,
    `Cannot read ${
      tableId(table.ref)
    }: ${binding.catalog.role} lacks SELECT on what this index uses`,
    grants.join(" "),
  );
}
