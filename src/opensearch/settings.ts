import { FatalError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { IndexPlan } from "../core/plan.ts";
import { builtInAnalysis } from "./analysis.ts";
import { mappingOf } from "./mapping.ts";
import { isObject, mergeJson } from "./merge.ts";

/** Settings by their full name: `index.refresh_interval`. */
export type Settings = Readonly<Record<string, Json>>;

/**
 * The settings an index is created with: the plan's over ours, and during the filling no refresh
 * and no replicas, since nothing searches it yet. Throws FatalError NOT_DURABLE for an
 * asynchronous translog: a write is acknowledged only once it is on disk.
 */
export function fillSettings(plan: IndexPlan): Settings {
  const planned = plannedSettings(plan);
  return {
    ...planned,
    "index.refresh_interval": "-1",
    "index.number_of_replicas": 0,
    ...(AUTO_EXPAND in planned ? { [AUTO_EXPAND]: false } : {}),
  };
}

/** What puts the filling's settings back: to the plan's, or to the cluster's default by null. */
export function servingSettings(plan: IndexPlan): Settings {
  const planned = plannedSettings(plan);
  const expand = planned[AUTO_EXPAND];
  return {
    "index.refresh_interval": planned["index.refresh_interval"] ?? null,
    // The range decides where there is one; both in one request would be two answers.
    ...(expand === undefined || expand === false
      ? { "index.number_of_replicas": planned["index.number_of_replicas"] ?? null }
      : { [AUTO_EXPAND]: expand }),
  };
}

/** Throws FatalError NOT_DURABLE when a live index has an asynchronous translog. */
export function checkDurability(settings: Settings, index: string): void {
  if (String(settings[DURABILITY] ?? "request").toLowerCase() === "request") return;
  throw new FatalError(
    "NOT_DURABLE",
    `Cannot write to index "${index}": its setting ${DURABILITY} isn't "request"`,
    "Remove the setting: with it OpenSearch acknowledges writes that a crash would lose.",
  );
}

/** Settings of any nesting, with or without `index.`, by their full names. */
function flatten(settings: JsonObject, prefix = ""): Settings {
  const flat: Record<string, Json> = {};
  for (const [key, value] of Object.entries(settings)) {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    if (isObject(value)) Object.assign(flat, flatten(value, name));
    else flat[name.startsWith("index.") ? name : `index.${name}`] = value;
  }
  return flat;
}

function plannedSettings(plan: IndexPlan): Settings {
  const mapping = mappingOf(plan);
  const analysis = mergeJson(builtInAnalysis(plan.fields, mapping), plan.analysis);
  const settings = {
    ...OURS,
    ...(hasVectors(mapping) ? { "index.knn": true } : {}),
    ...flatten({ analysis }),
    ...flatten(plan.settings),
  };
  checkDurability(settings, plan.name);
  return settings;
}

/** Whether a field at any depth is a vector, which an index has to be made for. */
function hasVectors(mapping: Json): boolean {
  if (Array.isArray(mapping)) return mapping.some(hasVectors);
  if (!isObject(mapping)) return false;
  return mapping["type"] === "knn_vector" || Object.values(mapping).some(hasVectors);
}

const AUTO_EXPAND = "index.auto_expand_replicas";
const DURABILITY = "index.translog.durability";

const OURS: Settings = {
  // A late write mustn't bring back what was deleted: a delete is remembered this long.
  "index.gc_deletes": "15m",
  // Said although it is the default: an index template may say otherwise.
  [DURABILITY]: "request",
};
