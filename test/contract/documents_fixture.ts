import { deepEqual, equal } from "node:assert/strict";
import type {
  AggregateField,
  FieldDescription,
  Filter,
  IndexDescription,
  RelationField,
  ScalarField,
  ScalarType,
} from "../../src/core/description.ts";
import type { Change, Columns } from "../../src/core/change.ts";
import type { Json } from "../../src/core/json.ts";
import type { Built, DocumentBuilder } from "../../src/core/ports.ts";
import type { Epoch } from "../../src/core/source.ts";
import type { TableRef } from "../../src/core/table.ts";
import {
  type Database,
  openDatabase,
  type Row,
  type Statement,
} from "../../src/postgres/client.ts";
import { blindTables } from "../../src/postgres/documents/blind_tables.ts";
import type { Way } from "../../src/postgres/ways.ts";
import { openDocumentBuilder } from "../../src/postgres/documents/build.ts";
import { bearRefs } from "../../src/postgres/documents/plan.ts";
import { type PreparedDocuments, prepareDocuments } from "../../src/postgres/documents/prepare.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

export const EPOCH: Epoch = { number: 1, timeline: 1, kind: "flush" };
export const SIGNAL: AbortSignal = new AbortController().signal;

/** A table of public, or `schema.table`. */
export function ref(name: string): TableRef {
  const [schema, table] = name.split(".");
  return table === undefined ? { schema: "public", name } : { schema: schema ?? "", name: table };
}

export function index(
  name: string,
  table: string | TableRef,
  fields: readonly FieldDescription[],
  more: Partial<IndexDescription> = {},
): IndexDescription {
  const at = typeof table === "string" ? ref(table) : table;
  return { name, table: at, where: [], fields, onRejected: "stop", ...more };
}

export function scalar(
  name: string,
  type: ScalarType = "keyword",
  more: Partial<ScalarField> & { column?: string; sql?: string } = {},
): ScalarField {
  const { column, sql, ...rest } = more;
  const from = sql === undefined
    ? { kind: "column" as const, column: column ?? name }
    : { kind: "sql" as const, sql };
  return { kind: "scalar", name, type, from, transforms: [], ...rest };
}

export function relation(
  kind: RelationField["kind"],
  name: string,
  table: string,
  columns: readonly string[],
  fields: readonly FieldDescription[],
  more: Partial<RelationField> = {},
): RelationField {
  return {
    kind,
    name,
    table: ref(table),
    columns,
    fields,
    where: [],
    orderBy: [],
    mapping: "object",
    ...more,
  };
}

export function aggregate(
  kind: AggregateField["kind"],
  name: string,
  table: string,
  foreignKey: readonly string[],
  more: Partial<AggregateField> = {},
): AggregateField {
  return { kind, name, table: ref(table), foreignKey, where: [], ...more };
}

export function compare(
  column: string,
  op: Extract<Filter, { kind: "compare" }>["op"],
  ...values: (string | number | boolean)[]
): Filter {
  return { kind: "compare", column, op, values };
}

/** A database with tables, seen through the role that has SELECT alone. */
export interface Fixture extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly database: Database;
  /** Every statement sent, positions apart. */
  readonly sent: Statement[];
  prepare(
    descriptions: readonly IndexDescription[],
    rowSecurity?: "refuse" | "allow",
  ): Promise<PreparedDocuments>;
  /** `refs`: documents bear them, of all tables but those whose captures see what was before. */
  open(
    descriptions: readonly IndexDescription[],
    maxBytes?: number,
    refs?: { readonly maxRefs?: number; readonly seen?: readonly string[] },
  ): Promise<OpenDocuments>;
}

export interface OpenDocuments {
  readonly builder: DocumentBuilder;
  readonly prepared: PreparedDocuments;
  /** Builds documents of the first index by the key's texts. */
  build(...keys: (string | readonly string[])[]): Promise<Built>;
  /** The same, parsed; undefined: deleted. */
  read(...keys: (string | readonly string[])[]): Promise<(Json | undefined)[]>;
  /** Ids of the documents that changed rows of a table lead to, as `index:id`, sorted. */
  resolve(table: string, keys: readonly (readonly string[])[], more?: Partial<Change>): Promise<
    string[]
  >;
}

export async function openFixture(ddl: string, major: 18 | 15 = 18): Promise<Fixture> {
  const db = await createDatabase(ddl, major);
  const inner = openDatabase({
    url: db.readerUrl,
    pooler: "none",
    rowSecurity: "refuse",
    maxConnections: 2,
    applicationName: `driftless/test-${crypto.randomUUID()}`,
    statementTimeoutMs: 60_000,
  });
  const sent: Statement[] = [];
  const note = (statements: readonly Statement[]) => {
    for (const each of statements) if (!each.text.includes("pg_is_in_recovery")) sent.push(each);
  };
  const database: Database = {
    ...inner,
    query(statement, signal): Promise<readonly Row[]> {
      note([statement]);
      return inner.query(statement, signal);
    },
    sequence(statements, signal): Promise<readonly (readonly Row[])[]> {
      note(statements);
      return inner.sequence(statements, signal);
    },
  };
  const prepare: Fixture["prepare"] = (descriptions, rowSecurity = "refuse") =>
    prepareDocuments(database, descriptions, { rowSecurity }, SIGNAL);

  return {
    db,
    database,
    sent,
    prepare,
    async open(descriptions, maxDocumentBytes = 10 << 20, refs?): Promise<OpenDocuments> {
      const found = await prepare(descriptions);
      deepEqual(found.problems.filter(({ severity }) => severity === "error"), []);
      const { catalog } = found;
      const seen = new Map((refs?.seen ?? []).map((id) => [id, SEEN]));
      const blind = blindTables(found.plans, catalog, seen);
      const plans = refs === undefined
        ? found.plans
        : found.plans.map((plan) => bearRefs(plan, blind));
      const prepared = { ...found, plans };
      const limits = refs?.maxRefs === undefined ? {} : { maxRefs: refs.maxRefs };
      const builder = openDocumentBuilder({
        database,
        plans,
        catalog,
        maxDocumentBytes,
        ...limits,
      });
      const name = descriptions[0]?.name ?? "";
      const build: OpenDocuments["build"] = (...keys) => {
        const ids = keys.map((key) =>
          builder.identify(name, typeof key === "string" ? [key] : key)
        );
        return builder.build(ids, EPOCH, SIGNAL);
      };
      return {
        builder,
        prepared,
        build,
        async read(...keys): Promise<(Json | undefined)[]> {
          const { documents, rejections } = await build(...keys);
          deepEqual(rejections, []);
          equal(documents.length, keys.length);
          return documents.map(({ body }) => {
            if (body === null) return undefined;
            equal(body.includes("\n"), false, "a document is one line");
            return JSON.parse(body) as Json;
          });
        },
        async resolve(table, keys, more = {}): Promise<string[]> {
          const changes = keys.map((key): Change => ({
            table: ref(table),
            op: "upsert",
            key,
            ...more,
          }));
          const { ids } = await builder.resolve(changes, SIGNAL);
          return ids.map(({ index, id }) => `${index}:${id}`).sort();
        },
      };
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await database[Symbol.asyncDispose]();
      await db[Symbol.asyncDispose]();
    },
  };
}

/** Columns of a change. */
export function columns(values: Record<string, string | null>): Columns {
  return values;
}

/** A way that tells what a row was before. */
const SEEN: Way = {
  kind: "changelog",
  stream: "changelog",
  signature: "",
  table: { table: { schema: "public", name: "any" }, id: "public.any", oid: "1", key: [] },
};
