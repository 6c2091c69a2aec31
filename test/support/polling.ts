import { ok } from "node:assert/strict";
import type { ChangeCapture } from "../../src/core/ports.ts";
import type { SyncEvent } from "../../src/core/events.ts";
import type { TableRef } from "../../src/core/table.ts";
import { tableId } from "../../src/core/table.ts";
import {
  type Database,
  openDatabase,
  type Row,
  type Statement,
} from "../../src/postgres/client.ts";
import { loadCatalog } from "../../src/postgres/catalog.ts";
import { chooseStamp, type StampSettings } from "../../src/postgres/poll/stamps.ts";
import { openCapture } from "../../src/postgres/capture.ts";
import type { Way } from "../../src/postgres/ways.ts";

/** A polling capture over one database, driven a poll at a time, everything acknowledged or nothing. */
export interface Poller extends AsyncDisposable {
  readonly capture: ChangeCapture;
  readonly events: SyncEvent[];
  /** Keys (`table:key`) delivered so far, in order, repetitions included. */
  readonly delivered: string[];
  /** Runs polls until that many more have ended; 1 by default. */
  polls(count?: number): Promise<void>;
  /** While false, deliveries are taken and never acknowledged: the poll doesn't end. */
  acknowledge: boolean;
  /** Resolves when the running poll has delivered something that isn't acknowledged. */
  delivering(): Promise<void>;
}

export interface PollerOptions {
  readonly url: string;
  readonly tables: readonly {
    readonly name: string;
    readonly key: readonly string[];
    readonly settings?: StampSettings;
  }[];
  readonly cursor?: string;
  readonly marginMs?: number;
  readonly pageSize?: number;
  /** Runs before each statement of the polling connection, which are then sent one at a time. */
  readonly before?: (statement: Statement) => Promise<void>;
  /** Alters what a statement returned. */
  readonly after?: (statement: Statement, rows: readonly Row[]) => readonly Row[];
}

/** Opens one, prepared at `cursor` or afresh. */
export async function openPoller(options: PollerOptions): Promise<Poller> {
  const { marginMs = 50, pageSize = 1000 } = options;
  const stop = new AbortController();
  const applicationName = `driftless/test-${crypto.randomUUID()}`;
  const open = () =>
    openDatabase({
      url: options.url,
      pooler: "none",
      rowSecurity: "refuse",
      maxConnections: 1,
      applicationName,
      statementTimeoutMs: 60_000,
    });
  const gate = { open: () => {}, ended: () => {}, delivered: () => {}, armed: false };
  let allowed = 0;
  const hold = async () => {
    while (gate.armed && allowed === 0) {
      await new Promise<void>((resolve) => gate.open = resolve);
    }
    if (gate.armed) allowed--;
  };
  const readers = open();
  const wishes = options.tables.map(({ name, key, settings }) => {
    const table: TableRef = { schema: "public", name };
    return { wish: { table, key, joinColumns: [] }, settings: settings ?? {} };
  });
  const { tables } = await loadCatalog(readers, wishes.map(({ wish }) => wish.table), stop.signal);
  const chosen = wishes.map(({ wish, settings }) => {
    const defaults = { marginMs, marginGiven: false };
    const table = tables.get(tableId(wish.table));
    ok(table, `no table ${wish.table.name}`);
    const choice = chooseStamp(wish, table, settings, defaults);
    ok("polled" in choice, JSON.stringify(choice));
    return choice.polled;
  });
  const events: SyncEvent[] = [];
  const ways = new Map(chosen.map((table): [string, [Way]] => {
    const { stamp } = table;
    return [table.id, [{
      kind: "updated_at",
      stream: "updated_at",
      signature: JSON.stringify([stamp.name, stamp.type, stamp.zone]),
      table,
    }]];
  }));
  const capture = openCapture({
    plan: {
      ways,
      swept: [],
      sweeps: { keysMs: undefined, rowsMs: undefined, dutyCycle: 0.1, massDeletes: false },
    },
    levels: [],
    readers,
    open: () => hooked(open(), options, hold),
    replicate: () => Promise.reject(new Error("Cannot replicate: this polls")),
    applicationName,
    settings: { marginMs, lagMs: 30_000, once: false },
    pageSize,
    timing: { minIntervalMs: 1, maxIntervalMs: 1 },
    observe: (event) => events.push(event),
  });
  await capture.prepare(options.cursor, true, stop.signal);

  const delivered: string[] = [];
  // One poll runs to its end, then the gate holds the next one back at its first statement.
  gate.armed = true;
  let ended = 0;
  const state = { acknowledge: true };
  const running = (async () => {
    for await (const delivery of capture.live(stop.signal)) {
      delivered.push(`${delivery.value.table.name}:${delivery.value.key.join(",")}`);
      if (state.acknowledge) delivery.ack();
      gate.delivered();
    }
  })().catch((error) => {
    if (!stop.signal.aborted) {
      failure = error;
      gate.ended();
    }
  });
  let failure: unknown;
  const counting = (async () => {
    while (true) {
      await capture.advanced(stop.signal);
      ended++;
      gate.ended();
    }
  })().catch(() => {});

  return {
    capture,
    events,
    delivered,
    get acknowledge(): boolean {
      return state.acknowledge;
    },
    set acknowledge(value: boolean) {
      state.acknowledge = value;
    },
    async polls(count = 1): Promise<void> {
      for (let i = 0; i < count; i++) {
        const before = ended;
        allowed++;
        gate.open();
        while (ended === before) {
          await new Promise<void>((resolve) => gate.ended = resolve);
          if (failure !== undefined) throw failure;
        }
      }
    },
    async delivering(): Promise<void> {
      state.acknowledge = false;
      const before = delivered.length;
      allowed++;
      gate.open();
      while (delivered.length === before) {
        await new Promise<void>((resolve) => gate.delivered = resolve);
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort(new Error("disposed"));
      allowed = Infinity;
      gate.open();
      await running;
      await counting;
      await capture[Symbol.asyncDispose]();
      await readers[Symbol.asyncDispose]();
    },
  };
}

function hooked(
  database: Database,
  { before, after }: PollerOptions,
  hold: () => Promise<void>,
): Database {
  const gated: Database = {
    ...database,
    async query(statement, signal) {
      // A is the first statement of each poll.
      if (statement.text.includes("pg_postmaster_start_time")) await hold();
      await before?.(statement);
      const rows = await database.query(statement, signal);
      return after?.(statement, rows) ?? rows;
    },
    async sequence(statements, signal) {
      if (before === undefined && after === undefined) {
        return await database.sequence(statements, signal);
      }
      const results: (readonly Row[])[] = [];
      for (const statement of statements) results.push(await gated.query(statement, signal));
      return results;
    },
  };
  return gated;
}
