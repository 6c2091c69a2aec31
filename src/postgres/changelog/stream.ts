/**
 * Capture by the changelog (design 3.4, level L4): rows that triggers wrote, read by the snapshot
 * difference (difference.ts). Exact; no clock is used but for saying how far it is.
 *
 * Truncates. A logged truncate says nothing of the rows that went, so the indexes of that table are
 * filled anew. That is said at `prepare` alone, as a gap: it lists the truncates that its position
 * hasn't passed, remembers them, and `live` passes over these and no others; one that it meets
 * beside them ends the run, and the next `prepare`, at a position before it, lists it. None is lost:
 * a position behind a truncate is only ever reached in a run whose `prepare` reported it, and whoever
 * stores that position has stored before, or with it, that those indexes are unseeded. A crash
 * before that leaves a position ahead of the truncate: it is reported again, at the worst twice.
 *
 * Rows that were trimmed before we read them: `trimmed` is moved in the transaction that trims, and
 * read behind each page on its connection. So a page that was read before `trimmed` passed S1 is whole;
 * else everything is a gap.
 */
import type { Change, Columns } from "../../core/change.ts";
import type { Delivery } from "../../core/delivery.ts";
import { FatalError, RetryableError } from "../../core/errors.ts";
import { countdown } from "../../flow/countdown.ts";
import { type Database, quote, type Row } from "../client.ts";
import type { Clock } from "../poll/listing.ts";
import { fitting } from "../poll/fitting.ts";
import type { ChangeStream, Prepared, StreamContext, StreamStart } from "../stream.ts";
import type { ChangelogSettings, LoggedTable } from "../ways.ts";
import { acknowledging } from "./acknowledging.ts";
import { type DifferenceRow, seenBy, snapshotDifference } from "./difference.ts";
import { type DifferencePosition, hasPassed } from "./legs.ts";
import { formatSnapshot, isVisible, type Snapshot } from "./snapshot.ts";
import {
  type DifferenceRelation,
  IN_ORDER,
  trimmedStatement,
  truncatesStatement,
} from "./statements.ts";

export interface ChangelogOptions {
  readonly settings: ChangelogSettings;
  /** Every table that the stream follows; rows of others are passed over. */
  readonly tables: readonly LoggedTable[];
}

