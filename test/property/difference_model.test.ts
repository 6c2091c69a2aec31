/**
 * An exhaustive model of the snapshot difference (design 3.4): a server of small numbers, its log, and
 * a reader made of the real `begun`, `legOf`, `passed`, `resumed`, `union`, `fence` and `below`; every
 * order of their steps. Nothing bounds how often the reader polls, stores or is killed: the worlds
 * close, as transactions end. Checked in every state: no row of a committed transaction is one that the
 * position has passed and nobody delivered; none is delivered twice unless driftless was killed, or the
 * position couldn't be stored yet when Postgres was; no row is trimmed that a consumer which is known
 * has not passed; and when nothing more would be read, nothing is left.
 *
 * What a step is. Transactions: difference_model/server.ts (the first write, a savepoint, its
 * rollback, the end in the WAL, the end for snapshots). The reader: S1 (the anchor), S2, each page, its
 * acknowledgement, the storing, a kill and start at what is stored. Pages hold one row, or two. Beside
 * them: a stop and start of Postgres; a crash that forgets what wasn't flushed and gives xids again; a
 * standby that replays record by record; the reader's move between the two servers; another consumer's
 * acknowledgement, our own, and the trimming.
 *
 * Statements read what is committed, so that an uncommitted row is never delivered isn't checked: it is
 * how Postgres is modelled. What a statement may be told to read is; see the savepoint's mutant.
 *
 * What is left out, and why nothing is lost by it.
 * - When a row is written: until its transaction ends nobody sees it, and its place in a leg is by
 *   (xid, seq). Sequences are in order within a transaction; across them the order is by xid.
 * - Pages read ahead of acknowledgements: what the page returned doesn't depend on them, so it is the
 *   history in which they came first. If one never comes, the pages behind it never were.
 * - More rows than two of a transaction: a page ends between two rows of one, and of two of them.
 * - Savepoints within savepoints: their xids are above the top one's like that of one. Two that are
 *   alike begin in one order only: their names are all that tells them apart.
 * - Trimming less than may be trimmed, and later: what is still there is delivered as well. The retention
 *   only delays it; here it is none.
 * - The other consumer is as fast as can be, and acknowledges S as it is read: one that is slower holds
 *   back more. Two readers influence each other by what they acknowledge, and by nothing else.
 * - A crash of Postgres is noticed by the reader before it reads on; the mutant that goes on is what
 *   happens else. One is forgotten, another gets its xid; the flush, a step, stands for a third. Once.
 * - The standby begins with a complete view of what runs (it lets nobody read before); its xmin counts
 *   every xid below the highest that the WAL showed as running until its end is replayed, also those
 *   that it only infers. Promotion: another timeline, where a cursor stops.
 * - The page and the look at what was trimmed are one step: a trimming between them makes the page
 *   worth nothing, which is a gap, and a gap begins anew.
 * - What is confirmed to waiters (`through`) isn't in it; nor are the filters of tables and the gap of a
 *   truncate: they are beside the arithmetic.
 */
import { describe, test } from "node:test";
import { HARMLESS, MUTANTS } from "./difference_model/mutants.ts";
import { OURS } from "./difference_model/reader.ts";
import * as scenarios from "./difference_model/scenarios.ts";
import { differenceModel, type Scenario } from "./difference_model/world.ts";
import { mustFail, searchAll } from "./history_search.ts";

describe("each committed row is delivered, once unless something was killed, in any order of the steps of", () => {
  test("up to four transactions and the reader, which may be killed between any two of its own", (t) =>
    searchAll(t, worlds(scenarios.CLOSED)));
  test("two and three of which one is prepared, and a restart of Postgres", (t) =>
    searchAll(t, worlds(scenarios.RESTARTING)));
  test("two, and a crash of Postgres that forgets what was not flushed and gives xids again", (t) =>
    searchAll(t, worlds(scenarios.CRASHING)));
  test("two, a faster consumer and the trimming of the log", (t) =>
    searchAll(t, worlds(scenarios.TRIMMING)));
  test("two and three, and a reader on a standby that replays late", (t) =>
    searchAll(t, worlds(scenarios.ON_STANDBY)));
  test("two, and a reader that goes from the primary to the standby and back", (t) =>
    searchAll(t, worlds(scenarios.SWITCHING)));
  test("the same, when the place in leg 1 goes on in leg 2", (t) =>
    searchAll(
      t,
      scenarios.CLOSED.slice(0, 4).map((scenario) => differenceModel(HARMLESS, scenario)),
    ));
});

describe("the model finds what is wrong with", () => {
  for (const { algorithm, scenarios, ends } of MUTANTS) {
    test(
      algorithm.name,
      (t) => mustFail(t, scenarios.map((scenario) => differenceModel(algorithm, scenario)), ends),
    );
  }
});

function worlds(all: readonly Scenario[]) {
  return all.map((scenario) => differenceModel(OURS, scenario));
}
