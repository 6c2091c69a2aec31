import type { Change, RowKey } from "../../core/change.ts";
import type { DocumentId } from "../../core/document.ts";
import { tableId } from "../../core/table.ts";
import { type Catalog, type CatalogColumn, type CatalogTable, columnOf } from "../catalog.ts";
import { arrayLiteral, type Statement } from "../client.ts";
import { documentId } from "./identify.ts";
import { captureTables, endOf, type Path, pathsOf } from "./paths.ts";
import type { PlannedIndex } from "./plan.ts";
import { isWithin, refText } from "./refs.ts";
import { keyFromLink, renderResolve, renderRootKeys } from "./render_resolve.ts";

/** What a batch of changes needs to become document ids. */
export interface Resolution {
  /** Ids known without asking. */
  readonly known: readonly DocumentId[];
  /** Each gives root keys of its index, as texts. */
  readonly queries: readonly { readonly index: string; readonly statement: Statement }[];
  /** `Resolved.sought`. */
  readonly sought: ReadonlyMap<string, readonly string[]>;
}

/**
 * Plans the resolving of a batch: at most two statements for each path that ends in a changed table,
 * however many rows changed. Pure.
 *
 * A row's link to what is above it is taken from the change where it saw it: from the key if the
 * link is part of it, else from `before` and `after`; else it is read by key. A row that is gone and
 * left no link behind leads nowhere: its capture's level says so (design 3.1).
 *
 * What a row was before, a change that didn't see it can't tell: unless the link is part of the key,
 * the row is sought where it is named (refs.ts), whether it moved or not.
 */
export function createResolver(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
): (changes: readonly Change[]) => Resolution {
  const routes = routesOf(plans, catalog);
  return (changes) => {
    const known = new Map<string, DocumentId>();
    const queries: { index: string; statement: Statement }[] = [];
    const sought = new Map<string, Set<string>>();
    const byTable = new Map<string, Change[]>();
    for (const change of changes) {
      const id = tableId(change.table);
      const group = byTable.get(id);
      if (group === undefined) byTable.set(id, [change]);
      else group.push(change);
    }
    for (const [id, group] of byTable) {
      const own = routes.get(id) ?? [];
      const places = [...new Set(own.filter(({ leaves }) => leaves).map(({ index }) => index))];
      const unseen = places.length === 0 ? [] : group.filter(({ sawBefore }) => sawBefore !== true);
      const refs = unseen.map(({ table, key }) => refText(table, key));
      for (const index of places) addAll(sought, index, refs);
      for (const route of own) {
        const values: (readonly string[])[] = [];
        const keys: RowKey[] = [];
        for (const change of group) {
          const seen = seenValues(change, route.key, route.wanted);
          values.push(...seen.values);
          if (seen.needsRow) keys.push(change.key);
        }
        const { index } = route;
        if (typeof route.byValues === "string") {
          if (values.length > 0) queries.push({ index, statement: bind(route.byValues, values) });
        } else {
          for (const value of values) {
            const key = route.byValues.map((at) => value[at] ?? "");
            add(known, { index, id: documentId(key), key });
          }
        }
        if (keys.length > 0) queries.push({ index, statement: bind(route.byKey, keys) });
      }
    }
    const lists = [...sought].map(([index, refs]): [string, string[]] => [index, [...refs]]);
    return { known: [...known.values()], queries, sought: new Map(lists) };
  };
}

/** All statements a resolver may send, for `check`: parameters are arrays, one per key column. */
export function resolveStatements(
  plans: readonly PlannedIndex[],
  catalog: Catalog,
): readonly { readonly index: string; readonly text: string; readonly arrays: number }[] {
  return [...routesOf(plans, catalog).values()].flat().flatMap((route) => {
    const { index, key, wanted, byValues, byKey } = route;
    const fromKey = wanted.every((name) => key.includes(name));
    return [
      ...(typeof byValues === "string" ? [{ index, text: byValues, arrays: wanted.length }] : []),
      ...(fromKey ? [] : [{ index, text: byKey, arrays: key.length }]),
    ];
  });
}

/** Adds an id once. */
export function add(ids: Map<string, DocumentId>, id: DocumentId): void {
  const name = `${id.index}\0${id.id}`;
  if (!ids.has(name)) ids.set(name, id);
}

