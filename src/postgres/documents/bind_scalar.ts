import type { ScalarField, ScalarType } from "../../core/description.ts";
import type { CatalogTable } from "../catalog.ts";
import { type ColumnType, typeText } from "../catalog_types.ts";
import { bindExpression } from "./bind_expression.ts";
import { bindColumn, type Binding, warnOfMoney } from "./binding.ts";
import type { BoundScalar, BoundSource } from "./bound.ts";
import { canHold, familyOf, naturalType } from "./field_types.ts";

/** A field of one column or expression; undefined after reporting why it can't be made of it. */
export function bindScalar(
  binding: Binding,
  table: CatalogTable,
  field: ScalarField,
  path: string,
): BoundScalar | undefined {
  const source = bindSource(binding, table, field, path);
  if (source === undefined) return undefined;
  const value: Value = {
    type: source.type,
    name: source.kind === "sql" ? "this sql" : `"${source.column.name}"`,
    at: source.kind === "sql" ? `${path}.sql` : `${path}.column`,
  };
  if (!fits(binding, field, value)) return undefined;
  if (!accepts(binding, field, value)) return undefined;
  if (!transforms(binding, field, value, path)) return undefined;
  warnOfMoney(binding, value.type, value.name, value.at);
  compareVariants(binding, field, value, path);
  const dimension = bindDimension(binding, field, value, path);
  if (dimension === "unknown") return undefined;
  const { from: _from, columnTypes: _types, dimension: _given, ...kept } = field;
  return { ...kept, source, ...(dimension === undefined ? {} : { dimension }) };
}

/** What a field is made of, and how messages call it. */
interface Value {
  readonly type: ColumnType;
  readonly name: string;
  readonly at: string;
}

function bindSource(
  binding: Binding,
  table: CatalogTable,
  { from }: ScalarField,
  path: string,
): BoundSource | undefined {
  if (from.kind === "sql") return bindExpression(binding, table, from.sql, `${path}.sql`, "field");
  const column = bindColumn(binding, table, from.column, `${path}.column`);
  return column && { kind: "column", column, type: column.type };
}

function fits(binding: Binding, field: ScalarField, { type, name, at }: Value): boolean {
  const fit = canHold(field.type, type);
  if (fit === "no") {
    const natural = suitableType(type) ?? (familyOf(type) === "json" ? "json" : undefined);
    binding.report(
      "error",
      "TYPE_MISMATCH",
      at,
      `Cannot fill a field of type ${field.type}: ${name} is ${typeText(type)}`,
      natural === undefined ? "Use sql to turn it into such a value." : `Use type "${natural}".`,
    );
  } else if (fit === "narrow") {
    binding.report(
      "warning",
      "TYPE_NARROW",
      at,
      `A field of type ${field.type} can't hold every value of ${name}: others are rejected`,
      `Use type "${suitableType(type) ?? "long"}" to hold them all.`,
    );
  }
  return fit !== "no";
}

/** What to say instead. A decimal can be told how many digits to keep, which a double can't. */
function suitableType(type: ColumnType): ScalarType | undefined {
  return familyOf(type) === "numeric" ? "decimal" : naturalType(type);
}

/** Whether a custom field takes such a column. */
function accepts(binding: Binding, field: ScalarField, { type, name, at }: Value): boolean {
  if (field.columnTypes === undefined) return true;
  const brackets = type.isArray ? "[]" : "";
  const names = [`${type.cast}${brackets}`, `${type.base}${brackets}`];
  const isNamed = (each: string) => names.includes(each) || names.includes(each.toLowerCase());
  if (field.columnTypes.some((each) => isNamed(each.trim()))) return true;
  binding.report(
    "error",
    "TYPE_MISMATCH",
    at,
    `Cannot fill this custom field: ${name} is ${names[0]}, and it takes ` +
      field.columnTypes.join(", "),
    'Name another column, or add its type to "columnTypes".',
  );
  return false;
}

function transforms(binding: Binding, field: ScalarField, value: Value, path: string): boolean {
  const applied = field.transforms.find((each) => typeof each === "string");
  if (applied === undefined || familyOf(value.type) === "text") return true;
  binding.report(
    "error",
    "TYPE_MISMATCH",
    `${path}.transforms`,
    `Cannot apply ${applied}: ${value.name} is not a text`,
    "Cast it to text in sql, or drop the transform.",
  );
  return false;
}

/** A ranked enum's list beside the labels that Postgres knows: either may be behind the other. */
function compareVariants(binding: Binding, field: ScalarField, value: Value, path: string): void {
  const { variants } = field;
  const { labels } = value.type;
  if (variants === undefined || labels === undefined) return;
  const listed = (these: readonly string[]) => these.map((each) => `"${each}"`).join(", ");
  const unranked = labels.filter((label) => !variants.includes(label));
  const unknown = variants.filter((variant) => !labels.includes(variant));
  if (unranked.length > 0) {
    binding.report(
      "warning",
      "VARIANTS_INCOMPLETE",
      `${path}.variants`,
      `The variants leave out ${listed(unranked)} of ${value.name}: they sort last`,
      'Add them to "variants" at their rank.',
    );
  }
  if (unknown.length > 0) {
    binding.report(
      "warning",
      "VARIANTS_UNKNOWN",
      `${path}.variants`,
      `The variants list ${listed(unknown)}: the type ${value.type.cast} has no such value`,
      `It has ${listed(labels)}; case counts.`,
    );
  }
}

/** undefined: the field has none. */
function bindDimension(
  binding: Binding,
  field: ScalarField,
  { type, name, at }: Value,
  path: string,
): number | undefined | "unknown" {
  if (field.type !== "knn_vector") return undefined;
  const { dimension: declared } = type;
  const { dimension: given } = field;
  if (given === undefined && declared === undefined && field.mapping?.["model_id"] === undefined) {
    binding.report(
      "error",
      "DIMENSION_MISSING",
      at,
      `Cannot map a knn_vector: ${name} is ${
        typeText(type)
      }, which doesn't say how many numbers it has`,
      'Give "dimension".',
    );
    return "unknown";
  }
  if (given !== undefined && declared !== undefined && given !== declared) {
    binding.report(
      "error",
      "DIMENSION_MISMATCH",
      `${path}.dimension`,
      `Cannot put ${name} into ${given} numbers: it is declared with ${declared}`,
      `Write ${declared}, or leave it out.`,
    );
    return "unknown";
  }
  return given ?? declared;
}
