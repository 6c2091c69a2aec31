import type { ScalarField, ScalarType } from "../../src/core/description.ts";
import type { JsonObject } from "../../src/core/json.ts";

/**
 * One type of column and the fields that hold it. Each value is the SQL that writes it, then the
 * JSON text that each of the fields must show, in their order.
 */
export interface MatrixCase {
  readonly column: string;
  readonly fields: readonly (ScalarType | MatrixField)[];
  readonly values: readonly (readonly [sql: string, ...json: string[]])[];
  /** The first major version that has the type or takes the values. */
  readonly since?: 17 | 18;
  /** Searches by a value: a field and the value that must be found, by their places, and the query. */
  readonly find?: readonly (readonly [
    field: number,
    value: number,
    query: (name: string) => JsonObject,
  ])[];
}

export type MatrixField =
  & { readonly type: ScalarType }
  & Partial<Pick<ScalarField, "as" | "values" | "scale" | "mapping" | "dimension">>;

/** A term query for a value. */
export function term(value: string | number | boolean): (name: string) => JsonObject {
  return (name) => ({ term: { [name]: value } });
}

export function range(bounds: JsonObject): (name: string) => JsonObject {
  return (name) => ({ range: { [name]: bounds } });
}
