import { tableId } from "../core/table.ts";
import type { RequiredTable } from "./changelog/required.ts";
import type { CaptureName, Chance } from "./choose.ts";
import { type Database, quote } from "./client.ts";
import type { CaptureTable } from "./documents/paths.ts";
import type { Refusal } from "./poll/stamps.ts";
import type { WalFacts, WalServer, WalTableFacts } from "./wal/facts.ts";
import { identityStatement } from "./wal/identity_statement.ts";
import { loadWal } from "./wal/load_facts.ts";
import { publicationSql } from "./wal/publication.ts";
import { serverRefusal } from "./wal/server_refusal.ts";
import type { WalSettings } from "./ways.ts";

/** What `loadWalFacts` needs of the wishes. */
export interface WalWishes {
  /** Absent: off. */
  readonly wal?: WalSettings;
  readonly capture: CaptureName;
  readonly tables: ReadonlyMap<string, { readonly capture?: CaptureName }>;
}

/** Looks at the server's WAL, slots and publication, in a fixed number of statements; not when it's off. */
export async function loadWalFacts(
  database: Database,
  { wal: settings, tables, capture }: WalWishes,
  found: {
    readonly oids: readonly { readonly id: string; readonly oid: string }[];
    readonly role: string;
  },
  signal: AbortSignal,
): Promise<WalFacts> {
  const { oids, role } = found;
  const wanted = oids.map(({ id }) => id)
    .filter((id) => ["auto", "wal"].includes(tables.get(id)?.capture ?? capture));
  const server = settings === undefined || oids.length === 0
    ? undefined
    : await loadWal(database, settings, oids, signal);
  return { settings, server, role, wanted: new Set(wanted) };
}

/** Whether the WAL follows one table. Pure. */
export function walChance(
  wish: CaptureTable,
  facts: WalFacts,
  required: RequiredTable | undefined,
): Chance {
  const { settings, server } = facts;
  if (settings === undefined || server === undefined) return { refusal: WAL_OFF };
  // What keeps the whole server from it is said once, by walProblems or as a note of `check`.
  const everywhere = serverRefusal(facts);
  if (everywhere !== undefined) return { refusal: everywhere };
  const id = tableId(wish.table);
  const table = server.tables.get(id);
  const unfit = unfitness(wish, table);
  if (unfit !== undefined || table === undefined) return { refusal: unfit ?? GONE };
  const refusal = identityRefusal(wish, table, required) ??
    publicationRefusal(wish, { settings, server, table }, facts, required);
  if (refusal !== undefined) {
    // Somebody has set it up, and not for this one.
    const isSetUp = server.slot !== undefined || server.publication !== undefined;
    return { refusal, alarm: isSetUp && refusal.code !== "KEY_MISSING" };
  }
  const identity = new Set(table.identityColumns);
  return {
    way: {
      kind: "wal",
      stream: "wal",
      signature: JSON.stringify([settings.slot, settings.publication]),
      table: {
        table: wish.table,
        id,
        oid: required?.catalog.oid ?? "",
        key: wish.key,
        joinColumns: wish.joinColumns,
        // Of a partition with less, what comes under the root's name may look like a whole old row.
        columns: table.identity === "full" ? sentColumns(required, table) : null,
        seesBefore: table.identity === "full" ||
          wish.joinColumns.every((name) => identity.has(name)),
      },
    },
  };
}

const WAL_OFF: Refusal = {
  code: "WAL_OFF",
  state: "source.wal is off",
  hint: 'Remove "wal": false.',
  sql: [],
};
const GONE: Refusal = {
  code: "WAL_UNFIT",
  state: "the WAL doesn't show its changes: it isn't there any more",
  hint: "Follow it another way: capture auto takes the best.",
  sql: [],
};

/** What nothing but another table would mend. */
function unfitness(wish: CaptureTable, table: WalTableFacts | undefined): Refusal | undefined {
  const refuse = (code: string, state: string): Refusal => {
    return { code, state, hint: "Follow it another way: capture auto takes the best.", sql: [] };
  };
  if (table === undefined) return undefined;
  if (table.unfit !== undefined) {
    return refuse("WAL_UNFIT", `the WAL doesn't show its changes: ${table.unfit}`);
  }
  const lost = [...wish.key, ...wish.joinColumns].find((name) => table.generated.includes(name));
  if (lost === undefined) return undefined;
  const state = `its column "${lost}" is generated, and isn't sent`;
  return refuse("WAL_GENERATED", state);
}

