import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fatal, onCluster, physicalOf, PLAN, settingsOf } from "./opensearch_cluster.ts";
import { ask, generations, newestGeneration } from "./opensearch_observer.ts";
import { sampleDocument, samplePlan, V } from "./sink_samples.ts";
import { never, write } from "./sink_subject.ts";

describe("OpenSearch: a filling", () => {
  test(
    "has a strict mapping before any document, no refresh and no replica until it is served",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await using sink = cluster.open();
      const settings = { refresh_interval: "3s", number_of_replicas: 0 };
      await sink.ensure({ ...PLAN, settings }, "s1", never);
      await sink.ensure(samplePlan("others"), "s1", never);
      const physical = await physicalOf(cluster);
      assert.equal(physical, `${prefix}things_0123abcd_1`);
      const filling = await settingsOf(url, physical);
      assert.equal(filling["index.refresh_interval"], "-1");
      assert.equal(filling["index.number_of_replicas"], "0");
      assert.equal(filling["index.gc_deletes"], "15m");
      assert.equal(filling["index.translog.durability"], "request");
      const { json } = await ask(url, "GET", `/${physical}/_mapping`);
      assert.equal(json[physical].mappings.dynamic, "strict");

      await sink.markSeeded("things", never);
      await sink.markSeeded("others", never);
      const serving = await settingsOf(url, physical);
      assert.equal(serving["index.refresh_interval"], "3s");
      assert.equal(serving["index.number_of_replicas"], "0");
      const others = await settingsOf(url, `${prefix}others_0123abcd_1`);
      assert.equal(others["index.refresh_interval"], undefined, "the default again");
      assert.equal(others["index.number_of_replicas"], "1");
    }),
  );

  test(
    "can't be searched before it is done: a clear 404, not half the answers",
    onCluster(async (cluster) => {
      await using sink = cluster.open();
      await sink.ensure(PLAN, "s1", never);
      await write(sink, [sampleDocument("things", "1", V, "one")], "fill");
      await sink.refresh(["things"], never);
      await assert.rejects(
        sink.search("things", "one", 10, never),
        fatal("NOT_SEARCHABLE", "404"),
      );
      const { status } = await ask(cluster.url, "GET", `/${cluster.prefix}things/_search`);
      assert.equal(status, 404);
    }),
  );

  test(
    "drops the generation it replaces, and a filling that was never finished",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await using sink = cluster.open();
      await sink.ensure(PLAN, "s1", never);
      await sink.markSeeded("things", never);
      await sink.ensure(samplePlan("things", "ffff0000"), "s2", never);
      await sink.ensure(PLAN, "s3", never);
      assert.deepEqual(await generations(url, prefix, "things"), [
        `${prefix}things_0123abcd_1`,
        `${prefix}things_0123abcd_3`,
      ]);
      await sink.markSeeded("things", never);
      assert.deepEqual(await generations(url, prefix, "things"), [`${prefix}things_0123abcd_3`]);
      const { json } = await ask(url, "GET", `/${prefix}driftless/_count`);
      await ask(url, "POST", `/${prefix}driftless/_refresh`);
      assert.equal(json.count <= 3, true, "nothing is kept about what is gone");
    }),
  );

  test(
    "finishes after a crash between the alias and the mark, and between the mark and the deletes",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      const first = cluster.open();
      await first.ensure(PLAN, "s1", never);
      await first.markSeeded("things", never);
      await first.ensure(PLAN, "s2", never);
      await write(first, [sampleDocument("things", "2", V, "two")], "fill");
      await first[Symbol.asyncDispose]();
      const [old, next] = await generations(url, prefix, "things");
      const alias = `${prefix}things`;
      const actions = [{ remove: { index: old, alias } }, { add: { index: next, alias } }];
      await ask(url, "POST", "/_aliases", { actions });

      const second = cluster.open();
      await second.ensure(PLAN, undefined, never);
      assert.equal((await second.seedState(PLAN, never))?.seeded, false);
      await second.markSeeded("things", never);
      assert.deepEqual(await generations(url, prefix, "things"), [next]);
      await second[Symbol.asyncDispose]();

      // A generation that a crash left behind, and an alias that someone removed.
      const mappings = { _meta: { driftless: { index: "things" } } };
      await ask(url, "PUT", `/${prefix}things_0123abcd_9`, { mappings });
      await ask(url, "POST", "/_aliases", { actions: [{ remove: { index: next, alias } }] });
      await using third = cluster.open();
      await third.ensure(PLAN, undefined, never);
      assert.deepEqual(await generations(url, prefix, "things"), [next]);
      assert.deepEqual((await third.search("things", "two", 9, never)).map(({ id }) => id), ["2"]);
    }),
  );

  test(
    "never touches an index that only looks like a generation",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      for (const name of ["things_0123abcd_1", "things_0123abcd_7", "things_archive"]) {
        await ask(url, "PUT", `/${prefix}${name}`);
      }
      await using sink = cluster.open();
      await sink.ensure(PLAN, "s1", never);
      await sink.markSeeded("things", never);
      assert.deepEqual(
        (await generations(url, prefix, "things")).toSorted(),
        ["things_0123abcd_1", "things_0123abcd_7", "things_0123abcd_8", "things_archive"]
          .map((name) => prefix + name),
      );
    }),
  );
});

