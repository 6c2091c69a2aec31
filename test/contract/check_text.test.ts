import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { syncApp } from "../support/app_run.ts";
import { type Checked, runCheck } from "../support/check_run.ts";
import { inFolder } from "../support/in_folder.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { createDatabase } from "../support/postgres.ts";
import { loadConfig } from "../../src/config/load.ts";

const STAMPED = "updated_at timestamptz NOT NULL DEFAULT now()";
const DDL = `
CREATE TABLE makers (slug text PRIMARY KEY, about jsonb, ${STAMPED});
CREATE TABLE goods (id bigint PRIMARY KEY, maker text, data jsonb, mixed json, empty jsonb, ${STAMPED});
CREATE TABLE sales (id bigint PRIMARY KEY, good_id bigint, ${STAMPED});
CREATE INDEX ON makers (updated_at, slug);
CREATE INDEX ON goods (updated_at, id);
CREATE INDEX ON sales (updated_at, id);
INSERT INTO makers VALUES ('acme', '{"secret": "s3cr3t"}'), ('other', NULL);
INSERT INTO goods SELECT g, 'acme', CASE g WHEN 2 THEN '[{"a": 2}, {}]' ELSE '{"a": 1}' END::jsonb, CASE g WHEN 3 THEN '[1]' ELSE '{}' END::json, NULL
  FROM generate_series(1, 5) g;
INSERT INTO sales SELECT g, 1 + g % 5 FROM generate_series(1, 20) g;`;

const GOODS = {
  table: "goods",
  fields: {
    data: "json",
    mixed: "json",
    empty: "json",
    told: { type: "json", column: "data", as: "flat_object" },
    maker: { belongsTo: "makers", column: "maker", fields: { about: "json" } },
    sales: { hasMany: "sales", foreignKey: "good_id", fields: { id: "long" } },
    sold: { count: "sales", foreignKey: "good_id" },
  },
};
const MAKERS = { table: "makers", fields: { slug: "keyword" } };

/** The lines of one section, without their indent. */
function sectionOf({ text }: Checked, title: string): string {
  const [, after] = text.split(new RegExp(`^${title}$`, "m"));
  ok(after !== undefined, `no section ${title}:\n${text}`);
  return (after.split(/\n\n/)[0] ?? "").replace(/\s+/g, " ").trim();
}