/** Whether the WAL of an update and of a delete says which row it was. */
function identityRefusal(
  wish: CaptureTable,
  table: WalTableFacts,
  required: RequiredTable | undefined,
): Refusal | undefined {
  const fails = "UPDATE and DELETE of a published table without one fail for the application, " +
    (table.published === undefined ? "so it isn't published" : "and it is published");
  const refuse = (state: string): Refusal => {
    const sql = [identityStatement(wish, required?.catalog)];
    return { code: "WAL_IDENTITY", state, hint: sql.join("\n"), sql };
  };
  if (wish.key.length === 0) {
    return { code: "KEY_MISSING", state: "it has no key", hint: "Give it a primary key.", sql: [] };
  }
  if (table.identity === "nothing") {
    return refuse(
      required?.catalog.primaryKey === undefined
        ? `it has no primary key, and its replica identity is nothing: ${fails} (a primary key ` +
          "gives it one, or this statement does)"
        : `its replica identity is nothing: ${fails}`,
    );
  }
  if (table.identity === "full") return undefined;
  const missing = wish.key.filter((name) => !table.identityColumns.includes(name));
  if (missing.length === 0) return undefined;
  return refuse(
    `its replica identity (${quoted(table.identityColumns)}) lacks ${
      quoted(missing)
    } of its key: ` +
      "a delete wouldn't say which row it was",
  );
}

interface Server {
  readonly settings: WalSettings;
  readonly server: WalServer;
  readonly table: WalTableFacts;
}

/** Whether the publication sends the table, all of it, or will when `run` has seen to that. */
function publicationRefusal(
  wish: CaptureTable,
  { settings, server, table }: Server,
  facts: WalFacts,
  required: RequiredTable | undefined,
): Refusal | undefined {
  const { publication } = server;
  const id = tableId(wish.table);
  const name = `publication "${settings.publication}"`;
  const refuse = (code: string, state: string, sql: readonly string[]): Refusal => ({
    code,
    state,
    hint: sql.join("\n"),
    sql,
  });
  if (publication === undefined) {
    if (server.mayCreate && table.owned) return undefined;
    if (table.owned) {
      const grant = `GRANT CREATE ON DATABASE ${quote(server.database)} TO ${quote(facts.role)};`;
      const state = `there is no ${name}, and ${facts.role} may not create one in this database`;
      return refuse("WAL_UNPUBLISHED", state, [grant]);
    }
    const state = `there is no ${name}, and ${facts.role} doesn't own the table, so its owner ` +
      "has to publish it (who may create in this database)";
    return refuse("WAL_UNPUBLISHED", state, publishingSql(facts));
  }
  const alter = `ALTER PUBLICATION ${quote(settings.publication)}`;
  if (publication.omits.length > 0) {
    return refuse(
      "WAL_PUBLICATION_OMITS",
      `${name} doesn't send ${publication.omits.map((each) => each.toUpperCase()).join(", ")}`,
      [`${alter} SET (publish = 'insert, update, delete, truncate');`],
    );
  }
  if (table.published === undefined) {
    if (publication.owned && table.owned) return undefined;
    const why = publication.owned ? "doesn't own the table" : "doesn't own the publication";
    const state = `${name} lacks it, and ${facts.role} ${why}: who owns both, or a superuser, ` +
      "has to add it";
    return refuse("WAL_UNPUBLISHED", state, publishingSql(facts));
  }
  // SET TABLE would replace all the others'.
  const whole = [`${alter} DROP TABLE ${id};`, `${alter} ADD TABLE ${id};`];
  if (table.filtered) {
    return refuse(
      "WAL_FILTERED",
      `${name} sends only those of its rows that a filter lets by`,
      whole,
    );
  }
  const unsent = unsentColumns(wish, table, required);
  if (unsent.length === 0) return undefined;
  return refuse("WAL_COLUMNS", `${name} doesn't send its columns ${quoted(unsent)}`, whole);
}

/** What whoever owns the tables has to run so that they are published; [] when there is none. */
export function publishingSql(facts: WalFacts): readonly string[] {
  const { settings, server } = facts;
  if (settings === undefined || server === undefined) return [];
  const tables = publishable(facts, server);
  if (tables.length === 0) return [];
  const exists = server.publication !== undefined;
  return publicationSql(settings, tables, exists);
}

/** What an owner would have to publish: the same for every table, so that it is printed once. */
function publishable(
  { wanted }: WalFacts,
  { tables, publication }: WalServer,
): readonly string[] {
  return [...tables].flatMap(([id, { unfit, identity, published }]) =>
    wanted.has(id) && unfit === undefined && identity !== "nothing" &&
      (publication === undefined || published === undefined)
      ? [id]
      : []
  );
}

/** A generated column that isn't sent changes with those that it is made of. */
function sentColumns(
  required: RequiredTable | undefined,
  { generated }: WalTableFacts,
): readonly string[] | null {
  return required?.columns?.filter((name) => !generated.includes(name)) ?? null;
}

function unsentColumns(
  wish: CaptureTable,
  table: WalTableFacts,
  required: RequiredTable | undefined,
): readonly string[] {
  const { columns, generated } = table;
  if (columns === undefined) return [];
  const all = required?.catalog.columns.map(({ name }) => name)
    .filter((name) => !generated.includes(name)) ?? [];
  const used = [...wish.key, ...wish.joinColumns, ...sentColumns(required, table) ?? all];
  return [...new Set(used)].filter((name) => !columns.includes(name));
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
