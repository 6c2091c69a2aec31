import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { ScalarField } from "../../../src/core/description.ts";
import { bindScalar } from "../../../src/postgres/documents/bind_scalar.ts";
import type { Binding } from "../../../src/postgres/documents/binding.ts";
import { catalogTable } from "../../support/catalog_table.ts";

/** pgvector's types, as the catalog shows them: `vector(3)` and `vector`. */
const vector = { cast: "vector", base: "vector" };
const table = catalogTable({
  id: {},
  three: { type: { ...vector, declared: "vector#3", dimension: 3 } },
  any: { type: { ...vector, declared: "vector" } },
});

/** The dimension that a field is bound to, or the problems that keep it from being bound. */
function dimensionOf(column: string, more: Partial<ScalarField> = {}): unknown {
  const problems: string[] = [];
  const binding: Binding = {
    catalog: { version: 180000, role: "reader", standby: false, tables: new Map() },
    expressions: new Map(),
    report: (_severity, code, path, message, hint) => {
      problems.push(`${code} ${path}: ${message} / ${hint}`);
    },
  };
  const field: ScalarField = {
    kind: "scalar",
    name: "v",
    type: "knn_vector",
    from: { kind: "column", column },
    transforms: [],
    ...more,
  };
  const bound = bindScalar(binding, table, field, "f.v");
  return bound === undefined ? problems : bound.dimension;
}

test("a vector has the dimension that its column declares, or the one given", () => {
  deepEqual(dimensionOf("three"), 3);
  deepEqual(dimensionOf("three", { dimension: 3 }), 3);
  deepEqual(dimensionOf("any", { dimension: 384 }), 384);
  deepEqual(dimensionOf("any", { mapping: { model_id: "m" } }), undefined, "a model says it");
  deepEqual(dimensionOf("any"), [
    'DIMENSION_MISSING f.v.column: Cannot map a knn_vector: "any" is vector, ' +
    `which doesn't say how many numbers it has / Give "dimension".`,
  ]);
  deepEqual(dimensionOf("three", { dimension: 4 }), [
    'DIMENSION_MISMATCH f.v.dimension: Cannot put "three" into 4 numbers: ' +
    "it is declared with 3 / Write 3, or leave it out.",
  ]);
});
