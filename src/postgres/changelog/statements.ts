/** The statements of design 3.4, one function each. Their order is the caller's: it is the proof. */
import { arrayLiteral, quote, type Statement } from "../client.ts";
import type { SessionSettings } from "../session_settings.ts";
import type { Leg } from "./legs.ts";
import { formatSnapshot } from "./snapshot.ts";

/** A relation whose rows carry the xid that wrote them. An index on (xid, order) serves every page. */
export interface DifferenceRelation {
  /** SQL, quoted: `"driftless"."log"`. */
  readonly from: string;
  /** What is wanted of a row: SQL over `t`, as Postgres prints it. */
  readonly columns: readonly string[];
  /** The column with pg_current_xact_id(), of type xid8, not NULL. */
  readonly xid: string;
  /** Unique within a transaction's rows; `type` as in a cast. */
  readonly order: { readonly column: string; readonly type: string };
  /** Other rows are passed over. */
  readonly only?: {
    readonly column: string;
    readonly type: string;
    readonly values: readonly string[];
  };
}

/**
 * A page of a leg: [xid, order, columns…], by (xid, order). The next page begins at its place by one
 * index descent: beside `xid >= …` or `xid = …` a btree starts at those and walks again over every row of
 * the transaction that has been passed, so they are left out, or the transaction is read apart.
 */
export function pageStatement(relation: DifferenceRelation, leg: Leg, limit: number): Statement {
  const params: string[] = [];
  const param = (value: string, type: string) => `$${params.push(value)}::${type}`;
  const xid = `t.${quote(relation.xid)}`;
  const order = `t.${quote(relation.order.column)}`;
  const { after, leg: which } = leg;
  const place = after === null
    ? undefined
    : { xid: param(String(after.xid), "xid8"), seq: param(after.seq, relation.order.type) };
  const { only } = relation;
  const filter = only === undefined
    ? []
    : [`t.${quote(only.column)} = ANY(${param(arrayLiteral(only.values), `${only.type}[]`)})`];

  const branches: (readonly string[])[] = [];
  if (which === 1) {
    if (place !== undefined) branches.push([`${xid} = ${place.xid}`, `${order} > ${place.seq}`]);
    const rest = leg.xids.filter((each) => after === null || each > after.xid).map(String);
    if (rest.length > 0) branches.push([`${xid} = ANY(${param(arrayLiteral(rest), "xid8[]")})`]);
  } else {
    const conditions = place === undefined
      ? [`${xid} >= ${param(String(leg.from), "xid8")}`]
      : [`(${xid}, ${order}) > (${place.xid}, ${place.seq})`];
    conditions.push(`${xid} < ${param(String(leg.to.xmax), "xid8")}`);
    if (leg.to.xip.length > 0) {
      const snapshot = param(formatSnapshot(leg.to), "pg_snapshot");
      conditions.push(`pg_visible_in_snapshot(${xid}, ${snapshot})`);
    }
    branches.push(conditions);
  }

  // Aliases: ORDER BY takes an output column's name for the text it is.
  const columns = [`${xid}::text AS x`, `${order}::text AS o`, ...relation.columns];
  const select = (conditions: readonly string[], more: readonly string[]) =>
    `SELECT ${[...columns, ...more].join(", ")} FROM ${relation.from} t
WHERE ${[...conditions, ...filter].join(" AND ")} ORDER BY ${xid}, ${order} LIMIT ${limit}`;
  const [one = [], two] = branches;
  if (two === undefined) return { text: select(one, []), params };
  const native = [`${xid} AS x_native`, `${order} AS o_native`];
  return {
    text: `SELECT * FROM ((${select(one, native)})
UNION ALL (${select(two, native)})) u ORDER BY x_native, o_native LIMIT ${limit}`,
    params,
  };
}

/**
 * [postmaster start, in recovery?, WAL inserted, WAL flushed] of whichever server answers, in bytes; 0 on
 * a standby. Sent behind a page, on its connection.
 */
export function serverStatement(): Statement {
  return {
    text: `SELECT ${START}, r::text,
 CASE WHEN r THEN '0' ELSE (pg_current_wal_insert_lsn() - '0/0')::text END,
 CASE WHEN r THEN '0' ELSE (pg_current_wal_flush_lsn() - '0/0')::text END
FROM pg_is_in_recovery() r`,
  };
}

/**
 * For the sessions that read pages: these come in the index's order. The newest rows are those that
 * statistics don't know, so the planner takes a page for few rows, reads all that is left of the batch
 * and sorts it, each time: 40,000 rows in 10 s.
 */
export const IN_ORDER: SessionSettings = {
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  enable_sort: "off",
};

/** [epoch:xid]: the next xid when the last checkpoint began. */
export function checkpointStatement(): Statement {
  return { text: "SELECT next_xid FROM pg_control_checkpoint()" };
}

const START = `to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', ` +
  `'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** [xid]: no row of the log with a lower one is left for sure. No row: nothing was ever trimmed. */
export function trimmedStatement(schema: string): Statement {
  return { text: `SELECT xid::text FROM ${quote(schema)}.trimmed` };
}

/** [xid, seq, rel] of each truncate of these tables that isn't seen by `done`, visible now. */
export function truncatesStatement(
  schema: string,
  oids: readonly string[],
  done: { readonly xmax: bigint; readonly xip: readonly bigint[] },
): Statement {
  // Two branches, not one OR: the planner would drop the index condition.
  const found = (condition: string) =>
    `SELECT t.xid, t.seq, t.rel FROM ${quote(schema)}.log t
 WHERE ${condition} AND t.op = 't' AND t.rel = ANY($1::oid[])`;
  return {
    text: `SELECT xid::text, seq::text, rel::text FROM (${found("t.xid >= $2::xid8")}
 UNION ALL ${found("t.xid = ANY($3::xid8[])")}) q`,
    params: [arrayLiteral(oids), String(done.xmax), arrayLiteral(done.xip.map(String))],
  };
}

/** Says that a consumer has passed a snapshot; the log is trimmed of what all have passed for long. */
export function acknowledgeStatement(
  schema: string,
  consumer: string,
  snapshot: string,
  retentionMs: number,
): Statement {
  return {
    text: `SELECT ${quote(schema)}.acknowledge($1::text, $2::text, $3::interval)::text`,
    params: [consumer, snapshot, `${retentionMs} milliseconds`],
  };
}
