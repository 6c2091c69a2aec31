import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { FieldDescription } from "../../src/core/description.ts";
import { openSearchSink } from "../../src/opensearch/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { EPOCH, index, openFixture, scalar, SIGNAL } from "./documents_fixture.ts";
import { removeAll, sinkOptions } from "./opensearch_observer.ts";

/** A column, its field, a value of the column that the field can't hold, and why: a part of the answer. */
type Refusal = readonly [column: string, field: FieldDescription, sql: string, why: string];

const UNCASTABLE: readonly Refusal[] = [
  ["jsonb", scalar("c0", "map", { values: "long" }), `'{"a": "x"}'`, "22P02"],
  ["jsonb", scalar("c1", "map", { values: "long" }), `'{"a": [1, 1.5]}'`, "22P02"],
  ["hstore", scalar("c2", "map", { values: "boolean" }), "'a=>perhaps'", "22P02"],
  ["jsonb", scalar("c3", "map", { values: "double" }), `'{"a": "1,5"}'`, "22P02"],
  ["jsonb", scalar("c4", "map", { values: "date" }), `'{"a": "soon"}'`, "22007"],
  // They would be dates, but of the time of reading.
  ["jsonb", scalar("c5", "map", { values: "date" }), `'{"a": "now"}'`, "22007"],
  ["jsonb", scalar("c6", "map", { values: "date" }), `'{"a": "12:00 tomorrow"}'`, "22007"],
  ["json", scalar("c7", "map", { values: "keyword" }), "'[1]'", "22P02"],
  ["jsonb", scalar("c8", "map", { values: "keyword" }), "'5'", "22P02"],
  ["json", scalar("c9", "json"), `E'"\\\\u0000"'`, "22P05"],
  ["text", scalar("c10", "integer_range", { sql: "c10::int4range" }), "'[5,1)'", "22000"],
  ["text", scalar("c11", "ip"), "'10.0.0.300'", "22P02"],
];

const UNINDEXABLE: readonly Refusal[] = [
  ["timestamptz", scalar("c0", "date_nanos"), "'1969-12-31 23:59:59+00'", "before the epoch"],
  ["timestamptz", scalar("c1", "date_nanos"), "'2262-04-12 00:00:00+00'", "nanosecond"],
  ["numeric", scalar("c2", "double"), "1e400", "finite"],
  ["numeric", scalar("c3", "double"), `1.${"1".repeat(1000)}`, "1000"],
  ["float8", scalar("c4", "float"), "1e39", "finite"],
  ["jsonb", scalar("c5", "json", { as: "flat_object" }), "'5'", "VALUE_NUMBER"],
  ["jsonb", scalar("c6", "json", { as: "flat_object" }), "'[1]'", "VALUE_NUMBER"],
  ["jsonb", scalar("c7", "json", { as: "object" }), "'true'", "concrete value"],
  ["jsonb", scalar("c8", "json", { as: "object" }), `'{"": 1}'`, "empty"],
  ["jsonb", scalar("c9", "json"), `'${"[".repeat(30)}${"]".repeat(30)}'`, "depth"],
  ["bigint", scalar("c10", "unsigned_long"), "-1", "out of range"],
  ["int8range", scalar("c11", "integer_range"), "'[3000000000,3000000001)'", "out of range"],
  ["polygon", scalar("c12", "geo_shape"), "'((1,1),(1,1),(1,1))'", ""],
  ["text", scalar("c13", "geo_shape"), "'nowhere'", ""],
  ["text", scalar("c14", "keyword"), "repeat('x', 32767)", "32766"],
];

/** A table with a sound row 0, and below it a row for each of them; every other column is null. */
function tableOf(refusals: readonly Refusal[]): string {
  const columns = refusals.map(([column], at) => `c${at} ${column}`);
  const rows = refusals.map(([, , sql], at) =>
    `INSERT INTO v (id, c${at}) VALUES (${at + 1}, ${sql});`
  );
  return `CREATE EXTENSION hstore; CREATE TABLE v (id int PRIMARY KEY, ${columns.join(", ")});
INSERT INTO v (id) VALUES (0); ${rows.join("\n")}`;
}

test("a row that doesn't cast is set aside by itself, and its batch is built", async () => {
  await using fixture = await openFixture(tableOf(UNCASTABLE), 15);
  const open = await fixture.open([index("v", "v", UNCASTABLE.map(([, field]) => field))]);
  const keys = ["0", ...UNCASTABLE.map((_, at) => String(at + 1))];
  const { documents, rejections } = await open.build(...keys);
  deepEqual(documents.map(({ id }) => id), ["0"]);
  deepEqual(
    rejections.map(({ id, type }) => `${id} ${type}`),
    UNCASTABLE.map(([, , , code], at) => `${at + 1} ${code}`),
  );
});

test("what a field can't hold is refused by OpenSearch alone of its batch, and nothing is cut to fit", async () => {
  await using fixture = await openFixture(tableOf(UNINDEXABLE));
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  await using sink = openSearchSink(sinkOptions(url, prefix));
  try {
    await sink.connect(SIGNAL);
    const open = await fixture.open([index("v", "v", UNINDEXABLE.map(([, field]) => field))]);
    const [plan] = open.builder.plans;
    if (plan === undefined) throw new Error("Cannot test without a plan");
    await sink.ensure(plan, "first", SIGNAL);
    const keys = ["0", ...UNINDEXABLE.map((_, at) => String(at + 1))];
    const ids = keys.map((key) => open.builder.identify("v", [key]));
    const { documents, rejections } = await open.builder.build(ids, EPOCH, SIGNAL);
    deepEqual(rejections, []);
    const refused = await sink.write(documents, "live", SIGNAL);
    deepEqual(refused.map(({ id }) => Number(id)).sort((a, b) => a - b), keys.slice(1).map(Number));
    for (const { id, reason } of refused) {
      const why = UNINDEXABLE[Number(id) - 1]?.[3] ?? "?";
      ok(reason.includes(why), `${id}: ${reason}`);
    }
    equal(refused.length, UNINDEXABLE.length);
  } finally {
    await removeAll(url, prefix);
  }
});
