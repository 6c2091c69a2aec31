import type { Change, Columns, RowKey } from "../../core/change.ts";
import type { ReplicatedTable } from "../ways.ts";
import type { OldTuple, PgOutputMessage, Relation, Tuple } from "./pgoutput.ts";

/** How the rows of one relation (a table, or a partition of it) tell changes of a followed table. */
export interface Shape {
  readonly table: ReplicatedTable;
  /** Places of the key's columns among the relation's. */
  readonly key: readonly number[];
  /** The same of its join columns; undefined: not all are sent. */
  readonly joins: readonly Joined[] | undefined;
  /** The same of what documents are made of; undefined: every change counts. */
  readonly counted: readonly number[] | undefined;
  /** An old row, or its absence, tells what the links were. */
  readonly seesBefore: boolean;
}

interface Joined {
  readonly name: string;
  readonly at: number;
}

/** Why a relation's rows can't be followed. */
export interface Unfit {
  readonly unfit: string;
}

/**
 * Finds the key by the catalog's names: a relation flags the columns of its replica identity, which
 * with FULL are all.
 */
export function shapeOf(relation: Relation, table: ReplicatedTable): Shape | Unfit {
  const { columns, identity } = relation;
  const places = new Map(columns.map(({ name }, at) => [name, at]));
  const isIdentity = (name: string) =>
    identity === "full" || columns[places.get(name) ?? -1]?.inIdentity === true;
  const key = placesOf(table.key, places);
  if (key === undefined) {
    return { unfit: "a column of its key isn't sent: it was renamed or left out" };
  }
  // With none, no update or delete can have been published: the server refuses them.
  if (identity !== "nothing" && !table.key.every(isIdentity)) {
    return { unfit: "its replica identity doesn't hold its key" };
  }
  const toldBefore = table.joinColumns.every(isIdentity);
  if (table.seesBefore && !toldBefore) {
    return { unfit: "its replica identity told more of its rows when this was planned" };
  }
  const joins = placesOf(table.joinColumns, places);
  return {
    table,
    key,
    joins: joins?.map((at, i) => ({ name: table.joinColumns[i] ?? "", at })),
    counted: table.columns === null
      ? undefined
      : placesOf([...table.key, ...table.joinColumns, ...table.columns], places),
    // A change that comes under the root's name is described with the root's identity, whatever its
    // partition's is: only the plan knows the weakest of them.
    seesBefore: table.seesBefore,
  };
}

/** A message about one row. */
export type RowMessage = Extract<PgOutputMessage, { kind: "insert" | "update" | "delete" }>;

/**
 * What a row's message says of the followed table, in order: an update that changed the key is a delete
 * and an upsert. [] for what concerns nobody: a key that holds a NULL, or a whole old row that shows
 * that nothing documents are made of has changed.
 */
export function changesOf(message: RowMessage, shape: Shape): readonly Change[] | Unfit {
  switch (message.kind) {
    case "insert": {
      const key = keyAt(shape, message.after);
      if (key === undefined) return NO_KEY;
      return key === null ? [] : [upsert(shape, key, { after: linksAt(shape, message.after) })];
    }
    case "delete": {
      const { values } = message.old;
      const key = keyAt(shape, values);
      if (key === undefined) return NO_KEY;
      if (key === null) return [];
      return [remove(shape, key, shape.seesBefore ? linksAt(shape, values) : undefined)];
    }
    case "update":
      return updated(shape, message.old, message.after);
  }
}

function updated(
  shape: Shape,
  old: OldTuple | undefined,
  sent: Tuple,
): readonly Change[] | Unfit {
  if (old?.full === true && isSame(shape.counted, old.values, sent)) return [];
  // What isn't sent has not changed: the old row has it, where it is there.
  const now = old === undefined
    ? sent
    : sent.map((value, at) => value === undefined ? old.values[at] ?? undefined : value);
  const key = keyAt(shape, now);
  if (key === undefined) return NO_KEY;
  const before = old === undefined ? key : keyAt(shape, old.values);
  if (before === undefined) return NO_KEY;
  const after = linksAt(shape, now);
  // Without an old row its identity has not changed.
  const left = !shape.seesBefore || old === undefined ? undefined : linksAt(shape, old.values);
  if (isSameKey(before, key)) {
    if (key === null) return [];
    return [upsert(shape, key, { after, before: left, sawBefore: shape.seesBefore })];
  }
  return [
    ...(before === null ? [] : [remove(shape, before, left)]),
    ...(key === null ? [] : [upsert(shape, key, { after })]),
  ];
}

interface Links {
  readonly after: Columns | undefined;
  readonly before?: Columns | undefined;
  /** Default: there was no row of that key. */
  readonly sawBefore?: boolean;
}

function upsert(shape: Shape, key: RowKey, { after, before, sawBefore = true }: Links): Change {
  return {
    table: shape.table.table,
    op: "upsert",
    key,
    ...(before === undefined || isEqual(before, after) ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    ...(sawBefore ? { sawBefore } : {}),
  };
}

function remove(shape: Shape, key: RowKey, before: Columns | undefined): Change {
  return {
    table: shape.table.table,
    op: "delete",
    key,
    ...(before === undefined ? {} : { before }),
    ...(shape.seesBefore ? { sawBefore: true } : {}),
  };
}

/** Undefined: a part of it isn't sent. Null: a part is NULL, and nothing is joined to such a row. */
function keyAt({ key }: Shape, tuple: Tuple): RowKey | null | undefined {
  const parts: string[] = [];
  let isNull = false;
  for (const at of key) {
    const value = tuple[at];
    if (value === undefined) return undefined;
    if (value === null) isNull = true;
    else parts.push(TEXT.decode(value));
  }
  return isNull ? null : parts;
}

/** Undefined: not all are known. */
function linksAt({ joins }: Shape, tuple: Tuple): Columns | undefined {
  if (joins === undefined) return undefined;
  const links: Record<string, string | null> = {};
  for (const { name, at } of joins) {
    const value = tuple[at];
    if (value === undefined) return undefined;
    links[name] = value === null ? null : TEXT.decode(value);
  }
  return links;
}

/** Whether those columns are the same: of the new row an undefined one wasn't sent and so is. */
function isSame(counted: readonly number[] | undefined, old: Tuple, sent: Tuple): boolean {
  return counted?.every((at) => {
    const a = old[at];
    const b = sent[at];
    if (b === undefined) return true;
    if (a === null || a === undefined || b === null) return a === b;
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  }) ?? false;
}

function isSameKey(a: RowKey | null, b: RowKey | null): boolean {
  if (a === null || b === null) return a === b;
  return a.every((part, at) => part === b[at]);
}

function isEqual(a: Columns, b: Columns | undefined): boolean {
  return b !== undefined && Object.entries(a).every(([name, value]) => b[name] === value);
}

function placesOf(
  names: readonly string[],
  places: ReadonlyMap<string, number>,
): readonly number[] | undefined {
  const found = names.map((name) => places.get(name));
  const known = found.filter((at) => at !== undefined);
  return known.length === found.length ? known : undefined;
}

const NO_KEY: Unfit = { unfit: "a value of a row's key isn't sent" };
/** A text that begins with a byte order mark keeps it. */
const TEXT = new TextDecoder("utf-8", { ignoreBOM: true });
