import * as v from "valibot";
import type { Json, JsonObject } from "../core/json.ts";

/** Any JSON value, as it stands. */
export const jsonValue: v.GenericSchema<unknown, Json> = v.unknown() as v.GenericSchema<
  unknown,
  Json
>;

/** A JSON object that is passed on to the sink as it stands. */
export const jsonObject: v.GenericSchema<unknown, JsonObject> = v.record(
  v.string(),
  v.unknown(),
) as v.GenericSchema<unknown, JsonObject>;

/** A value's own keys and what they hold; nothing when it isn't an object. */
export function keysOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Readonly<Record<string, unknown>>
    : {};
}
