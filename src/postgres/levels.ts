/**
 * What each way of following a table may claim, in words for somebody who never read the design
 * (3.1). Pure. Nothing here decides anything.
 */
import { durationText } from "../core/duration_text.ts";
import type { TableLevel } from "../core/source.ts";
import { tableId } from "../core/table.ts";
import type { CatalogTable } from "./catalog.ts";
import type { Choice } from "./choose.ts";
import { outboxClaim } from "./outbox/outbox_claims.ts";
import { ALONE_MS } from "./sweep/bounds.ts";
import { identityStatement } from "./wal/identity_statement.ts";
import { SERVER_WIDE } from "./wal/server_refusal.ts";
import type { OutboxSettings, SweepSettings, Way } from "./ways.ts";

export interface LevelFacts {
  readonly choice: Choice;
  readonly table: CatalogTable;
  /** Its rows are an index's documents. */
  readonly root: boolean;
  /** Its rows show in other tables' documents. */
  readonly child: boolean;
  readonly sweeps: SweepSettings;
  /** Of all tables that are swept: they take turns, so that each may be as late as all together. */
  readonly sweptPages: number;
  readonly lagMs: number;
  readonly standby: boolean;
  readonly outbox: OutboxSettings["mode"] | undefined;
  /** The publication sends changes of partitions as their root's. */
  readonly viaRoot: boolean;
}

/** The level of the way that was chosen. */
export function levelOf(way: Way, facts: LevelFacts): TableLevel {
  const { table, choice } = facts;
  const rows = rowSweep(facts);
  const deletes = deletesOf(facts);
  const base = { table: tableId(table.ref), why: whyOf(way, choice), sql: sqlOf(way, facts) };
  switch (way.kind) {
    case "updated_at": {
      const margin = durationText(way.table.marginMs);
      return {
        ...base,
        level: rows !== undefined && facts.sweeps.keysMs !== undefined ? "L3" : "L2",
        capture: "updated_at",
        stamp: way.table.stamp.name,
        deletes: false,
        found: {
          changes: `at once${rows === undefined ? "" : `; unstamped ${rows}`}`,
          deletes: deletes.short,
        },
        claim: "no committed insert or update is missed, however long its transaction, if its " +
          `stamp is not older than its transaction's beginning less ${margin}; ` +
          `${unstamped(rows)}; ${deletes.long}`,
      };
    }
    case "lag": {
      const lag = durationText(facts.lagMs);
      return {
        ...base,
        level: "L1",
        capture: "updated_at",
        stamp: way.table.stamp.name,
        deletes: false,
        found: { changes: `at once; late ones ${rows ?? "never"}`, deletes: deletes.short },
        claim: `each poll reads the last ${lag} again: a row that commits more than ${lag} after ` +
          `its stamp is ${
            rows === undefined ? "missed" : `found ${rows} by the row sweep alone`
          }; ` +
          `${unstamped(rows)}; ${deletes.long}`,
      };
    }
    case "wal": {
      const blind = facts.child && !way.table.seesBefore;
      return {
        ...base,
        level: "L5",
        capture: "wal",
        deletes: true,
        found: { changes: "at once", deletes: "at once" },
        claim:
          "every committed insert, update, delete and truncate, whether triggers fire or not " +
          "(session_replication_role = replica, and what a subscription writes, too), exactly, with " +
          "no condition on clocks; not what is written while the table is UNLOGGED or out of the " +
          "publication" +
          (facts.viaRoot && table.kind === "partitioned"
            ? ", nor a TRUNCATE of one of its partitions, which the publication doesn't send " +
              "(publish_via_partition_root)" +
              (deletes.swept
                ? `: its documents are taken out ${deletes.short} by comparing keys`
                : "")
            : "") +
          (blind
            ? `; a row that moves to another parent is ${SOUGHT}: with REPLICA IDENTITY FULL the ` +
              "WAL says where it was"
            : ""),
      };
    }
    case "changelog":
      return {
        ...base,
        level: "L4",
        capture: "changelog",
        deletes: true,
        found: { changes: "at once", deletes: "at once" },
        claim:
          "every committed insert, update, delete and truncate that fires triggers, exactly, " +
          "with no condition on clocks; what is written past triggers (session_replication_role = " +
          `replica) is ${rows === undefined ? "not seen" : `found ${rows} by the row sweep`}` +
          // Nothing in the documents names a row that triggers tell all about.
          (rows !== undefined && facts.child ? ", not so the document that such a row left" : "") +
          (facts.standby
            ? "; on this standby a change waits until every transaction of the primary that is " +
              "older has ended"
            : ""),
      };
    case "outbox":
      return {
        ...base,
        level: "L4",
        capture: "outbox",
        deletes: true,
        found: { changes: "when hinted at", deletes: "when hinted at" },
        claim: `${outboxClaim(facts.outbox ?? "xid")}; what it writes no row for is ` +
          (rows === undefined ? "not seen" : `found ${rows} by the row sweep, deletes apart`) +
          // A hint holds a key: the parent that a row had is in the documents alone.
          (facts.child
            ? `; a row that is deleted, or moves to another parent, is ${SOUGHT}: with such a sink ` +
              "it needs a hint for the parent it left"
            : ""),
      };
    case "sweep": {
      const both = facts.sweeps.keysMs !== undefined;
      return {
        ...base,
        level: both ? "L3" : "L2",
        capture: "sweep",
        deletes: false,
        found: { changes: within(aloneMs(facts)), deletes: deletes.short },
        claim: `no committed insert or update is missed, but it is found ${
          within(aloneMs(facts))
        }: the whole table is read for new row versions again and again; ${deletes.long}`,
      };
    }
  }
}

