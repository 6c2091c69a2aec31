import { type Database, quote } from "../client.ts";

/** How the log and those who read it are doing. */
export interface ChangelogStatus {
  /** Of the log with its index, on disk. */
  readonly bytes: number;
  readonly consumers: readonly ConsumerStatus[];
}

export interface ConsumerStatus {
  readonly name: string;
  /** What it has passed, as `xmin:xmax:xip`. */
  readonly snapshot: string;
  /** When it last said so: ISO, UTC. */
  readonly seenAt: string;
  /** For people: `3 s`, `2 days`. */
  readonly age: string;
  /** For more than a day: an alarm, as everything is kept for it. */
  readonly unseen: boolean;
  /** Rows it hasn't passed; as many at least when not all were `counted`. */
  readonly waiting: number;
  readonly counted: boolean;
}

/** Reads it in one statement; the role needs SELECT on the changelog's tables. */
export async function loadStatus(
  database: Database,
  schema: string,
  signal: AbortSignal,
): Promise<ChangelogStatus> {
  const s = quote(schema);
  const rows = await database.query({
    text: `SELECT pg_total_relation_size('${s.replaceAll("'", "''")}.log'::regclass)::text,
 c.name, c.snapshot,
 to_char(c.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
 extract(epoch FROM clock_timestamp() - c.seen_at)::text,
 (SELECT count(*) FROM (
   SELECT FROM ${s}.log l WHERE l.xid >= pg_snapshot_xmin(c.snapshot::pg_snapshot)
   AND NOT pg_visible_in_snapshot(l.xid, c.snapshot::pg_snapshot) LIMIT ${COUNTED}) q)::text
FROM (SELECT 1) AS always LEFT JOIN ${s}.consumers c ON true ORDER BY c.name`,
  }, signal);
  return {
    bytes: Number(rows[0]?.[0] ?? 0),
    consumers: rows.flatMap(([, name, snapshot, seenAt, ago, waiting]) =>
      name === null || name === undefined ? [] : [{
        name,
        snapshot: snapshot ?? "",
        seenAt: seenAt ?? "",
        age: ageOf(Number(ago)),
        unseen: Number(ago) > DAY_SECONDS,
        waiting: Number(waiting),
        counted: Number(waiting) < COUNTED,
      }]
    ),
  };
}

function ageOf(seconds: number): string {
  const [unit, name] = UNITS.find(([unit]) => seconds >= 2 * unit) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / unit))} ${name}`;
}

const DAY_SECONDS = 86_400;
const UNITS: readonly (readonly [number, string])[] = [
  [DAY_SECONDS, "days"],
  [3600, "hours"],
  [60, "minutes"],
];
/** Rows are counted so far and no further. */
const COUNTED = 100_000;
