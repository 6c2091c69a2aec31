import type { RowKey } from "../../core/change.ts";

/**
 * How the outbox's key column holds keys: `json` (json, jsonb: an array of values in the key's order,
 * an object column → value, or a scalar), `array` (text[] and the like), `scalar` (any other type:
 * the text of a key of one column).
 */
export type KeyForm = "json" | "array" | "scalar";

/**
 * The texts of a key's columns, in order, out of the text Postgres prints for the outbox's key
 * column; undefined when it is none: another number of parts, a NULL, a value that is no scalar. Not
 * canonical yet: `007` stays `007`.
 */
export function decodeKey(
  form: KeyForm,
  text: string | null,
  columns: readonly string[],
): RowKey | undefined {
  if (text === null) return undefined;
  const parts = form === "json"
    ? jsonParts(text, columns)
    : form === "array"
    ? arrayParts(text)
    : [text];
  if (parts?.length !== columns.length) return undefined;
  const key = parts.filter((part) => part !== null);
  // Postgres holds neither in a text; json can spell both.
  const isText = (part: string) => !part.includes("\0") && part.isWellFormed();
  return key.length === columns.length && key.every(isText) ? key : undefined;
}

type Parts = readonly (string | null)[] | undefined;

function jsonParts(text: string, columns: readonly string[]): Parts {
  // Numbers as the strings they are written as: a JS number would round a bigint.
  const exact = text.replace(
    /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g,
    (token) => token.startsWith('"') ? token : `"${token}"`,
  );
  const value: unknown = JSON.parse(exact);
  if (Array.isArray(value)) return value.map(scalarText);
  if (typeof value !== "object" || value === null) return [scalarText(value)];
  const held = value as Readonly<Record<string, unknown>>;
  return columns.map((name) => Object.hasOwn(held, name) ? scalarText(held[name]) : null);
}

function scalarText(value: unknown): string | null {
  return typeof value === "string" || typeof value === "boolean" ? String(value) : null;
}

/** The elements of a one-dimensional array's text: `{a,NULL,"b\"c"}`. */
function arrayParts(text: string): Parts {
  const inner = /^(?:\[[^\]]*\]=)?\{(.*)\}$/s.exec(text)?.[1];
  if (inner === undefined || inner === "") return undefined;
  const parts: (string | null)[] = [];
  const element = /("(?:[^"\\]|\\.)*"|[^",{}]+)(,|$)/ys;
  while (element.lastIndex < inner.length) {
    const part = element.exec(inner)?.[1];
    if (part === undefined) return undefined;
    if (part.startsWith('"')) parts.push(part.slice(1, -1).replace(/\\(.)/gs, "$1"));
    else parts.push(part === "NULL" ? null : part);
  }
  return parts;
}
