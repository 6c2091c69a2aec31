import type { Observer } from "../core/events.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { ChangeCapture, DocumentBuilder, Sink } from "../core/ports.ts";

/** Everything one run works with, opened and connected. Disposed by whoever opened it. */
export interface Pipeline {
  readonly capture: ChangeCapture;
  readonly builder: DocumentBuilder;
  readonly sinks: readonly Sink[];
  /**
   * Looks at the source's schema from time to time; throws RetryableError SCHEMA_CHANGED when the
   * plans no longer fit. Ends with the signal.
   */
  watch(signal: AbortSignal): Promise<void>;
}

export interface EngineOptions {
  readonly batch: { readonly maxChanges: number; readonly maxDelayMs: number };
  readonly queue: { readonly capacity: number };
  /** `parallel` chunks of `chunk` rows are in flight. */
  readonly seed: { readonly parallel: number; readonly chunk: number };
  /** Ends when everything committed before the start is durable and every seed is done. */
  readonly once: boolean;
  /** How keys are compared (design 3.6); absent: never. */
  readonly keys?: KeySweepSettings;
  /** Follows only. */
  readonly skipBackfill: boolean;
  /** Takes the source for a new one: anchors anew and fills every index again. */
  readonly rebase: boolean;
  /** How long an edge may be away; Infinity: for ever. */
  readonly retryLimitMs: number;
  readonly observe: Observer;
}

export interface KeySweepSettings {
  /** From the end of one comparison of an index to the next. */
  readonly intervalMs: number;
  /** Share of wall time, over 0 to 1. */
  readonly dutyCycle: number;
  /** However many documents have no row any more, they are deleted. */
  readonly massDeletes: boolean;
  /** Why nothing may be compared: rows may be hidden from us. */
  readonly refused?: string;
}

/** The sinks that an index goes to. */
export function routesOf(plan: IndexPlan, sinks: readonly Sink[]): readonly Sink[] {
  return plan.sinks === undefined
    ? sinks
    : sinks.filter((sink) => plan.sinks?.includes(sink.name) ?? true);
}
