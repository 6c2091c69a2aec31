import { tableId } from "../../core/table.ts";
import { type CatalogTable, columnOf } from "../catalog.ts";
import { quote } from "../client.ts";
import type { CaptureTable } from "../documents/paths.ts";

/**
 * What makes the WAL name a table's rows by their key: the cheapest replica identity that does. It
 * isn't handed down to partitions: they are given theirs too. `full`: the whole old row, links too.
 */
export function identityStatement(
  { table, key }: Pick<CaptureTable, "table" | "key">,
  catalog: CatalogTable | undefined,
  full = false,
): string {
  const id = tableId(table);
  const identity = full || catalog === undefined ? "FULL" : identityFor(key, catalog);
  if (catalog?.kind !== "partitioned") return `ALTER TABLE ${id} REPLICA IDENTITY ${identity};`;
  return `DO $driftless$ DECLARE part regclass; BEGIN
  FOR part IN SELECT relid FROM pg_partition_tree('${id.replaceAll("'", "''")}') LOOP
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY ${identity}', part);
  END LOOP;
END $driftless$;`;
}

function identityFor(key: readonly string[], catalog: CatalogTable): string {
  const { primaryKey, indexes, kind } = catalog;
  if (primaryKey !== undefined && key.every((name) => primaryKey.includes(name))) return "DEFAULT";
  // Those of partitions bear names of their own.
  if (kind === "partitioned") return "FULL";
  const index = indexes.find(({ unique, valid, partial, columns }) =>
    unique && valid && !partial && key.every((name) => columns.includes(name)) &&
    columns.every((name) => name !== null && columnOf(catalog, name)?.notNull === true)
  );
  return index === undefined ? "FULL" : `USING INDEX ${quote(index.name)}`;
}
