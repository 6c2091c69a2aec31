import type { IndexDescription, ScalarType } from "../../core/description.ts";
import type { JsonObject } from "../../core/json.ts";
import type { FieldPlan, IndexPlan } from "../../core/plan.ts";
import type { Problem } from "../../core/problem.ts";
import { type Catalog, type CatalogTable, rowKeyOf } from "../catalog.ts";
import { bindIndex } from "./bind_index.ts";
import type { BoundConstant, BoundField, BoundIndex } from "./bound.ts";
import { digest } from "./canonical.ts";
import type { ExpressionFacts } from "./describe.ts";
import { passedOver } from "./passed_over.ts";
import { type BuildStatement, renderBuild } from "./render_build.ts";
import type { BlindTables } from "./refs.ts";
import { type UsedTable, usedTables } from "./used_columns.ts";

/** An index plan with what a document builder needs of it. */
export interface PlannedIndex extends IndexPlan {
  readonly bound: BoundIndex;
  readonly statement: BuildStatement;
}

export interface PlanOptions {
  readonly rowSecurity: "refuse" | "allow";
  /** What `describeExpressions` found out about every `sql`. */
  readonly expressions: ReadonlyMap<string, ExpressionFacts>;
}

/**
 * Plans every index that the catalog allows; all problems of all indexes are listed. An index with
 * an error isn't planned; the others are. Pure.
 */
export function planIndexes(
  descriptions: readonly IndexDescription[],
  catalog: Catalog,
  options: PlanOptions,
): { readonly plans: readonly PlannedIndex[]; readonly problems: readonly Problem[] } {
  const plans: PlannedIndex[] = [];
  const problems: Problem[] = [];
  for (const description of descriptions) {
    const own: Problem[] = [];
    const binding = {
      catalog,
      expressions: options.expressions,
      report: (
        severity: Problem["severity"],
        code: string,
        path: string,
        message: string,
        hint?: string,
      ) => own.push({ severity, code, path, message, ...(hint === undefined ? {} : { hint }) }),
    };
    const bound = bindIndex(binding, description, options.rowSecurity);
    problems.push(...own);
    if (bound === undefined || own.some(({ severity }) => severity === "error")) continue;
    plans.push(planOf(description, bound));
  }
  const unfit = passedOver(plans, catalog);
  return {
    plans: plans.filter(({ name }) => !unfit.has(name)),
    problems: [...problems, ...[...unfit.values()].flat()],
  };
}

/**
 * The same plan with documents that name the rows of these tables, where one may leave them unseen.
 * Neither hash nor fingerprint change: `Coverage.refs` tells what an index was filled with.
 */
export function bearRefs(plan: PlannedIndex, blind: BlindTables): PlannedIndex {
  const statement = renderBuild(plan.bound, blind);
  return { ...plan, refs: statement.refs, statement };
}

function planOf(description: IndexDescription, bound: BoundIndex): PlannedIndex {
  const { name, onRejected, sinks, settings, analysis, mappings } = description;
  const fields = fieldPlans(bound.root.fields);
  const used = usedTables(bound);
  const key = bound.key.map((column) => column.name);
  return {
    name,
    root: description.table,
    key,
    tables: used.map(({ table }) => table.ref),
    fields,
    settings: settings ?? {},
    analysis: analysis ?? {},
    mappings: mappings ?? {},
    hash: hashOf(description, key, fields),
    fingerprint: digest(used.map(factsOf), 16),
    refs: [],
    onRejected,
    ...(sinks === undefined ? {} : { sinks }),
    bound,
    statement: renderBuild(bound),
  };
}

/**
 * What the documents and their mapping are: neither the index's name, nor where it goes, nor what
 * happens to a rejected document. The order of fields counts: it shows in the documents' bytes.
 */
function hashOf(
  description: IndexDescription,
  key: readonly string[],
  fields: readonly FieldPlan[],
): string {
  const { name: _, sinks: _sinks, onRejected: _policy, ...documents } = description;
  return digest({ ...documents, key, mapped: fields, format: FORMAT }, 8);
}

/** Rises with what every document carries beside its fields: 2 brought `SyncMark`, 3 its refs. */
const FORMAT = 3;

function fieldPlans(fields: readonly BoundField[]): readonly FieldPlan[] {
  return fields.map((field): FieldPlan => {
    const { name } = field;
    switch (field.kind) {
      case "scalar": {
        const { source: _source, transforms: _transforms, ...searched } = field;
        return searched;
      }
      case "point":
        return { kind: "scalar", name, type: "geo_point", ...mappingOf(field) };
      case "constant":
        return { kind: "scalar", name, type: typeOf(field.value), ...mappingOf(field) };
      case "object":
        return { kind: "object", name, mapping: "object", fields: fieldPlans(field.fields) };
      case "relation": {
        const below = fieldPlans(field.row.fields);
        return { kind: "object", name, mapping: field.mapping, fields: below };
      }
      case "aggregate":
        return { kind: "scalar", name, type: field.type };
    }
  });
}

function mappingOf({ mapping }: { readonly mapping?: JsonObject }): {
  readonly mapping?: JsonObject;
} {
  return mapping === undefined ? {} : { mapping };
}

/** How a constant is searched: as the narrowest type that holds all of it. */
function typeOf(value: BoundConstant["value"]): ScalarType {
  const parts = (Array.isArray(value) ? value : [value]).filter((part) => part !== null);
  if (parts.length === 0) return "keyword";
  if (parts.every((part) => typeof part === "boolean")) return "boolean";
  if (!parts.every((part) => typeof part === "number")) return "keyword";
  return parts.every((part) => Number.isSafeInteger(part)) ? "long" : "double";
}

/** What may change without a row being written, and yet changes what is built from it. */
function factsOf({ table, columns }: UsedTable): unknown {
  // Documents may name rows by their key, shown or not: another column of its name is another key.
  const named = new Set([...columns, ...rowKeyOf(table) ?? []]);
  return {
    table: [table.ref.schema, table.ref.name, table.oid, table.kind],
    definition: table.definition,
    key: table.primaryKey ?? [],
    below: table.below,
    columns: columnFacts(table, named),
  };
}

function columnFacts(table: CatalogTable, columns: ReadonlySet<string>): unknown {
  return table.columns
    .filter(({ name }) => columns.has(name))
    .map((
      { name, attnum, type, generated },
    ) => [name, attnum, type.declared, type.labels ?? [], generated]);
}
