/** Ways to get the difference wrong: for each the model must find a failing history. */
import type { Batch, DifferencePosition, Place } from "../../../src/postgres/changelog/legs.ts";
import { begun, legOf, passed, resumed } from "../../../src/postgres/changelog/legs.ts";
import { type Snapshot, union } from "../../../src/postgres/changelog/snapshot.ts";
import { type Algorithm, OURS } from "./reader.ts";
import { CLOSED, CRASHING, ON_STANDBY, RESTARTING, SWITCHING, TRIMMING } from "./scenarios.ts";
import type { Scenario } from "./world.ts";

export interface Mutant {
  readonly algorithm: Algorithm;
  readonly scenarios: readonly Scenario[];
  /** How the history must end. */
  readonly ends: RegExp;
}

const LOSES = /is lost/;
const REPEATS = /delivered twice/;
const TRIMS = /is trimmed/;

export const MUTANTS: readonly Mutant[] = [
  mutant("S2 is read after the legs", CLOSED, LOSES, { snapshots: "one when it is read" }),
  mutant("S2 is read again for each page", CLOSED, LOSES, { snapshots: "one a page" }),
  mutant("no leg 1: xids from xmax(S1) on, without xip", CLOSED, LOSES, {
    matches: (xid, leg) => leg.leg === 2 && OURS.matches(xid, leg),
  }),
  mutant("leg 2 goes to xmin(S2)", CLOSED, LOSES, {
    matches: (xid, leg) => OURS.matches(xid, leg) && (leg.leg === 1 || xid < leg.to.xmin),
  }),
  mutant("S1 := S2 after leg 1 alone", CLOSED, LOSES, {
    passed: (position, last) =>
      last === null && position.batch !== null
        ? { done: union(position.done, position.batch.to), batch: null }
        : passed(position, last),
  }),
  mutant("S1 := S2 as soon as S2 is read", CLOSED, LOSES, {
    begun: (position, seen) => {
      const { done, batch } = begun(position, seen);
      return position.batch !== null || batch === null
        ? { done, batch }
        : { done: union(done, seen), batch };
    },
  }),
  mutant("the place in leg 2 is kept for leg 1 of the next batch", CLOSED, LOSES, keptPlaces()),
  mutant("a fence in place of the difference, F := xmax", CLOSED, LOSES, {
    seen: ({ xmax }) => ({ xmin: xmax, xmax, xip: [] }),
  }),
  mutant("triggers log the savepoint's xid", CLOSED, LOSES, { logs: "sub" }),
  mutant("the position is stored before its page is acknowledged", CLOSED, LOSES, {
    stores: "read",
  }),
  mutant("leg 1 reads what S2 doesn't see", CLOSED, REPEATS, {
    legOf: (position) => {
      const leg = legOf(position);
      return leg?.leg === 1 ? { ...leg, xids: position.done.xip } : leg;
    },
  }),
  mutant("one leg, from xmin(S1) on", CLOSED, REPEATS, {
    begun: (position, seen) => {
      const next = begun(position, seen);
      if (position.batch !== null || next.batch === null) return next;
      return { done: next.done, batch: { ...next.batch, leg: 2 } };
    },
    legOf: (position) => {
      const leg = legOf(position);
      return leg?.leg === 2 ? { ...leg, from: position.done.xmin } : leg;
    },
  }),
  mutant("a restart takes what was prepared for rolled back", RESTARTING, LOSES, {
    begun: (position, seen) => begun({ ...position, done: { ...position.done, xip: [] } }, seen),
  }),
  mutant("a position is kept before its WAL is flushed", CRASHING, LOSES, { awaitsFlush: false }),
  mutant("a run goes on across a crash of the server", CRASHING, LOSES, { restarts: "nowhere" }),
  mutant("trims what any consumer has passed", TRIMMING, TRIMS, {
    trimsBelow: (acknowledged) =>
      acknowledged.map(({ xmin }) => xmin).reduce((a, b) => a > b ? a : b),
  }),
  mutant("trims below the xmax of what is acknowledged", TRIMMING, TRIMS, {
    trimsBelow: (acknowledged) =>
      acknowledged.map(({ xmax }) => xmax).reduce((a, b) => a < b ? a : b),
  }),
  mutant("a consumer that isn't known yet doesn't look for what was trimmed", TRIMMING, LOSES, {
    guard: "none",
  }),
  mutant("standby: the difference of its snapshots", ON_STANDBY, LOSES, {
    seen: (snapshot) => snapshot,
  }),
  mutant("standby: a fence at xmax", ON_STANDBY, LOSES, {
    seen: ({ xmax }) => ({ xmin: xmax, xmax, xip: [] }),
  }),
  mutant("standby: F is stored before what is below it is acknowledged", ON_STANDBY, LOSES, {
    stores: "read",
  }),
  mutant("switching: F := xmax(S1)", SWITCHING, LOSES, {
    resumed: (position, seen) => resumed(withoutXip(position), seen),
  }),
  mutant("switching: the standby's own snapshot becomes S1", SWITCHING, LOSES, {
    seen: (snapshot, standby) => standby ? { ...snapshot, xmin: snapshot.xmax } : snapshot,
  }),
  mutant("switching: a batch goes on where its S2 isn't visible yet", SWITCHING, LOSES, {
    resumed: (position) => position,
  }),
  mutant("switching: S1 := S2 in place of their union", SWITCHING, REPEATS, {
    passed: (position, last) => {
      const next = passed(position, last);
      return position.batch !== null && next.batch === null
        ? { done: position.batch.to, batch: null }
        : next;
    },
  }),
];

/** What looks wrong and isn't: it must hold in every history. */
export const HARMLESS: Algorithm = {
  ...OURS,
  name: "the place in leg 1 is kept for leg 2: all xids there are above it",
  passed: (position, last) => {
    const next = passed(position, last);
    const place = last ?? position.batch?.after ?? null;
    if (position.batch?.leg !== 1 || next.batch?.leg !== 2) return next;
    return { done: next.done, batch: { ...next.batch, after: place } };
  },
};

function mutant(
  name: string,
  scenarios: readonly Scenario[],
  ends: RegExp,
  differs: Partial<Algorithm>,
): Mutant {
  return { algorithm: { ...OURS, name, ...differs }, scenarios, ends };
}

function withoutXip({ done, batch }: DifferencePosition): DifferencePosition {
  return { done: withoutList(done), batch };
}

function withoutList({ xmax }: Snapshot): Snapshot {
  return { xmin: xmax, xmax, xip: [] };
}

/** The last place of a batch goes with the position, where the model's key doesn't look: by S1's text. */
function keptPlaces(): Partial<Algorithm> {
  const kept = new WeakMap<Snapshot, Place>();
  return {
    passed: (position, last) => {
      const next = passed(position, last);
      const place = last ?? position.batch?.after;
      if (next.batch === null && place) kept.set(next.done, place);
      return next;
    },
    begun: (position, seen) => {
      const { done, batch } = begun(position, seen);
      const place = position.batch === null ? kept.get(done) : undefined;
      if (batch === null || place === undefined) return { done, batch };
      const again: Batch = { ...batch, after: place };
      return { done, batch: again };
    },
  };
}
