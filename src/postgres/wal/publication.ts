import { FatalError, RetryableError } from "../../core/errors.ts";
import { backoffDelay } from "../../flow/backoff.ts";
import { sleep } from "../../flow/sleep.ts";
import { type Database, quote } from "../client.ts";
import type { ReplicatedTable, WalSettings } from "../ways.ts";
import { loadTableFacts, type TableFacts } from "./table_facts.ts";

export interface Published {
  /** It was created now: a slot that is older can't be read with it. */
  readonly created: boolean;
  /** Its oid: one that is dropped and made again under its name is another one. */
  readonly publication: string;
  /** `WalTableFacts.published`, by tableId. */
  readonly marks: ReadonlyMap<string, string>;
  /** A slot that is older than a table's joining may never be sent that table's rows: `losesJoined`. */
  readonly losesJoined: boolean;
}

/**
 * Makes sure that the publication has these tables, with all that is done to them: creates it, or adds
 * what it lacks. Nothing else of it is altered, and nothing is taken out: it may be somebody else's.
 * `database` may write, on a direct connection.
 *
 * Fails with FatalError PUBLICATION_LACKS, with the SQL for whoever may run it; RetryableError when
 * others hold a table's lock (a VACUUM, an index being built: writers don't).
 */
export async function ensurePublication(
  database: Database,
  settings: WalSettings,
  tables: readonly ReplicatedTable[],
  signal: AbortSignal,
): Promise<Published> {
  const [server] = await database.query({ text: SERVER }, signal);
  const version = Number(server?.[0]);
  const load = () => loadTableFacts(database, version, settings.publication, tables, signal);
  let facts = await load();
  let created = false;
  for (let attempt = 1;; attempt++) {
    const lacking = tables.filter(({ id }) => facts.tables.get(id)?.published === undefined);
    const exists = facts.publication !== undefined;
    if (lacking.length === 0 && exists) {
      return {
        created,
        publication: facts.oid,
        marks: marksOf(facts),
        losesJoined: losesJoined(version),
      };
    }
    const refusal = refusalOf(facts, settings, tables, lacking, server?.[1] === "t");
    if (refusal !== undefined) throw refusal;
    const names = lacking.map(({ table }) => `${quote(table.schema)}.${quote(table.name)}`);
    const [sql = ""] = publicationSql(settings, names, exists);
    const failure = await run(database, sql, signal);
    if (failure === undefined) created ||= !exists;
    else if (attempt >= ATTEMPTS || !AGAIN.has(failure.code)) {
      throw failure.code === "42501" ? lacks(settings, lacking, exists, "", failure) : failure;
    } else if (LOCKED.has(failure.code)) await sleep(backoffDelay(attempt, DELAY), signal);
    facts = await load();
    if (failure !== undefined) continue;
    // What is in it and yet not covered is so by the publication's own settings.
    const left = lacking.filter(({ id }) => facts.tables.get(id)?.published === undefined);
    if (left.length > 0 && attempt >= ATTEMPTS) throw lacks(settings, left, true, "");
  }
}

/**
 * Throws RetryableError PUBLICATION_CHANGED when a table isn't published any more by what published it
 * (`WalTableFacts.published`, by tableId): between the two it may not have been, and no row says so. A
 * look that fails is passed over.
 */
export async function checkPublication(
  database: Database,
  settings: WalSettings,
  tables: readonly ReplicatedTable[],
  published: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const name = settings.publication;
  try {
    const [server] = await database.query({ text: SERVER }, signal);
    const facts = await loadTableFacts(database, Number(server?.[0]), name, tables, signal);
    const left = tables.filter(({ id }) => facts.tables.get(id)?.published !== published[id]);
    if (left.length === 0) return;
    throw new RetryableError(
      "PUBLICATION_CHANGED",
      `Cannot follow ${left.map(({ id }) => id).join(", ")} on: publication "${name}" was altered`,
    );
  } catch (error) {
    if (!(error instanceof RetryableError) || error.code === "PUBLICATION_CHANGED") throw error;
  }
}

/**
 * What an owner of the publication and the tables has to run. Without `publish_via_partition_root`: with
 * it, a TRUNCATE of a partition isn't sent.
 */
export function publicationSql(
  settings: WalSettings,
  tables: readonly string[],
  exists: boolean,
): readonly string[] {
  const name = quote(settings.publication);
  const list = tables.join(", ");
  if (!exists) return [`CREATE PUBLICATION ${name}${list === "" ? "" : ` FOR TABLE ${list}`};`];
  return list === "" ? [] : [`ALTER PUBLICATION ${name} ADD TABLE ${list};`];
}

