import type { Json, JsonObject } from "../core/json.ts";

/** `over` merged into `base`, key by key down the objects; all else in `base` is replaced. */
export function mergeJson(base: JsonObject, over: JsonObject): JsonObject {
  const merged: Record<string, Json> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isObject(below) && isObject(value) ? mergeJson(below, value) : value;
  }
  return merged;
}

/** Whether a JSON value is an object: neither null, nor a list, nor a scalar. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
