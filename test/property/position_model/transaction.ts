/**
 * The writers of the model: a transaction is a list of steps, each one instant to everybody else.
 *
 * The order of what a transaction does is Postgres's own: the xid counts in snapshots before its
 * lock shows; a commit is visible before the locks go; locks go one by one, so a sub-transaction's
 * may outlive the top one's; PREPARE shows the prepared transaction before it drops the virtualxid,
 * and takes the xid's lock away from it; COMMIT PREPARED is visible before the entry goes.
 */

/** What happens at one instant. */
export type Action =
  /** The stamp of its rows is taken (`now()`; with an application's clock: up to a margin before). */
  | "now"
  /** Its virtualxid is listed by pg_locks. */
  | "show"
  /** It has an xid: snapshots count it as running. */
  | "xid"
  /** The xid's lock is listed by pg_locks. */
  | "lock"
  /** A savepoint's xid, higher than the top one, with its lock; a second row bears it as xmin. */
  | "sub"
  /** pg_prepared_xacts lists it. */
  | "prepare"
  /** Of a prepared one: pg_locks no longer lists the virtualxid, nor an xid beside it. */
  | "drop"
  /** Its rows are visible, and it no longer runs for snapshots. */
  | "visible"
  /** It rolled back, and no longer runs for snapshots. */
  | "gone"
  /** The virtualxid and the top xid's lock go, the savepoint's lock stays. */
  | "release-top"
  /** Nothing lists it any more. */
  | "release";

/** The row that the top transaction wrote, and the one that its savepoint wrote. */
export const TOP_ROW = 1;
export const SUB_ROW = 2;

/** What can be seen of a transaction, as bits. */
export const GAP = 1;
export const SHOWN = 2;
export const RUNNING = 4;
export const TOP_LOCK = 8;
export const SUB_LOCK = 16;
export const PREPARED = 32;
export const VISIBLE = 64;

export interface Shape {
  readonly name: string;
  /** Each step's actions, all at the step's instant. */
  readonly steps: readonly (readonly Action[])[];
  /** Bits of the rows that it commits; 0 when it doesn't. */
  readonly rows: number;
  /** What can be seen of it after so many steps. */
  readonly facts: readonly number[];
}

/** Transactions with rows, every step an instant of its own. */
export const SUBJECTS: readonly Shape[] = [
  shape("plain", "now | show | xid | lock | visible | release"),
  shape("stamped when written", "show | xid now | lock | visible | release"),
  shape("savepoint", "now | show | xid | lock | sub | visible | release-top | release"),
  shape("prepared", "now | show | xid | lock | prepare | drop | visible | release"),
  shape(
    "prepared savepoint",
    "now | show | xid | lock | sub | prepare | drop | visible | release",
  ),
];

/** Transactions without rows to look for: rolled back, or another one's business. */
export const BYSTANDERS: readonly Shape[] = [
  shape("rolled back", "show | xid | lock | gone | release"),
  shape("savepoint, rolled back", "show | xid | lock | sub | gone | release-top | release"),
  shape("prepared, rolled back", "show | xid | lock | prepare | drop | gone | release"),
  shape("only reads", "show | release"),
];

/** The same with fewer instants; the header of position_model.test.ts says why that is sound. */
export const COARSE_SUBJECTS: readonly Shape[] = [
  shape("plain", "now show | xid | lock | visible | release"),
  shape("prepared", "now show | xid lock | prepare | drop | visible release"),
];
export const COARSE_BYSTANDERS: readonly Shape[] = [
  shape("rolled back", "show xid lock | gone release"),
  shape("only reads", "show | release"),
  shape("prepared, rolled back", "show xid lock | prepare drop | gone release"),
  shape("prepared at once, rolled back", "show xid lock prepare drop | gone release"),
];

function shape(name: string, text: string): Shape {
  const steps = text.split(" | ").map((step) => step.split(" ") as Action[]);
  const facts = [0];
  let seen = 0;
  let rows = 0;
  for (const step of steps) {
    for (const action of step) {
      seen = after(seen, action);
      if (action === "visible") rows |= TOP_ROW | (text.includes("sub") ? SUB_ROW : 0);
    }
    facts.push(seen);
  }
  return { name, steps, rows, facts };
}

function after(seen: number, action: Action): number {
  switch (action) {
    case "now":
      return seen & SHOWN ? seen : seen | GAP;
    case "show":
      return (seen & ~GAP) | SHOWN;
    case "xid":
      return seen | RUNNING;
    case "lock":
      return seen | TOP_LOCK;
    case "sub":
      return seen | SUB_LOCK;
    case "prepare":
      return seen | PREPARED;
    case "drop":
      return seen & ~(SHOWN | TOP_LOCK | SUB_LOCK);
    case "visible":
      return (seen & ~RUNNING) | VISIBLE;
    case "gone":
      return seen & ~RUNNING;
    case "release-top":
      return seen & ~(SHOWN | TOP_LOCK);
    case "release":
      return seen & ~(SHOWN | TOP_LOCK | SUB_LOCK | PREPARED);
  }
}
