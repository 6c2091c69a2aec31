import type { Problem } from "../../core/problem.ts";
import type { TableLevel } from "../../core/source.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import { quote } from "../client.ts";
import type { PolledTable } from "./polled_table.ts";
import type { TableFacts } from "./table_facts.ts";

/** A table to be followed, as the documents need it. */
export interface TableWish {
  readonly table: TableRef;
  readonly key: readonly string[];
  readonly joinColumns: readonly string[];
}

/** What the config says of a table: `source.tables`. */
export interface TableSettings {
  readonly stamp?: string;
  /** Whose clock stamps: "application" clocks may be seconds off. */
  readonly stamps?: "database" | "application";
  readonly stampTimezone?: string;
}

export interface StampDefaults {
  readonly marginMs: number;
  /** The margin was set by hand: it then holds for application clocks too. */
  readonly marginGiven: boolean;
}

export interface StampChoice {
  /** Absent when the table can't be followed: an error is among the problems. */
  readonly polled?: PolledTable;
  readonly level?: TableLevel;
  readonly problems: readonly Problem[];
}

/**
 * Decides how one table is followed by its stamp column, or says why it can't be and what would
 * help. Pure: `facts` is what the catalog says, undefined when there is no such table.
 */
export function chooseStamp(
  wish: TableWish,
  facts: TableFacts | undefined,
  settings: TableSettings,
  defaults: StampDefaults,
): StampChoice {
  const id = tableId(wish.table);
  const path = `source.tables.${id}`;
  const problems: Problem[] = [];
  const error = (code: string, message: string, hint: string): StampChoice => {
    problems.push({ severity: "error", code, path, message, hint });
    return { problems };
  };
  const warn = (code: string, message: string, hint: string) => {
    problems.push({ severity: "warning", code, path, message, hint });
  };

  // A table that isn't there is the planner's to name.
  if (facts === undefined) return { problems };
  if (facts.kind !== "table" && facts.kind !== "partitioned") {
    return error(
      "NOT_A_TABLE",
      `Cannot follow ${id} by a stamp: it is a ${facts.kind}, whose rows carry no xmin`,
      "Use the tables behind it in the index; views and foreign tables are not supported yet.",
    );
  }
  const stamp = stampOf(facts, settings, wish.key);
  if ("refusal" in stamp) return error(stamp.code, stamp.refusal, stamp.hint);
  const { column } = stamp;
  if (column.type === "timestamp" && settings.stampTimezone === undefined) {
    return error(
      "STAMP_TIMEZONE_MISSING",
      `Cannot follow ${id}: its stamp "${column.name}" is a timestamp without time zone`,
      `Say in which zone it is written: "source": { "tables": { ${JSON.stringify(id)}: ` +
        `{ "stampTimezone": "UTC" } } }.`,
    );
  }
  const createIndex = indexSql(id, facts, column.name, wish.key);
  const leading = facts.indexes.filter((columns) => columns[0] === column.name);
  if (leading.length === 0) {
    return error(
      "STAMP_INDEX_MISSING",
      `Cannot follow ${id}: no index begins with its stamp "${column.name}", so each poll would ` +
        "read the whole table",
      createIndex,
    );
  }
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
      `The stamp "${column.name}" of ${id} may be NULL: such rows are seen by the seed alone`,
      `ALTER TABLE ${id} ALTER COLUMN ${quote(column.name)} SET NOT NULL;`,
    );
  }
  const marginMs = settings.stamps === "application" && !defaults.marginGiven
    ? APPLICATION_MARGIN_MS
    : Math.max(defaults.marginMs, precisionMs(column.precision));
  const polled: PolledTable = {
    table: wish.table,
    id,
    key: wish.key.map((name) => {
      const column = facts.columns.get(name);
      return { name, type: column?.exactType ?? "text", nullable: column?.notNull !== true };
    }),
    joinColumns: wish.joinColumns,
    stamp: { name: column.name, type: column.type, zone: settings.stampTimezone ?? "UTC" },
    marginMs,
    heap: facts.kind === "table" && !facts.hasChildren,
  };
  return { polled, level: levelOf(id, column.name, marginMs, facts), problems };
}

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

