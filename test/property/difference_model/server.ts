/**
 * A Postgres of small numbers: transactions, what their steps do to snapshots and to the WAL, and the
 * rows that they leave in the log. Every function gives another server; none changes one.
 */
import type { Snapshot } from "../../../src/postgres/changelog/snapshot.ts";

/** What happens at one instant. */
export type Action =
  /** The first write: it has an xid, snapshots count it as running, its log rows are in the WAL. */
  | "xid"
  /** A savepoint's xid, higher than the top one; no snapshot's list shows it. */
  | "sub"
  /** The savepoint is rolled back: its xid is over, and may push a snapshot's xmax past it. */
  | "sub-gone"
  /** The commit is in the WAL, and not yet visible: a standby may see it first. */
  | "logged"
  /** It no longer runs for snapshots; what it wrote is visible in the same instant. */
  | "commit"
  /** It rolled back. */
  | "gone"
  /** PREPARE TRANSACTION, which flushes; a restart doesn't end it. */
  | "prepare";

export interface Shape {
  readonly name: string;
  readonly steps: readonly (readonly Action[])[];
  /** Rows that it leaves in the log when it commits. */
  readonly rows: number;
}

export type Fate = "open" | "committed" | "ended";

export interface Transaction {
  readonly shape: Shape;
  readonly step: number;
  /** 0: none yet. */
  readonly xid: number;
  readonly sub: number;
  readonly fate: Fate;
  readonly prepared: boolean;
}

/** A record that counts: of a first write, of a savepoint's rollback, or of an end. */
export interface Record {
  readonly of: number;
  readonly ends: boolean;
  readonly commits: boolean;
  /** The highest xid that it shows: an end names the savepoints' too. */
  readonly xid: number;
}

export interface Server {
  readonly transactions: readonly Transaction[];
  readonly nextXid: number;
  /** One above the highest xid that is over. */
  readonly xmax: number;
  readonly wal: readonly Record[];
  /** How many of the records are flushed, and replayed by the standby. */
  readonly flushed: number;
  readonly replayed: number;
  readonly restarts: number;
}

export function newServer(shapes: readonly Shape[]): Server {
  return {
    transactions: shapes.map((shape) => ({
      shape,
      step: 0,
      xid: 0,
      sub: 0,
      fate: "open",
      prepared: false,
    })),
    nextXid: 1,
    xmax: 1,
    wal: [],
    flushed: 0,
    replayed: 0,
    restarts: 0,
  };
}

export function shape(name: string, text: string, rows = 1): Shape {
  return { name, steps: text.split(" | ").map((step) => step.split(" ") as Action[]), rows };
}

/** Two that are alike are begun in one order only. */
export function canStep({ transactions }: Server, i: number): boolean {
  const own = transactions[i];
  if (own === undefined || own.fate !== "open") return false;
  const before = transactions[i - 1];
  return own.step > 0 || before === undefined || before.shape !== own.shape || before.step > 0;
}

export function takeStep(server: Server, i: number): Server {
  const from = server.transactions[i];
  if (from === undefined) return server;
  let own: Transaction = { ...from, step: from.step + 1 };
  let { nextXid, xmax, wal } = server;
  let flushes = false;
  for (const action of from.shape.steps[from.step] ?? []) {
    switch (action) {
      case "xid":
        own = { ...own, xid: nextXid++ };
        wal = [...wal, { of: i, ends: false, commits: false, xid: own.xid }];
        break;
      case "sub":
        own = { ...own, sub: nextXid++ };
        break;
      case "sub-gone":
        wal = [...wal, { of: i, ends: false, commits: false, xid: own.sub }];
        xmax = Math.max(xmax, own.sub + 1);
        break;
      case "prepare":
        own = { ...own, prepared: true };
        flushes = true;
        break;
      case "logged":
        wal = [...wal, { of: i, ends: true, commits: true, xid: Math.max(own.xid, own.sub) }];
        break;
      case "commit":
      case "gone": {
        const logged = wal.some((record) => record.of === i && record.ends);
        const xid = Math.max(own.xid, own.sub);
        if (!logged) wal = [...wal, { of: i, ends: true, commits: action === "commit", xid }];
        own = { ...own, fate: action === "commit" ? "committed" : "ended" };
        xmax = Math.max(xmax, own.xid + 1, own.sub + 1);
        flushes ||= own.prepared;
      }
    }
  }
  const transactions = server.transactions.map((each, j) => j === i ? own : each);
  const flushed = flushes ? wal.length : server.flushed;
  return { ...server, transactions, nextXid, xmax, wal, flushed };
}

/** `pg_current_snapshot()`. */
export function snapshotOf(server: Server): Snapshot {
  const xip = server.transactions
    .filter(({ xid, fate }) => fate === "open" && xid > 0 && xid < server.xmax)
    .map(({ xid }) => xid)
    .sort((a, b) => a - b)
    .map(BigInt);
  const xmax = BigInt(server.xmax);
  return { xmin: xip[0] ?? xmax, xmax, xip };
}

/**
 * The same on the standby: it knows each xid up to the highest that the WAL showed, and takes those
 * without an end for running (KnownAssignedXids), but its snapshots list none of them.
 */
export function standbySnapshotOf(server: Server): Snapshot {
  const ended = new Set<number>();
  let xmax = 1;
  for (const record of server.wal.slice(0, server.replayed)) {
    const { xid, sub } = server.transactions[record.of] ?? { xid: 0, sub: 0 };
    if (!record.ends) continue;
    for (const over of [xid, sub]) {
      ended.add(over);
      xmax = Math.max(xmax, over + 1);
    }
  }
  let xmin = 1;
  while (xmin < xmax && ended.has(xmin)) xmin++;
  return { xmin: BigInt(xmin), xmax: BigInt(xmax), xip: [] };
}

/** Whether a statement that begins now sees what it wrote. */
export function isCommitted(server: Server, i: number): boolean {
  return server.transactions[i]?.fate === "committed";
}

export function isReplayed(server: Server, i: number): boolean {
  return server.wal.slice(0, server.replayed).some(({ of, commits }) => of === i && commits);
}

/** Stopped and started: what is open is rolled back, all WAL is flushed. */
export function restarted(server: Server): Server {
  return { ...endOpen(server, server.nextXid), flushed: server.wal.length, restarts: 1 };
}

/**
 * Killed and recovered: what isn't flushed never was. The next xid is the one above the highest that
 * the WAL shows, so others may have been given before.
 */
export function crashed(server: Server): Server {
  const kept = server.wal.slice(0, server.flushed);
  const nextXid = Math.max(0, ...kept.map(({ xid }) => xid)) + 1;
  const transactions = server.transactions.map((own, i) => {
    if (own.fate !== "committed") return own;
    const survives = kept.some(({ of, commits }) => of === i && commits);
    return survives ? own : { ...own, fate: "ended" as const };
  });
  return { ...endOpen({ ...server, transactions, wal: kept }, nextXid), restarts: 1 };
}

function endOpen(server: Server, nextXid: number): Server {
  const transactions = server.transactions.map((own) =>
    own.fate === "open" && own.xid > 0 && !own.prepared ? { ...own, fate: "ended" as const } : own
  );
  // Recovery takes all that it doesn't know as prepared for over.
  return { ...server, transactions, nextXid, xmax: nextXid };
}
