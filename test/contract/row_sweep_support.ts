import type { Statement } from "../../src/postgres/client.ts";
import { parseSweeps, type SweepState } from "../../src/postgres/sweep/cursor.ts";
import { sweepRows } from "../../src/postgres/sweep/row_sweep.ts";
import type { StreamContext } from "../../src/postgres/stream.ts";
import type { SweptTable } from "../../src/postgres/ways.ts";
import { eventually } from "../support/eventually.ts";
import { runStream, type StreamRun, type StreamRunOptions } from "../support/stream_run.ts";

export const ITEM = "public.item";
export const DDL = `
CREATE TABLE item (id bigint PRIMARY KEY, pad text NOT NULL DEFAULT '', updated_at timestamptz DEFAULT now());
ALTER TABLE item ALTER pad SET STORAGE PLAIN;`;

/** A table `item` with the key `id`, swept whenever the last sweep is over. */
export function swept(more: Partial<SweptTable> = {}): SweptTable {
  return {
    table: { schema: "public", name: "item" },
    id: ITEM,
    key: [{ name: "id", type: "bigint", nullable: false }],
    joinColumns: [],
    alone: false,
    everyMs: 0,
    recorded: false,
    ...more,
  };
}

export interface SweepRunOptions extends StreamRunOptions {
  readonly tables?: readonly SweptTable[];
  readonly dutyCycle?: number;
  readonly aloneMs?: number;
  readonly once?: boolean;
  /** Is shown what the stream is given. */
  readonly context?: (context: StreamContext) => void;
}

export function runSweeps(options: SweepRunOptions): Promise<StreamRun> {
  const { tables = [swept()], dutyCycle = 1, aloneMs, once = false } = options;
  return runStream((context) => {
    options.context?.(context);
    return sweepRows({
      tables,
      settings: { dutyCycle },
      once,
      ...(aloneMs === undefined ? {} : { aloneMs }),
    }, context);
  }, options);
}

export function stateOf(run: StreamRun, id: string = ITEM): SweepState | undefined {
  return parseSweeps(run.cursor()).get(id);
}

/** Resolves when a sweep that began after this call has ended. */
export async function sweeps(run: StreamRun, id: string = ITEM): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const before = stateOf(run, id)?.finishedAt;
    await eventually("a sweep's end", () => {
      if (run.failure() !== undefined) throw run.failure();
      return Promise.resolve(stateOf(run, id)?.finishedAt !== before);
    }, { everyMs: 2 });
  }
}

/** Whether it reads rows of a heap. */
export function isPage({ text }: Statement): boolean {
  return text.includes("ORDER BY t.ctid");
}

export function ids(run: StreamRun): string[] {
  return run.changes.map(({ key }) => key.join(","));
}
