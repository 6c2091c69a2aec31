import { deepEqual } from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { installChangelog } from "../support/changelog.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { createDatabase } from "../support/postgres.ts";
import { type Follower, openFollower } from "./follower.ts";
import { crowdFollowers, duelFollowers, type Place } from "./followers.ts";
import { openLedger, type Reader, type Verdict } from "./ledger.ts";
import { openMeetings } from "./meetings.ts";
import { SCHEMA } from "./schema.ts";
import type { Kind } from "./script.ts";
import { runWriters, type WriterCounts } from "./writers.ts";

/**
 * "crowd": fourteen writers that do all sorts of things at once, three that mostly prepare, one that no
 * trigger sees, and one whose commits wait for a standby.
 * "duel": the histories that the subtler mutants need, one at a time among short transactions.
 */
export type Scene = "crowd" | "duel";
export const scenes: readonly Scene[] = ["crowd", "duel"];

export interface StressReport {
  readonly scene: Scene;
  readonly seed: number;
  readonly seconds: number;
  readonly writers: WriterCounts;
  readonly commits: number;
  readonly captures: readonly CaptureReport[];
}

export interface CaptureReport extends Verdict {
  readonly name: string;
  readonly role: "ours" | "control" | "mutant";
  readonly crashes: number;
  readonly failures: readonly string[];
  readonly retries: readonly string[];
}

export interface StressOptions {
  readonly scene: Scene;
  readonly seed: number;
  readonly seconds: number;
  /** Names of the captures that run; absent: all. */
  readonly only?: (name: string) => boolean;
}

/** Everyone follows the same writers for that long; then what each one lost is counted. */
export async function runStress(
  { scene, seed, seconds, only = () => true }: StressOptions,
): Promise<StressReport> {
  await using db = await createDatabase(SCHEMA);
  await installChangelog(db, [{ table: "item" }]);
  await db.sql.unsafe(`GRANT UPDATE (processed_at) ON claimed TO ${db.readerRole};
    ALTER ROLE ${db.readerRole} REPLICATION; CREATE PUBLICATION driftless FOR TABLE item`).simple();
  const [item] = await db.sql`SELECT 'item'::regclass::oid::text AS oid`;
  const oid = String(item?.["oid"]);
  await using bouncer = await startPgBouncer(db.url);
  const pooled = new URL(db.readerUrl);
  pooled.port = String(bouncer.port);
  const rows = postgres(db.url, { max: 4, onnotice: () => undefined, fetch_types: false });
  const meetings = openMeetings();
  const ledger = openLedger();
  const followers: { readonly follower: Follower; readonly reader: Reader }[] = [];
  const place: Place = {
    database: db.name,
    readerUrl: db.readerUrl,
    pooledUrl: pooled.href,
    meetings,
    oid,
  };
  for (const spec of (scene === "crowd" ? crowdFollowers : duelFollowers)(place)) {
    if (!only(spec.name)) continue;
    const reader = ledger.follow(spec.seesDeletes, spec.seesSilent);
    followers.push({ follower: openFollower(spec, { seed, reader, rows }), reader });
  }
  try {
    for (const { follower } of followers) await follower.start();
    const stop = AbortSignal.timeout(seconds * 1000);
    const writers = await runWriters({
      url: db.url,
      seed,
      ledger,
      meetings,
      kinds: writerKinds[scene],
      longReader: scene === "crowd",
      signal: stop,
    });
    await drain(followers, rows);
    await checkLedger(ledger.last(), rows);
    return {
      scene,
      seed,
      seconds,
      writers,
      commits: ledger.commits,
      captures: followers.map(({ follower: { spec, crashes, failures, retries }, reader }) => ({
        name: spec.name,
        role: spec.role,
        crashes,
        failures: [...failures],
        retries: [...retries],
        ...reader.verdict(),
      })),
    };
  } finally {
    await Promise.all(followers.map(({ follower }) => follower.stop()));
    // What a failed writer left behind would hold the database.
    for (
      const { gid } of await rows`SELECT gid FROM pg_prepared_xacts WHERE database = ${db.name}`
    ) {
      await rows.unsafe(`ROLLBACK PREPARED '${gid}'`);
    }
    await rows.end({ timeout: 1 });
  }
}

const writerKinds: Readonly<Record<Scene, readonly Kind[]>> = {
  crowd: [...repeated("ordinary", 14), ...repeated("two-phase", 3), "silent", "awaiting"],
  duel: ["silent", ...repeated("quick", 4), ...repeated("duellist", 2)],
};

function repeated(kind: Kind, count: number): Kind[] {
  return Array.from({ length: count }, () => kind);
}

const DRAIN_MS = 40_000;
/** For those who can't say how far they are, and lose rows. */
const BLIND_MS = 4_000;

/** Waits until everyone has passed this moment, or found all there is. */
async function drain(
  followers: readonly { readonly follower: Follower; readonly reader: Reader }[],
  rows: postgres.Sql,
): Promise<void> {
  const [row] = await rows`
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text AS now`;
  const moment = BigInt(String(row?.["now"]));
  for (const { follower } of followers) follower.calm();
  const began = performance.now();
  await Promise.all(followers.map(async ({ follower, reader }) => {
    while (performance.now() - began < DRAIN_MS) {
      const passed = follower.passed(moment);
      if (passed === true) return;
      if (passed === undefined) {
        if (reader.verdict().lost === 0) return;
        if (follower.spec.role !== "ours" && performance.now() - began > BLIND_MS) return;
      }
      await pause(100);
    }
  }));
}

/** The writers' account is the table's. */
async function checkLedger(last: ReadonlyMap<number, number>, rows: postgres.Sql): Promise<void> {
  const found = await rows<{ id: string; v: string }[]>`SELECT id, v FROM item`;
  const order = ([a]: readonly [number, number], [b]: readonly [number, number]) => a - b;
  const is = found.map(({ id, v }) => [Number(id), Number(v)] as const).sort(order);
  deepEqual(is, [...last].sort(order));
}
