import type { Problem } from "../../core/problem.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import { type CatalogColumn, type CatalogTable, columnOf } from "../catalog.ts";
import { quote } from "../client.ts";
import type { PolledTable } from "./polled_table.ts";

/** A table to be followed, as the documents need it. */
export interface TableWish {
  readonly table: TableRef;
  readonly key: readonly string[];
  readonly joinColumns: readonly string[];
}

/** What the config says of a table's stamp: `source.tables`. */
export interface StampSettings {
  readonly stamp?: string;
  /** Whose clock stamps: "application" clocks may be seconds off. Given at all: somebody does. */
  readonly stamps?: "database" | "application";
  readonly stampTimezone?: string;
}

export interface StampDefaults {
  readonly marginMs: number;
  /** The margin was set by hand: it then holds for application clocks too. */
  readonly marginGiven: boolean;
}

/** Why something can't be: a clause that goes on after a colon, and what would help. */
export interface Refusal {
  readonly code: string;
  readonly state: string;
  readonly hint: string;
  /** As single statements, where it is SQL that helps. */
  readonly sql: readonly string[];
}

export type StampChoice =
  /** The warnings say what the stamp doesn't show, or shows slowly. */
  | { readonly polled: PolledTable; readonly problems: readonly Problem[] }
  | { readonly refusal: Refusal };

/** Whether and how one table can be followed by its stamp column. Pure. */
export function chooseStamp(
  wish: TableWish,
  table: CatalogTable,
  settings: StampSettings,
  defaults: StampDefaults,
): StampChoice {
  const id = tableId(wish.table);
  if (table.kind !== "table" && table.kind !== "partitioned") {
    return refuse(
      "NOT_A_TABLE",
      `it is a ${KINDS[table.kind]}, whose rows carry no xmin`,
      "Use the tables behind it in the index.",
    );
  }
  // Its rows' xmin is 0: two versions of one couldn't be told apart, and the second would be left out.
  if (table.foreign) {
    return refuse(
      "FOREIGN_PARTITION",
      "a partition of it lies on another server, whose rows carry no xmin",
      "Follow it where it is: give driftless the other server as its source.",
    );
  }
  const stamp = stampOf(id, table, settings, wish.key);
  if ("refusal" in stamp) return stamp;
  const { column, type } = stamp;
  if (type === "timestamp" && settings.stampTimezone === undefined) {
    return refuse(
      "STAMP_TIMEZONE_MISSING",
      `its stamp "${column.name}" is a timestamp without time zone`,
      `Say in which zone it is written: "source": { "tables": { ${JSON.stringify(id)}: ` +
        `{ "stampTimezone": "UTC" } } }.`,
    );
  }
  const createIndex = indexSql(id, table, column.name, wish.key);
  const leading = table.indexes
    .filter((index) => index.method === "btree" && index.valid && !index.partial)
    .map(({ columns }) => columns).filter((columns) => columns[0] === column.name);
  if (leading.length === 0) {
    return refuse(
      "STAMP_INDEX_MISSING",
      `no index begins with its stamp "${column.name}", so each poll would read the whole table`,
      createIndex,
      [createIndex],
    );
  }
  const problems: Problem[] = [];
  const warn = (code: string, message: string, hint: string) =>
    problems.push({ severity: "warning", code, path: `source.tables.${id}`, message, hint });
  const wanted = [column.name, ...wish.key];
  if (!leading.some((columns) => wanted.every((name, i) => columns[i] === name))) {
    warn(
      "STAMP_INDEX_PARTIAL",
      `The index on ${id} ("${column.name}") doesn't go on with the key: many rows with one stamp ` +
        "are sorted anew for each page",
      createIndex,
    );
  }
  if (!column.notNull) {
    warn(
      "STAMP_NULLABLE",
      `The stamp "${column.name}" of ${id} may be NULL: polls don't see such rows`,
      `ALTER TABLE ${id} ALTER COLUMN ${quote(column.name)} SET NOT NULL;`,
    );
  }
  for (const trigger of table.touches.filter(({ enabled }) => !enabled)) {
    warn(
      "STAMP_TRIGGER_DISABLED",
      `A trigger that may set "${column.name}" is disabled: ${trigger.name} on ${trigger.on}; polls ` +
        "don't see rows that are updated without it",
      `ALTER TABLE ${trigger.on} ENABLE TRIGGER ${quote(trigger.name)};`,
    );
  }
  if (table.touches.length === 0 && settings.stamps === undefined) {
    warn(
      "STAMP_NOT_TOUCHED",
      `Nothing in the database sets "${column.name}" of ${id} on UPDATE: polls don't see rows that ` +
        "the application updates without setting it",
      `If every UPDATE sets it, say by whose clock: "tables": { ${JSON.stringify(id)}: ` +
        '{ "stamps": "application" } }, or "database" for now(). Else:\n' +
        touchSql(id, column.name, type === "timestamp" ? settings.stampTimezone : undefined)
          .join("\n"),
    );
  }
  const marginMs = settings.stamps === "application" && !defaults.marginGiven
    ? APPLICATION_MARGIN_MS
    : Math.max(defaults.marginMs, precisionMs(column.type.secondDigits ?? 6));
  const polled: PolledTable = {
    table: wish.table,
    id,
    key: keyOf(wish, table),
    joinColumns: wish.joinColumns,
    stamp: { name: column.name, type, zone: settings.stampTimezone ?? "UTC" },
    marginMs,
    heap: table.kind === "table" && !table.hasChildren,
  };
  return { polled, problems };
}