/** Measured on two cores: a page of 8 KiB that isn't in memory, read and filtered. */
const PAGE_MS = 0.07;

/** Read, and waited for so that no more than the duty cycle is used. */
function durationMs({ sweptPages, sweeps }: LevelFacts): number {
  // An estimate: of less than half a second nobody wants to be told.
  return Math.round(sweptPages * PAGE_MS / sweeps.dutyCycle / 1000) * 1000;
}

function aloneMs(facts: LevelFacts): number {
  return ALONE_MS + durationMs(facts);
}

function within(ms: number): string {
  return `within ${durationText(ms)}`;
}

/** When the row sweep finds what the stamp doesn't show; undefined: never. */
function rowSweep(facts: LevelFacts): string | undefined {
  const { swept } = facts.choice;
  return swept === undefined ? undefined : within(swept.everyMs + durationMs(facts));
}

function unstamped(rows: string | undefined): string {
  return rows === undefined
    ? "a row whose stamp was not set, or is NULL, is not seen"
    : `a row whose stamp was not set, or is NULL, is found ${rows} by the row sweep`;
}

function deletesOf({ root, child, sweeps: { keysMs } }: LevelFacts): {
  /** Keys are compared. */
  readonly swept: boolean;
  readonly short: string;
  readonly long: string;
} {
  const swept = root && keysMs !== undefined;
  const every = keysMs === undefined ? "" : within(keysMs);
  const own = swept
    ? `a deleted row's own document is taken out ${every} by comparing keys`
    : "a deleted row is not seen";
  const above =
    `a row that moves to another parent is ${SOUGHT}; documents that showed a row which ` +
    "was deleted keep showing it until they are touched: mark such rows as deleted instead, touch " +
    "the parent too, or install the changelog; one whose key changes, which may hold the parent, " +
    "counts as deleted";
  return {
    swept,
    short: swept ? child ? `${every}; in parents not` : every : "not seen",
    long: !child ? own : root ? `${own}; ${above}` : above,
  };
}

/** Where the row that a document was made of stands beside it (design 3.7). */
const SOUGHT =
  "looked for in the documents themselves, by its key (a sink that can't be asked, as " +
  "stdout can't, is left as it was)";

function whyOf({ kind }: Way, { asked, passed }: Choice): string {
  if (asked !== "auto") return `"capture": "${asked}" asks for it`;
  if (kind === "wal") return "this role may replicate, and the publication has it or gets it";
  if (kind === "changelog") return "the changelog is installed for it, and without a hole";
  if (kind === "outbox") return "source.outbox covers it";
  // Few have an outbox, and nobody misses one.
  const missed = passed.filter(({ code }) => code !== "OUTBOX_MISSING" && !SERVER_WIDE.has(code));
  const states = [...new Set(missed.map(({ state }) => state))];
  return states.length === 0 ? "there is nothing better" : states.join("; ");
}

/** What would lift the level: single statements, and commands as comments. */
function sqlOf(way: Way, { choice: { passed }, child, table }: LevelFacts): readonly string[] {
  if (way.kind === "wal") {
    return child && !way.table.seesBefore ? [identityStatement(way.table, table, true)] : [];
  }
  if (way.kind === "changelog" || way.kind === "outbox") return [];
  return [
    ...new Set(passed.flatMap(({ code, sql }) => SERVER_WIDE.has(code) ? [] : sql)),
  ];
}
