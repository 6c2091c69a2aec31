/**
 * The source's capture: several streams behind one cursor (stream.ts). Each table is followed by
 * one of them; sweeps read the same tables beside that. What is confirmed is the least of what the
 * streams confirm.
 */
import type { Change } from "../core/change.ts";
import type { Delivery } from "../core/delivery.ts";
import type { Observer } from "../core/events.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Anchor, ChangeCapture, Confirmed } from "../core/ports.ts";
import type { SourceIdentity, TableLevel } from "../core/source.ts";
import { merged } from "../flow/merged.ts";
import { notice } from "../flow/notice.ts";
import { assign, type Assignment } from "./assignment.ts";
import { formatCaptureCursor, parseCaptureCursor, type StoredStreams } from "./capture_cursor.ts";
import type { Database } from "./client.ts";
import { compareIdentity, readCheckpoint, readIdentity } from "./identity.ts";
import { openStream, type StreamSettings } from "./open_stream.ts";
import { fitting } from "./poll/fitting.ts";
import { readClock } from "./poll/listing.ts";
import { formatMicros, type Micros } from "./poll/micros.ts";
import { behindPooler } from "./poll/refusals.ts";
import { seenVersions } from "./poll/seen_versions.ts";
import { refuseEarlier, type ServerWatch, serverWatch } from "./server_watch.ts";
import { estimateRows, snapshotKeys } from "./snapshot.ts";
import type {
  ChangeStream,
  Opened,
  ReplicationStart,
  StreamContext,
  StreamPosition,
} from "./stream.ts";
import type { WalSession } from "./wal/session.ts";
import type { CapturePlan, Way } from "./ways.ts";

export interface CaptureOptions {
  readonly plan: CapturePlan;
  readonly levels: readonly TableLevel[];
  /** For snapshots, and whatever else reads for this process. Stays the caller's to close. */
  readonly readers: Database;
  /** Opens connections under `applicationName`, the readers' too: B tells our own by it. */
  open(connections: number, how: Opened): Database;
  /** The same for a session that reads the WAL. */
  replicate(from: ReplicationStart, signal: AbortSignal): Promise<WalSession>;
  readonly applicationName: string;
  readonly settings: StreamSettings;
  readonly pageSize: number;
  readonly timing: StreamContext["timing"];
  readonly observe: Observer;
}

