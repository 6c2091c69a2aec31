import type { IndexDifference } from "../core/index_report.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { sameJson } from "./conflicts.ts";
import { isObject } from "./merge.ts";
import type { Settings } from "./settings.ts";

/**
 * Where a mapping that an index was made with differs from the one that is asked for now. Whether the
 * server would take a difference in place is as OpenSearch 2.19 answers to each
 * (test/contract/check_differences.test.ts); what isn't known is taken not to be.
 */
export function mappingDifferences(is: JsonObject, want: JsonObject): readonly IndexDifference[] {
  return inMapping(is, want, "").map(({ difference }) => difference);
}

/**
 * Fields that are in an index beyond those that it was made with: somebody put them there. Below an
 * object that is dynamic the server does so by itself, for what documents hold: those are none.
 */
export function addedFields(made: JsonObject, live: JsonObject): readonly IndexDifference[] {
  return inMapping(made, live, "")
    .filter(({ added, difference: { path } }) =>
      added === "subfield" || added === "field" && !isGrown(made, path)
    )
    .map(({ difference }) => ({
      ...difference,
      change: "put there by hand: no document has it, another generation won't either",
    }));
}

/** Whether OpenSearch adds a field at this path by itself: an object inherits from those above it. */
function isGrown(made: JsonObject, path: string): boolean {
  let object = made;
  let dynamic = made["dynamic"] ?? true;
  for (const name of path.split(".").slice(0, -1)) {
    const below = childrenOf(object["properties"])[name];
    if (!isObject(below)) break;
    object = below;
    dynamic = below["dynamic"] ?? dynamic;
  }
  return GROWING.has(String(dynamic));
}

/**
 * Where the settings of a live index differ from those that are asked for; `rest`: also those that
 * nobody asks for, which another index would not have.
 */
export function settingDifferences(
  live: Settings,
  want: Settings,
  rest: boolean,
): readonly IndexDifference[] {
  const found = new Map<string, IndexDifference>();
  for (const name of new Set([...Object.keys(want), ...Object.keys(live)])) {
    const [is, wanted] = [live[name] ?? undefined, want[name] ?? undefined];
    if (wanted === undefined && (!rest || is === undefined || SERVERS.test(name))) continue;
    if (sameJson(printed(is), printed(wanted))) continue;
    const [component] = COMPONENT.exec(name) ?? [];
    const additive = !STATIC.test(name);
    found.set(
      component ?? name,
      component === undefined
        ? { part: "settings", path: name, change: changeOf(is, wanted), additive }
        : { part: "settings", path: component, change: componentChange(component), additive },
    );
  }
  return [...found.values()];

  /** An analyzer or the like as a whole: its parts are settings of their own. */
  function componentChange(component: string): string {
    const has = (settings: Settings) =>
      Object.keys(settings).some((name) => name.startsWith(`${component}.`));
    if (!has(live)) return "new";
    return has(want) ? "another definition" : "no longer there";
  }
}

interface Found {
  readonly difference: IndexDifference;
  /** What is there that wasn't. */
  readonly added?: "field" | "subfield";
}

function inMapping(is: JsonObject, want: JsonObject, path: string): Found[] {
  const differences: Found[] = [];
  const add = (path: string, change: string, additive: boolean, added?: Found["added"]) =>
    differences.push({
      difference: { part: "mapping", path, change, additive },
      ...(added === undefined ? {} : { added }),
    });
  if (typeOf(is) !== typeOf(want)) {
    add(path, `type: ${text(typeOf(is))} → ${text(typeOf(want))}`, false);
    return differences;
  }
  for (const key of new Set([...Object.keys(is), ...Object.keys(want)])) {
    if (key === "type" || (key === "_meta" && path === "")) continue;
    const [before, after] = [is[key], want[key]];
    if (!CHILDREN.has(key)) {
      if (sameJson(printed(before), printed(after))) continue;
      add(path, `${key}: ${text(before)} → ${text(after)}`, isTaken(is, key, before, after, path));
      continue;
    }
    const [fields, wanted] = [childrenOf(before), childrenOf(after)];
    const what = key === "fields" ? "subfield" : "field";
    for (const name of new Set([...Object.keys(fields), ...Object.keys(wanted)])) {
      const [there, asked] = [fields[name], wanted[name]];
      const child = path === "" ? name : `${path}.${name}`;
      if (isObject(there) && isObject(asked)) differences.push(...inMapping(there, asked, child));
      else if (isObject(asked)) add(child, `a new ${what} (${typeOf(asked)})`, true, what);
      else add(child, `the ${what} is no longer described`, false);
    }
  }
  return differences;
}

