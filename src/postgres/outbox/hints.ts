import type { Change, RowKey } from "../../core/change.ts";
import type { Observer } from "../../core/events.ts";
import { tableId } from "../../core/table.ts";
import type { Database } from "../client.ts";
import type { HintedTable, OutboxSettings } from "../ways.ts";
import { canonicalKeys } from "./canonical_keys.ts";
import { decodeKey } from "./hint_key.ts";
import type { OutboxShape } from "./shape.ts";

/** What one row of the outbox says, as Postgres prints it. */
export interface Hint {
  readonly name: string | null;
  readonly key: string | null;
}

/** Turns rows of the outbox into changes. */
export interface Hints {
  /**
   * The change of each hint; undefined for one that can't be used. The row may be there or not: each
   * change is an upsert, and building finds what is missing. One statement per table.
   */
  read(hints: readonly Hint[], signal: AbortSignal): Promise<readonly (Change | undefined)[]>;
  /** Says once per name that rows of it aren't followed; `rows` is how many were met first. */
  unknown(name: string | null, rows: number): void;
}

export interface HintsOptions {
  readonly settings: OutboxSettings;
  readonly tables: readonly HintedTable[];
  readonly shape: OutboxShape;
  readonly database: Database;
  readonly observe: Observer;
}

/** Bad keys are counted and told, page by page; their values never are. */
export function hintsOf({ settings, tables, shape, database, observe }: HintsOptions): Hints {
  const outbox = tableId(settings.table);
  const named = new Map(tables.flatMap((table) => table.names.map((name) => [name, table])));
  const told = new Set<string>();

  function unknown(name: string | null, rows: number): void {
    // The column may be another than was meant: what doesn't look like a name may be anything.
    const shown = name === null ? "NULL" : NAME.test(name) ? `"${name}"` : "what is no name";
    if (told.has(shown) || told.size >= NAMES_TOLD) return;
    told.add(shown);
    const { table } = settings.columns;
    const message =
      `${rows} rows of ${outbox} hold ${shown} as "${table}", which names no table that is followed by the outbox: such rows are left alone`;
    observe({ type: "warning", code: "OUTBOX_UNKNOWN_TABLE", message });
  }

  function bad(table: HintedTable, rows: number): void {
    const message = `${rows} rows of ${outbox} hold in "${settings.columns.key}" no key of ` +
      `${table.id} (${table.key.join(", ")}): they are passed over`;
    observe({ type: "warning", code: "OUTBOX_BAD_KEY", message });
  }

  /** The keys of one table's hints. */
  async function keysOf(
    table: HintedTable,
    hints: readonly Hint[],
    signal: AbortSignal,
  ): Promise<readonly (RowKey | undefined)[]> {
    const decoded = hints.map(({ key }) => decodeKey(shape.keyForm, key, table.key));
    const types = shape.keyTypes.get(table.id) ?? [];
    const context = { types, version: shape.version };
    const readable = decoded.filter((key) => key !== undefined);
    const canonical = await canonicalKeys(database, context, readable, signal);
    let next = 0;
    const keys = decoded.map((key) => key === undefined ? undefined : canonical[next++]);
    const failed = keys.filter((key) => key === undefined).length;
    if (failed > 0) bad(table, failed);
    return keys;
  }

  return {
    unknown,
    async read(hints, signal) {
      const changes: (Change | undefined)[] = hints.map(() => undefined);
      const strangers = new Map<string | null, number>();
      const places = new Map<HintedTable, number[]>();
      for (const [i, { name }] of hints.entries()) {
        const table = name === null ? undefined : named.get(name);
        const own = table && places.get(table);
        if (table === undefined) strangers.set(name, (strangers.get(name) ?? 0) + 1);
        else if (own === undefined) places.set(table, [i]);
        else own.push(i);
      }
      for (const [name, rows] of strangers) unknown(name, rows);
      for (const [table, own] of places) {
        const mine = own.flatMap((i) => hints[i] ?? []);
        const keys = await keysOf(table, mine, signal);
        for (const [n, i] of own.entries()) {
          const key = keys[n];
          if (key !== undefined) changes[i] = { table: table.table, op: "upsert", key };
        }
      }
      return changes;
    },
  };
}

/** An outbox that is fed with random names must not fill memory, nor the log. */
const NAMES_TOLD = 1000;
const NAME = /^[A-Za-z_][\w.$:\\/-]{0,62}$/;
