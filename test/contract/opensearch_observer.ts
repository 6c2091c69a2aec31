import assert from "node:assert/strict";
import type { OpenSearchOptions } from "../../src/opensearch/client.ts";
import { withoutMark } from "../support/without_mark.ts";
import type { Stored } from "./sink_subject.ts";

export function sinkOptions(
  url: string,
  prefix: string,
  bulk: Partial<OpenSearchOptions["bulk"]> = {},
): OpenSearchOptions {
  return {
    name: "search",
    nodes: [url],
    indexPrefix: prefix,
    bulk: { maxBytes: 8 << 20, maxDocuments: 5_000, writers: 2, gzip: false, ...bulk },
  };
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  // deno-lint-ignore no-explicit-any
  readonly json: any;
}

/** A request of the test's own, by no client library. */
export async function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith("{") ? JSON.parse(text) : text };
}

/** A document by realtime GET: its exact bytes, but for the mark, and its exact version. */
export async function observe(url: string, index: string, id: string): Promise<Stored | undefined> {
  const { status, text } = await ask(url, "GET", `/${index}/_doc/${encodeURIComponent(id)}`);
  if (status === 404) return undefined;
  assert.equal(status, 200, text);
  const version = /"_version":(\d+)/.exec(text)?.[1];
  const start = text.indexOf('"_source":') + '"_source":'.length;
  return {
    body: withoutMark(text.slice(start, -1)),
    ...(version === undefined ? {} : { version: BigInt(version) }),
  };
}

/** The physical index of the highest generation; undefined when there is none. */
export async function newestGeneration(
  url: string,
  prefix: string,
  index: string,
): Promise<string | undefined> {
  return (await generations(url, prefix, index)).at(-1);
}

/** The physical indexes of an index, oldest first. */
export async function generations(url: string, prefix: string, index: string): Promise<string[]> {
  const { json } = await ask(url, "GET", `/${prefix}${index}_*?expand_wildcards=all`);
  const number = (name: string) => Number(name.slice(name.lastIndexOf("_") + 1));
  return Object.keys(json).sort((a, b) => number(a) - number(b));
}

export async function removeAll(url: string, prefix: string): Promise<void> {
  const { json } = await ask(url, "GET", `/${prefix}*?expand_wildcards=all`);
  const names = Object.keys(json);
  if (names.length > 0) await ask(url, "DELETE", `/${names.join(",")}`);
}