describe("OpenSearch: what contradicts the plan", () => {
  test(
    "a concrete index under the alias's name is an error and stays",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await ask(url, "PUT", `/${prefix}things`);
      await using sink = cluster.open();
      await assert.rejects(
        sink.ensure(PLAN, "s1", never),
        fatal("ALIAS_TAKEN", `${prefix}things`),
      );
      // What `check` asks, which must not change anything.
      await assert.rejects(
        async () => await sink.inspect?.(PLAN, never),
        fatal("ALIAS_TAKEN", `${prefix}things`),
      );
      assert.deepEqual(await generations(url, prefix, "things"), []);
      assert.equal((await ask(url, "GET", `/${prefix}things`)).status, 200);
    }),
  );

  test(
    "an alias that leads to someone else's index is an error",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await ask(url, "PUT", `/${prefix}foreign`, { aliases: { [`${prefix}things`]: {} } });
      await using sink = cluster.open();
      await assert.rejects(
        sink.ensure(PLAN, "s1", never),
        fatal("ALIAS_TAKEN", `${prefix}foreign`),
      );
    }),
  );

  test(
    "a field of another type in the live index, or one that is gone, is a conflict by name",
    onCluster(async (cluster) => {
      const { url } = cluster;
      const first = cluster.open();
      await first.ensure(PLAN, "s1", never);
      const physical = await physicalOf(cluster);
      await first[Symbol.asyncDispose]();
      await using sink = cluster.open();
      await ask(url, "PUT", `/${physical}/_mapping`, {
        properties: { more: { type: "long" }, author: { properties: { age: { type: "byte" } } } },
      });
      await sink.ensure(PLAN, undefined, never);

      await ask(url, "PUT", `/${physical}/_mapping`, {
        dynamic: true,
        properties: { code: { type: "keyword", ignore_above: 10 } },
      });
      await assert.rejects(
        sink.ensure(PLAN, undefined, never),
        fatal("MAPPING_CONFLICT", "code: ignore_above is 10", "(index): dynamic", physical),
      );
    }),
  );

  test(
    "a mapping that a release derives otherwise, under the same hash, is filled anew",
    onCluster(async (cluster) => {
      const { url, prefix } = cluster;
      await using sink = cluster.open();
      await sink.ensure(PLAN, "s1", never);
      await sink.markSeeded("things", never);
      const fields = PLAN.fields.map((field) =>
        field.name === "views" ? { kind: "scalar", name: "views", type: "ip" } as const : field
      );
      const next = { ...PLAN, fields };
      assert.equal(await sink.seedState(next, never), undefined);
      assert.notEqual(await sink.seedState(PLAN, never), undefined);
      await sink.ensure(next, "s2", never);
      assert.equal((await generations(url, prefix, "things")).length, 2);
      await sink.markSeeded("things", never);
      assert.deepEqual(await generations(url, prefix, "things"), [await physicalOf(cluster)]);
    }),
  );

  test(
    "an asynchronous translog is refused, in the config and in the live index",
    onCluster(async (cluster) => {
      await using sink = cluster.open();
      const settings = { translog: { durability: "async" } };
      await assert.rejects(
        sink.ensure({ ...PLAN, settings }, "s1", never),
        fatal("NOT_DURABLE"),
      );
      assert.equal(await newestGeneration(cluster.url, cluster.prefix, "things"), undefined);
      await sink.ensure(PLAN, "s1", never);
      const physical = await physicalOf(cluster);
      const body = { "index.translog.durability": "async" };
      await ask(cluster.url, "PUT", `/${physical}/_settings`, body);
      await assert.rejects(sink.ensure(PLAN, undefined, never), fatal("NOT_DURABLE", physical));
    }),
  );

  test(
    "a mapping, a setting or a name that OpenSearch can't take is told with its reason",
    onCluster(async (cluster) => {
      await using sink = cluster.open();
      const mappings = { properties: { x: { type: "nope" } } };
      await assert.rejects(
        sink.ensure({ ...PLAN, mappings }, "s1", never),
        fatal("INDEX_REFUSED", "nope"),
      );
      const settings = { nope: 1 };
      await assert.rejects(
        sink.ensure({ ...PLAN, settings }, "s1", never),
        fatal("INDEX_REFUSED", "index.nope"),
      );
      await assert.rejects(sink.ensure(samplePlan("Bad"), "s1", never), fatal("NAME_INVALID"));
      assert.equal(await sink.seedState(PLAN, never), undefined);
    }),
  );
});
