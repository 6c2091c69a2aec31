import type { IndexReport } from "../core/index_report.ts";
import type { IndexPlan } from "../core/plan.ts";
import type { OpenSearchClient } from "./client.ts";
import { addedFields, mappingDifferences, settingDifferences } from "./differences.ts";
import { listGenerations, readLive } from "./generations.ts";
import { mappingOf } from "./mapping.ts";
import { checkName } from "./names.ts";
import { fillSettings, servingSettings, type Settings } from "./settings.ts";
import type { IndexState, StateStore } from "./state.ts";

/**
 * What a run would find of a plan's index; `current` is what it would go on with. Changes nothing.
 * Throws FatalError for names and settings that can't be, and ALIAS_TAKEN.
 */
export async function inspectIndex(
  client: OpenSearchClient,
  store: StateStore,
  prefix: string,
  plan: IndexPlan,
  current: IndexState | undefined,
  signal: AbortSignal,
): Promise<IndexReport> {
  checkName(prefix, plan.name);
  const want = wantedSettings(plan);
  const { ours } = await listGenerations(client, prefix, plan.name, signal);
  const newest = ours.toSorted((a, b) => b.number - a.number)[0];
  const shown = ours.find(({ served }) => served) ?? newest;
  const physical = current?.physical ?? shown?.physical;
  const live = physical === undefined ? undefined : await readLive(client, physical, signal);
  if (physical === undefined || live === undefined) {
    return { fate: "made", served: false, differences: [] };
  }
  const served = ours.some((each) => each.physical === physical && each.served);
  const made = await store.mapping(physical, signal);
  const mapping = current === undefined
    ? mappingDifferences(made?.asked ?? live.mappings, mappingOf(plan))
    : [];
  const added = made === undefined ? [] : addedFields(made.printed, live.mappings);
  const settings = settingDifferences(
    live.settings as Settings,
    // Until it is served it has a filling's.
    served ? want : withoutFilling(want),
    current === undefined,
  ).filter(({ path }) => served || !FILLING.has(path));
  return {
    fate: current === undefined ? "replaced" : "kept",
    physical,
    served,
    differences: [...mapping, ...added, ...settings],
  };
}

/** As an index has them once it is served. */
function wantedSettings(plan: IndexPlan): Settings {
  const { "index.number_of_replicas": replicas, ...wanted } = {
    ...fillSettings(plan),
    ...servingSettings(plan),
  };
  const expand = wanted["index.auto_expand_replicas"];
  // A range sets the number by itself.
  return expand === undefined || expand === false
    ? { ...wanted, "index.number_of_replicas": replicas ?? null }
    : wanted;
}

function withoutFilling(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !FILLING.has(name)));
}

const FILLING: ReadonlySet<string> = new Set([
  "index.refresh_interval",
  "index.number_of_replicas",
  "index.auto_expand_replicas",
]);
