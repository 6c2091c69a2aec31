/** The worlds that are searched. */
import type { Step } from "./heap.ts";
import type { Scenario } from "./world.ts";

const PLAIN: readonly Step[] = ["xid", "write", "commit"];
const SAVEPOINT: readonly Step[] = ["xid", "write in a savepoint", "commit"];
const ROLLED_BACK: readonly Step[] = ["xid", "roll back"];

/** Two blocks of one place: rows in both, or one of them free. */
const NARROW = { blocks: 2, slots: 1, rows: 1, grows: 0 };
const THREE = { blocks: 3, slots: 1, rows: 1, grows: 0 };
/** Pages are smaller than a block. */
const WIDE = { blocks: 2, slots: 2, rows: 2, grows: 0 };

export const ALL: readonly Scenario[] = [
  { size: NARROW, writers: [PLAIN, PLAIN], chunk: 1, page: 9, may: {} },
  { size: NARROW, writers: [PLAIN, SAVEPOINT], chunk: 1, page: 9, may: {} },
  { size: THREE, writers: [PLAIN, SAVEPOINT], chunk: 2, page: 9, may: {} },
  { size: WIDE, writers: [PLAIN, SAVEPOINT], chunk: 2, page: 1, may: {} },
  { size: NARROW, writers: [PLAIN, PLAIN, ROLLED_BACK], chunk: 1, page: 9, may: {} },
  { size: NARROW, writers: [SAVEPOINT, PLAIN, PLAIN], chunk: 1, page: 9, may: {} },
];

export const GROWING: readonly Scenario[] = [
  {
    size: { blocks: 1, slots: 1, rows: 1, grows: 2 },
    writers: [PLAIN, PLAIN],
    chunk: 1,
    page: 9,
    may: {},
  },
];

export const REWRITTEN: readonly Scenario[] = [
  {
    size: { ...NARROW, rows: 2, grows: 1 },
    writers: [PLAIN],
    chunk: 1,
    page: 9,
    may: { rewrite: true },
  },
  { size: THREE, writers: [PLAIN, SAVEPOINT], chunk: 1, page: 9, may: { rewrite: true } },
];

export const CRASHING: readonly Scenario[] = [
  { size: NARROW, writers: [ROLLED_BACK, PLAIN], chunk: 1, page: 9, may: { crash: true } },
  { size: NARROW, writers: [PLAIN, PLAIN], chunk: 1, page: 9, may: { crash: true } },
  { size: NARROW, writers: [ROLLED_BACK, SAVEPOINT], chunk: 1, page: 9, may: { crash: true } },
];
