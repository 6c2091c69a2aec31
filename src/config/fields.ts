import * as v from "valibot";
import type { FieldDescription } from "../core/description.ts";
import { say } from "./issue_text.ts";
import { keysOf } from "./json_value.ts";
import { fieldName } from "./names.ts";
import { nearest } from "../core/nearest.ts";
import { aggregateSchemas, relationSchemas } from "./relations.ts";
import { scalarField, shorthand, type Unnamed } from "./scalars.ts";

/** One field: a type's name, or an object with `type` or one of the keys of a relation. */
export const field: v.GenericSchema<unknown, Unnamed> = v.lazy((input) => {
  if (input === undefined) return FIELD;
  if (typeof input !== "object" || input === null || Array.isArray(input)) return shorthand;
  const kinds = Object.keys(KINDS).filter((kind) => Object.hasOwn(input, kind));
  if (kinds.length > 1) return several(kinds);
  const [kind] = kinds;
  if (kind !== undefined) return KINDS[kind] ?? scalarField;
  return Object.hasOwn(input, "type") ? scalarField : unclear(Object.keys(keysOf(input)));
});

/** The fields of a document or of an object in it, in the order of the file. */
export const fields: v.GenericSchema<unknown, readonly FieldDescription[]> = v.pipe(
  v.record(fieldName, field),
  v.minEntries(1, say("INVALID_VALUE", "No field is described", "Name at least one field.")),
  v.description("Fields by name, in the order of the document."),
  v.transform((named) => Object.entries(named).map(([name, make]) => make(name))),
);

const KINDS: Readonly<Record<string, v.GenericSchema<unknown, Unnamed>>> = {
  ...relationSchemas(fields),
  ...aggregateSchemas,
  object: v.pipe(
    v.strictObject({ object: v.pipe(fields, v.description("Columns of the same row.")) }),
    v.transform(({ object }): Unnamed => (name) => ({ kind: "object", name, fields: object })),
  ),
};

/** What `field` is for an editor. */
export const FIELD: v.GenericSchema<unknown, Unnamed> = v.union([
  shorthand,
  scalarField,
  ...Object.values(KINDS),
]);

function several(kinds: readonly string[]): v.GenericSchema<unknown, Unnamed> {
  const message = `A field can't be ${kinds.map((kind) => `"${kind}"`).join(" and ")} at once`;
  return refuse(say("INVALID_VALUE", message, "Make a field of each."));
}

function unclear(keys: readonly string[]): v.GenericSchema<unknown, Unnamed> {
  const known = ["type", ...Object.keys(KINDS)];
  for (const key of keys) {
    const near = nearest(key, known);
    if (near === undefined) continue;
    return refuse(say("UNKNOWN_KEY", `Unknown key "${key}"`, `Did you mean "${near}"?`));
  }
  const hint = `Give it one of ${known.join(", ")}.`;
  return refuse(say("MISSING_KEY", "Nothing says what this field is", hint));
}

function refuse(message: string): v.GenericSchema<unknown, Unnamed> {
  return v.custom<Unnamed>(() => false, message);
}
