import type { Random } from "../support/stress_random.ts";

/** A write of one transaction; `ids` are rows of the writer's own. */
export interface Write {
  readonly op: "insert" | "update" | "delete";
  readonly ids: readonly number[];
  /** Inside a savepoint that is released or rolled back. */
  readonly savepoint?: "released" | "rolled back";
}

/** What one transaction does, decided before it begins, whatever the others do meanwhile. */
export interface Script {
  /** Between BEGIN; SELECT and the first write: it has a snapshot's time and no xid. */
  readonly idleMs: number;
  readonly writes: readonly Write[];
  /** Between the last write and the end. */
  readonly holdMs: number;
  readonly end: "commit" | "rollback" | "prepare";
  /** Ends by COMMIT PREPARED after that many more transactions of this writer. */
  readonly preparedFor: number;
  /** Waits for its turn: no other such transaction is open at the same time, none for long. */
  readonly alone: boolean;
  /** With `alone`: ends by COMMIT PREPARED after this time. */
  readonly preparedMs: number;
  /** Its last write is in a savepoint, and a poller may meet it as it ends (meetings.ts). */
  readonly watched: boolean;
  readonly pauseMs: number;
}

/**
 * "silent": ordinary, under session_replication_role = replica. "awaiting": ordinary, whose commits
 * wait for a synchronous standby that doesn't come.
 */
export type Kind = "ordinary" | "two-phase" | "silent" | "awaiting" | "quick" | "duellist";

/** The transactions of one writer, without end: the same ones for the same numbers. */
export function scripts(
  random: Random,
  kind: Kind,
  firstId: number,
): Generator<Script, never, void> {
  return kind === "quick" || kind === "duellist"
    ? orderly(random, kind, firstId)
    : crowded(random, kind, firstId);
}

/** All sorts of transactions, any number of them at the same time. */
function* crowded(
  random: Random,
  kind: Exclude<Kind, "quick" | "duellist">,
  firstId: number,
): Generator<Script, never, void> {
  let nextId = firstId;
  /** Rows that are there for sure and that no prepared transaction holds. */
  const live: number[] = [];
  const held: { left: number; readonly then: readonly number[] }[] = [];
  while (true) {
    for (const entry of held) entry.left--;
    while (held[0] !== undefined && held[0].left < 0) live.push(...held.shift()?.then ?? []);

    const end = random.chance(kind === "two-phase" ? 0.8 : 0.03)
      ? "prepare"
      : random.chance(0.05)
      ? "rollback"
      : "commit";
    const writes: Write[] = [];
    /** Its rows after a commit. */
    const left: number[] = [];
    const before = [...live];
    const count = random.between(1, 3);
    for (let i = 0; i < count; i++) {
      const write = nextWrite(i > 0 && random.chance(0.25), left);
      writes.push(write);
    }
    if (end === "rollback") live.splice(0, live.length, ...before);
    else if (end === "commit") live.push(...left);
    // FIFO, as the writer ends them: one that stays longer keeps those behind it.
    const preparedFor = end === "prepare" ? random.between(0, kind === "two-phase" ? 2 : 8) : 0;
    if (end === "prepare") held.push({ left: preparedFor, then: left });
    yield {
      idleMs: random.chance(0.1) ? random.between(200, 3000) : 0,
      writes,
      holdMs: holdMs(end),
      end,
      preparedFor,
      alone: false,
      preparedMs: 0,
      watched: false,
      pauseMs: random.between(0, kind === "two-phase" ? 60 : 120),
    };
  }

  function nextWrite(savepoint: boolean, left: number[]): Write {
    const rolledBack = savepoint && random.chance(0.4);
    const at = savepoint ? { savepoint: rolledBack ? "rolled back" : "released" } as const : {};
    const keep = rolledBack ? [] : left;
    const die = random.next();
    if (die < 0.25 && live.length > 20) {
      const ids = taken(random.between(1, 3), rolledBack);
      keep.push(...ids);
      return { op: "update", ids, ...at };
    }
    if (die < 0.32 && live.length > 20) return { op: "delete", ids: taken(1, rolledBack), ...at };
    // Now and then more rows in one stamp than a page holds.
    const rows = random.chance(0.004) ? random.between(50, 90) : random.between(1, 2);
    return { op: "insert", ids: fresh(rows, keep), ...at };
  }

  /** Each row is written once a transaction. */
  function taken(count: number, putBack: boolean): number[] {
    const ids: number[] = [];
    for (let i = 0; i < count; i++) {
      const at = random.between(0, live.length - 1);
      const id = live[at];
      const last = live.pop();
      if (id === undefined || last === undefined) throw new RangeError("Cannot take a row: none");
      if (at < live.length) live[at] = last;
      ids.push(id);
    }
    if (putBack) live.unshift(...ids);
    return ids;
  }

  function fresh(count: number, keep: number[]): number[] {
    const ids = Array.from({ length: count }, () => nextId++);
    keep.push(...ids);
    return ids;
  }

  function holdMs(end: Script["end"]): number {
    if (kind === "two-phase" && end === "prepare") return random.between(100, 400);
    return random.chance(0.08) ? Math.round(4000 * random.next() ** 3) : random.between(0, 8);
  }
}

/**
 * Short transactions, and those of one kind of trouble each, one after the other. What a poller
 * overlooks stays overlooked here: in a crowd some other long transaction ends a moment later, and
 * the rescan of its range finds by chance what should have been found by rule.
 */
function* orderly(
  random: Random,
  kind: "quick" | "duellist",
  firstId: number,
): Generator<Script, never, void> {
  let nextId = firstId;
  const fresh = (count: number) => Array.from({ length: count }, () => nextId++);
  const plain = {
    idleMs: 0,
    holdMs: 0,
    end: "commit",
    preparedFor: 0,
    preparedMs: 0,
    watched: false,
  } as const;
  while (true) {
    const insert: Write = { op: "insert", ids: fresh(random.between(1, 2)) };
    if (kind === "quick") {
      yield { ...plain, writes: [insert], alone: false, pauseMs: random.between(40, 160) };
      continue;
    }
    const trouble = random.next();
    const own = { writes: [insert], alone: true, pauseMs: 0 };
    const [holdMs, preparedMs] = [random.between(150, 300), random.between(150, 300)];
    if (trouble < 0.25) yield { ...plain, ...own, idleMs: holdMs };
    else if (trouble < 0.6) yield { ...plain, ...own, holdMs, preparedMs, end: "prepare" };
    else {
      const savepoint: Write = { op: "insert", ids: fresh(1), savepoint: "released" };
      yield { ...plain, ...own, writes: [insert, savepoint], holdMs, watched: true };
    }
  }
}
