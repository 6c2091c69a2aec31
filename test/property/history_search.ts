/**
 * Searches every history of a small world: breadth first, each state once, so that the first failure
 * found is a shortest one. Nothing is drawn by lot. The state's key is exact: no hash stands for it.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";

/** What can happen next: the world after it, and what to call it in a printed history. */
export interface Move<World> {
  readonly to: World;
  readonly says: () => string;
}

export interface Model<World> {
  readonly name: string;
  readonly start: World;
  readonly moves: (world: World) => readonly Move<World>[];
  /** Two worlds with one key have the same future. Small numbers; `keyOf` packs them. */
  readonly key: (world: World) => string;
  /** What is wrong in this world, undefined while nothing is. */
  readonly broken: (world: World) => string | undefined;
}

export interface Found {
  readonly states: number;
  readonly moves: number;
  /** The longest way to a state, in moves, by the shortest path there. */
  readonly depth: number;
  readonly failure: string | undefined;
}

/** More than this is a model that doesn't close. */
const MOST_STATES = 5_000_000;

export function search<World>(model: Model<World>): Found {
  const known = new Set<string>([model.key(model.start)]);
  // By state, in the order found: who led there, and by which of its moves.
  const parents: number[] = [-1];
  const choices: number[] = [-1];
  let level: { readonly at: number; readonly world: World }[] = [{ at: 0, world: model.start }];
  let moves = 0;
  for (let depth = 0; level.length > 0; depth++) {
    const next: { at: number; world: World }[] = [];
    for (const { at, world } of level) {
      const options = model.moves(world);
      for (let i = 0; i < options.length; i++) {
        const option = options[i];
        if (option === undefined) continue;
        moves++;
        const key = model.key(option.to);
        const broken = model.broken(option.to);
        if (broken !== undefined) {
          const told = [...history(model, parents, choices, at), option.says()].join(" · ");
          return { states: known.size, moves, depth, failure: `${told} ⇒ ${broken}` };
        }
        if (known.has(key)) continue;
        known.add(key);
        next.push({ at: parents.length, world: option.to });
        parents.push(at);
        choices.push(i);
      }
    }
    assert.ok(known.size < MOST_STATES, `${model.name}: the world doesn't close`);
    if (next.length === 0) return { states: known.size, moves, depth, failure: undefined };
    level = next;
  }
  return { states: known.size, moves, depth: 0, failure: undefined };
}

/** Searches all of them and fails with the first history that breaks one; says how much was searched. */
export function searchAll<World>(t: TestContext, models: readonly Model<World>[]): void {
  const startedAt = performance.now();
  let states = 0;
  let moves = 0;
  let depth = 0;
  for (const model of models) {
    const found = search(model);
    if (found.failure !== undefined) assert.fail(`${model.name}: ${found.failure}`);
    states += found.states;
    moves += found.moves;
    depth = Math.max(depth, found.depth);
  }
  t.diagnostic(
    `${models.length} worlds, ${states.toLocaleString("en")} states, ` +
      `${moves.toLocaleString("en")} moves, ${depth} deep, ${secondsSince(startedAt)}`,
  );
}

/** Tells the shortest failing history of the first of the worlds that has one; it must end like this. */
export function mustFail<World>(
  t: TestContext,
  models: readonly Model<World>[],
  ends: RegExp,
): void {
  const startedAt = performance.now();
  let states = 0;
  for (const model of models) {
    const found = search(model);
    states += found.states;
    if (found.failure === undefined) continue;
    const searched = `${states.toLocaleString("en")} states, ${secondsSince(startedAt)}`;
    t.diagnostic(`${found.failure} (${searched})`);
    assert.match(found.failure, ends);
    return;
  }
  assert.fail("no failing history was found: the model is too small to see it");
}

/** Packs numbers from −1 to 65,533 into a key. */
export function keyOf(numbers: readonly number[]): string {
  let key = "";
  for (const n of numbers) key += String.fromCharCode(n + 1);
  return key;
}

function history<World>(
  model: Model<World>,
  parents: readonly number[],
  choices: readonly number[],
  at: number,
): string[] {
  const path: number[] = [];
  for (let i = at; i > 0; i = parents[i] ?? 0) path.unshift(choices[i] ?? 0);
  let world = model.start;
  return path.map((choice) => {
    const move = model.moves(world)[choice];
    if (move === undefined) throw new RangeError("Cannot tell a history: its moves changed");
    world = move.to;
    return move.says();
  });
}

function secondsSince(startedAt: number): string {
  return `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
}
