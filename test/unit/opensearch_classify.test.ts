import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Document } from "../../src/core/document.ts";
import { FatalError, RetryableError } from "../../src/core/errors.ts";
import { classify, fateOf } from "../../src/opensearch/classify.ts";

const documents: readonly Document[] = ["1", "2", "3", "4"].map((id) => ({
  index: "users",
  id,
  version: 1n,
  body: "{}",
}));

function failed(status: number, type: string, reason = "", cause?: string): unknown {
  const error = { type, reason, ...(cause === undefined ? {} : { caused_by: { reason: cause } }) };
  return { index: { status, error } };
}
const done = { index: { status: 201 } };

describe("fate of a bulk item", () => {
  const table: readonly [string, number, string, ReturnType<typeof fateOf>][] = [
    ["index", 200, "", "durable"],
    ["index", 201, "", "durable"],
    ["delete", 200, "", "durable"],
    ["delete", 404, "", "durable"],
    ["index", 409, "version_conflict_engine_exception", "durable"],
    ["delete", 409, "version_conflict_engine_exception", "durable"],
    ["index", 429, "rejected_execution_exception", "busy"],
    ["index", 429, "es_rejected_execution_exception", "busy"],
    ["index", 429, "circuit_breaking_exception", "busy"],
    ["index", 429, "cluster_block_exception", "busy"],
    ["index", 503, "unavailable_shards_exception", "busy"],
    ["index", 503, "no_shard_available_action_exception", "busy"],
    ["index", 500, "exception", "busy"],
    ["index", 400, "mapper_parsing_exception", "rejected"],
    ["index", 400, "strict_dynamic_mapping_exception", "rejected"],
    ["index", 400, "illegal_argument_exception", "rejected"],
    ["index", 413, "", "rejected"],
    ["index", 404, "index_not_found_exception", "stop"],
    ["delete", 404, "index_not_found_exception", "stop"],
    ["index", 400, "index_closed_exception", "stop"],
    ["index", 403, "cluster_block_exception", "stop"],
    ["index", 403, "security_exception", "stop"],
    ["index", 401, "", "stop"],
  ];
  for (const [action, status, type, fate] of table) {
    test(`${action} ${status} ${type} is ${fate}`, () => {
      assert.equal(fateOf(action, status, type), fate);
    });
  }
});

describe("a bulk answer", () => {
  test("without errors leaves nothing to do", () => {
    const outcome = classify(documents, { errors: false, items: documents.map(() => done) });
    assert.deepEqual(outcome, { resend: [], rejections: [] });
  });

  test("is read by position, whatever the actions", () => {
    const outcome = classify(documents, {
      errors: true,
      items: [
        { delete: { status: 404 } },
        failed(
          400,
          "mapper_parsing_exception",
          "failed to parse field [a.b] of type [long] in document with id '2'. Preview of field's value: 'secret'",
          'For input string: "secret"',
        ),
        { delete: { status: 429, error: { type: "rejected_execution_exception" } } },
        done,
      ],
    });
    assert.deepEqual(outcome.resend.map(({ id }) => id), ["3"]);
    assert.equal(outcome.code, "rejected_execution_exception");
    assert.deepEqual(outcome.rejections, [{
      index: "users",
      id: "2",
      type: "mapper_parsing_exception",
      field: "a.b",
      reason: "failed to parse field [a.b] of type [long] in document with id '2'. Preview of " +
        "field's value: 'secret'; For input string: \"secret\"",
    }]);
  });

  test("names a field only where the server does, never from a value", () => {
    const fieldOf = (reason: string) =>
      classify(documents.slice(0, 1), {
        errors: true,
        items: [failed(400, "mapper_parsing_exception", reason)],
      }).rejections[0]?.field;
    assert.equal(
      fieldOf("failed to parse field [at] of type [date] in document with id '1'"),
      "at",
    );
    assert.equal(fieldOf("object mapping for [o] tried to parse field [o] as object"), "o");
    assert.equal(
      fieldOf("mapping set to strict, dynamic introduction of [zz] within [_doc] is not allowed"),
      "zz",
    );
    assert.equal(fieldOf(`Document contains at least one immense term in field="k" (whose`), "k");
    assert.equal(fieldOf("failed to parse"), undefined);
    assert.equal(fieldOf("Preview: 'failed to parse field [secret]'"), undefined);
  });

  test("that doesn't account for every document isn't believed", () => {
    const items = documents.map(() => done);
    for (
      const answer of [
        "<html>",
        {},
        { errors: false },
        { errors: false, items: [] },
        { errors: false, items: items.slice(1) },
        { errors: true, items: [...items, done] },
        { errors: "no", items },
        { error: { type: "x" }, status: 200 },
      ]
    ) assert.throws(() => classify(documents, answer), RetryableError, JSON.stringify(answer));
  });

  test("that blames the index, the user or a block ends the run", () => {
    const codeOf = (item: unknown) => {
      try {
        classify(documents.slice(0, 1), { errors: true, items: [item] });
      } catch (error) {
        if (error instanceof FatalError) return error.code;
      }
      return undefined;
    };
    assert.equal(codeOf(failed(404, "index_not_found_exception")), "INDEX_LOST");
    assert.equal(codeOf(failed(400, "index_closed_exception")), "INDEX_LOST");
    assert.equal(codeOf(failed(403, "security_exception")), "FORBIDDEN");
    assert.equal(codeOf(failed(403, "cluster_block_exception")), "FORBIDDEN");
  });
});
