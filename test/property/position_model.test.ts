/**
 * An exhaustive model of straggler tracking (design 3.3): a server with transactions and a poller,
 * every order of their steps, with the real `anchor` and `advance` in the middle. Each committed row
 * must be delivered in every history, and by the poll that promised it (the barrier).
 *
 * What a step is. Transactions: position_model/transaction.ts. A poll has nine: A's snapshot, A's
 * clock, B's virtualxids, B's xids, B's prepared ones, C, D (or D put off, its ranges stored), the
 * acknowledgement, the stored position; the start-up anchors, then seeds. Between any two of them
 * the poller may be killed, as often as may be; it comes back with what is stored. Xids wrap at 2³².
 *
 * What is left out, and why nothing is lost by it.
 * - Pages, more tables, an earlier acknowledgement, a later seed: a row that is read later or made
 *   durable earlier is one delivered more, and no step reads what was delivered. So C and D are one
 *   instant each, their first; a D in two halves is put off for the rows of the second.
 * - A position that is stored later than it is adopted: a crash then loses whole polls, which moved
 *   nothing but it; the same history without those polls delivers less and is searched.
 * - The margin is a number no more: `t` is the highest value that a margin can give which covers
 *   every gap between a stamp and the virtualxid's showing. Lower ones read more in C and in D.
 * - `$upper` is A's clock: a real one is higher and reads more.
 * - A virtualxid and a xid's lock may go in one step, savepoints' locks apart: to a reader of first
 *   the one and then the other the orders are the same.
 * - After the last poll the transactions run to their end in one order: no listing sees them, and
 *   one poll more, with nobody open, delivers what this position can ever deliver.
 * - Of two and three transactions one has rows: delivered rows influence nothing, so what happens to
 *   a row in company happens to it in the company of transactions whose rows aren't looked at. These
 *   may as well be rolled back: they leave snapshots and locks by the same steps.
 * - Of two, A is one instant: an earlier snapshot has a lower xmin, and xb only falls. D, the
 *   acknowledgement and the storing are one: the last two touch nothing that transactions do. A
 *   crash between them is that of an earlier acknowledgement, above.
 * - Of three, only those that can interact: a row's fate is touched by another transaction through
 *   the snapshot's xmin, the lowest lb that a prepared one inherits, and ranges merged by lb, and
 *   all of them through the other one's times of showing, preparing and ending. A savepoint's xid is
 *   above its top one, which D finds already. Their C and D are at B's end, the earliest instant;
 *   a begin is one step: a lower `t` for the gap is one more that reads more.
 * - States are kept as 64-bit hashes of their canonical form (position_model/canonical.ts).
 * - Not in it: a clock that steps back, xids given twice after a crash of the server.
 *
 * The mutants are the proof that it bites; each prints its shortest failing history, up to where
 * nothing can save the row any more.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import fc from "fast-check";
import { OURS, OURS_COARSE, OURS_MEDIUM, OURS_PROBING } from "./position_model/algorithms.ts";
import { explore, type Scenario } from "./position_model/explore.ts";
import { CRASH, type Freedom, moved, movesOf } from "./position_model/moves.ts";
import { type Mutant, MUTANTS } from "./position_model/mutants.ts";
import { type Algorithm, breaksBarrier, missing, settle } from "./position_model/poll.ts";
import { shortestFailure, tell } from "./position_model/shortest.ts";
import {
  BYSTANDERS,
  COARSE_BYSTANDERS,
  COARSE_SUBJECTS,
  type Shape,
  SUBJECTS,
} from "./position_model/transaction.ts";
import { newWorld } from "./position_model/world.ts";

const POLLS = 4;
/** Some 30 s each on a slow core; a runner's default would cut that off. */
const LIMIT_MS = 300_000;
const STEADY: Freedom = { ties: false, restarts: false };
const FREE: Freedom = { ties: true, restarts: true };
const RESTARTING: Freedom = { ties: false, restarts: true };

