import type { Document } from "../../src/core/document.ts";
import type { IndexPlan } from "../../src/core/plan.ts";

/** The first moment's version: of an epoch above 0, so beyond what a double can hold. */
export const V: bigint = (3n << 55n) + 1_000_000n;

/** A plan with a field of each family; `hash` tells one shape of documents from another. */
export function samplePlan(name: string, hash = "0123abcd"): IndexPlan {
  return {
    name,
    root: { schema: "public", name },
    key: ["id"],
    tables: [{ schema: "public", name }],
    fields: [
      { kind: "scalar", name: "title", type: "text" },
      { kind: "scalar", name: "code", type: "keyword" },
      { kind: "scalar", name: "views", type: "long" },
      { kind: "scalar", name: "price", type: "double" },
      { kind: "scalar", name: "at", type: "date" },
      { kind: "scalar", name: "live", type: "boolean" },
      { kind: "scalar", name: "extra", type: "json", as: "disabled" },
      { kind: "scalar", name: "place", type: "geo_point" },
      {
        kind: "object",
        name: "author",
        mapping: "object",
        fields: [{ kind: "scalar", name: "name", type: "text" }],
      },
      {
        kind: "object",
        name: "lines",
        mapping: "nested",
        fields: [
          { kind: "scalar", name: "sku", type: "keyword" },
          { kind: "scalar", name: "quantity", type: "integer" },
        ],
      },
    ],
    settings: {},
    analysis: {},
    mappings: {},
    hash,
    fingerprint: `fingerprint-${hash}`,
    refs: [],
    onRejected: "stop",
  };
}

/** JSON as Postgres would render it: `title` is any text, the rest is fixed. */
export function sampleBody(title: string): string {
  return `{"title":${JSON.stringify(title)},"code":"C-1","views":7,"price":1.50,` +
    `"at":"2026-01-02T03:04:05.123456+00:00","live":true,"extra":null,` +
    `"place":{"lat":52.5,"lon":13.4},"author":{"name":"Ada"},` +
    `"lines":[{"sku":"S-1","quantity":2},{"sku":"S-2","quantity":1}]}`;
}

export function sampleDocument(
  index: string,
  id: string,
  version: bigint,
  title: string | null,
): Document {
  return { index, id, version, body: title === null ? null : sampleBody(title) };
}

/** Bodies that a careless step would alter: each must come back byte for byte. */
export const DELICATE_BODIES: Readonly<Record<string, string>> = {
  astral: sampleBody("𝒯𝑒𝓍𝓉 🦊 \u{10FFFF}"),
  rightToLeft: sampleBody("שלום עולם مرحبا \u202Eabc\u202C"),
  combining: sampleBody("e\u0301 and é stay different"),
  quotes: sampleBody(`"double" 'single' \\back\\ /slash/ \t tab \n line \u0001 control`),
  separators: sampleBody("line\u2028separator\u2029paragraph"),
  bigIntegers:
    `{"title":"exact","views":9007199254740993,"extra":{"n":123456789012345678901234567890.10}}`,
  spacing: `{"title" : "kept" , "price":1.10,  "live":false}`,
  escapes: `{"title":"\\u00e9\\u0041 and \\/ stay escaped"}`,
  keyOrder: `{"title":"x","extra":{"b":1,"a":2}}`,
  long: sampleBody("word ".repeat(20_000).trim()),
};

/** Ids that a careless step would alter or split. */
export const DELICATE_IDS: readonly string[] = [
  "42",
  "042",
  "a|b",
  "with space",
  'quo"te',
  "per%cent/slash",
  "ünï",
  "🦊",
  "null",
  "-1",
  "A",
  "a",
];
