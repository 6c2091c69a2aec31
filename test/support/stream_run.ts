import type { Change } from "../../src/core/change.ts";
import type { Delivery } from "../../src/core/delivery.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { Json } from "../../src/core/json.ts";
import { type Database, openDatabase } from "../../src/postgres/client.ts";
import { readIdentity } from "../../src/postgres/identity.ts";
import { readClock } from "../../src/postgres/poll/listing.ts";
import { seenVersions } from "../../src/postgres/poll/seen_versions.ts";
import type { ChangeStream, Opened, Prepared, StreamContext } from "../../src/postgres/stream.ts";
import { openWalSession, type WalSession } from "../../src/postgres/wal/session.ts";
import { eventually } from "./eventually.ts";
import { hooked, type StatementHooks } from "./hooked_database.ts";

/** The hooks are around the statements of the streams' own connections. */
export interface StreamRunOptions extends StatementHooks {
  /** As the role that driftless runs as. */
  readonly url: string;
  readonly pooler?: "none" | "transaction";
  /** What an earlier run's `cursor()` was; absent: afresh. */
  readonly stored?: Json;
  /** Tables that a seed will read. */
  readonly seeded?: readonly string[];
  readonly pageSize?: number;
  readonly intervalMs?: number;
}

/** One stream over a real database, as the capture would run it. Ended at once on disposal: a crash. */
export interface StreamRun extends AsyncDisposable {
  readonly stream: ChangeStream;
  readonly prepared: Prepared;
  readonly events: readonly SyncEvent[];
  /** Everything delivered so far, in order, repetitions included. */
  readonly changes: readonly Change[];
  /** The same as `upsert item:1` or `delete item:1`. */
  readonly delivered: readonly string[];
  /** Of each of them: whether it said that nothing is right behind it. */
  readonly drained: readonly boolean[];
  /** While false, deliveries are kept; turning it true acknowledges them. */
  acknowledge: boolean;
  /** What it confirms, taken to be stored by that: no later run may begin before it. */
  cursor(): Json;
  /** Resolves when everything that is committed now is acknowledged, by what `through` says. */
  caughtUp(): Promise<void>;
  /** Resolves when that has been delivered, acknowledged or not. */
  delivers(what: string): Promise<void>;
  /** What `live` threw; undefined while it goes on. */
  failure(): unknown;
}

export async function runStream(
  make: (context: StreamContext) => ChangeStream,
  options: StreamRunOptions,
): Promise<StreamRun> {
  const { pooler = "none", pageSize = 1000, intervalMs = 1 } = options;
  const stop = new AbortController();
  const stack = new AsyncDisposableStack();
  const applicationName = `driftless/test-${crypto.randomUUID()}`;
  const opened: Database[] = [];
  const open = (maxConnections: number, how: Opened = {}): Database => {
    const database = openDatabase({
      url: options.url,
      pooler,
      rowSecurity: "refuse",
      maxConnections,
      applicationName,
      statementTimeoutMs: 60_000,
      ...how,
    });
    opened.push(database);
    return stack.use(hooked(database, options));
  };
  const readers = open(2);
  const events: SyncEvent[] = [];
  const context: StreamContext = {
    readers,
    open,
    async replicate(from, signal): Promise<WalSession> {
      const how = { url: options.url, rowSecurity: "refuse", applicationName } as const;
      return stack.use(await openWalSession({ ...how, ...from }, signal));
    },
    own: () => ({ pids: opened.flatMap((each) => each.ownPids()), applicationName }),
    saw: () => {},
    seen: seenVersions(50_000),
    moved: () => {},
    observe: (event) => events.push(event),
    pageSize,
    timing: { minIntervalMs: intervalMs, maxIntervalMs: intervalMs },
  };
  const probe = stack.use(openDatabase({
    url: options.url,
    pooler,
    rowSecurity: "refuse",
    maxConnections: 1,
    applicationName,
    statementTimeoutMs: 60_000,
  }));
  opened.push(probe);
  const identity = await readIdentity(probe, stop.signal);
  const clock = await readClock(probe, stop.signal);
  const stream = make(context);
  const prepared = await stream.prepare({
    stored: options.stored,
    seeded: new Set(options.seeded),
    due: new Set(),
    identity,
    clock,
  }, stop.signal);

  const changes: Change[] = [];
  const delivered: string[] = [];
  const drained: boolean[] = [];
  const kept: Delivery<Change>[] = [];
  let acknowledging = true;
  let failure: unknown;
  const running = (async () => {
    for await (const delivery of stream.live(stop.signal)) {
      const { op, table, key } = delivery.value;
      changes.push(delivery.value);
      drained.push(delivery.drained === true);
      delivered.push(`${op} ${table.name}:${key.join(",")}`);
      if (acknowledging) delivery.ack();
      else kept.push(delivery);
    }
  })().catch((error) => {
    if (!stop.signal.aborted) failure = error;
  });

  return {
    stream,
    prepared,
    events,
    changes,
    delivered,
    drained,
    get acknowledge(): boolean {
      return acknowledging;
    },
    set acknowledge(value: boolean) {
      acknowledging = value;
      if (value) { for (const delivery of kept.splice(0)) delivery.ack(); }
    },
    cursor() {
      const { cursor } = stream.confirmed();
      stream.stored?.(cursor);
      return cursor;
    },
    async caughtUp(): Promise<void> {
      const target = (await readClock(probe, stop.signal)).clock;
      await until("what is committed to be acknowledged", () => {
        const { through } = stream.confirmed();
        return through !== undefined && through >= target;
      });
    },
    delivers: (what) => until(`"${what}" to be delivered`, () => delivered.includes(what)),
    failure: () => failure,
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort(new Error("crashed"));
      await running;
      await stack.disposeAsync();
    },
  };

  async function until(what: string, holds: () => boolean): Promise<void> {
    await eventually(what, () => {
      if (failure !== undefined) return Promise.resolve(true);
      return Promise.resolve(holds());
    }, { everyMs: 2 });
    if (failure !== undefined) throw failure;
  }
}
