import { FatalError } from "../../core/errors.ts";
import { type Database, quote } from "../client.ts";
import type { ColumnType } from "../catalog_types.ts";
import type { CatalogColumn } from "../catalog.ts";
import type { BoundField, BoundRow } from "./bound.ts";
import type { PlannedIndex } from "./plan.ts";

/**
 * What is worth knowing of each index and is no problem, by its name: keys that may not fit into an
 * `_id`, and how json that is only stored could be searched, by a look at a few rows. Values are
 * looked at by the server alone.
 */
export async function indexNotes(
  database: Database,
  plans: readonly PlannedIndex[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const notes = new Map<string, readonly string[]>();
  for (const { name, bound } of plans) {
    const samples: string[] = [];
    for (const field of storedJson(bound.root, "")) {
      samples.push(...await sampleNote(database, field, signal));
    }
    notes.set(name, [...keyNote(bound.key), ...samples]);
  }
  return notes;
}

function keyNote(key: readonly CatalogColumn[]): readonly string[] {
  const bytes = key.reduce((sum, { type }) => sum + mostBytes(type), key.length - 1);
  if (bytes <= MAX_ID_BYTES) return [];
  const columns = key.map(({ name, type }) => `"${name}" (${type.cast})`).join(", ");
  return [
    `A key of ${columns} may be longer than the ${MAX_ID_BYTES} bytes that OpenSearch takes for an ` +
    `_id: such a document's _id is "sha256:" and the hex digest of its key, which doesn't show ` +
    `the key. It stays when its row is deleted, unless by a soft delete or seen by the changelog, ` +
    `and goes on showing a row that moves to another parent where only documents tell that.`,
  ];
}

/** Bytes of UTF-8 that a type's text takes at most, escaped in a composite `_id` too. */
function mostBytes({ base, labels, numeric, declared }: ColumnType): number {
  if (labels !== undefined) return 3 * 63;
  if (numeric !== undefined) return numeric.precision + Math.abs(numeric.scale) + 3;
  if (base === "varchar" || base === "bpchar") {
    // varchar(n) has n + 4 as its modifier; without one there is no end.
    const [, modifier] = /#(\d+)/.exec(declared) ?? [];
    return modifier === undefined ? Infinity : 4 * (Number(modifier) - 4);
  }
  return SHORT.has(base) ? 64 : Infinity;
}

interface JsonField {
  readonly path: string;
  readonly row: BoundRow;
  readonly sql: string;
}

/** Fields of type json that nothing says more about, at any depth. */
function storedJson(row: BoundRow, above: string): readonly JsonField[] {
  const inFields = (fields: readonly BoundField[], above: string): readonly JsonField[] =>
    fields.flatMap((field): readonly JsonField[] => {
      const path = `${above}${field.name}`;
      if (field.kind === "object") return inFields(field.fields, `${path}.`);
      if (field.kind === "relation") return storedJson(field.row, `${path}.`);
      const isStored = field.kind === "scalar" && field.type === "json" && field.as === undefined;
      if (!isStored || field.mapping !== undefined) return [];
      const { source } = field;
      const sql = source.kind === "sql" ? `(${source.sql})` : `t0.${quote(source.column.name)}`;
      return [{ path, row, sql }];
    });
  return inFields(row.fields, above);
}

async function sampleNote(
  database: Database,
  { path, row, sql }: JsonField,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { schema, name } = row.table.ref;
  const text = `SELECT count(v), count(*) FILTER (WHERE jsonb_typeof(v) = 'object' OR ` +
    `jsonb_typeof(v) = 'array' AND NOT v @? '$[*] ? (@.type() != "object")') FROM ` +
    `(SELECT nullif(to_jsonb(${sql}), 'null'::jsonb) AS v ` +
    `FROM ${quote(schema)}.${quote(name)} AS t0 LIMIT ${SAMPLE}) AS s`;
  try {
    const [found] = await database.query({ text }, signal);
    const [values, objects] = [Number(found?.[0]), Number(found?.[1])];
    const stored = `Field "${path}" is json that is stored, not searched`;
    if (values === 0) return [];
    if (objects < values) {
      return [
        `${stored}: some of its values are neither objects nor lists of objects, which "flat_object" would refuse.`,
      ];
    }
    return [
      `${stored}. All of ${values} values that were looked at are objects, or lists of them: "as": "flat_object" ` +
      `makes their values searchable as texts, "as": "object" maps each key by the first value ` +
      `that comes.`,
    ];
  } catch (error) {
    // json that isn't jsonb: it says nothing about what would fit.
    if (error instanceof FatalError) return [];
    throw error;
  }
}

/** Rows looked at. */
const SAMPLE = 200;
const MAX_ID_BYTES = 512;
const SHORT = new Set([
  "bool",
  "cidr",
  "date",
  "float4",
  "float8",
  "inet",
  "int2",
  "int4",
  "int8",
  "interval",
  "macaddr",
  "macaddr8",
  "money",
  "oid",
  "time",
  "timestamp",
  "timestamptz",
  "timetz",
  "uuid",
  "xid8",
]);
