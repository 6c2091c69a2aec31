import type { Json } from "../core/json.ts";
import type { FieldPlan } from "../core/plan.ts";

/**
 * From a document's JSON to the words it can be found by: the values of its text-like fields, of
 * objects and arrays too. The document itself is stored as it came; this reads it only for FTS5.
 */
export function searchableText(fields: readonly FieldPlan[]): (body: string) => string {
  const collect = objectCollector(fields);
  return (body) => {
    const words: string[] = [];
    collect(JSON.parse(body) as Json, words);
    return words.join("\n");
  };
}

type Collector = (value: Json, words: string[]) => void;

const WORDS: ReadonlySet<string> = new Set([
  "text",
  "keyword",
  "identifier",
  "enum",
  "uuid",
  "ip",
  "wildcard",
  "match_only_text",
  "search_as_you_type",
]);

/** For an object or, as in search, an array of them. */
function objectCollector(fields: readonly FieldPlan[]): Collector {
  const collectors = fields.flatMap((field) => {
    const collector = fieldCollector(field);
    return collector === undefined ? [] : [[field.name, collector] as const];
  });
  const collect: Collector = (value, words) => {
    if (isArray(value)) {
      for (const element of value) collect(element, words);
    } else if (typeof value === "object" && value !== null) {
      for (const [name, collector] of collectors) {
        const member = value[name];
        if (member !== undefined && member !== null) collector(member, words);
      }
    }
  };
  return collect;
}

function fieldCollector(field: FieldPlan): Collector | undefined {
  if (field.kind === "object") return objectCollector(field.fields);
  switch (field.type) {
    case "json":
      return field.as === undefined || field.as === "disabled" ? undefined : collectAll;
    case "map":
      return WORDS.has(field.values ?? "keyword") ? collectAll : undefined;
    case "completion":
      return collectSuggestions;
    case "custom":
      return WORDS.has(String(field.mapping?.["type"])) ? collectAll : undefined;
    default:
      return WORDS.has(field.type) ? collectAll : undefined;
  }
}

/** Texts, or objects that hold them beside their weight: `{"input": […], "weight": 3}`. */
function collectSuggestions(value: Json, words: string[]): void {
  if (isArray(value)) { for (const element of value) collectSuggestions(element, words); }
  else if (typeof value === "object" && value !== null) {
    const { input } = value;
    if (input !== undefined) collectSuggestions(input, words);
  } else collectAll(value, words);
}

/** Every scalar, however deep. */
function collectAll(value: Json, words: string[]): void {
  if (typeof value === "string") words.push(value);
  else if (isArray(value)) { for (const element of value) collectAll(element, words); }
  else if (typeof value === "object" && value !== null) {
    for (const member of Object.values(value)) collectAll(member, words);
  } else if (value !== null) words.push(String(value));
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