/**
 * Before 14.18, 15.13, 16.9 and 17.5, decoding a transaction that wrote to a table before its
 * publication had it, and that ended afterwards, leaves "not published" in the session's cache: nothing
 * of the table is sent from then on, until the session ends or the publication is altered (seen on
 * 15.12). A slot that is made after the table joined never decodes such a transaction.
 */
export function losesJoined(version: number): boolean {
  const mended = MENDED[Math.floor(version / 10_000)];
  return mended !== undefined && version % 10_000 < mended;
}

/** Why it isn't ours to make or alter; undefined: it can be tried. */
function refusalOf(
  { publication, tables: facts }: TableFacts,
  settings: WalSettings,
  tables: readonly ReplicatedTable[],
  lacking: readonly ReplicatedTable[],
  mayCreate: boolean,
): FatalError | undefined {
  const gone = tables.filter(({ id }) => !facts.has(id));
  if (gone.length > 0) {
    const ids = gone.map(({ id }) => id).join(", ");
    return new FatalError(
      "42P01",
      `Cannot publish ${ids}: no such table any more`,
      "Check that the table exists and that its name is written as in the database.",
    );
  }
  const exists = publication !== undefined;
  if (publication !== undefined && publication.omits.length > 0) {
    const omitted = publication.omits.map((each) => each.toUpperCase()).join(", ");
    const sql = `ALTER PUBLICATION ${quote(settings.publication)} ` +
      "SET (publish = 'insert, update, delete, truncate');";
    return new FatalError(
      "PUBLICATION_LACKS",
      `Cannot follow the WAL: publication "${settings.publication}" doesn't send ${omitted}`,
      `Its owner has to run: ${sql}`,
    );
  }
  const unfit = lacking.find(({ id }) => facts.get(id)?.unfit !== undefined);
  if (unfit !== undefined) {
    return new FatalError(
      "PUBLICATION_LACKS",
      `Cannot follow ${unfit.id} by the WAL: ${facts.get(unfit.id)?.unfit}`,
      'Follow it in another way: "capture" of the table in the config.',
    );
  }
  const foreign = lacking.filter(({ id }) => facts.get(id)?.owned !== true);
  if (foreign.length > 0) {
    return lacks(settings, foreign, exists, ", and aren't this role's to add");
  }
  if (publication === undefined ? mayCreate : publication.owned) return undefined;
  const why = exists
    ? ", and the publication isn't this role's to alter"
    : ", and this role may not create one in this database";
  return lacks(settings, lacking, exists, why);
}

function lacks(
  settings: WalSettings,
  tables: readonly ReplicatedTable[],
  exists: boolean,
  why: string,
  cause?: unknown,
): FatalError {
  const ids = tables.map(({ id }) => id);
  const state = exists
    ? `publication "${settings.publication}" lacks them`
    : "nothing publishes them";
  return new FatalError(
    "PUBLICATION_LACKS",
    `Cannot follow ${ids.join(", ")} by the WAL: ${state}${why}`,
    `Their owner has to run: ${publicationSql(settings, ids, exists).join(" ")}`,
    { cause },
  );
}

/** In a transaction of its own, whose lock_timeout holds whatever the session's is. */
async function run(
  database: Database,
  sql: string,
  signal: AbortSignal,
): Promise<FatalError | RetryableError | undefined> {
  const texts = ["BEGIN", `SET LOCAL lock_timeout = '${LOCK_MS}ms'`, sql, "COMMIT"];
  try {
    await database.sequence(texts.map((text) => ({ text })), signal);
    return undefined;
  } catch (error) {
    if (error instanceof FatalError || error instanceof RetryableError) return error;
    throw error;
  }
}

function marksOf({ tables }: TableFacts): ReadonlyMap<string, string> {
  return new Map(
    [...tables].flatMap(([id, { published }]) =>
      published === undefined ? [] : [[id, published] as const]
    ),
  );
}

const SERVER = "SELECT current_setting('server_version_num'), " +
  "has_database_privilege(current_database(), 'CREATE')";

/** The first minor version of each that is sound; later ones are. */
const MENDED: Readonly<Record<number, number>> = { 14: 18, 15: 13, 16: 9, 17: 5 };

const ATTEMPTS = 5;
const LOCK_MS = 3_000;
const DELAY = { baseMs: 200, capMs: 2_000 };
const LOCKED: ReadonlySet<string> = new Set(["55P03", "40P01"]);
/**
 * 42710, 23505: another process did it at the same time. XX000: it altered the same row of the catalog
 * ("tuple concurrently updated").
 */
const AGAIN: ReadonlySet<string> = new Set([...LOCKED, "42710", "23505", "XX000"]);