export function openCapture(options: CaptureOptions): ChangeCapture {
  const { plan, readers, observe, applicationName } = options;
  const databases: Database[] = [];
  const sessions: WalSession[] = [];
  const advanced = notice();
  let identity: SourceIdentity | undefined;
  let watch: ServerWatch | undefined;
  /** The server's WAL position when something was last acknowledged. */
  let wal = 0n;
  let pm: string | undefined;
  let running: readonly Running[] = [];

  const context: StreamContext = {
    readers,
    open(connections, how): Database {
      const database = options.open(connections, how ?? {});
      databases.push(database);
      return database;
    },
    async replicate(from, signal): Promise<WalSession> {
      const session = await options.replicate(from, signal);
      sessions.push(session);
      return session;
    },
    own: () => ({
      pids: [readers, ...databases].flatMap((database) => database.ownPids()),
      applicationName,
    }),
    saw: (clock) => watch?.saw(clock),
    seen: seenVersions(SEEN_CAPACITY),
    moved: () => {
      wal = watch?.wal() ?? wal;
      endDrained();
      advanced.raise();
    },
    observe,
    pageSize: options.pageSize,
    timing: options.timing,
  };

  return {
    levels: options.levels,
    prepare,
    async *snapshot(index: IndexPlan, from, signal: AbortSignal) {
      for (const { stream } of running) stream.seedBegins?.();
      yield* fitting(snapshotKeys(readers, index, from, signal));
    },
    estimate: (index, signal) => estimateRows(readers, index.root, signal),
    live: (signal) =>
      merged<Delivery<Change>>(
        running.map(({ stream, drained }) => (scope) =>
          untilDrained(stream, scope, drained.signal)
        ),
        signal,
      ),
    confirmed,
    stored(cursor: string): void {
      const { streams } = parseCaptureCursor(cursor);
      for (const { name, stream } of running) {
        const found = streams[name];
        if (found !== undefined) stream.stored?.(found.cursor);
      }
    },
    advanced: async (signal) => {
      await advanced.wait(signal);
    },
    async settled(signal: AbortSignal): Promise<void> {
      await Promise.all(running.map(({ stream }) => stream.settled?.(signal)));
    },
    async [Symbol.asyncDispose](): Promise<void> {
      const opened: readonly AsyncDisposable[] = [...sessions, ...databases];
      await Promise.all(opened.map((each) => each[Symbol.asyncDispose]()));
    },
  };

  async function prepare(
    stored: string | undefined,
    seeds: boolean,
    signal: AbortSignal,
  ): Promise<Anchor> {
    if (!readers.pooled && await readers.behindPooler(signal)) throw behindPooler();
    identity = await readIdentity(readers, signal);
    const clock = await readClock(readers, signal);
    const found = stored === undefined ? undefined : parseCaptureCursor(stored);
    const fresh = found === undefined || compareIdentity(found.source, identity) === "promoted";
    wal = fresh ? clock.wal : found.wal;
    watch = serverWatch(fresh ? 0n : found.wal, clock);
    pm = clock.inRecovery ? undefined : clock.pm;
    if (!fresh && pm !== undefined && found.pm !== undefined && found.pm !== pm) {
      refuseEarlier(found.wal, await readCheckpoint(readers, signal));
    }
    const resumed: StoredStreams = fresh ? {} : found.streams;
    const assignment = assign(plan.ways, resumed);
    const gaps = new Map(fresh ? [] : assignment.gaps);
    const joined = fresh ? [] : [...assignment.joined];
    const seeded = new Set(seeds ? fresh ? plan.ways.keys() : [...gaps.keys(), ...joined] : []);
    running = runningOf(assignment, clock.inRecovery);
    for (const { name, stream } of running) {
      const { cursor: position } = Object.hasOwn(resumed, name) ? resumed[name] ?? NEW : NEW;
      const start = { stored: position, seeded, due: assignment.due, identity, clock };
      const prepared = await stream.prepare(start, signal);
      for (const [id, reason] of prepared.gaps) if (plan.ways.has(id)) gaps.set(id, reason);
    }
    if (running.some(({ leaving }) => leaving.size > 0)) {
      const { clock: anchored } = await readClock(readers, signal);
      for (const each of running) {
        const before = each.stream.confirmed().through ?? anchored;
        each.drainedAt = before > anchored ? before : anchored;
      }
    }
    if (!fresh) tell(gaps, assignment);
    return {
      identity,
      positionKind: clock.inRecovery ? "replay" : "flush",
      fresh,
      gaps: new Map([...joined.map((id) => [id, JOINED] as const), ...gaps]),
      once: claimedBy(plan),
      now: formatMicros(clock.clock),
    };
  }

  /** One that confirms nothing but the clock when all tables are on sweeps alone. */
  function runningOf({ assigned, leaving }: Assignment, inRecovery: boolean): readonly Running[] {
    const names = new Set<Way["stream"]>([...assigned.keys(), ...leaving.keys()]);
    if (plan.swept.length > 0) names.add("sweep");
    if ([...names].every((name) => name === "sweep")) names.add(inRecovery ? "lag" : "updated_at");
    return [...names].map((name): Running => {
      const own = assigned.get(name) ?? new Map<string, Way>();
      const old = leaving.get(name) ?? new Map<string, Way>();
      const ways = [...own.values(), ...old.values()];
      return {
        name,
        stream: openStream(name, ways, plan, options.settings, context),
        tables: signaturesOf(own),
        leaving: signaturesOf(old),
        drainedAt: undefined,
        drained: new AbortController(),
      };
    });
  }

  function tell(gaps: ReadonlyMap<string, string>, { lowered }: Assignment): void {
    for (const [id, how] of lowered) {
      const message = `Table ${id} was followed by ${how}: \`driftless check\` says why`;
      observe({ type: "warning", code: "LEVEL_LOST", message });
    }
    for (const reason of new Set(gaps.values())) {
      const ids = [...gaps.keys()].filter((id) => gaps.get(id) === reason);
      const message =
        `Changes of ${ids.join(", ")} may be missing, ${reason}: what is made of them ` +
        "is filled anew";
      observe({ type: "warning", code: "CAPTURE_GAP", message });
    }
  }

  function confirmed(): Confirmed {
    if (identity === undefined) {
      throw new Error("Cannot confirm: the capture is not prepared");
    }
    let through: Micros | undefined;
    const streams: Record<string, StoredStreams[string]> = {};
    for (const each of running) {
      if (isOver(each)) continue;
      const position = each.stream.confirmed();
      const left = isDrained(each, position) ? [] : each.leaving;
      streams[each.name] = {
        tables: Object.fromEntries([...each.tables, ...left]),
        cursor: position.cursor,
      };
      const own = position.through;
      if (own !== undefined && (through === undefined || own < through)) through = own;
    }
    return {
      cursor: formatCaptureCursor({ source: identity, wal, pm, streams }),
      through: formatMicros(through ?? 0n),
    };
  }

  /** Ends the streams that only drained, once they have. One may move before the next is prepared. */
  function endDrained(): void {
    for (const each of running) {
      if (each.drainedAt === undefined || each.tables.size > 0 || isOver(each)) continue;
      if (each.leaving.size === 0) continue;
      if (isDrained(each, each.stream.confirmed())) each.drained.abort(DRAINED);
    }
  }
}