/** The key's columns as statements compare them. */
export function keyOf(wish: TableWish, table: CatalogTable): PolledTable["key"] {
  return wish.key.map((name) => {
    const column = columnOf(table, name);
    const { cast = "text", isArray = false } = column?.type ?? {};
    return { name, type: isArray ? `${cast}[]` : cast, nullable: column?.notNull !== true };
  });
}

const KINDS = {
  table: "table",
  partitioned: "partitioned table",
  view: "view",
  materialized: "materialized view",
  foreign: "foreign table",
};

/** 3.1: a stamp by an application's clock may be seconds early. */
const APPLICATION_MARGIN_MS = 30_000;

const STAMP_NAMES = new Set([
  "updated_at",
  "modified_at",
  "last_modified",
  "changed_at",
  "updatedAt",
  "modifiedAt",
  "lastModified",
  "changedAt",
]);

type StampType = PolledTable["stamp"]["type"];

function refuse(
  code: string,
  state: string,
  hint: string,
  sql: readonly string[] = [],
): { readonly refusal: Refusal } {
  return { refusal: { code, state, hint, sql } };
}

function stampOf(
  id: string,
  table: CatalogTable,
  settings: StampSettings,
  key: readonly string[],
): { readonly column: CatalogColumn; readonly type: StampType } | { readonly refusal: Refusal } {
  if (settings.stamp !== undefined) {
    const found = columnOf(table, settings.stamp);
    if (found === undefined) {
      return refuse(
        "COLUMN_MISSING",
        `it has no column "${settings.stamp}"`,
        `Name a timestamp column of it in source.tables.${id}.stamp.`,
      );
    }
    const type = stampType(found);
    if (type !== undefined) return { column: found, type };
    return refuse(
      "STAMP_TYPE",
      `"${settings.stamp}" is ${found.type.cast}${found.type.isArray ? "[]" : ""}, no timestamp`,
      "A stamp is a timestamptz, or a timestamp with stampTimezone.",
    );
  }
  const candidates = table.columns.flatMap((column) => {
    const type = STAMP_NAMES.has(column.name) ? stampType(column) : undefined;
    return type === undefined ? [] : [{ column, type }];
  });
  const [first] = candidates;
  if (first === undefined) {
    const sql = stampSql(id, table, key);
    return refuse(
      "STAMP_MISSING",
      "it has no stamp column (updated_at, modified_at, last_modified, changed_at)",
      `${sql.join("\n")}\n-- Or name a column that every write sets: "source": { "tables": { ` +
        `${JSON.stringify(id)}: { "stamp": "…" } } }.`,
      sql,
    );
  }
  if (candidates.length === 1) return first;
  const names = candidates.map(({ column }) => `"${column.name}"`).join(" and ");
  return refuse(
    "STAMP_AMBIGUOUS",
    `${names} could each be its stamp`,
    `Name the one that every write sets in source.tables.${id}.stamp.`,
  );
}

function stampType({ type }: CatalogColumn): StampType | undefined {
  if (type.isArray) return undefined;
  return type.base === "timestamptz" || type.base === "timestamp" ? type.base : undefined;
}

/** Whole ms. A stamp of low precision is rounded, up to half a unit down; date_trunc takes a whole one. */
function precisionMs(precision: number): number {
  return Math.ceil(10 ** (3 - precision));
}

function indexSql(
  id: string,
  table: CatalogTable,
  stamp: string,
  key: readonly string[],
): string {
  // CONCURRENTLY isn't possible on a partitioned parent.
  const how = table.kind === "table" ? "CREATE INDEX CONCURRENTLY" : "CREATE INDEX";
  return `${how} ON ${id} (${[stamp, ...key].map(quote).join(", ")});`;
}

/** All that a table needs to be followed, as it can be run. */
function stampSql(id: string, table: CatalogTable, key: readonly string[]): readonly string[] {
  return [
    `ALTER TABLE ${id} ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();`,
    ...touchSql(id, "updated_at"),
    indexSql(id, table, "updated_at", key),
  ];
}

/** `zone`: of a stamp without one, whose text would otherwise be in the writer's zone. */
function touchSql(id: string, stamp: string, zone?: string): readonly string[] {
  const plain = stamp === "updated_at" && zone === undefined;
  const name = plain ? "driftless_touch" : quote(`driftless_touch_${stamp}`);
  const now = zone === undefined ? "now()" : `now() AT TIME ZONE '${zone.replaceAll("'", "''")}'`;
  return [
    `CREATE OR REPLACE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS\n` +
    `  $$ BEGIN NEW.${plain ? stamp : quote(stamp)} := ${now}; RETURN NEW; END $$;`,
    `CREATE TRIGGER driftless_touch BEFORE UPDATE ON ${id}\n` +
    `  FOR EACH ROW EXECUTE FUNCTION ${name}();`,
  ];
}
