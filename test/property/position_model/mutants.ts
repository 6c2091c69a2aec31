/** Ways to get it wrong: the model must find a failing history for each (design 3.9). */
import {
  advance,
  anchor,
  type Listing,
  type OpenEntry,
  type Position,
  type Step,
} from "../../../src/postgres/poll/position.ts";
import { OURS } from "./algorithms.ts";
import { FIRST_TIME } from "./numbers.ts";
import type { Algorithm, Statement } from "./poll.ts";

export interface Mutant extends Algorithm {
  /** Shows only once the server restarted and gave a name again. */
  readonly needsRestart?: boolean;
}

const READS: readonly Statement[] = ["hot", "rescan", "ack", "store"];

export const MUTANTS: readonly Mutant[] = [
  {
    ...statements("the plain cursor: stamps above the largest one seen", ["clock"], [
      "naive hot",
      "ack",
      "store",
    ]),
    anchor: (seen) => at(seen.t, seen),
    advance: (_, seen) => ({ next: at(seen.t, seen), rescans: [] }),
    mayDefer: false,
  },
  statements("no pg_prepared_xacts", ["snapshot", "clock", "vxids", "xids"], READS),
  statements(
    "the clock is read after the listing",
    ["vxids", "xids", "prepared", "snapshot", "clock"],
    READS,
  ),
  statements(
    "pg_prepared_xacts is read before pg_locks",
    ["snapshot", "clock", "prepared", "vxids", "xids"],
    READS,
  ),
  {
    ...statements("updated_at fenced by the snapshot's xmin", [], ["hot", "ack", "store"]),
    startUp: [["snapshot", "snapshot's xids"], ["clock"], ["anchor"], ["seed"]],
    poll: [["snapshot", "snapshot's xids"], ["clock"], ["hot"], ["ack"], ["store"]],
    anchor: (seen) => at(seen.running.length > 0 ? FIRST_TIME : seen.t, seen),
    advance: (previous, seen) => ({
      next: at(seen.running.length > 0 ? previous.t : seen.t, seen),
      rescans: [],
    }),
    mayDefer: false,
  },
  {
    ...OURS,
    name: "xb rises: xb := x at each poll",
    advance: (previous, seen) => {
      const step = advance(previous, seen);
      const rise = (entry: OpenEntry): OpenEntry => {
        const listed = seen.running.find(({ v }) => v === entry.v);
        return listed === undefined ? entry : { ...entry, xb: listed.x ?? seen.sn };
      };
      return { ...step, next: { ...step.next, open: step.next.open.map(rise) } };
    },
  },
  { ...OURS, name: "prep: inherits from the ended only", advance: inheritingFromTheEnded },
  {
    ...OURS,
    name: "xb of an unlisted xid is the snapshot's xmax",
    anchor: (seen) => anchor(withXmax(seen)),
    advance: (previous, seen) => advance(previous, withXmax(seen)),
    readsSx: true,
  },
  statements(
    "a transaction's youngest xid is taken for its top one",
    ["snapshot", "clock", "vxids", "youngest xids", "prepared"],
    READS,
  ),
  statements(
    "the position is stored before the acknowledgement",
    ["snapshot", "clock", "vxids", "xids", "prepared"],
    ["hot", "rescan", "store", "ack"],
  ),
  { ...OURS, name: "ranges put off are forgotten in a crash", storesRescans: false },
  {
    ...OURS,
    name: "virtualxids are believed after a server's restart",
    advance: (previous, seen) => advance({ ...previous, pm: seen.pm }, seen),
    needsRestart: true,
  },
  statements(
    "C is read before the listing",
    ["snapshot", "clock", "hot", "vxids", "xids", "prepared"],
    ["rescan", "ack", "store"],
  ),
  {
    ...OURS,
    name: "a new transaction's rows are looked for from this poll's t",
    advance: (previous, seen) => {
      const step = advance(previous, seen);
      const known = new Set(previous.open.map(({ v }) => v));
      const open = step.next.open.map((e) => known.has(e.v) ? e : { ...e, lb: seen.t });
      return { ...step, next: { ...step.next, open } };
    },
  },
  {
    ...OURS,
    name: "the first listing's transactions began at its clock",
    anchor: (seen) => {
      const first = anchor(seen);
      return { ...first, open: first.open.map((e) => ({ ...e, lb: seen.t })) };
    },
  },
  {
    ...OURS,
    name: "the idle probe promises what its clock says",
    probes: "to the clock",
  },
  statements(
    "no margin",
    ["snapshot", "clock without margin", "vxids", "xids", "prepared"],
    READS,
  ),
];

/** Ours with other statements: those before the position is anchored or rows are read, and after. */
function statements(
  name: string,
  before: readonly Statement[],
  after: readonly Statement[],
): Algorithm {
  const listing = before.filter((statement) => statement !== "hot");
  return {
    ...OURS,
    name,
    startUp: [...listing, "anchor" as const, "seed" as const].map((statement) => [statement]),
    poll: [...before, ...after].map((statement) => [statement]),
  };
}

function at(t: bigint, { sx, pm }: Listing): Position {
  return { t, sx, pm, open: [] };
}

function withXmax(seen: Listing): Listing {
  return { ...seen, sn: Number(seen.sx & 0xffffffffn) };
}

function inheritingFromTheEnded(previous: Position, seen: Listing): Step {
  const step = advance(previous, seen);
  const listed = new Set(step.next.open.map(({ v }) => v));
  const known = new Set(previous.open.map(({ v }) => v));
  let lowest: bigint | null = previous.t;
  for (const { v, lb } of previous.open) {
    if (listed.has(v) || lowest === null) continue;
    lowest = lb === null || lb < lowest ? lb : lowest;
  }
  const open = step.next.open.map((entry) =>
    entry.v.startsWith("prep:") && !known.has(entry.v) ? { ...entry, lb: lowest } : entry
  );
  return { ...step, next: { ...step.next, open } };
}
