/**
 * Depth-first search of every history of a scenario, each state visited once.
 */
import { type Fingerprint, fingerprint } from "./canonical.ts";
import { CRASH, type Freedom, type Move, moved, movesOf } from "./moves.ts";
import { type Algorithm, breaksBarrier, missing, settle } from "./poll.ts";
import { StateSet } from "./state_set.ts";
import { newWorld, type World } from "./world.ts";
import type { Shape } from "./transaction.ts";

export interface Scenario {
  readonly shapes: readonly Shape[];
  readonly polls: number;
  readonly freedom: Freedom;
  /** All virtualxids bear one name: the second transaction begins after a restart. */
  readonly sharedName?: boolean;
}

export interface Search {
  readonly states: number;
  /** Distinct orders of steps, those with a crash not counted. */
  readonly histories: number;
  /** The first history found that loses a row or breaks the barrier, as moves. */
  readonly failure: Failure | undefined;
}

export interface Failure {
  readonly scenario: Scenario;
  readonly moves: readonly Move[];
  /** "lost": never delivered; "late": not delivered by a poll that began after its commit. */
  readonly kind: "lost" | "late";
}

/** Visits every state that `scenario` can reach under `algorithm`. */
export function explore(algorithm: Algorithm, scenario: Scenario): Search {
  const states = new StateSet();
  const print: Fingerprint = { high: 0, low: 0 };
  const path: Move[] = [];
  // A crash may lead back to a state on the path: it is followed when the path is done.
  const crashed: { readonly world: World; readonly path: readonly Move[] }[] = [];
  let failure: Failure | undefined;

  function fail(kind: Failure["kind"]): number {
    failure = { scenario, moves: [...path], kind };
    return 0;
  }

  function visit(w: World): number {
    // Every row that will be committed is durable: nothing can be lost any more.
    if (w.rows.every((rows, i) => rows === w.delivered[i])) return 1;
    fingerprint(w, algorithm, scenario.freedom.ties, print);
    if (!states.add(print)) return states.value(print);
    const { high, low } = print;
    let histories = 0;
    let ends = true;
    for (const move of movesOf(w, algorithm, scenario.freedom)) {
      if (move === CRASH) continue;
      ends = false;
      const to = moved(w, algorithm, move);
      path.push(move);
      histories += breaksBarrier(to) ? fail("late") : visit(to);
      if (failure !== undefined) return 0;
      path.pop();
    }
    if (ends) histories = missing(settle(w, algorithm)).length > 0 ? fail("lost") : 1;
    if (w.phase > 0) follow(w);
    print.high = high;
    print.low = low;
    states.set(print, histories);
    return histories;
  }

  function follow(w: World): void {
    const world = moved(w, algorithm, CRASH);
    fingerprint(world, algorithm, scenario.freedom.ties, print);
    if (!states.has(print)) crashed.push({ world, path: [...path, CRASH] });
  }

  const histories = visit(newWorld(scenario.shapes, scenario.polls, scenario.sharedName));
  for (let next = crashed.pop(); next !== undefined; next = crashed.pop()) {
    if (failure !== undefined) break;
    path.splice(0, path.length, ...next.path);
    visit(next.world);
  }
  return { states: states.size, histories, failure };
}