describe("check, in words for who never read how it works", () => {
  test(
    "names each missing index once, with its SQL and who needs it, and is quiet once it is there",
    inFolder(async (folder) => {
      await using db = await createDatabase(DDL);
      const config = {
        source: { url: db.readerUrl },
        sinks: { out: { type: "stdout" } },
        indexes: { goods: GOODS },
      };
      const missing = ({ problems }: Checked) =>
        problems.filter(({ code }) => code === "INDEX_MISSING");
      const first = await runCheck(folder, config);
      deepEqual(missing(first).map(({ severity, path, message }) => [severity, path, message]), [
        [
          "warning",
          "indexes.goods",
          'No index on public.goods begins with "maker": the whole table is read for a handful ' +
          'of rows when a changed row is followed to the documents of "goods" that show it ("maker")',
        ],
        [
          "warning",
          "indexes.goods",
          'No index on public.sales begins with "good_id": the whole table is read for a ' +
          'handful of rows when documents of "goods" are built ("sales", "sold")',
        ],
      ]);
      const statements = first.sql.filter((each) => /\("(maker|good_id)"\)/.test(each));
      deepEqual(statements, [
        'CREATE INDEX CONCURRENTLY ON "public"."goods" ("maker");',
        'CREATE INDEX CONCURRENTLY ON "public"."sales" ("good_id");',
      ]);
      for (const each of statements) await db.sql.unsafe(each);
      deepEqual(missing(await runCheck(folder, config)), []);
    }),
  );

  test(
    "says what json could be searched as, by a look at few rows, and shows none of them",
    inFolder(async (folder) => {
      await using db = await createDatabase(DDL);
      const checked = await runCheck(folder, {
        source: { url: db.readerUrl },
        sinks: { out: { type: "stdout" } },
        indexes: { goods: GOODS, makers: MAKERS },
      });
      const goods = sectionOf(checked, 'index "goods"');
      match(
        goods,
        /note: Field "data" is json that is stored, not searched\. All of 5 values .* "flat_object"/,
      );
      match(goods, /note: Field "mixed" is json .*: some of its values are neither objects/);
      match(goods, /note: Field "maker\.about" is json .*All of 1 values/);
      doesNotMatch(goods, /"empty"|"told"|s3cr3t/);
      doesNotMatch(goods, /_id/, "a bigint fits into an _id");
      const makers = sectionOf(checked, 'index "makers"');
      match(makers, /note: A key of "slug" \(text\) may be longer than the 512 bytes/);
      match(
        goods,
        /note: Sink "out" can't be asked which documents show a row: those that a row of public\.sales leaves/,
      );
    }),
  );

  test(
    "says of an index in a SQLite file what a run does with it",
    inFolder(async (folder) => {
      await using db = await createDatabase(DDL);
      const config = (goods: object) => ({
        source: { url: db.readerUrl },
        sinks: { file: { type: "sqlite", path: join(folder, "out.db") } },
        indexes: { goods },
      });
      const standing = async (goods: object) => {
        const checked = await runCheck(folder, config(goods));
        equal(checked.code, 0, checked.text);
        return /in "file": (.*)$/.exec(sectionOf(checked, 'index "goods"'))?.[1];
      };
      match(await standing(GOODS) ?? "", /^there is none yet: run makes it/);
      const path = join(folder, "driftless.jsonc");
      await writeFile(path, JSON.stringify(config(GOODS)));
      const loaded = await loadConfig(path, {});
      ok(loaded.config !== undefined, JSON.stringify(loaded.problems));
      await syncApp(loaded.config);
      equal(
        await standing(GOODS),
        "_documents_1 is as it is to be (searches see it): run goes on with it",
      );
      match(
        await standing({ ...GOODS, where: [{ column: "id", op: "gt", value: 1 }] }) ?? "",
        /^_documents_1 is not as it is to be \(searches see it\): run fills another .* It was filled by another description \(its fields, .*\)\.$/,
      );
    }),
  );

  test(
    "says of an index in OpenSearch what a run does with it, and of each difference whether it is additive",
    inFolder(async (folder) => {
      await using db = await createDatabase(DDL);
      const { url } = await openSearchServer();
      const indexPrefix = uniquePrefix();
      const config = (goods: object) => ({
        source: { url: db.readerUrl },
        sinks: { search: { type: "opensearch", nodes: [url], indexPrefix } },
        indexes: { goods },
      });
      const standing = async (goods: object) => {
        const checked = await runCheck(folder, config(goods));
        equal(checked.code, 0, checked.text);
        const lines = sectionOf(checked, 'index "goods"');
        match(lines, /mapping: \{ "dynamic": "strict"/);
        return /in "search": (.*?) mapping: \{/.exec(lines)?.[1];
      };
      try {
        equal(
          await standing(GOODS),
          "there is none yet: run makes it, and searches see it when it is full",
        );
        await writeFile(join(folder, "driftless.jsonc"), JSON.stringify(config(GOODS)));
        const loaded = await loadConfig(join(folder, "driftless.jsonc"), {});
        ok(loaded.config !== undefined, JSON.stringify(loaded.problems));
        await syncApp(loaded.config);
        const kept = await standing(GOODS);
        match(
          kept ?? "",
          /^t\w+_goods_\w+_1 is as it is to be \(searches see it\): run goes on with it$/,
        );
        const { sold: _, ...rest } = GOODS.fields;
        const changed = await standing({
          ...GOODS,
          fields: { ...rest, stamp: { type: "date", column: "updated_at" } },
        });
        match(
          changed ?? "",
          /^\w+_1 is not as it is to be \(searches see it\): run fills another index beside it from the tables, which takes its place when it is full\. Until then searches see \w+_1 as it was\. differences that only another index can have: sold: the field is no longer described additive differences \(OpenSearch could take them in place, run doesn't\): stamp: a new field \(date\)$/,
        );
        const filtered = await standing({
          ...GOODS,
          where: [{ column: "id", op: "gt", value: 1 }],
        });
        match(
          filtered ?? "",
          /Its mapping and settings are right, but its documents are built otherwise now \(a field's column or sql, a filter, the order of fields\)\.$/,
        );
      } finally {
        await fetch(`${url}/${indexPrefix}*?expand_wildcards=all`, { method: "DELETE" })
          .then((reply) => reply.body?.cancel());
      }
    }),
  );
});
