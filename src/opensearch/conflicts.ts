import type { Json, JsonObject } from "../core/json.ts";
import { isObject } from "./merge.ts";

/**
 * Where an index's mapping differs from the one expected of it: dotted field paths, each with what
 * differs there. A field that is there beyond the expected ones doesn't count: no document has it.
 * Both sides must be as the same server prints mappings, defaults left out.
 */
export function mappingConflicts(expected: JsonObject, actual: JsonObject, path = ""): string[] {
  const conflicts: string[] = [];
  for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    if (key === "_meta" && path === "") continue;
    const [want, is] = [said(key, expected[key]), said(key, actual[key])];
    if (CHILDREN.has(key)) conflicts.push(...childConflicts(want, is, path));
    else if (!sameJson(want, is)) {
      conflicts.push(`${path === "" ? "(index)" : path}: ${key} is ${text(is)}, not ${text(want)}`);
    }
  }
  return conflicts;
}

/** That a field is an object is printed only until there is a field in it. */
function said(key: string, value: Json | undefined): Json | undefined {
  return key === "type" && value === "object" ? undefined : value;
}

function childConflicts(want: Json | undefined, is: Json | undefined, path: string): string[] {
  if (!isObject(want)) return [];
  const children = isObject(is) ? is : {};
  return Object.entries(want).flatMap(([name, child]) => {
    const childPath = path === "" ? name : `${path}.${name}`;
    const actual = children[name];
    if (!isObject(child) || !isObject(actual)) return [`${childPath} is missing`];
    return mappingConflicts(child, actual, childPath);
  });
}

/** Whether two JSON values are the same, whatever the order of their keys. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => sameJson(a[key], b[key]));
}

function text(value: Json | undefined): string {
  return value === undefined ? "unset" : JSON.stringify(value);
}

/** Where fields stand below fields. */
const CHILDREN = new Set(["properties", "fields"]);
