/** A server, its log and its readers: what can happen next, and what must never be. */
import type { DifferencePosition, Place } from "../../../src/postgres/changelog/legs.ts";
import { covers, type Snapshot, union } from "../../../src/postgres/changelog/snapshot.ts";
import { keyOf, type Model, type Move } from "../history_search.ts";
import {
  acknowledged,
  type Algorithm,
  anchored,
  newReader,
  type Page,
  type Reader,
  tellPosition,
  withKept,
} from "./reader.ts";
import {
  canStep,
  crashed,
  isCommitted,
  isReplayed,
  newServer,
  restarted,
  type Server,
  type Shape,
  snapshotOf,
  standbySnapshotOf,
  takeStep,
} from "./server.ts";
import { tellSnapshot, tellStep } from "./words.ts";

export interface Scenario {
  readonly shapes: readonly Shape[];
  readonly pageSize: number;
  /** What may happen beside the transactions, the reader's steps and its crashes. */
  readonly may: {
    /** Postgres is stopped and started, once. */
    readonly restart?: boolean;
    /** WAL is flushed late, and Postgres is killed, once. */
    readonly crash?: boolean;
    /** There is a standby, which replays; the reader moves between it and the primary, so often. */
    readonly switches?: number;
    /** The reader begins on the standby. */
    readonly onStandby?: boolean;
    /** The log is trimmed, for the reader and for another that is always faster. */
    readonly trim?: boolean;
  };
}

interface World {
  readonly server: Server;
  readonly reader: Reader;
  /** What the other consumer has acknowledged. */
  readonly other: Snapshot | undefined;
  /** `driftless.trimmed`, and the rows that are gone. */
  readonly trimmedBelow: bigint;
  readonly trimmed: readonly boolean[];
  /** A row that a registered consumer had not passed. */
  readonly wronged: number | undefined;
  readonly switches: number;
}

/** One row of the log: of which transaction, and its place in the leg's order. */
interface LogRow {
  readonly of: number;
  readonly seq: number;
}