/** Follows these tables by their changelog. */
export function captureChangelog(options: ChangelogOptions, context: StreamContext): ChangeStream {
  const { settings, tables } = options;
  const { schema } = settings;
  const byOid = new Map(tables.map((table) => [table.oid, table]));
  const database = context.open(1, { settings: IN_ORDER });
  const acknowledged = acknowledging(context.open(1, { writes: true }), settings, context.observe);
  const difference = snapshotDifference({
    database,
    relation: logOf(schema, [...byOid.keys()]),
    pageSize: context.pageSize,
    timing: context.timing,
    guard: { statement: trimmedStatement(schema), check: checkTrimmed },
    saw: context.saw,
    moved: () => {
      tick();
      context.moved();
    },
  });
  let tick = () => {};
  /** Truncates whose tables are filled anew. */
  let reported: ReadonlySet<string> = new Set();
  /** What was over when it was prepared. */
  let anchored: Snapshot | undefined;

  return {
    prepare,
    live: (signal) => fitting(live(signal)),
    confirmed: () => difference.confirmed(),
  };

  async function prepare(start: StreamStart, signal: AbortSignal): Promise<Prepared> {
    const { stored, clock } = start;
    anchored = seenBy(clock);
    const position = await difference.prepare(stored, clock, signal);
    const trimmed = await database.query(trimmedStatement(schema), signal);
    refuseForeign(trimmed, clock);
    if (stored === undefined) return { gaps: new Map() };
    if (isTrimmed(trimmed, position)) {
      await difference.prepare(undefined, clock, signal);
      const reason = "its changelog was trimmed of changes that this consumer had not read";
      return { gaps: new Map(tables.map(({ id }) => [id, reason])) };
    }
    return { gaps: await truncates(position, database, signal) };
  }

  async function truncates(
    position: DifferencePosition,
    reader: Database,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const oids = [...byOid.keys()];
    const rows = await reader.query(truncatesStatement(schema, oids, position.done), signal);
    const ahead = rows.filter(([xid, seq]) =>
      !hasPassed(position, { xid: BigInt(xid ?? 0), seq: seq ?? "" })
    );
    reported = new Set(ahead.map(([xid, seq]) => `${xid} ${seq}`));
    const ids = ahead.flatMap(([, , rel]) => byOid.get(rel ?? "")?.id ?? []);
    return new Map(ids.map((id) => [id, "it was truncated"]));
  }

  async function* live(signal: AbortSignal): AsyncGenerator<Delivery<Change>> {
    let passed = 0;
    /** Held back until it is known whether something is right behind it. */
    let held: { readonly change: Change; readonly ack: () => void } | undefined;
    try {
      tick = () => {
        acknowledged.tick(formatSnapshot(difference.kept().done), passed > 0, signal);
        passed = 0;
      };
      // Before anything is read: while a seed goes on, others' trimming must not pass us.
      tick();
      for await (const page of difference.pages(signal)) {
        const changes = page.rows.flatMap(changeOf);
        const ack = countdown(changes.length, page.ack);
        for (const change of changes) {
          if (held !== undefined) yield { value: held.change, ack: held.ack };
          held = { change, ack: ack() };
        }
        if (page.drained && held !== undefined) {
          const { change, ack } = held;
          held = undefined;
          yield { value: change, ack, drained: true };
        }
        passed += changes.length;
      }
    } finally {
      tick = () => {};
      await acknowledged.settled();
    }
  }

  function changeOf({ xid, seq, values }: DifferenceRow): readonly Change[] {
    const [rel, op, k, before, after] = values;
    const logged = byOid.get(rel ?? "");
    if (logged === undefined) return [];
    const { table, id, key: names } = logged;
    if (op === "t") {
      if (reported.has(`${xid} ${seq}`)) return [];
      throw new RetryableError(
        "TABLE_TRUNCATED",
        `Cannot follow ${id} on: it was truncated`,
      );
    }
    const key = k === null || k === undefined ? [] : JSON.parse(k) as (string | null)[];
    // Logged before the table was registered as it is now: another signature, so it was filled since.
    if (key.length !== names.length && anchored !== undefined && isVisible(xid, anchored)) {
      return [];
    }
    if (key.length !== names.length || !["i", "u", "d"].includes(op ?? "")) {
      throw new RetryableError(
        "SCHEMA_CHANGED",
        `Cannot read the changelog of ${id}: its triggers record another key`,
      );
    }
    // Of a table without a key: NULL equals nothing, so nothing is joined to such a row. As in a poll.
    if (key.includes(null)) return [];
    return [{
      table,
      op: op === "d" ? "delete" : "upsert",
      key: key.map((part) => part ?? ""),
      ...columnsOf("before", before),
      ...columnsOf("after", after),
      // Of an update the log holds both sides of the links, or neither where they didn't change.
      sawBefore: true,
    }];
  }

  function checkTrimmed(rows: readonly Row[], position: DifferencePosition): void {
    if (!isTrimmed(rows, position)) return;
    throw new RetryableError(
      "CHANGELOG_TRIMMED",
      `Cannot read on in ${schema}.log: it was trimmed of changes that consumer ` +
        `"${settings.consumer}" had not read; does another process use that name?`,
    );
  }
}

/** Whether rows may be gone that a position hasn't passed. */
function isTrimmed([row]: readonly Row[], { done }: DifferencePosition): boolean {
  return BigInt(row?.[0] ?? 0) > done.xmin;
}

/** No server trims what it has not given out: the log came with a dump of another one. */
function refuseForeign([row]: readonly Row[], { sx }: Clock): void {
  if (BigInt(row?.[0] ?? 0) <= sx) return;
  throw new FatalError(
    "CHANGELOG_FOREIGN",
    "Cannot read the changelog: its transactions are another server's; it came with a dump",
    "Run `driftless changelog remove` and `driftless changelog install` here.",
  );
}

function logOf(schema: string, oids: readonly string[]): DifferenceRelation {
  return {
    from: `${quote(schema)}.log`,
    columns: ["t.rel::text", "t.op::text", "t.k::text", "t.before::text", "t.after::text"],
    xid: "xid",
    order: { column: "seq", type: "bigint" },
    only: { column: "rel", type: "oid", values: oids },
  };
}

function columnsOf(
  side: "before" | "after",
  json: string | null | undefined,
): { readonly before?: Columns; readonly after?: Columns } {
  return json === null || json === undefined ? {} : { [side]: JSON.parse(json) as Columns };
}
