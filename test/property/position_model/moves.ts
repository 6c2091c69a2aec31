/** What can happen next in a world, one move at a time, and what a move is called. */
import { type Algorithm, crash, type Statement, stepsOf, takePollStep } from "./poll.ts";
import { SHOWN } from "./transaction.ts";
import { canStep, copyOf, factsOf, restartServer, takeStep, type World } from "./world.ts";

export interface Freedom {
  /** Two clock readings may give the same µs. */
  readonly ties: boolean;
  /** The server may stop and start, once. */
  readonly restarts: boolean;
}

/** A move: one transaction's step (its index), or one of the others; tied ones read an old clock. */
export type Move = number;
const TIED = 64;
const POLL = 32;
const POLL_DEFERRING = 33;
export const CRASH: Move = 34;
const RESTART: Move = 35;

/** Every move that `w` allows. */
export function movesOf(w: World, algorithm: Algorithm, freedom: Freedom): Move[] {
  const moves: Move[] = [];
  if (w.pollsLeft === 0) return moves;
  const steps = stepsOf(w, algorithm)[w.phase] ?? [];
  moves.push(POLL);
  if (freedom.ties && readsClock(steps) && w.clock > 0) moves.push(POLL + TIED);
  // Put off twice is put off once, a poll later: at most two ranges wait.
  if (algorithm.mayDefer && steps.includes("rescan") && w.rescans.length < 2) {
    moves.push(POLL_DEFERRING);
  }
  if (w.phase > 0) moves.push(CRASH);
  if (freedom.restarts && w.restarts === 0) moves.push(RESTART);
  for (let i = 0; i < w.shapes.length; i++) {
    if (!canStep(w, i)) continue;
    moves.push(i);
    const actions = w.shapes[i]?.steps[w.step[i] ?? 0] ?? [];
    if (freedom.ties && actions.includes("now") && w.clock > 0) moves.push(i + TIED);
  }
  return moves;
}

function readsClock(statements: readonly Statement[]): boolean {
  return statements.includes("clock") || statements.includes("clock without margin");
}

/** The world after a move. */
export function moved(from: World, algorithm: Algorithm, move: Move): World {
  const w = copyOf(from);
  w.promised = 0;
  const tied = (move & TIED) !== 0;
  const what = move & ~TIED;
  if (what < POLL) takeStep(w, what, tied);
  else if (what === CRASH) crash(w, algorithm);
  else if (what === RESTART) {
    restartServer(w);
    // The connections break: the poll that runs is lost.
    crash(w, algorithm);
  } else takePollStep(w, algorithm, tied, what === POLL_DEFERRING);
  return w;
}

/** A move in words, for a printed history. */
export function describe(from: World, algorithm: Algorithm, move: Move, to: World): string {
  const what = move & ~TIED;
  if (what === CRASH) return "driftless is killed and starts again";
  if (what === RESTART) return "Postgres restarts";
  if (what < POLL) return describeStep(from, what, to);
  const steps = stepsOf(from, algorithm);
  const words = (steps[from.phase] ?? []).map((statement) => {
    const { seen } = to;
    const names = (bits: number) =>
      to.shapes.map((_, i) => i).filter((i) => bits >> i & 1).map(name);
    switch (statement) {
      case "snapshot":
        return `A: snapshot xmin ${seen.sn}, xmax ${seen.sx}`;
      case "clock":
      case "clock without margin":
        return `A: t=${seen.t}`;
      case "vxids":
        return `B: virtualxids of ${listed(names(seen.virtual))}`;
      case "xids":
      case "youngest xids":
        return `B: xids ${
          listed(seen.xids.flatMap((x, i) => seen.virtual >> i & 1 && x ? [`${name(i)}=${x}`] : []))
        }`;
      case "prepared":
        return `B: prepared ${listed(names(seen.prepared))}`;
      case "snapshot's xids":
        return `B: running by the snapshot ${listed(names(seen.virtual))}`;
      case "hot":
      case "naive hot":
        return `C reads from ${from.held?.t}: ${listed(found(from, to))}`;
      case "rescan":
        return what === POLL_DEFERRING ? "D put off" : `D reads: ${listed(found(from, to))}`;
      case "ack":
        return "acknowledged";
      case "store":
      case "anchor":
        return `position stored, t=${to.held?.t}, open: ${
          listed(
            to.held?.position.open.map(({ v }, i) => {
              const { lb, xb } = to.held?.entries[i] ?? { lb: 0, xb: 0 };
              return `${v} lb=${lb < 0 ? "−∞" : lb} xb=${xb}`;
            }) ?? [],
          )
        }`;
      case "seed":
        return "seed reads what is visible";
    }
  });
  const quiet = to.pollsLeft < from.pollsLeft && from.phase < steps.length - 1;
  return [...words, ...(quiet ? ["nothing changed, the poll ends"] : [])].join(" · ");
}

export function name(i: number): string {
  return `T${i + 1}`;
}

function describeStep(from: World, i: number, to: World): string {
  const actions = from.shapes[i]?.steps[from.step[i] ?? 0] ?? [];
  const words = actions.map((action) => {
    switch (action) {
      case "now":
        return factsOf(from, i) & SHOWN
          ? `writes (stamp=${to.stamp[i]})`
          : `begins (now=${to.stamp[i]})`;
      case "show":
        return "shows its virtualxid";
      case "xid":
        return `gets xid ${to.x[i]}`;
      case "lock":
        return "shows its xid";
      case "sub":
        return `writes in a savepoint (xid ${to.sub[i]})`;
      case "prepare":
        return "shows as prepared";
      case "drop":
        return "drops its virtualxid";
      case "visible":
        return "commits";
      case "gone":
        return "rolls back";
      case "release-top":
        return "releases all but its savepoint's lock";
      case "release":
        return "is no longer listed";
    }
  });
  return `${name(i)} ${words.join(", ")}`;
}

function found(from: World, to: World): string[] {
  return to.shapes.flatMap((_, i) => (to.read[i] ?? 0) !== (from.read[i] ?? 0) ? [name(i)] : []);
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? "none" : words.join(", ");
}