describe("no committed row is missed, in any order of the steps of", () => {
  test("one transaction, with equal clock readings and a restart of the server", {
    timeout: LIMIT_MS,
  }, (t) => {
    searchAll(t, OURS, SUBJECTS.map((shape) => scenario([shape], FREE)));
  });

  test(
    "one transaction, with polls that end early as nothing changed",
    { timeout: LIMIT_MS },
    (t) => {
      searchAll(t, OURS_PROBING, SUBJECTS.map((shape) => scenario([shape], FREE)));
    },
  );

  test("two transactions of one name, before and after a restart of the server", {
    timeout: LIMIT_MS,
  }, (t) => {
    searchAll(t, OURS, reusedNames(POLLS));
  });

  test("two transactions", { timeout: LIMIT_MS }, (t) => {
    const pairs = SUBJECTS.slice(0, 4).flatMap((subject) =>
      [shape(BYSTANDERS, "rolled back"), shape(BYSTANDERS, "only reads")].map((other) => [
        subject,
        other,
      ])
    );
    pairs.push(
      [shape(SUBJECTS, "plain"), shape(BYSTANDERS, "savepoint, rolled back")],
      [shape(SUBJECTS, "plain"), shape(BYSTANDERS, "prepared, rolled back")],
      [shape(SUBJECTS, "savepoint"), shape(BYSTANDERS, "prepared, rolled back")],
      [shape(COARSE_SUBJECTS, "prepared"), shape(BYSTANDERS, "prepared, rolled back")],
    );
    searchAll(t, OURS_MEDIUM, pairs.map((pair) => scenario(pair, STEADY)));
  });

  test("three transactions", { timeout: LIMIT_MS }, (t) => {
    const [rolledBack, reads, prepared, atOnce] = [
      "rolled back",
      "only reads",
      "prepared, rolled back",
      "prepared at once, rolled back",
    ].map((name) => shape(COARSE_BYSTANDERS, name)) as [Shape, Shape, Shape, Shape];
    const others = [
      [rolledBack, rolledBack],
      [rolledBack, reads],
      [rolledBack, prepared],
      [reads, atOnce],
      [atOnce, atOnce],
    ];
    const triples = COARSE_SUBJECTS.flatMap((subject) =>
      others.map((pair) => scenario([subject, ...pair], STEADY))
    );
    searchAll(t, OURS_COARSE, triples);
  });
});

describe("the model finds what is lost by", () => {
  for (const mutant of MUTANTS) {
    test(mutant.name, (t) => {
      const failure = shortestFailure(mutant, scenariosFor(mutant));
      assert.ok(failure, "no failing history was found: the model is too small to see it");
      t.diagnostic(tell(mutant, failure));
    });
  }
});

/** Up to eight transactions and 24 polls: a list of choices is a history, printed and replayable. */
const history = fc.record({
  shapes: fc.array(fc.constantFrom(...SUBJECTS, ...BYSTANDERS), { minLength: 2, maxLength: 8 }),
  choices: fc.array(fc.nat({ max: 0xffff }), { size: "max", minLength: 50, maxLength: 500 }),
});

test("no committed row is missed in long random histories", (t) => {
  const seed = Date.now() & 0x7fffffff;
  t.diagnostic(`fast-check seed ${seed}`);
  fc.assert(fc.property(history, (h) => survives(OURS_PROBING, h)), { seed, numRuns: 3_000 });
});

test("long random histories find a mutant too", () => {
  const mutant = MUTANTS.find(({ name }) => name === "no pg_prepared_xacts") ?? OURS;
  const { failed } = fc.check(
    fc.property(history, (h) => survives(mutant, h)),
    { seed: 1, numRuns: 3_000, endOnFailure: true },
  );
  assert.ok(failed);
});

function survives(algorithm: Algorithm, h: { shapes: Shape[]; choices: number[] }): boolean {
  let w = newWorld(h.shapes, 24);
  for (const choice of h.choices) {
    // One crash or restart for some twenty other moves: else no poll comes to its end.
    const calm = choice % 23 !== 0;
    const moves = movesOf(w, algorithm, calm ? { ...FREE, restarts: false } : FREE)
      .filter((move) => !calm || move !== CRASH);
    const move = moves[Math.floor(choice / 23) % moves.length];
    if (move === undefined) break;
    w = moved(w, algorithm, move);
    if (breaksBarrier(w)) return false;
  }
  return missing(settle(w, algorithm)).length === 0;
}

function searchAll(t: TestContext, algorithm: Algorithm, scenarios: readonly Scenario[]): void {
  let states = 0;
  let histories = 0;
  const startedAt = performance.now();
  for (const one of scenarios) {
    const found = explore(algorithm, one);
    if (found.failure !== undefined) assert.fail(tell(algorithm, found.failure));
    states += found.states;
    histories += found.histories;
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  t.diagnostic(
    `${scenarios.length} scenarios, ${states.toLocaleString("en")} states, ` +
      `${histories.toExponential(1)} histories without those that crash, ${seconds} s`,
  );
}

function scenario(shapes: readonly Shape[], freedom: Freedom, polls: number = POLLS): Scenario {
  return { shapes, polls, freedom };
}

/** A transaction, a restart, another one of the same name. */
function reusedNames(polls: number): Scenario[] {
  const reads = shape(BYSTANDERS, "only reads");
  return SUBJECTS.flatMap((subject) => [[subject, reads], [reads, subject]]).map((shapes) => ({
    shapes,
    polls,
    freedom: RESTARTING,
    sharedName: true,
  }));
}

/** Smallest first: the shortest failure of the first set that has one is told. */
function scenariosFor(mutant: Mutant): Scenario[][] {
  if (mutant.needsRestart) return [reusedNames(2)];
  const alone = SUBJECTS.map((subject) => scenario([subject], STEADY, 3));
  const inCompany = SUBJECTS.flatMap((subject) =>
    BYSTANDERS.map((other) => scenario([subject, other], STEADY, 2))
  );
  return [alone, inCompany];
}

function shape(shapes: readonly Shape[], name: string): Shape {
  const found = shapes.find((one) => one.name === name);
  if (found === undefined) throw new RangeError(`Cannot find a shape: "${name}" is unknown`);
  return found;
}
