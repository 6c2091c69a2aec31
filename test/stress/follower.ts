import { setTimeout as pause } from "node:timers/promises";
import type postgres from "postgres";
import type { Change } from "../../src/core/change.ts";
import type { Delivery } from "../../src/core/delivery.ts";
import { messageOf, RetryableError } from "../../src/core/errors.ts";
import type { Json } from "../../src/core/json.ts";
import { arrayLiteral, type Database, openDatabase } from "../../src/postgres/client.ts";
import { readIdentity } from "../../src/postgres/identity.ts";
import { readClock } from "../../src/postgres/poll/listing.ts";
import type { Micros } from "../../src/postgres/poll/micros.ts";
import { seenVersions } from "../../src/postgres/poll/seen_versions.ts";
import type { ChangeStream, Opened, StreamContext } from "../../src/postgres/stream.ts";
import { openWalSession, type WalSession } from "../../src/postgres/wal/session.ts";
import { type Random, seededRandom } from "../support/stress_random.ts";
import { Crash, disturbed, type Interference } from "./interference.ts";
import type { Reader } from "./ledger.ts";

export interface FollowerSpec {
  readonly name: string;
  /** Ours must lose nothing, all others something. */
  readonly role: "ours" | "control" | "mutant";
  /** Whether it claims to show deletes. */
  readonly seesDeletes: boolean;
  /** As the role that driftless runs as, with its pooler. */
  readonly url: string;
  readonly pooler: "none" | "transaction";
  /** Whether it claims to show what is written past triggers. */
  readonly seesSilent?: boolean;
  /** A mutant: what is delivered is acknowledged before it is durable. */
  readonly acknowledgesEarly?: boolean;
  make(context: StreamContext): ChangeStream | Promise<ChangeStream>;
  /** Made anew with each life: what it remembers dies with the process. */
  interfere?(random: Random, context: () => StreamContext): readonly Interference[];
}

export interface Follower {
  readonly spec: FollowerSpec;
  readonly crashes: number;
  /** What went wrong beside crashes; [] when all is well. */
  readonly failures: readonly string[];
  /** Codes of what may pass and is tried again, as the engine would. */
  readonly retries: readonly string[];
  /** Anchors it, undisturbed; writes that commit afterwards are its to deliver. */
  start(): Promise<void>;
  /** No crashes, no delays from now on. */
  calm(): void;
  /** Whether everything committed before this moment of the source's clock is acknowledged; undefined: it can't say. */
  passed(moment: Micros): boolean | undefined;
  stop(): Promise<void>;
}

export interface FollowerOptions {
  readonly seed: number;
  readonly reader: Reader;
  /** Reads rows as a builder would: not as the follower's role, not through its connections. */
  readonly rows: postgres.Sql;
}

const PAGE_SIZE = 40;
const MEAN_LIFE_MS = 1800;

/**
 * Runs one stream as a process would that is killed every second or two, at any statement or between
 * a delivery and its acknowledgement, and starts again from the last cursor that was stored.
 */