/** One stream at work. */
interface Running {
  readonly name: Way["stream"];
  readonly stream: ChangeStream;
  /** `Way.signature` by `tableId`. */
  readonly tables: ReadonlyMap<string, string>;
  /** The same, of tables that it goes on with until `drainedAt` alone. */
  readonly leaving: ReadonlyMap<string, string>;
  drainedAt: Micros | undefined;
  readonly drained: AbortController;
}

const NEW: { readonly cursor: undefined } = { cursor: undefined };
const JOINED = "it was not followed before";
const DRAINED = new Error("drained");
/** Row versions remembered in all: some 10 MB. What is forgotten costs duplicates, never loss. */
const SEEN_CAPACITY = 50_000;

/**
 * Whether a poll that began after the new streams were anchored is acknowledged: not an equal reading
 * of the clock, nor a stored one that the clock, set back since, hasn't reached (the drain model of
 * test/property loses a row by either).
 */
function isDrained({ drainedAt }: Running, { through }: StreamPosition): boolean {
  return drainedAt !== undefined && through !== undefined && through > drainedAt;
}

function isOver({ drained }: Running): boolean {
  return drained.signal.aborted;
}

/** What is claimed from an outbox is gone from there. */
function claimedBy({ ways, outbox }: CapturePlan): ReadonlySet<string> {
  const claims = outbox?.mode === "mark" || outbox?.mode === "delete";
  const ids = [...ways].filter(([, [{ kind }]]) => claims && kind === "outbox").map(([id]) => id);
  return new Set(ids);
}

function signaturesOf(ways: ReadonlyMap<string, Way>): ReadonlyMap<string, string> {
  return new Map([...ways].map(([id, { signature }]) => [id, signature]));
}

async function* untilDrained(
  stream: ChangeStream,
  scope: AbortSignal,
  drained: AbortSignal,
): AsyncGenerator<Delivery<Change>> {
  try {
    yield* stream.live(AbortSignal.any([scope, drained]));
  } catch (error) {
    if (!drained.aborted || error !== DRAINED) throw error;
    await stream.left?.();
  }
}