export function differenceModel(algorithm: Algorithm, scenario: Scenario): Model<World> {
  const { shapes, pageSize, may } = scenario;
  const hasStandby = may.onStandby === true || may.switches !== undefined;
  const rows: LogRow[] = shapes.flatMap((shape, of) =>
    Array.from({ length: shape.rows }, (_, i) => ({ of, seq: i + 1 }))
  );
  const numbers = new Map<string, number>();
  /** The same by identity: faster. */
  const positions = new WeakMap<DifferencePosition, number>();

  return { name: algorithm.name, start: start(), moves, key, broken };

  function start(): World {
    return {
      server: newServer(shapes),
      reader: { ...newReader(rows.length), standby: may.onStandby === true },
      other: undefined,
      trimmedBelow: 0n,
      trimmed: rows.map(() => false),
      wronged: undefined,
      switches: may.switches ?? 0,
    };
  }

  function moves(w: World): Move<World>[] {
    const out: Move<World>[] = [];
    const add = (to: Partial<World>, says: () => string) => out.push({ to: { ...w, ...to }, says });
    const { server, reader } = w;
    for (let i = 0; i < shapes.length; i++) {
      if (!canStep(server, i)) continue;
      const to = flushedAtOnce(takeStep(server, i));
      const kept = withKept(algorithm, reader, undefined, to.flushed);
      add({ server: to, reader: kept }, () => tellStep(server, i, to));
    }
    if (may.crash && server.flushed < server.wal.length) {
      const flushed = server.wal.length;
      add({
        server: { ...server, flushed },
        reader: withKept(algorithm, reader, undefined, flushed),
      }, () => "the WAL is flushed");
    }
    if (hasStandby && server.replayed < server.wal.length) {
      const replayed = server.replayed + 1;
      const { of, ends } = server.wal[server.replayed] ?? { of: 0, ends: false };
      add(
        { server: { ...server, replayed } },
        () => `the standby replays T${of + 1}'s ${ends ? "end" : "first write"}`,
      );
    }
    if (may.restart && server.restarts === 0) {
      const to = restarted(server);
      add({ server: to, reader: interrupted(reader) }, () => "Postgres is stopped and started");
    }
    if (may.crash && server.restarts === 0) {
      const to = crashed(server);
      add({ server: to, reader: interrupted(reader) }, () => "Postgres is killed and recovers");
    }
    readerMoves(w, add);
    if (may.trim) trimMoves(w, add);
    return out;
  }

  /** Where no crash can forget anything, it doesn't matter what is flushed. */
  function flushedAtOnce(server: Server): Server {
    return may.crash ? server : { ...server, flushed: server.wal.length };
  }

  function readerMoves(w: World, add: (to: Partial<World>, says: () => string) => void): void {
    const { server, reader } = w;
    const { at, page } = reader;
    const now = reader.standby ? standbySnapshotOf(server) : snapshotOf(server);
    const seen = algorithm.seen(now, reader.standby);
    if (at === undefined) {
      const anchor = { seen, visible: visibleRows(w), lsn: server.wal.length };
      const to = anchored(algorithm, reader, anchor, server.flushed);
      add({ reader: to }, () => `S1 = ${tellSnapshot(now)}, kept: ${tellPosition(to.kept)}`);
      return;
    }
    if (page !== undefined) {
      const done = acknowledged(algorithm, reader, settled(page, now), server.flushed);
      add({ reader: done }, () => `page acknowledged, at ${tellPosition(done.at)}`);
    } else if (at.batch === null) {
      const to = algorithm.begun(at, seen);
      if (to !== at) add({ reader: { ...reader, at: to } }, () => `S2 = ${tellSnapshot(now)}`);
    } else if (trimmedPast(w, at)) {
      const anew = { seen: now, visible: visibleRows(w), lsn: server.wal.length };
      const to = anchored(algorithm, reader, anew, server.flushed);
      add({ reader: to }, () => "a gap is found: filled anew");
    } else {
      const { to, says } = readPage(w, at, now);
      add({ reader: to }, () => says);
    }
    const { kept, held } = reader;
    if (kept !== undefined && numberOf(kept) !== numberOf(held)) {
      add({ reader: { ...reader, held: kept } }, () => `stored: ${tellPosition(kept)}`);
    }
    if (held !== undefined && (page !== undefined || numberOf(held) !== numberOf(at))) {
      const back = startedAt(reader, held, seen);
      add({ reader: back }, () => `driftless is killed and starts at ${tellPosition(back.at)}`);
    }
    if (w.switches > 0 && page === undefined && kept !== undefined) {
      const other = reader.standby ? snapshotOf(server) : standbySnapshotOf(server);
      const there = { ...reader, standby: !reader.standby, held: kept };
      const to = startedAt(there, kept, algorithm.seen(other, there.standby));
      const where = there.standby ? "standby" : "primary";
      add(
        { reader: to, switches: w.switches - 1 },
        () => `driftless is stopped, and started on the ${where} at ${tellPosition(to.at)}`,
      );
    }
  }

  function startedAt(reader: Reader, held: DifferencePosition, seen: Snapshot): Reader {
    const at = algorithm.resumed(held, seen);
    const repeats = at !== held || numberOf(held) !== numberOf(reader.at);
    return {
      ...reader,
      at,
      page: undefined,
      kept: at,
      next: undefined,
      lsn: at.batch === null ? undefined : 0,
      mayRepeat: reader.mayRepeat || repeats || reader.page !== undefined,
    };
  }

  /** The connections broke. What runs on begins at what was kept, the server's crash or not. */
  function interrupted(reader: Reader): Reader {
    if (algorithm.restarts === "nowhere" || reader.kept === undefined) {
      return { ...reader, page: undefined };
    }
    const repeats = numberOf(reader.kept) !== numberOf(reader.at);
    const at = reader.kept;
    const mayRepeat = reader.mayRepeat || repeats;
    const lsn = at.batch === null ? undefined : 0;
    return { ...reader, at, page: undefined, next: undefined, lsn, mayRepeat };
  }

  function readPage(w: World, from: DifferencePosition, now: Snapshot) {
    const at = algorithm.snapshots === "one a page" && from.batch !== null
      ? { ...from, batch: { ...from.batch, to: now } }
      : from;
    const leg = algorithm.legOf(at);
    const reader: Reader = { ...w.reader, lsn: w.reader.lsn ?? w.server.wal.length };
    if (leg === undefined) {
      return { to: { ...reader, at: { ...at, batch: null } }, says: "nothing" };
    }
    const visible = visibleRows(w);
    const found = rows
      .map((_, row) => row)
      .filter((row) => visible[row] && !w.trimmed[row])
      .filter((row) => {
        const place = placeOf(w, row);
        return algorithm.matches(place.xid, leg) && (leg.after === null || after(place, leg.after));
      })
      .sort((a, b) => after(placeOf(w, a), placeOf(w, b)) ? 1 : -1)
      .slice(0, pageSize);
    const last = found.length < pageSize ? undefined : found[found.length - 1];
    const next = algorithm.passed(at, last === undefined ? null : placeOf(w, last));
    const page: Page = { rows: found, next };
    const which = found.map((row) => `T${(rows[row]?.of ?? 0) + 1}'s`).join(", ");
    const says = `leg ${leg.leg} reads ${which === "" ? "nothing" : which}`;
    if (found.length === 0) {
      const to = acknowledged(algorithm, { ...reader, at }, settled(page, now), w.server.flushed);
      return { to, says: `${says}, at ${tellPosition(to.at)}` };
    }
    const kept = algorithm.stores === "read" ? next : reader.kept;
    return { to: { ...reader, at, page, kept }, says };
  }

  /** A mutant takes another snapshot than the batch's for S1. */
  function settled(page: Page, now: Snapshot): Page {
    const isDone = algorithm.snapshots === "one when it is read" && page.next.batch === null;
    if (!isDone) return page;
    return { ...page, next: { done: union(page.next.done, now), batch: null } };
  }

  function trimMoves(w: World, add: (to: Partial<World>, says: () => string) => void): void {
    const { reader, server } = w;
    const now = snapshotOf(server);
    if (w.other === undefined || !covers(w.other, now)) {
      add({ other: now }, () => `another consumer acknowledges ${tellSnapshot(now)}`);
    }
    const mine = reader.kept?.done;
    if (
      mine !== undefined && (reader.registered === undefined || !covers(reader.registered, mine))
    ) {
      add({ reader: { ...reader, registered: mine } }, () => `acknowledges ${tellSnapshot(mine)}`);
    }
    const all = [w.other, reader.registered].filter((one) => one !== undefined);
    if (all.length === 0) return;
    const below = algorithm.trimsBelow(all);
    const visible = visibleRows(w);
    const trimmed = w.trimmed.map((gone, row) =>
      gone || (visible[row] === true && xidOf(w, row) < below)
    );
    if (below <= w.trimmedBelow && trimmed.every((gone, row) => gone === w.trimmed[row])) return;
    const trimmedBelow = below > w.trimmedBelow ? below : w.trimmedBelow;
    const wrong = rows.findIndex((_, row) =>
      trimmed[row] === true && !w.trimmed[row] && isRegisteredBefore(reader, xidOf(w, row))
    );
    const wronged = wrong < 0 ? undefined : wrong;
    add({ trimmedBelow, trimmed, wronged }, () => `the log is trimmed below ${below}`);
  }

  function trimmedPast(w: World, { done }: DifferencePosition): boolean {
    return algorithm.guard === "behind each page" && w.trimmedBelow > done.xmin;
  }

  function broken(w: World): string | undefined {
    const { reader, server } = w;
    const { at } = reader;
    if (at === undefined) return undefined;
    if (w.wronged !== undefined && !reader.delivered[w.wronged]) {
      return `T${of(w.wronged) + 1}'s row is trimmed, though this consumer had not passed it`;
    }
    let complete = true;
    for (let row = 0; row < rows.length; row++) {
      const by = of(row);
      const count = reader.delivered[row] ?? 0;
      if (count > 1 && !reader.mayRepeat) return `T${by + 1}'s row is delivered twice`;
      if (!reader.owed[row] || count > 0 || !isCommitted(server, by)) continue;
      if (reader.page?.rows.includes(row)) continue;
      if (hasPassed(at.done, xidOf(w, row))) {
        return `T${by + 1}'s row is lost: ${tellPosition(at)} has passed xid ${xidOf(w, row)}`;
      }
      complete = false;
    }
    return complete || !isOver(w, at) ? undefined : "rows are left, and nothing more is read";
  }

  /** Everybody is done, the standby has replayed all, and no batch begins. */
  function isOver(w: World, at: DifferencePosition): boolean {
    const { server, reader } = w;
    if (at.batch !== null || reader.page !== undefined) return false;
    if (server.transactions.some(({ fate }) => fate === "open")) return false;
    if (reader.standby && server.replayed < server.wal.length) return false;
    const now = reader.standby ? standbySnapshotOf(server) : snapshotOf(server);
    return algorithm.begun(at, algorithm.seen(now, reader.standby)) === at;
  }

  function visibleRows({ server, reader }: World): boolean[] {
    return rows.map(({ of }) => reader.standby ? isReplayed(server, of) : isCommitted(server, of));
  }

  function xidOf({ server }: World, row: number): bigint {
    const { xid, sub } = server.transactions[rows[row]?.of ?? 0] ?? { xid: 0, sub: 0 };
    return BigInt(algorithm.logs === "sub" && sub > 0 ? sub : xid);
  }

  function of(row: number): number {
    return rows[row]?.of ?? 0;
  }

  function placeOf(w: World, row: number): Place {
    return { xid: xidOf(w, row), seq: String(rows[row]?.seq ?? 0) };
  }

  /** Exact: what isn't in the key influences nothing that comes. */
  function key(w: World): string {
    const { server, reader } = w;
    const out = [
      server.nextXid,
      server.xmax,
      server.restarts,
      w.switches,
      reader.standby ? 1 : 0,
      reader.mayRepeat ? 1 : 0,
      numberOf(reader.at),
      numberOf(reader.kept),
      numberOf(reader.held),
      numberOf(reader.page?.next),
      numberOf(reader.next?.position),
      may.crash ? reader.next?.lsn ?? 0 : 0,
      may.crash ? reader.lsn ?? -1 : 0,
    ];
    if (may.trim) {
      out.push(Number(w.trimmedBelow), snapshotNumber(reader.registered), snapshotNumber(w.other));
      for (const gone of w.trimmed) out.push(gone ? 1 : 0);
    }
    for (const { step, xid, sub, fate } of server.transactions) {
      out.push(step, xid, sub, FATES.indexOf(fate));
    }
    for (let row = 0; row < rows.length; row++) {
      const read = reader.page?.rows.includes(row) ? 1 : 0;
      const owed = reader.owed[row] ? 1 : 0;
      out.push((reader.delivered[row] ?? 0) << 2 | read << 1 | owed);
    }
    if (may.crash || hasStandby) {
      out.push(server.flushed, server.replayed, server.wal.length);
      for (const { of, ends, commits } of server.wal) {
        out.push(of << 2 | (ends ? 2 : 0) | (commits ? 1 : 0));
      }
    }
    return keyOf(out);
  }

  function numberOf(position: DifferencePosition | undefined): number {
    if (position === undefined) return 0;
    const known = positions.get(position);
    if (known !== undefined) return known;
    const number = interned(tellPosition(position));
    positions.set(position, number);
    return number;
  }

  function snapshotNumber(snapshot: Snapshot | undefined): number {
    return snapshot === undefined ? 0 : interned(tellSnapshot(snapshot));
  }

  function interned(text: string): number {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, numbers.size + 1);
    return numbers.size;
  }
}

const FATES = ["open", "committed", "ended"];

/** The meaning of a snapshot, written once more: not the code under test. */
function hasPassed(done: Snapshot, xid: bigint): boolean {
  return xid < done.xmax && !done.xip.includes(xid);
}

function isRegisteredBefore({ registered }: Reader, xid: bigint): boolean {
  return registered !== undefined && !hasPassed(registered, xid);
}

function after(a: Place, b: Place): boolean {
  return a.xid > b.xid || (a.xid === b.xid && BigInt(a.seq) > BigInt(b.seq));
}
