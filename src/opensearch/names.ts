import { Buffer } from "node:buffer";
import { FatalError } from "../core/errors.ts";

/** The name that searches use. */
export function aliasName(prefix: string, index: string): string {
  return prefix + index;
}

/** The name of one generation. */
export function physicalName(
  prefix: string,
  index: string,
  hash: string,
  generation: number,
): string {
  return `${prefix}${index}_${hash}_${generation}`;
}

/** What a physical index's name says; undefined when the name isn't one of this index. */
export function generationOf(
  prefix: string,
  index: string,
  physical: string,
): { readonly hash: string; readonly number: number } | undefined {
  const start = `${prefix}${index}_`;
  if (!physical.startsWith(start)) return undefined;
  const [, hash, number] = /^([0-9a-f]+)_([1-9][0-9]*)$/.exec(physical.slice(start.length)) ?? [];
  return hash === undefined ? undefined : { hash, number: Number(number) };
}

/** The index of driftless's own documents: checkpoint, progress of fillings, plans. */
export function stateName(prefix: string): string {
  return `${prefix}${STATE}`;
}

/** Throws FatalError NAME_INVALID for an index that OpenSearch can't name so. */
export function checkName(prefix: string, index: string): void {
  const problem = nameProblem(prefix, index);
  if (problem === undefined) return;
  throw new FatalError(
    "NAME_INVALID",
    `Cannot create index "${aliasName(prefix, index)}" in OpenSearch: its name ${problem}`,
    `Rename indexes.${index} or change the sink's indexPrefix.`,
  );
}

/** What is wrong with an index's name; undefined when nothing is. */
export function nameProblem(prefix: string, index: string): string | undefined {
  const name = aliasName(prefix, index);
  if (index === STATE) return "is the one that driftless keeps its state under";
  if (index === "") return "is empty";
  if (name !== name.toLowerCase()) return "has upper-case letters";
  if (/^[-_+]/.test(name)) return "starts with -, _ or +";
  const bad = /[\s"*\\<|,>/?#:]/.exec(name)?.[0];
  if (bad !== undefined) return `has ${JSON.stringify(bad)} in it`;
  // Room for the hash and a generation, within OpenSearch's 255 bytes.
  if (Buffer.byteLength(name) > 230) return "is longer than 230 bytes";
  return undefined;
}

const STATE = "driftless";
