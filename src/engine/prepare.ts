import type { Checkpoint, Coverage } from "../core/checkpoint.ts";
import { FatalError } from "../core/errors.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { Anchor, Sink } from "../core/ports.ts";
import type { Epoch } from "../core/source.ts";
import type { RowKey } from "../core/change.ts";
import { tableId } from "../core/table.ts";
import { type Fence, fence } from "../flow/fence.ts";
import { type EngineOptions, type Pipeline, routesOf } from "./pipeline.ts";

/** What a run stands on: an anchored capture, indexes with their mappings, and what is to be filled. */
export interface Ground {
  readonly anchor: Anchor;
  readonly epoch: Epoch;
  /** The sequence of the checkpoint resumed from; 0 when there was none. */
  readonly sequence: number;
  /** By sink name, then by index. */
  readonly coverage: ReadonlyMap<string, Readonly<Record<string, Coverage>>>;
  readonly seeds: readonly Seed[];
  /** By index, as stored: when its keys were last compared, in the sink where that is longest ago. */
  readonly keysCompared: Readonly<Record<string, string>>;
  /** Fills and repairs that were built and aren't written yet: see holders.ts. */
  readonly filling: Fence;
}

/** An index to be filled, in the sinks that are equally far with it. */
export interface Seed {
  readonly plan: IndexPlan;
  readonly sinks: readonly Sink[];
  readonly after?: RowKey;
  readonly rows: number;
}

/**
 * The anchor first, then each mapping, before anything is written. An index is followed on only when
 * its sink says that it was filled (or begun) by the seed that the sink's own checkpoint covers,
 * under the same plan and the same catalog facts, with every ref that the plan asks for, and the
 * capture vouches for all its tables since; anything else is a gap, and it is filled anew (design
 * 3.8). A crash between `ensure` and the first checkpoint leaves a filling that no checkpoint names:
 * it is begun again.
 */
export async function prepare(
  { capture, builder, sinks }: Pipeline,
  options: EngineOptions,
  signal: AbortSignal,
): Promise<Ground> {
  const stored = new Map<string, Checkpoint>();
  for (const sink of sinks) {
    const checkpoint = await sink.loadCheckpoint(signal);
    if (checkpoint !== undefined) stored.set(sink.name, checkpoint);
  }
  const known = [...stored.values()];
  // Of several sinks the one that is furthest behind: the others get some of it once more. By what
  // it confirms: sequences of sinks that were followed apart from each other don't compare.
  const resumed = options.rebase ? undefined : known.reduce<Checkpoint | undefined>(
    (lowest, c) => lowest === undefined || isBehind(c, lowest) ? c : lowest,
    undefined,
  );
  const anchor = await capture.prepare(resumed?.cursor, !options.skipBackfill, signal);
  if (!options.rebase) { for (const [name, c] of stored) refuseOther(name, c, anchor); }

  const sequence = known.reduce((highest, c) => Math.max(highest, c.sequence), 0);
  const coverage = new Map<string, Record<string, Coverage>>();
  const seeds: Seed[] = [];
  for (const plan of builder.plans) {
    const { name } = plan;
    for (const sink of routesOf(plan, sinks)) {
      const state = await sink.seedState(plan, signal);
      const covered = stored.get(sink.name)?.coverage[name];
      // Sinks that go together are a save apart at most.
      const absent = (stored.get(sink.name)?.sequence ?? 0) < sequence - 1;
      const gap = anchor.fresh ||
        plan.tables.map(tableId).some((id) =>
          anchor.gaps.has(id) || (absent && anchor.once?.has(id) === true)
        );
      const follows = !gap && state !== undefined && isCovered(plan, state.seed, covered);
      const seed = follows ? state.seed : crypto.randomUUID();
      await sink.ensure(plan, follows ? undefined : seed, signal);
      const covers = coverage.get(sink.name) ?? {};
      covers[name] = coverageOf(plan, seed);
      coverage.set(sink.name, covers);
      if (follows && state.seeded) continue;
      seeds.push({
        plan,
        sinks: [sink],
        rows: follows ? state.rows : 0,
        ...(follows && state.after !== undefined ? { after: state.after } : {}),
      });
    }
  }
  return {
    anchor,
    epoch: nextEpoch(known.map((c) => c.epoch), anchor, options.rebase),
    sequence,
    coverage,
    seeds: joined(seeds),
    keysCompared: anchor.fresh ? {} : earliest(known.map((c) => c.keysCompared ?? {})),
    filling: fence(),
  };
}