export function openFollower(spec: FollowerSpec, options: FollowerOptions): Follower {
  const { seed, reader, rows } = options;
  const random = seededRandom(seed, `follower ${spec.name}`);
  const failures: string[] = [];
  const retries: string[] = [];
  let crashes = 0;
  let calm = false;
  let crashAt = Infinity;
  let stored: Json | undefined;
  let stream: ChangeStream | undefined;
  let stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const stopped = new AbortController();

  function mayCrash(): void {
    if (calm || performance.now() < crashAt) return;
    // Not always at the first statement after a pause.
    if (random.chance(0.6)) return;
    crashAt = Infinity;
    const crash = new Crash();
    // Whoever catches it can't go on either.
    stop.abort(crash);
    throw crash;
  }

  /** A process may end before and after it reads what was sent to it. */
  function crashing(session: WalSession): WalSession {
    return {
      get empty(): boolean {
        return session.empty;
      },
      async take(signal, timeoutMs) {
        mayCrash();
        const frames = await session.take(signal, timeoutMs);
        if (!calm && random.chance(0.03)) await pause(random.between(5, 80));
        mayCrash();
        return frames;
      },
      confirm: (lsn) => session.confirm(lsn),
      ask: () => session.ask(),
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  }

  async function live(first: boolean): Promise<void> {
    stop = new AbortController();
    const { signal } = stop;
    await using stack = new AsyncDisposableStack();
    const name = `driftless/stress-${crypto.randomUUID()}`;
    const opened: Database[] = [];
    const open = (connections: number, how: Opened = {}): Database => {
      const database = openDatabase({
        url: spec.url,
        pooler: spec.pooler,
        rowSecurity: "refuse",
        maxConnections: connections,
        applicationName: name,
        statementTimeoutMs: 30_000,
        ...how,
      });
      opened.push(database);
      stack.use(database);
      return disturbed(database, { random, mayCrash, calm: () => calm || first, interferences });
    };
    const interferences = spec.interfere?.(random, () => context) ?? [];
    const readers = open(1);
    let ready = false;
    const store = () => {
      if (!ready || stream === undefined) return;
      stored = copied(stream.confirmed().cursor);
      stream.stored?.(stored);
    };
    const context: StreamContext = {
      readers,
      open,
      async replicate(from, scope): Promise<WalSession> {
        const how = { url: spec.url, rowSecurity: "refuse", applicationName: name } as const;
        const session = stack.use(await openWalSession({ ...how, ...from }, scope));
        return first ? session : crashing(session);
      },
      own: () => ({ pids: opened.flatMap((each) => each.ownPids()), applicationName: name }),
      saw: () => {},
      seen: seenVersions(50_000),
      // Some are never stored: the process ends before.
      moved: () => {
        if (calm || random.chance(0.7)) store();
      },
      observe: (event) => {
        // It says so of the first one; another would be a gap.
        const expected = first ? "SLOT_CREATED" : undefined;
        if (event.type === "warning" && event.code !== expected) {
          failures.push(`warning ${event.code}: ${event.message}`);
        }
      },
      pageSize: PAGE_SIZE,
      timing: { minIntervalMs: 30, maxIntervalMs: 60 },
    };
    const meanLifeMs = spec.acknowledgesEarly ? MEAN_LIFE_MS / 2 : MEAN_LIFE_MS;
    if (!first) crashAt = performance.now() - meanLifeMs * Math.log(1 - random.next());
    const identity = await readIdentity(readers, signal);
    const clock = await readClock(readers, signal);
    const made = await spec.make(context);
    const { gaps } = await made.prepare(
      { stored, seeded: new Set(), due: new Set(), identity, clock },
      signal,
    );
    if (gaps.size > 0) throw new Error(`it has a gap: ${[...gaps.values()].join("; ")}`);
    stream = made;
    ready = true;
    store();
    if (first) return;
    await consume(made, signal);
  }

  /** Reads each delivered row again, as building its document would, and acknowledges it. */
  async function consume(made: ChangeStream, signal: AbortSignal): Promise<void> {
    let batch: Delivery<Change>[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let flushing = Promise.resolve();
    const acknowledging: Promise<void>[] = [];
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => undefined);

    const flush = (): Promise<void> => {
      clearTimeout(timer);
      timer = undefined;
      const deliveries = batch;
      batch = [];
      flushing = flushing.then(() => write(deliveries)).catch((error) => {
        stop.abort(error);
        failed.reject(error);
      });
      return flushing;
    };
    const write = async (deliveries: readonly Delivery<Change>[]): Promise<void> => {
      if (deliveries.length === 0 || signal.aborted) return;
      if (spec.acknowledgesEarly) {
        for (const { ack } of deliveries) ack();
        await pause(random.between(40, 90));
        // When it is time, here is where it shows.
        for (let i = 0; i < 4; i++) mayCrash();
      }
      mayCrash();
      const ids = deliveries.map(({ value }) => Number(value.key[0]));
      const found = await rows.unsafe<{ id: string; v: string }[]>(
        "SELECT id, v FROM item WHERE id = ANY($1::bigint[])",
        [arrayLiteral(ids.map(String))],
        { prepare: true },
      );
      if (signal.aborted) return;
      reader.read(ids, new Map(found.map(({ id, v }) => [Number(id), Number(v)])));
      if (!spec.acknowledgesEarly) acknowledging.push(acknowledge(deliveries).catch(failed.reject));
    };
    /** Later, as a sink takes its time; not always in the order of delivery. */
    const acknowledge = async (deliveries: readonly Delivery<Change>[]): Promise<void> => {
      await pause(
        calm ? 5 : random.chance(0.03) ? random.between(60, 200) : random.between(20, 50),
      );
      for (const delivery of deliveries) {
        if (signal.aborted) return;
        mayCrash();
        delivery.ack();
      }
    };
    try {
      const loop = (async () => {
        for await (const delivery of made.live(signal)) {
          batch.push(delivery);
          if (delivery.drained === true || batch.length >= PAGE_SIZE) await flush();
          else timer ??= setTimeout(() => void flush(), 5);
        }
      })();
      loop.catch(() => undefined);
      await Promise.race([loop, failed.promise]);
    } finally {
      clearTimeout(timer);
      stop.abort(new Error("ended"));
      await flushing;
      await Promise.all(acknowledging);
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      try {
        await live(false);
      } catch (error) {
        if (stopped.signal.aborted) break;
        // What a stream throws once it was crashed is its own way of ending.
        if (stop.signal.reason instanceof Crash) crashes++;
        else if (error instanceof RetryableError) retries.push(error.code);
        else {
          failures.push(messageOf(error).slice(0, 300));
          if (failures.length > 20) break;
        }
      }
      stream = undefined;
      if (!calm) {
        await pause(random.between(0, 150), undefined, { signal: stopped.signal }).catch(() =>
          undefined
        );
      }
    }
  }

  return {
    spec,
    get crashes(): number {
      return crashes;
    },
    failures,
    retries,
    async start(): Promise<void> {
      await live(true);
      running = run();
    },
    calm: () => {
      calm = true;
    },
    passed(moment) {
      if (stream === undefined) return false;
      const { through } = stream.confirmed();
      return through === undefined ? undefined : through >= moment;
    },
    async stop(): Promise<void> {
      stopped.abort();
      stop.abort(new Error("stopped"));
      await running;
    },
  };
}

function copied(cursor: Json): Json {
  return JSON.parse(JSON.stringify(cursor)) as Json;
}
