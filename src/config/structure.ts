import type * as v from "valibot";
import type { Problem } from "../core/problem.ts";
import { type ConfigPath, formatPath } from "./config_path.ts";
import { nearest } from "../core/nearest.ts";

/**
 * What valibot's own pass over a config doesn't say: every unknown key (it names the first of each
 * object) with the nearest known one, and lists where an object belongs (it takes them for empty
 * objects).
 */
export function structureProblems(
  schema: v.GenericSchema<unknown, unknown>,
  value: unknown,
): readonly Problem[] {
  const problems: Problem[] = [];
  visit(schema as AnySchema, value, []);
  return problems;

  function visit(schema: AnySchema, value: unknown, path: ConfigPath): void {
    if (typeof value !== "object" || value === null) return;
    if (schema.type === "exact_optional" || schema.type === "optional") {
      if (schema.wrapped !== undefined) visit(schema.wrapped, value, path);
    } else if (schema.type === "lazy") {
      if (schema.getter !== undefined) visit(schema.getter(value), value, path);
    } else if (schema.type === "array") {
      if (!Array.isArray(value) || schema.item === undefined) return;
      for (const [i, item] of value.entries()) visit(schema.item, item, [...path, i]);
    } else if (OBJECTS.has(schema.type)) {
      if (Array.isArray(value)) problems.push(notAnObject(path));
      else visitObject(schema, value as Readonly<Record<string, unknown>>, path);
    }
  }

  function visitObject(
    schema: AnySchema,
    object: Readonly<Record<string, unknown>>,
    path: ConfigPath,
  ): void {
    for (const [key, value] of Object.entries(object)) {
      const here = [...path, key];
      if (schema.type === "record") {
        if (schema.value !== undefined) visit(schema.value, value, here);
        continue;
      }
      const entry = Object.hasOwn(schema.entries ?? {}, key) ? schema.entries?.[key] : undefined;
      if (entry !== undefined) visit(entry, value, here);
      else if (schema.type === "strict_object") {
        problems.push(unknownKey(key, Object.keys(schema.entries ?? {}), here));
      }
    }
  }
}

/** The parts of valibot's schema objects that are walked; all are part of its documented shape. */
export interface AnySchema {
  readonly type: string;
  readonly wrapped?: AnySchema;
  readonly getter?: (value: unknown) => AnySchema;
  readonly item?: AnySchema;
  readonly entries?: Readonly<Record<string, AnySchema>>;
  readonly value?: AnySchema;
  readonly options?: readonly AnySchema[];
}

const OBJECTS = new Set(["strict_object", "loose_object", "record"]);

function notAnObject(path: ConfigPath): Problem {
  return {
    severity: "error",
    code: "INVALID_VALUE",
    path: formatPath(path),
    message: "Expected an object, found a list",
    hint: "Write { … } instead of [ … ].",
  };
}

function unknownKey(key: string, known: readonly string[], path: ConfigPath): Problem {
  const near = nearest(key, known);
  return {
    severity: "error",
    code: "UNKNOWN_KEY",
    path: formatPath(path),
    message: `Unknown key "${key}"`,
    hint: near === undefined ? `The keys here are ${known.join(", ")}.` : `Did you mean "${near}"?`,
  };
}