type Stamp =
  | {
    readonly column: {
      readonly name: string;
      readonly type: "timestamptz" | "timestamp";
      readonly notNull: boolean;
      readonly precision: number;
    };
  }
  | { readonly refusal: string; readonly code: string; readonly hint: string };

function stampOf(
  facts: TableFacts,
  settings: TableSettings,
  key: readonly string[],
): Stamp {
  const id = facts.id;
  if (settings.stamp !== undefined) {
    const found = facts.columns.get(settings.stamp);
    if (found === undefined) {
      return {
        code: "COLUMN_MISSING",
        refusal: `Cannot follow ${id}: it has no column "${settings.stamp}"`,
        hint: `Name a timestamp column of it in source.tables.${id}.stamp.`,
      };
    }
    if (found.stampType === undefined) {
      return {
        code: "STAMP_TYPE",
        refusal: `Cannot follow ${id}: "${settings.stamp}" is ${found.exactType}, no timestamp`,
        hint: "A stamp is a timestamptz, or a timestamp with stampTimezone.",
      };
    }
    return { column: { name: settings.stamp, type: found.stampType, ...found } };
  }
  const candidates = [...facts.columns].filter(([name, column]) =>
    STAMP_NAMES.has(name) && column.stampType !== undefined
  );
  const [first] = candidates;
  if (first === undefined) {
    return {
      code: "STAMP_MISSING",
      refusal: `Cannot follow ${id}: it has no stamp column (updated_at, modified_at, ` +
        "last_modified, changed_at)",
      hint: stampSql(id, facts, key),
    };
  }
  if (candidates.length > 1) {
    const names = candidates.map(([name]) => `"${name}"`).join(" and ");
    return {
      code: "STAMP_AMBIGUOUS",
      refusal: `Cannot choose the stamp of ${id}: ${names} could be it`,
      hint: `Name the one that every write sets in source.tables.${id}.stamp.`,
    };
  }
  const [name, column] = first;
  return { column: { name, type: column.stampType ?? "timestamptz", ...column } };
}

/** Whole ms. A stamp of low precision is rounded, up to half a unit down; date_trunc takes a whole one. */
function precisionMs(precision: number): number {
  return Math.ceil(10 ** (3 - precision));
}

function indexSql(
  id: string,
  facts: TableFacts,
  stamp: string,
  key: readonly string[],
): string {
  // CONCURRENTLY isn't possible on a partitioned parent.
  const how = facts.kind === "table" ? "CREATE INDEX CONCURRENTLY" : "CREATE INDEX";
  return `${how} ON ${id} (${[stamp, ...key].map(quote).join(", ")});`;
}

/** All that a table needs to be followed, as it can be run. */
function stampSql(id: string, facts: TableFacts, key: readonly string[]): string {
  return `ALTER TABLE ${id} ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
CREATE OR REPLACE FUNCTION driftless_touch() RETURNS trigger LANGUAGE plpgsql AS ` +
    `$$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER driftless_touch BEFORE UPDATE ON ${id} FOR EACH ROW EXECUTE FUNCTION ` +
    `driftless_touch();
${indexSql(id, facts, "updated_at", key)}
-- Or name a column that every write sets: "source": { "tables": { ${
      JSON.stringify(id)
    }: { "stamp": "…" } } }.
-- Sweeps and a changelog, for tables that can't have one, are not supported yet.`;
}

function levelOf(id: string, stamp: string, marginMs: number, facts: TableFacts): TableLevel {
  if (facts.subscribed) {
    return {
      table: id,
      level: "L1",
      claim:
        "fed by a logical-replication subscription, whose stamps and transactions are another " +
        "server's: rows may be missed that commit here later than their stamp",
      stamp,
      sql: [],
    };
  }
  return {
    table: id,
    level: "L2",
    claim:
      "no committed insert or update is missed, however long its transaction, if its stamp is " +
      `not older than the transaction's beginning less ${marginMs / 1000} s; deletes and key ` +
      "changes are not seen",
    stamp,
    sql: [],
  };
}
