/**
 * What is, beside what should be: every document of an index, read from a sink or computed by SQL
 * that the test wrote itself, and the comparison. Documents are compared as JSON values, numbers by
 * the digits they are written with: 1.10 isn't 1.1.
 */
import { DatabaseSync } from "node:sqlite";
import type postgres from "postgres";
import { withoutMark } from "./without_mark.ts";

/** By id: the document's JSON with sorted keys, numbers as they were written. */
export type Documents = ReadonlyMap<string, string>;

/** A query's rows: (id text, document text). */
export async function sqlDocuments(
  sql: postgres.Sql | postgres.TransactionSql,
  query: string,
): Promise<Documents> {
  const rows = await sql.unsafe<{ id: string; document: string }[]>(query);
  return collect(rows.map(({ id, document }) => [id, document]));
}

/** Every document behind an alias that searches see. */
export async function openSearchDocuments(url: string, index: string): Promise<Documents> {
  const found: (readonly [string, string])[] = [];
  let path = `${index}/_search?scroll=1m`;
  let body: object = { size: PAGE };
  while (true) {
    const page = await send(`${url}/${path}`, "POST", body);
    const hits = hitsOf(page);
    found.push(...hits);
    const scroll_id = /^\{"_scroll_id":"([^"]+)"/.exec(page)?.[1];
    if (hits.length < PAGE) {
      await send(`${url}/_search/scroll`, "DELETE", { scroll_id });
      break;
    }
    path = "_search/scroll";
    body = { scroll: "1m", scroll_id };
  }
  return collect(found);
}

/** Every document of an index in the sqlite sink's file. */
export function sqliteDocuments(path: string, index: string): Documents {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = database.prepare(`SELECT id, document FROM "${index}"`).all();
    return collect(rows.map((row) => [String(row["id"]), String(row["document"])]));
  } finally {
    database.close();
  }
}

/** Throws unless both hold the same ids with the same documents; says what differs. */
export function assertSameDocuments(actual: Documents, expected: Documents, what: string): void {
  const { missing, extra, different } = compareDocuments(actual, expected);
  if (missing.length + extra.length + different.length === 0) return;
  const [id] = different;
  throw new Error(
    `${what}: of ${expected.size} documents ${some("missing", missing)}, ` +
      `${some("different", different)}; ${some("too many", extra)}` +
      (id === undefined ? "" : firstDifference(id, actual.get(id) ?? "", expected.get(id) ?? "")),
  );
}

export interface Differences {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly different: readonly string[];
}

export function compareDocuments(actual: Documents, expected: Documents): Differences {
  const ids = [...expected.keys()];
  return {
    missing: ids.filter((id) => !actual.has(id)),
    extra: [...actual.keys()].filter((id) => !expected.has(id)),
    different: ids.filter((id) => actual.has(id) && actual.get(id) !== expected.get(id)),
  };
}

function collect(entries: readonly (readonly [string, string])[]): Documents {
  const documents = new Map(entries.map(([id, text]) => [id, canonical(text)]));
  if (documents.size !== entries.length) throw new Error("Cannot compare: an id occurs twice");
  return documents;
}

function some(what: string, ids: readonly string[]): string {
  const shown = ids.slice(0, 5).join(", ");
  return `${ids.length} ${what}${shown === "" ? "" : ` (${shown}${ids.length > 5 ? ", …" : ""})`}`;
}

function firstDifference(id: string, is: string, should: string): string {
  let at = 0;
  while (is[at] === should[at]) at++;
  const around = (text: string) => text.slice(Math.max(0, at - 120), at + 80);
  return `\n${id} is     …${around(is)}…\n${id} should …${around(should)}…`;
}

const PAGE = 5_000;

/**
 * Ids and documents of a page, as texts: OpenSearch sends back the bytes it was sent, unless it is
 * asked for parts (`filter_path` and `_source` make it write numbers anew). No document of a test
 * has fields like these, so nothing else looks like a hit's beginning.
 */
function hitsOf(page: string): readonly (readonly [string, string])[] {
  const hit = /\{"_index":"[^"]*","_id":("(?:[^"\\]|\\.)*"),"_score":[^,]*,"_source":/g;
  const starts = [...page.matchAll(hit)];
  return starts.map((start, at) => {
    // Behind a document: `},` and the next hit, or `}]}}`.
    const end = (starts[at + 1]?.index ?? page.length - 2) - 2;
    const document = page.slice(start.index + start[0].length, end);
    return [JSON.parse(start[1] ?? "") as string, withoutMark(document)];
  });
}

async function send(url: string, method: string, body: object): Promise<string> {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`Cannot read ${url}: ${response.status} ${text.slice(0, 500)}`);
  return text;
}

const known = new Map<string, string>();

/** Most documents are as they were when they were last looked at. */
function canonical(text: string): string {
  let form = known.get(text);
  if (form === undefined) {
    form = JSON.stringify(sorted(parseExactly(text)));
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, form);
  }
  return form;
}

const MAX_KNOWN = 50_000;

/** Numbers become raw JSON of the very same digits; the library types don't know these two yet. */
const { parse, rawJSON, isRawJSON } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
};

function parseExactly(text: string): unknown {
  return parse(
    text,
    (_key, value, { source }) => typeof value === "number" ? rawJSON(source) : value,
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null || isRawJSON(value)) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, sorted(each)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}
