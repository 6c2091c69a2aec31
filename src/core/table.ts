/** A table of the source, by its verbatim names: mixed case and dots included. */
export interface TableRef {
  readonly schema: string;
  readonly name: string;
}

/**
 * The one text form of a table's name, used as a map key and in messages: `public.users`;
 * a part that isn't a plain lower-case identifier is quoted as in SQL: `crm."odd.name"`.
 */
export function tableId(table: TableRef): string {
  return `${part(table.schema)}.${part(table.name)}`;
}

function part(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
