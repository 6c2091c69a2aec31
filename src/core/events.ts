import type { Problem } from "./problem.ts";
import type { TableLevel } from "./source.ts";

/** Everything observable. Log lines, progress bars and metrics are made of these in observe/ alone. */
export type SyncEvent =
  | { readonly type: "connected"; readonly to: string; readonly detail: string }
  | { readonly type: "table"; readonly level: TableLevel }
  | { readonly type: "problem"; readonly problem: Problem }
  | { readonly type: "anchored"; readonly fresh: boolean; readonly through: string }
  | {
    readonly type: "seedStarted";
    readonly index: string;
    readonly sinks: readonly string[];
    /** Planner's estimate of the rows in all. */
    readonly estimate: number;
    /** Rows already done when a seed is resumed; 0 when it starts. */
    readonly rows: number;
  }
  | { readonly type: "seedProgress"; readonly index: string; readonly rows: number }
  | {
    readonly type: "seedFinished";
    readonly index: string;
    readonly rows: number;
    readonly ms: number;
  }
  | { readonly type: "caughtUp"; readonly through: string }
  | {
    readonly type: "batch";
    readonly mode: "live" | "fill";
    readonly changes: number;
    readonly documents: number;
    readonly deletes: number;
    readonly ms: number;
  }
  | {
    readonly type: "rejected";
    readonly index: string;
    readonly id: string;
    readonly reason: string;
    readonly policy: "stop" | "skip";
  }
  | {
    readonly type: "retry";
    /** What is away: "source", or a sink's name. */
    readonly edge: string;
    readonly attempt: number;
    readonly delayMs: number;
    readonly code: string;
    readonly message: string;
    /** Nothing is away and no attempt failed: the tables have changed, and all is planned anew. */
    readonly planned?: true;
  }
  | { readonly type: "recovered"; readonly edge: string; readonly attempts: number }
  /**
   * Rows that a plain `updated_at > cursor` would have lost, found by the tracking of open
   * transactions, or by a sweep alone.
   */
  | {
    readonly type: "rescued";
    readonly table: string;
    readonly rows: number;
    readonly by: "tracking" | "sweep";
  }
  /** The keys of an index were compared in a sink: what was missing is written, orphans are deleted. */
  | {
    readonly type: "swept";
    readonly index: string;
    readonly sink: string;
    readonly missing: number;
    readonly orphans: number;
    readonly ms: number;
  }
  | { readonly type: "warning"; readonly code: string; readonly message: string }
  | { readonly type: "draining" }
  | { readonly type: "stopped"; readonly through: string | undefined };

export type Observer = (event: SyncEvent) => void;
