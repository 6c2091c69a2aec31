import { captureChangelog } from "./changelog/stream.ts";
import { captureOutbox } from "./outbox/capture_outbox.ts";
import { type Arithmetic, captureUpdatedAt } from "./poll/updated_at.ts";
import type { ChangeStream, StreamContext } from "./stream.ts";
import { sweepRows } from "./sweep/row_sweep.ts";
import { captureWal } from "./wal/stream.ts";
import type { CapturePlan, Way } from "./ways.ts";

export interface StreamSettings {
  readonly marginMs: number;
  /** L1: how much of the past each poll reads again. */
  readonly lagMs: number;
  /** Everything that is due is swept once, for a run that ends. */
  readonly once: boolean;
  /** From the end of one sweep of a table that nothing else follows to the next; default: a minute. */
  readonly aloneMs?: number;
  /** Tests of the proof put broken arithmetic here. */
  readonly arithmetic?: Arithmetic;
}

/** The stream of that name, over the tables that go this way. */
export function openStream(
  name: Way["stream"],
  ways: readonly Way[],
  plan: CapturePlan,
  settings: StreamSettings,
  context: StreamContext,
): ChangeStream {
  const { marginMs, lagMs, once, arithmetic } = settings;
  switch (name) {
    case "updated_at":
      return captureUpdatedAt({
        tables: ways.flatMap((way) => way.kind === "updated_at" ? [way.table] : []),
        tracking: true,
        marginMs,
        ...(arithmetic === undefined ? {} : { arithmetic }),
      }, context);
    case "lag":
      return captureUpdatedAt({
        tables: ways.flatMap((way) => way.kind === "lag" ? [way.table] : []),
        tracking: false,
        marginMs: lagMs,
      }, context);
    case "wal":
      return captureWal({
        settings: plan.wal ?? missing(name),
        tables: ways.flatMap((way) => way.kind === "wal" ? [way.table] : []),
      }, context);
    case "changelog":
      return captureChangelog({
        settings: plan.changelog ?? missing(name),
        tables: ways.flatMap((way) => way.kind === "changelog" ? [way.table] : []),
      }, context);
    case "outbox":
      return captureOutbox({
        settings: plan.outbox ?? missing(name),
        tables: ways.flatMap((way) => way.kind === "outbox" ? [way.table] : []),
        marginMs,
      }, context);
    case "sweep":
      return sweepRows({
        tables: [
          ...plan.swept,
          ...ways.flatMap((way) => way.kind === "sweep" ? [way.table] : []),
        ],
        settings: plan.sweeps,
        ...(settings.aloneMs === undefined ? {} : { aloneMs: settings.aloneMs }),
        once,
      }, context);
  }
}

function missing(what: string): never {
  throw new Error(`Cannot follow by the ${what}: the plan doesn't say where it is`);
}
