/** Breadth-first search for the shortest history that fails, and that history in words. */
import { type Fingerprint, fingerprint } from "./canonical.ts";
import type { Failure, Scenario } from "./explore.ts";
import { describe, type Move, moved, movesOf, name } from "./moves.ts";
import { type Algorithm, breaksBarrier, missing, settle } from "./poll.ts";
import { StateSet } from "./state_set.ts";
import { newWorld, type World } from "./world.ts";

/** The shortest of all failures of the first scenario set that has one. */
export function shortestFailure(
  algorithm: Algorithm,
  sets: readonly (readonly Scenario[])[],
): Failure | undefined {
  for (const scenarios of sets) {
    let best: Failure | undefined;
    for (const scenario of scenarios) {
      const found = searchShorter(algorithm, scenario, best?.moves.length ?? Infinity);
      if (found !== undefined) best = found;
    }
    if (best !== undefined) return best;
  }
  return undefined;
}

/** A failing history as text: what happened, in order, and what is missing at its end. */
export function tell(algorithm: Algorithm, { scenario, moves, kind }: Failure): string {
  let w = newWorld(scenario.shapes, scenario.polls, scenario.sharedName);
  const words: string[] = [];
  for (const move of moves) {
    const to = moved(w, algorithm, move);
    words.push(describe(w, algorithm, move, to));
    w = to;
  }
  if (kind === "late") {
    return `${words.join(" · ")} ⇒ this poll left out a row committed before it began`;
  }
  const lost = missing(settle(w, algorithm)).map((i) => `${name(i)}'s row`);
  return `${words.join(" · ")} · all transactions end, one more poll ⇒ ${lost.join(", ")} lost`;
}

interface Node {
  readonly world: World;
  readonly move: Move;
  readonly before: Node | undefined;
}

function searchShorter(
  algorithm: Algorithm,
  scenario: Scenario,
  limit: number,
): Failure | undefined {
  const states = new StateSet();
  const print: Fingerprint = { high: 0, low: 0 };
  const first = newWorld(scenario.shapes, scenario.polls, scenario.sharedName);
  let level: Node[] = [{ world: first, move: -1, before: undefined }];
  for (let depth = 1; level.length > 0 && depth < limit; depth++) {
    const next: Node[] = [];
    for (const node of level) {
      for (const move of movesOf(node.world, algorithm, scenario.freedom)) {
        const world = moved(node.world, algorithm, move);
        fingerprint(world, algorithm, scenario.freedom.ties, print);
        const after = { world, move, before: node };
        if (breaksBarrier(world)) return failureOf(scenario, after, "late");
        if (!states.add(print)) continue;
        if (world.started && world.phase === 0 && missing(settle(world, algorithm)).length > 0) {
          return failureOf(scenario, after, "lost");
        }
        next.push(after);
      }
    }
    level = next;
  }
  return undefined;
}

function failureOf(scenario: Scenario, last: Node, kind: Failure["kind"]): Failure {
  const moves: Move[] = [];
  for (let at: Node | undefined = last; at?.before !== undefined; at = at.before) {
    moves.unshift(at.move);
  }
  return { scenario, moves, kind };
}