/** Whether a checkpoint that covers this has followed the plan's index since that seed began. */
export function isCovered(
  { hash, fingerprint, refs }: IndexPlan,
  seed: string,
  covered: Coverage | undefined,
): boolean {
  return covered?.seed === seed && covered.hash === hash && covered.fingerprint === fingerprint &&
    refs.every((table) => covered.refs?.includes(table) ?? false);
}

/** What was asked for before and isn't now is not kept up: it is not covered any more. */
function coverageOf({ hash, fingerprint, refs }: IndexPlan, seed: string): Coverage {
  return { seed, hash, fingerprint, ...(refs.length === 0 ? {} : { refs }) };
}

/** Only what all of them have. */
function earliest(
  all: readonly Readonly<Record<string, string>>[],
): Readonly<Record<string, string>> {
  const [first = {}, ...others] = all;
  return Object.fromEntries(
    Object.entries(first).flatMap(([index, at]) => {
      const moments = [at, ...others.map((each) => each[index])];
      const known = moments.filter((moment) => moment !== undefined).sort();
      return known.length < moments.length ? [] : [[index, known[0] ?? at]];
    }),
  );
}

function isBehind(a: Checkpoint, b: Checkpoint): boolean {
  if (a.confirmedThrough !== b.confirmedThrough) return a.confirmedThrough < b.confirmedThrough;
  return a.sequence < b.sequence;
}

/** The capture has looked at the cursor it resumes from; another sink's may be of another database. */
function refuseOther(sink: string, { identity }: Checkpoint, anchor: Anchor): void {
  const { systemId, database } = anchor.identity;
  if (identity.systemId === systemId && identity.database === database) return;
  throw new FatalError(
    "SOURCE_CHANGED",
    `Cannot write to sink "${sink}": it was filled from database "${identity.database}" of server ` +
      `${identity.systemId}, not from "${database}" of ${systemId}`,
    "Give this source a sink or an indexPrefix of its own; or, if the change is meant, run once with " +
      "--rebase: every index is then seeded again.",
  );
}

/** Rises when positions are no longer comparable with those of the versions already written. */
function nextEpoch(stored: readonly Epoch[], anchor: Anchor, rebase: boolean): Epoch {
  const { positionKind: kind, identity: { timeline } } = anchor;
  const last = stored.reduce<Epoch | undefined>(
    (highest, e) => highest === undefined || e.number > highest.number ? e : highest,
    undefined,
  );
  if (last === undefined) return { number: 0, timeline, kind };
  if (!rebase && last.timeline === timeline && last.kind === kind) return last;
  if (last.number === 255) {
    throw new FatalError(
      "EPOCHS_EXHAUSTED",
      "Cannot number this source's versions: 256 changes of server have used up the epochs",
      "Give the sink another indexPrefix (or file), so that its indexes start anew.",
    );
  }
  return { number: last.number + 1, timeline, kind };
}

/** Sinks that are equally far with an index are filled from one reading of it. */
function joined(seeds: readonly Seed[]): Seed[] {
  const groups = new Map<string, Seed>();
  for (const seed of seeds) {
    const id = JSON.stringify([seed.plan.name, seed.after ?? null]);
    const group = groups.get(id);
    groups.set(
      id,
      group === undefined ? seed : { ...group, sinks: [...group.sinks, ...seed.sinks] },
    );
  }
  return [...groups.values()];
}
