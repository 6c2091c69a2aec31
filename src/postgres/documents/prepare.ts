import type { FieldDescription, IndexDescription } from "../../core/description.ts";
import { FatalError, messageOf } from "../../core/errors.ts";
import type { Problem } from "../../core/problem.ts";
import { tableId, type TableRef } from "../../core/table.ts";
import { type Catalog, loadCatalog } from "../catalog.ts";
import type { Database, Statement } from "../client.ts";
import { blindTables } from "./blind_tables.ts";
import { describeExpressions } from "./describe.ts";
import { bearRefs, planIndexes, type PlannedIndex } from "./plan.ts";
import { overNoKeys } from "./render_build.ts";
import { unfitValues } from "./unfit_values.ts";

export interface PreparedDocuments {
  readonly catalog: Catalog;
  readonly plans: readonly PlannedIndex[];
  /** All of them; an index with an error has no plan. */
  readonly problems: readonly Problem[];
}

/**
 * Everything between a config and a document builder: reads the catalog, plans every index, and has
 * the server parse each build statement, so that what fails later is a row's fault.
 */
export async function prepareDocuments(
  database: Database,
  descriptions: readonly IndexDescription[],
  options: { readonly rowSecurity: "refuse" | "allow" },
  signal: AbortSignal,
): Promise<PreparedDocuments> {
  const catalog = await loadCatalog(database, tablesOf(descriptions), signal);
  const expressions = await describeExpressions(database, descriptions, catalog, signal);
  const { plans, problems } = planIndexes(descriptions, catalog, { ...options, expressions });
  // How tables are followed isn't chosen yet: with every ref that a build may have to name.
  const blind = blindTables(plans, catalog, new Map());
  const sound: PlannedIndex[] = [];
  const unsound: Problem[] = [];
  for (const plan of plans) {
    const refused = await tryStatement(database, bearRefs(plan, blind), signal);
    if (refused === undefined) {
      sound.push(plan);
      continue;
    }
    const culprits = await unfitValues(database, plan.name, plan.bound, signal);
    unsound.push(...(culprits.length > 0 ? culprits : [refused]));
  }
  return { catalog, plans: sound, problems: [...problems, ...unsound] };
}

/** Every table that descriptions name, each once. */
export function tablesOf(descriptions: readonly IndexDescription[]): readonly TableRef[] {
  const all = descriptions.flatMap(({ table, fields }) => [table, ...inFields(fields)]);
  return [...new Map(all.map((ref) => [tableId(ref), ref])).values()];
}

function inFields(fields: readonly FieldDescription[]): TableRef[] {
  return fields.flatMap((field): TableRef[] => {
    if (field.kind === "scalar" || field.kind === "geo_point" || field.kind === "constant") {
      return [];
    }
    if (field.kind === "object") return inFields(field.fields);
    const through = field.through === undefined ? [] : [field.through.table];
    return [field.table, ...through, ...("fields" in field ? inFields(field.fields) : [])];
  });
}

/** EXPLAIN over no keys: the server checks names, operators and the filters' values, and runs nothing. */
async function tryStatement(
  database: Database,
  plan: PlannedIndex,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const { text, params } = overNoKeys(plan.statement);
  const statement: Statement = { text: `EXPLAIN ${text}`, params };
  try {
    await database.query(statement, signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof FatalError)) throw error;
    return {
      severity: "error",
      code: "STATEMENT_INVALID",
      path: `indexes.${plan.name}`,
      // Run over no rows: what its text quotes stands in the config.
      message: `Cannot build documents of ${plan.name}: ${messageOf(error.cause)} (${error.code})`,
      hint:
        "Check that the columns that links compare are of one type, and that the filters' values " +
        "and operators fit their columns'.",
    };
  }
}
