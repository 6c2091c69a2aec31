/**
 * An exhaustive model of the row sweep (design 3.6): a table of two or three blocks with one or two
 * places each, writers that put new versions anywhere, and sweeps of it with the real `durableBound`
 * and `mustReadAll`; every order of their steps. Nothing bounds how many sweeps there are, how often
 * driftless is killed, and when: the worlds close, as writers end.
 *
 * What a step is. Writers: the xid, each write (in every row or a new one, in every free place, with a
 * savepoint's xid or their own), the end. A sweep: its start (the snapshot, the heap's file and end),
 * each page of a chunk in a transaction of its own, its acknowledgement, the storing, a kill and start at
 * what is stored, the end. Beside them, once each: a rewrite that turns the rows round and keeps their
 * xmin; the flush of WAL, and a crash that forgets what wasn't flushed and gives xids again.
 *
 * Checked when a sweep ends: each version that was committed before it began, and is still what
 * everybody sees, was delivered after it was committed, by the seed or by a sweep. So what is committed
 * while a sweep runs is found by the next one at the latest. A version that was overwritten is owed no
 * more; the claim is then about the one that took its place. (A row that is moved behind the reader
 * during every sweep is found by the first one in which it isn't: that is the claim's limit, not a
 * fault of the bound.) What is owed belongs to the sweep: it goes back with it when driftless is killed.
 *
 * What is left out, and why nothing is lost by it.
 * - The seed reads at the instant of its start: a later reading sees more.
 * - Dead versions don't take up places, as if VACUUM had always just been there: a new version may then
 *   be put wherever it could be with them, and elsewhere.
 * - `age()`: xids here are a few apart and a statement's next xid is above all that it sees, so
 *   `BETWEEN 0 AND age(bound)` is `xid >= bound`. Circles are test/unit's and the server's own business.
 * - The chunk's size is fixed: a chunk that is split is one of pages.
 * - The file is compared behind the rows: a rewrite between the two is a page that is thrown away, thus
 *   that of a kill before it was read.
 * - One heap: partitions are read one after the other, like blocks. Deletes: the key sweep's.
 * - A commit that the crash takes back leaves a row whose older version nobody owes.
 * - Writers of one write each: two are two writers' whose xids are neighbours, but for a crash between.
 */
import { describe, test } from "node:test";
import { mustFail, searchAll } from "./history_search.ts";
import { MUTANTS } from "./sweep_model/mutants.ts";
import { ALL, CRASHING, GROWING, REWRITTEN } from "./sweep_model/scenarios.ts";
import { OURS, type Scenario, sweepModel } from "./sweep_model/world.ts";

describe("a version committed before a sweep began is found by that one at the latest, whatever is done by", () => {
  test("writers that commit late, savepoints, and a reader that is killed between any two steps", (t) =>
    searchAll(t, worlds(ALL)));
  test("writers that add blocks", (t) => searchAll(t, worlds(GROWING)));
  test("a rewrite of the heap", (t) => searchAll(t, worlds(REWRITTEN)));
  test("a crash of Postgres that gives xids again", (t) => searchAll(t, worlds(CRASHING)));
});

describe("the model finds what is lost by", () => {
  for (const { algorithm, scenarios } of MUTANTS) {
    test(
      algorithm.name,
      (t) =>
        mustFail(
          t,
          scenarios.map((scenario) => sweepModel(algorithm, scenario)),
          /no sweep has found/,
        ),
    );
  }
});

function worlds(all: readonly Scenario[]) {
  return all.map((scenario) => sweepModel(OURS, scenario));
}