function isTaken(
  is: JsonObject,
  key: string,
  before: Json | undefined,
  after: Json | undefined,
  path: string,
): boolean {
  if (key === "norms") return after === false;
  if (path !== "" && !OBJECTS.has(typeOf(is))) return TAKEN.has(key);
  // What an object doesn't say stays as it was.
  if (after === undefined) return false;
  if (key === "dynamic") return true;
  if (path !== "") return false;
  // Templates are merged by name, and new ones put last.
  if (key === "dynamic_templates") {
    const names = templateNames(after);
    return templateNames(before).every((name, at) => names[at] === name);
  }
  return TAKEN_BY_ROOT.has(key);
}

/** An object needs no type, and is printed without it. */
function typeOf(field: JsonObject): string {
  const { type } = field;
  return typeof type === "string" ? type : "object";
}

function childrenOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function templateNames(templates: Json | undefined): readonly string[] {
  return Array.isArray(templates)
    ? templates.flatMap((each: Json) => isObject(each) ? Object.keys(each) : [])
    : [];
}

/** As the server prints a value: scalars as texts, one alone like a list of it. */
function printed(value: Json | undefined): Json | undefined {
  if (value === undefined || value === null) return undefined;
  if (isObject(value)) return value;
  if (!Array.isArray(value)) return [String(value)];
  return value.map((each: Json) => isObject(each) ? each : String(each));
}

function changeOf(is: Json | undefined, want: Json | undefined): string {
  return `${text(is)} → ${text(want)}`;
}

function text(value: Json | undefined): string {
  return value === undefined ? "unset" : JSON.stringify(value);
}

const CHILDREN = new Set(["properties", "fields"]);
const OBJECTS = new Set(["object", "nested"]);
/** Values of `dynamic` under which a document adds fields, by a template at least. */
const GROWING = new Set(["true", "strict_allow_templates", "false_allow_templates"]);

/** Parameters of a field that OpenSearch changes in place. `norms` can only be taken away. */
const TAKEN = new Set([
  "boost",
  "coerce",
  "copy_to",
  "eager_global_ordinals",
  "fielddata",
  "fielddata_frequency_filter",
  "ignore_above",
  "ignore_malformed",
  "ignore_z_value",
  "max_input_length",
  "meta",
  "orientation",
  "search_analyzer",
  "search_quote_analyzer",
  "split_queries_on_whitespace",
]);
const TAKEN_BY_ROOT = new Set(["date_detection", "dynamic_date_formats", "numeric_detection"]);

/** Settings that OpenSearch takes at an index's creation alone, or of a closed index. */
const STATIC = new RegExp(
  `^index\\.(${
    [
      "number_of_shards",
      "number_of_routing_shards",
      "routing_partition_size",
      "codec",
      "codec\\..*",
      "sort\\..*",
      "analysis\\..*",
      "similarity\\..*",
      "mapping\\.(coerce|ignore_malformed)",
      "soft_deletes\\.enabled",
      "queries\\.cache\\.enabled",
      "store\\..*",
      "load_fixed_bitset_filters_eagerly",
      "shard\\.check_on_startup",
      "fielddata\\.cache",
      "data_path",
      "format",
      "merge\\.policy",
      "replication\\.type",
      "composite_index",
      "append_only\\.enabled",
      "knn",
    ].join("|")
  })$`,
);
/** What a server says of every index, asked or not. */
const SERVERS = new RegExp(
  "^index\\.(uuid|creation_date|provided_name|version\\..*|history\\.uuid|number_of_(shards|replicas)|" +
    "replication\\.type|verified_before_close|resize\\..*|routing\\.allocation\\.initial_recovery\\..*)$",
);
/** `index.analysis.analyzer.name` */
const COMPONENT = /^index\.(?:analysis\.[^.]+|similarity)\.[^.]+(?=\.)/;
