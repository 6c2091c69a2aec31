import { createHash } from "node:crypto";
import type { Json, JsonObject } from "../core/json.ts";
import type { FieldPlan } from "../core/plan.ts";
import { isObject } from "./merge.ts";

/** The normalizer of the lower-cased subfields. */
export const LOWERCASE_NORMALIZER = "driftless_lowercase";

/** The analyzer of code-like text, of what is written and of what is searched for. */
export const IDENTIFIER_ANALYZER = "driftless_identifier";

/** The normalizer that turns a ranked enum's value into its rank; fields with one list share it. */
export function rankNormalizer(variants: readonly string[]): string {
  const digest = createHash("sha256").update(JSON.stringify(variants)).digest("hex");
  return `driftless_rank_${digest.slice(0, 16)}`;
}

/** The built-in analysis that a mapping of these fields names, in OpenSearch's own form; nothing more. */
export function builtInAnalysis(fields: readonly FieldPlan[], mapping: JsonObject): JsonObject {
  const named = namesIn(mapping);
  const analyzer: Record<string, Json> = {};
  const normalizer: Record<string, Json> = {};
  const charFilter: Record<string, Json> = {};
  const filter: Record<string, Json> = {};
  if (named.has(LOWERCASE_NORMALIZER)) {
    normalizer[LOWERCASE_NORMALIZER] = { type: "custom", filter: ["lowercase"] };
  }
  if (named.has(IDENTIFIER_ANALYZER)) {
    filter[IDENTIFIER_PARTS] = PARTS;
    analyzer[IDENTIFIER_ANALYZER] = {
      type: "custom",
      tokenizer: "whitespace",
      filter: [IDENTIFIER_PARTS, "flatten_graph", "lowercase"],
    };
  }
  for (const variants of rankings(fields)) {
    const name = rankNormalizer(variants);
    if (!named.has(name)) continue;
    normalizer[name] = { type: "custom", char_filter: [WHOLE, name] };
    charFilter[WHOLE] = WHOLE_VALUE;
    charFilter[name] = { type: "mapping", mappings: rankRules(variants) };
  }
  const parts = { analyzer, normalizer, char_filter: charFilter, filter };
  return Object.fromEntries(
    Object.entries(parts).filter(([, entries]) => Object.keys(entries).length > 0),
  );
}

const IDENTIFIER_PARTS = "driftless_identifier_parts";

/**
 * `C-01234`: the same, `C01234`, `C`, `01234`. `fooBar`: the same, `foo`, `Bar`. A search asks for the
 * whole, or for all of its parts in their order: never for one part alone.
 */
const PARTS: JsonObject = {
  type: "word_delimiter_graph",
  preserve_original: true,
  catenate_all: true,
  split_on_case_change: true,
  split_on_numerics: true,
  stem_english_possessive: false,
};

const WHOLE = "driftless_whole";

/**
 * The rules of a char filter apply anywhere in a value, `low` in `slow` too. Marks at both ends tie
 * them to all of it.
 */
const WHOLE_VALUE: JsonObject = {
  type: "pattern_replace",
  pattern: "\\A([\\s\\S]*)\\z",
  replacement: "\u0001$1\u0002",
};

/**
 * A listed value becomes its rank, of as many digits as the last one has. Another keeps its text
 * behind a sign that sorts after all digits. At each place the longest rule that fits applies.
 */
function rankRules(variants: readonly string[]): readonly string[] {
  const width = String(variants.length - 1).length;
  const ranks = variants.map((variant, rank) =>
    `${escapeRule(`\u0001${variant}\u0002`)} => ${String(rank).padStart(width, "0")}`
  );
  return [...ranks, `${escapeRule("\u0001")} => ~`, `${escapeRule("\u0002")} =>`];
}

/** Nothing of a value is left that a rule gives a meaning to: spaces, `=>`, backslashes. */
function escapeRule(text: string): string {
  // Without the u flag: each half of a surrogate pair by itself, as a char filter reads it.
  return text.replaceAll(
    /[^A-Za-z0-9]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Every list of variants, of fields at any depth. */
function rankings(fields: readonly FieldPlan[]): readonly (readonly string[])[] {
  return fields.flatMap((field) => {
    if (field.kind === "object") return rankings(field.fields);
    return field.variants === undefined ? [] : [field.variants];
  });
}

/** What a mapping names as an analyzer or a normalizer, anywhere in it. */
function namesIn(value: Json, names = new Set<string>()): ReadonlySet<string> {
  if (Array.isArray(value)) { for (const each of value) namesIn(each, names); }
  else if (isObject(value)) {
    for (const [key, each] of Object.entries(value)) {
      if (typeof each === "string" && NAMING.has(key)) names.add(each);
      else namesIn(each, names);
    }
  }
  return names;
}

const NAMING = new Set(["analyzer", "search_analyzer", "search_quote_analyzer", "normalizer"]);