/** One way from a changed table to an index's documents. */
interface Route {
  readonly index: string;
  /** Columns of `Change.key`. */
  readonly key: readonly string[];
  /** Columns of the changed row that lead on. */
  readonly wanted: readonly string[];
  /** A row may leave this way without a word in its key. */
  readonly leaves: boolean;
  /** From values of `wanted`: SQL, or the places among them that already are the root's key. */
  readonly byValues: string | readonly number[];
  /** From keys, for rows whose `wanted` the change didn't show. */
  readonly byKey: string;
}

function routesOf(plans: readonly PlannedIndex[], catalog: Catalog): Map<string, Route[]> {
  const routes = new Map<string, Route[]>();
  for (const { table: ref, key } of captureTables(plans, catalog)) {
    const id = tableId(ref);
    const table = catalog.tables.get(id);
    if (table === undefined) continue;
    const captured = key.map((name) => columnOf(table, name)).filter((c) => c !== undefined);
    const own: Route[] = [];
    for (const plan of plans) {
      if (tableId(plan.root) === id) own.push(rootRoute(plan, table, captured));
      for (const path of pathsOf(plan.bound)) {
        const end = endOf(path);
        if (end !== undefined && tableId(end.ref) === id) own.push(pathRoute(plan, path, captured));
      }
    }
    routes.set(id, own);
  }
  return routes;
}

function rootRoute(
  plan: PlannedIndex,
  table: CatalogTable,
  captured: readonly CatalogColumn[],
): Route {
  return {
    index: plan.name,
    key: captured.map(({ name }) => name),
    wanted: plan.key,
    // Its document stays under another id: the keys that are compared show it.
    leaves: false,
    byValues: plan.key.map((_, at) => at),
    byKey: renderRootKeys(table, plan.bound.key, captured),
  };
}

function pathRoute(plan: PlannedIndex, path: Path, captured: readonly CatalogColumn[]): Route {
  const { root, key } = plan.bound;
  const [first] = path;
  const direct = path.length === 1 && first !== undefined ? keyFromLink(key, first) : undefined;
  const wanted = path.at(-1)?.lower ?? [];
  return {
    index: plan.name,
    key: captured.map(({ name }) => name),
    wanted: wanted.map(({ name }) => name),
    leaves: !isWithin(wanted, captured),
    byValues: direct ?? renderResolve(root.table, key, path, { by: "link" }),
    byKey: renderResolve(root.table, key, path, { by: "key", columns: captured }),
  };
}

/** The values of `wanted` that a change shows; a null among them leads nowhere. */
function seenValues(
  change: Change,
  key: readonly string[],
  wanted: readonly string[],
): { values: readonly (readonly string[])[]; needsRow: boolean } {
  const places = wanted.map((name) => key.indexOf(name));
  if (places.every((at) => at >= 0)) {
    return { values: [places.map((at) => change.key[at] ?? "")], needsRow: false };
  }
  const values: (readonly string[])[] = [];
  let sawAfter = change.op === "delete" && change.before !== undefined;
  for (const columns of [change.before, change.after]) {
    const tuple = wanted.map((name, at) => {
      const place = places[at] ?? -1;
      return place >= 0 ? change.key[place] : columns?.[name];
    });
    if (columns === undefined || tuple.includes(undefined)) {
      if (columns === change.before) sawAfter = false;
      continue;
    }
    if (columns === change.after) sawAfter = true;
    if (tuple.every((value) => typeof value === "string")) values.push(tuple);
  }
  return { values, needsRow: !sawAfter };
}

function addAll(
  to: Map<string, Set<string>>,
  index: string,
  refs: readonly string[],
): void {
  if (refs.length === 0) return;
  const known = to.get(index) ?? new Set();
  to.set(index, known);
  for (const each of refs) known.add(each);
}

function bind(text: string, tuples: readonly (readonly string[])[]): Statement {
  const width = tuples[0]?.length ?? 0;
  const params = Array.from(
    { length: width },
    (_, at) => arrayLiteral(tuples.map((tuple) => tuple[at] ?? null)),
  );
  return { text, params };
}
