/** Ways to get the sweep wrong: for each the model must find a failing history. */
import { ALL, CRASHING, GROWING, REWRITTEN } from "./scenarios.ts";
import { type Algorithm, OURS, type Scenario } from "./world.ts";

export interface Mutant {
  readonly algorithm: Algorithm;
  readonly scenarios: readonly Scenario[];
}

export const MUTANTS: readonly Mutant[] = [
  mutant("the bound is the snapshot's xmax", ALL, { boundOf: ({ xmax }) => xmax }),
  mutant("the bound is read when the sweep ends", ALL, { rereads: "at the end" }),
  mutant("the bound is read again when a sweep is resumed", ALL, { rereads: "at a start" }),
  mutant("versions that the last sweep's snapshot shows are left out", ALL, {
    matches: (xid, _, last) => last === undefined || !(xid < last.xmax && !last.xip.includes(xid)),
  }),
  mutant("xids above the bound alone", ALL, { matches: (xid, bound) => xid > bound }),
  mutant("a resumed sweep leaves out a block", ALL, { resumes: "a block further" }),
  mutant("a full page ends its chunk", ALL, { afterFull: "at the end of the chunk" }),
  mutant("progress is stored before its rows are acknowledged", ALL, { stores: "read" }),
  mutant("the heap's end is that of the sweep before", GROWING, { end: "the last sweep's" }),
  mutant("a rewritten heap isn't noticed", REWRITTEN, { comparesFile: "never" }),
  mutant("the file is compared before the rows are read", REWRITTEN, {
    comparesFile: "before the rows",
  }),
  mutant("a bound whose WAL isn't flushed", CRASHING, { boundOf: ({ xmin }) => xmin }),
];

function mutant(
  name: string,
  scenarios: readonly Scenario[],
  differs: Partial<Algorithm>,
): Mutant {
  return { algorithm: { ...OURS, name, ...differs }, scenarios };
}
