/** The worlds that are searched. */
import { shape } from "./server.ts";
import type { Scenario } from "./world.ts";

const PLAIN = shape("plain", "xid | commit");
const TWO_ROWS = shape("two rows", "xid | commit", 2);
const ROLLED_BACK = shape("rolled back", "xid | gone", 0);
const SAVEPOINT = shape("savepoint", "xid | sub | commit");
const SAVEPOINT_BACK = shape("savepoint, rolled back to", "xid | sub | sub-gone | commit");
const PREPARED = shape("prepared", "xid | prepare | commit");
/** In the WAL first: a standby may see it before the primary does. */
const LOGGED = shape("logged, then visible", "xid | logged | commit");
const LOGGED_SAVEPOINT = shape("the same with a savepoint", "xid | sub | logged | commit");

/** Begins, ends and pages in every order, and driftless killed between any two of its steps. */
export const CLOSED: readonly Scenario[] = [
  ...[
    [TWO_ROWS, TWO_ROWS],
    [TWO_ROWS, SAVEPOINT_BACK],
    [SAVEPOINT, SAVEPOINT_BACK],
    [PLAIN, PLAIN, PLAIN],
    [TWO_ROWS, SAVEPOINT, PLAIN],
    [TWO_ROWS, SAVEPOINT_BACK, ROLLED_BACK],
  ].map((shapes) => ({ shapes, pageSize: 1, may: {} })),
  { shapes: [PLAIN, PLAIN, PLAIN, PLAIN], pageSize: 1, may: {} },
  { shapes: [TWO_ROWS, PLAIN, PLAIN], pageSize: 2, may: {} },
];

export const RESTARTING: readonly Scenario[] = [
  [PLAIN, PLAIN],
  [PREPARED, PLAIN],
  [PREPARED, SAVEPOINT],
  [PREPARED, PLAIN, PLAIN],
].map((shapes) => ({ shapes, pageSize: 1, may: { restart: true } }));

/** One who is forgotten and one who gets its xid; the flush stands for a third. */
export const CRASHING: readonly Scenario[] = [
  [ROLLED_BACK, PLAIN],
  [PLAIN, PLAIN],
  [PLAIN, SAVEPOINT],
  [SAVEPOINT_BACK, PLAIN],
  [PREPARED, PLAIN],
].map((shapes) => ({ shapes, pageSize: 1, may: { crash: true } }));

export const TRIMMING: readonly Scenario[] = [
  [PLAIN, PLAIN],
  [TWO_ROWS, ROLLED_BACK],
  [PLAIN, SAVEPOINT],
].map((shapes) => ({ shapes, pageSize: 1, may: { trim: true } }));

export const ON_STANDBY: readonly Scenario[] = [
  [LOGGED, LOGGED],
  [LOGGED, LOGGED_SAVEPOINT],
  [LOGGED, PLAIN, ROLLED_BACK],
].map((shapes) => ({ shapes, pageSize: 1, may: { onStandby: true } }));

/** There and back, and the other way round. */
export const SWITCHING: readonly Scenario[] = [
  { shapes: [LOGGED, LOGGED], pageSize: 1, may: { switches: 2 } },
  { shapes: [LOGGED, PLAIN], pageSize: 1, may: { switches: 2, onStandby: true } },
  { shapes: [LOGGED_SAVEPOINT, PLAIN], pageSize: 1, may: { switches: 1 } },
];
